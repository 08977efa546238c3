"""Events that go out: ids that deciding again repeats, headers that survive any text."""

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any, cast
from uuid import uuid5

import pytest
from chassis.errors import Refused
from chassis.records import EVENT_BYTES_MAX, unpack_headers
from chassis.work import EVENT_NAMESPACE, Cause, UnitOfWork, derived_id
from contracts.money import Money
from hypothesis import given
from hypothesis import strategies as some

from contracts import PaymentReceived

NOW = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
PAYMENT = PaymentReceived(
    payment_id="P1", payer="A1", amount=Money("1.00", "CNY"), received_on=date(2026, 3, 1)
)


def work() -> UnitOfWork:
    return UnitOfWork(service="sample", connection=cast(Any, None), now=NOW)


@given(some.text(), some.text(), some.integers(0, 9))
def test_an_id_is_the_standard_uuid5(source: str, cause: str, index: int) -> None:
    source, cause = (text.encode("utf-8", "ignore").decode() for text in (source, cause))
    assert derived_id(source, cause, "t.v1", index) == str(
        uuid5(EVENT_NAMESPACE, f"{source}\n{cause}\nt.v1\n{index}")
    )


def test_deciding_again_gives_the_same_ids_and_each_event_its_own() -> None:
    first, again = work(), work()
    cause = Cause("shop", "1", "c")
    ids = [first.emit(PAYMENT, cause), first.emit(PAYMENT, cause)]
    assert ids == [again.emit(PAYMENT, cause), again.emit(PAYMENT, cause)]
    assert ids[0] != ids[1]


@given(some.lists(some.sampled_from(["A1", "账户-2"]), max_size=3), some.text(), some.integers(0, 12))
def test_many_events_go_out_as_they_do_one_by_one(payers: list[str], correlation: str, before: int) -> None:
    correlation = correlation.encode("utf-8", "ignore").decode()
    events = [replace(PAYMENT, payer=payer) for payer in payers]
    cause = Cause("shop", "单号\x7f1", correlation)
    together, single = work(), work()
    for unit in (together, single):
        for _ in range(before):
            unit.emit(PAYMENT, cause)
    together.emit_all(events, cause)
    for event in events:
        single.emit(event, cause)
    assert together.outbox == single.outbox
    assert together.emit(PAYMENT, cause) == single.emit(PAYMENT, cause)


def test_none_of_many_events_is_too_large() -> None:
    wide = replace(PAYMENT, payer="A" * EVENT_BYTES_MAX)
    with pytest.raises(Refused, match="at most 4194304 go out"):
        work().emit_all([PAYMENT, wide], Cause("shop", "1", "c"))


def test_headers_carry_any_text_as_utf8() -> None:
    unit = work()
    unit.emit(PAYMENT, Cause("shop", "单号-1", "关联-1", "00-" + "a" * 32 + "-" + "b" * 16 + "-01"))
    headers = {name: (value or b"").decode() for name, value in unpack_headers(unit.outbox[0].headers)}
    assert headers["causation_id"] == "单号-1"
    assert headers["correlation_id"] == "关联-1"
    assert headers["ce_type"] == "payment-received.v1"
    assert headers["ce_time"] == NOW.isoformat()
