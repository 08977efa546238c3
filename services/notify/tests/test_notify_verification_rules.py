"""Codes: random, hashed, ten minutes, five tries, not too often."""

from datetime import UTC, datetime, timedelta

import pytest
from notify.domain.verification import (
    CheckOutcome,
    Code,
    HashedCode,
    Requests,
    check,
    code_text,
    wait_before_request,
)

NOW = datetime(2026, 3, 10, 9, 0, tzinfo=UTC)
ADDRESS = "+8613800138000"
MINUTE = timedelta(minutes=1)


def sent(tries: int = 0) -> Code:
    return Code(ADDRESS, HashedCode.of("048213", b"salt" * 4), NOW, tries)


@pytest.mark.parametrize(
    ("told", "address", "after", "tries", "outcome"),
    [
        ("048213", ADDRESS, MINUTE, 0, CheckOutcome.VERIFIED),
        ("048213", ADDRESS, MINUTE, 4, CheckOutcome.VERIFIED),
        ("048213", ADDRESS, MINUTE, 5, CheckOutcome.TOO_MANY_TRIES),
        ("048214", ADDRESS, MINUTE, 0, CheckOutcome.WRONG_CODE),
        ("048213", ADDRESS, 10 * MINUTE, 0, CheckOutcome.EXPIRED),
        ("048213", "+8613800138001", MINUTE, 0, CheckOutcome.NO_CODE),
        ("048213", None, MINUTE, 0, CheckOutcome.NO_CODE),
    ],
)
def test_a_code_proves_the_address_it_was_sent_to(
    told: str, address: str | None, after: timedelta, tries: int, outcome: CheckOutcome
) -> None:
    assert check(sent(tries), address, told, NOW + after) is outcome


def test_without_a_code_nothing_is_proven() -> None:
    assert check(None, ADDRESS, "048213", NOW) is CheckOutcome.NO_CODE


def test_codes_have_six_digits() -> None:
    assert [code_text(number) for number in (0, 42, 999_999)] == ["000000", "000042", "999999"]


def test_a_code_is_kept_as_a_salted_hash() -> None:
    one, other = HashedCode.of("048213", b"a" * 16), HashedCode.of("048213", b"b" * 16)
    assert one.hash != other.hash
    assert b"048213" not in one.hash


@pytest.mark.parametrize(
    ("minutes_ago", "for_account", "wait"),
    [
        ([], 0, timedelta(0)),
        ([0], 1, MINUTE),
        ([0.5], 1, timedelta(seconds=30)),
        ([1], 1, timedelta(0)),
        ([10, 20, 30, 40], 4, timedelta(0)),
        ([10, 20, 30, 40, 50], 5, timedelta(hours=24) - 50 * MINUTE),
        ([], 50, timedelta(hours=24)),
    ],
)
def test_codes_are_not_sent_too_often(minutes_ago: list[float], for_account: int, wait: timedelta) -> None:
    asked = Requests([NOW - MINUTE * minutes for minutes in minutes_ago], for_account)
    assert wait_before_request(asked, NOW) == wait
