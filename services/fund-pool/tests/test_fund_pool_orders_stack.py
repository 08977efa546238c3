"""Orders on a real PostgreSQL, through the very consumer."""

import pytest
from chassis.invariants import run_checks
from chassis.testing import Harness, only

from contracts import BalanceChanged, OrderDecided

pytestmark = pytest.mark.stack


async def broken(harness: Harness) -> list[str]:
    findings = await run_checks(harness.context.database, harness.service.all_checks)
    return [f"{finding.check.name}: {finding.rows}" for finding in findings if not finding.holds]


async def test_an_order_is_paid_and_a_cancellation_returns_the_money(harness, make):
    await harness.play(*make.master_data("A-1"))
    topped = await harness.play(make.payment("A-1", "100.00"))
    assert [event.balance.amount for event in only(topped, BalanceChanged)] == ["100.00"]

    out = await harness.play(make.check(make.order("A-1", "60.00", "20.00")))
    (decided,) = only(out, OrderDecided)
    assert decided.outcome == "accepted"
    assert decided.explanation.text == "80.00 CNY from cash; overdraft is not opened"
    assert [(p.line_id, p.account_type, p.amount.amount) for p in decided.position.payments] == [
        ("1", "cash", "60.00"),
        ("2", "cash", "20.00"),
    ]
    (moved,) = only(out, BalanceChanged)
    assert (moved.change.amount, moved.balance.amount, moved.entry_number) == ("-80.00", "20.00", 2)

    out = await harness.play(make.cancel("A-1"))
    (decided,) = only(out, OrderDecided)
    assert (decided.outcome, decided.position.total.amount) == ("cancelled", "0.00")
    assert only(out, BalanceChanged)[0].balance.amount == "100.00"
    assert await broken(harness) == []
