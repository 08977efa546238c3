"""What fund-pool tells of a check after its answer moves no exposure."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from contracts.credit_checked import CreditChecked
from credit.handlers import is_sequel

from contracts import OrderDecided


def test_a_sequel_is_told_from_the_answer(make: Any) -> None:
    order = make.order(amount=100)
    check = CreditChecked(
        source="shop",
        order_id="O-1",
        order_revision=1,
        check_number=1,
        paying_account="A-1",
        operation="submit",
        outcome="approved",
        reasons=[],
        metrics=[],
        checked_at=datetime(2026, 3, 2, tzinfo=UTC),
    )
    answer: OrderDecided = make.decision(check, "accepted")
    assert not is_sequel(answer)
    assert is_sequel(replace(answer, sequel=1, outcome="hold-expired"))
    assert not is_sequel(order)
