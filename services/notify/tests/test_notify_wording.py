"""Data becomes text that is only text."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from notify.domain.wording import amount, inert, is_inert, language_chain, moment


@pytest.mark.parametrize(
    ("value", "currency", "expected"),
    [
        ("1234.50", "CNY", "CNY 1,234.50"),
        ("-1234567.5", "CNY", "CNY -1,234,567.5"),
        ("0", "JPY", "JPY 0"),
        ("999999", "JPY", "JPY 999,999"),
        ("12.345", "KWD", "KWD 12.345"),
        ("-0.01", "USD", "USD -0.01"),
    ],
)
def test_amounts_carry_their_currency(value: str, currency: str, expected: str) -> None:
    assert amount(value, currency) == expected


@pytest.mark.parametrize(
    ("zone", "language", "expected"),
    [
        ("Asia/Shanghai", "zh-CN", "2026年3月29日 09:30 UTC+08:00"),
        ("Asia/Shanghai", "en", "2026-03-29 09:30 UTC+08:00"),
        ("Europe/Berlin", "en", "2026-03-29 03:30 UTC+02:00"),
        ("America/St_Johns", "en", "2026-03-28 23:00 UTC-02:30"),
    ],
)
def test_times_are_the_recipients(zone: str, language: str, expected: str) -> None:
    """01:30 UTC on the day that Berlin changes to summer time: half an hour after the change."""
    assert moment(datetime(2026, 3, 29, 1, 30, tzinfo=UTC), zone, language) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Acme\r\nBcc: everybody@example.com", "Acme Bcc: everybody@example.com"),
        ("a\u202eb\u2066c\u200bd", "abcd"),
        ("\x00\x07x\u2028y", "x y"),
        ("  华东   贸易 ", "华东 贸易"),
        ("x" * 41, "x" * 37 + "..."),
        ("x" * 1_000_000, "x" * 37 + "..."),
    ],
)
def test_a_name_becomes_one_short_visible_line(text: str, expected: str) -> None:
    assert inert(text) == expected


@given(st.text(max_size=300))
def test_inert_text_stays_as_it_is(text: str) -> None:
    once = inert(text)
    assert inert(once) == once
    assert len(once) <= 40
    assert not once or is_inert(once)


@pytest.mark.parametrize(
    ("language", "chain"),
    [
        ("zh-CN", ("zh-CN", "zh", "en")),
        ("zh-TW", ("zh-TW", "zh", "en")),
        ("en", ("en",)),
        ("de", ("de", "en")),
    ],
)
def test_languages_fall_back(language: str, chain: tuple[str, ...]) -> None:
    assert language_chain(language) == chain
