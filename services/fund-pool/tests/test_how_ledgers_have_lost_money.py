"""Nine ways in which ledgers have lost money elsewhere, each with the numbers that would show it here."""

import asyncio
from datetime import UTC, date, datetime
from typing import Any

import pytest
from chassis.testing import Harness, only
from contracts.money import Money
from contracts.order import ReturnDocument, ReturnedLine
from fund_pool.domain.documents import Content, Refusal, plan
from fund_pool.domain.errors import HoldExceeded
from fund_pool.domain.usage import split

from contracts import CreditChecked, OrderDecided, PayoutSettled

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)


def test_a_hold_counts_in_what_is_available(make: Any) -> None:
    """Of 100.00, 70.00 are held: 30.00 are usable, and a debit of 30.01 is refused with the most that passes."""
    pool = make.pool(cash="100.00")
    purse = pool.fund_accounts["cash", "CNY"]
    pool.hold("H-1", "order", purse, 70_00, NOW)
    assert (purse.usable, pool.terms("CNY").quota) == (30_00, 30_00)
    wanted = Content("other-debit", "D-1", "A-1", "CNY", 30_01, "cash", reason="because")
    refused = plan(wanted, pool, NOW)
    assert isinstance(refused, Refusal)
    assert refused.most == 30_00


async def test_a_hold_whose_payout_was_rejected_is_not_applied_later(
    harness: Harness, make: Any, client_of: Any, broken: Any
) -> None:
    """The bank says failed and then, by mistake, paid: the 60.00 came back and stay."""
    await harness.play(*make.master_data("A-1"), make.payment("A-1", "100.00"))
    body = {
        "document_type": "withdrawal",
        "document_id": "W-1",
        "account": "A-1",
        "amount": {"amount": "60.00", "currency": "CNY"},
        "payee": "IBAN-1",
        "submit": True,
    }
    assert (await client_of({"finance-maker"}, "maker").post("/documents", json=body)).status_code == 201
    path = "/documents/withdrawal/W-1/approve"
    assert (await client_of({"finance-approver"}, "approver").post(path)).status_code == 200
    for outcome in ("failed", "paid"):
        settled = PayoutSettled(
            payout_id="W-1",
            account="A-1",
            outcome=outcome,
            settled_on=date(2026, 3, 3),
        )
        await harness.play(settled)
    rows = await harness.rows("select balance from fund_account")
    assert [row["balance"] for row in rows] == [100_00]
    assert await harness.rows("select 1 from hold where captured > 0") == []
    assert await broken() == []


def returned(number: int, revision: int = 1) -> CreditChecked:
    line = ReturnedLine(line_id="1", quantity="1", amount=Money("40.00", "CNY"))
    document = ReturnDocument(
        document_id="RT-1",
        document_revision=revision,
        posted_on=NOW.date(),
        lines=[line],
        total=Money("40.00", "CNY"),
    )
    return CreditChecked(
        source="shop-east",
        order_id="SO-1",
        order_revision=number,
        check_number=number,
        paying_account="A-1",
        operation="return",
        outcome="approved",
        reasons=[],
        metrics=[],
        returned=document,
        stance="fact",
        checked_at=NOW,
    )


async def test_a_refund_is_not_paid_twice(harness: Harness, make: Any, broken: Any) -> None:
    """A return of 40.00 is told under two checks, then the order of 60.00 is cancelled: 100.00 again, not more."""
    await harness.play(*make.master_data("A-1"), make.payment("A-1", "100.00"))
    await harness.play(make.check(make.order("A-1", "60.00")), returned(2), returned(3))
    assert [row["balance"] for row in await harness.rows("select balance from fund_account")] == [80_00]
    await harness.play(make.cancel("A-1", 4), make.cancel("A-1", 5))
    assert [row["balance"] for row in await harness.rows("select balance from fund_account")] == [100_00]
    assert await broken() == []


def test_a_hold_is_not_voided_twice_nor_captured_beyond_its_amount(make: Any) -> None:
    """Of 60.00, 50.00 are captured: 10.01 more are refused, 10.00 are voided once, and not a cent again."""
    pool = make.pool(cash="100.00")
    hold = pool.hold("H-1", "withdrawal", pool.fund_accounts["cash", "CNY"], 60_00, NOW)
    pool.capture(hold, 50_00, 2)
    with pytest.raises(HoldExceeded):
        pool.capture(hold, 10_01, 3)
    pool.release(hold, 10_00)
    with pytest.raises(HoldExceeded):
        pool.release(hold, 1)


async def test_the_same_key_twice_in_one_batch_counts_once(harness: Harness, make: Any, broken: Any) -> None:
    """One payment and one check of an order, each twice in one batch under two event ids."""
    await harness.play(*make.master_data("A-1"))
    payment, check = make.payment("A-1", "100.00", payment_id="P-1"), make.check(make.order("A-1", "60.00"))
    await harness.play(payment, payment)
    events = await harness.play(check, check)
    assert [one.outcome for one in only(events, OrderDecided)] == ["accepted"]
    assert [row["balance"] for row in await harness.rows("select balance from fund_account")] == [40_00]
    assert await broken() == []


async def test_a_client_that_retries_after_a_read_timeout_applies_its_change_once(
    harness: Harness, make: Any, client_of: Any, broken: Any
) -> None:
    """The first answer is lost; the same command under the same key comes twice more, at once."""
    await harness.play(*make.master_data("M-1", "A-1"), make.related("M-1", "A-1"))
    await harness.play(make.payment("M-1", "100.00"))
    maker = client_of({"finance-maker"}, "maker")
    body, key = make.allocation("allocate", ("A-1", "10.00")), {"Idempotency-Key": "once"}
    await maker.post("/allocations", json=body, headers=key)
    again = await asyncio.gather(*(maker.post("/allocations", json=body, headers=key) for _ in range(2)))
    assert {answer.status_code for answer in again} == {201}
    rows = await harness.rows("select balance from fund_account order by account")
    assert [row["balance"] for row in rows] == [10_00, 90_00]
    assert await broken() == []


@pytest.mark.parametrize(("decrease", "most"), [(200_00, None), (200_01, 200_00)])
def test_a_limit_is_not_lowered_under_live_holds(make: Any, decrease: int, most: int | None) -> None:
    """Of a line of 500.00, 300.00 are held: 200.00 may go, 200.01 may not."""
    pool = make.pool(overdraft=("500.00", "0.00"))
    pool.hold("H-1", "order", pool.fund_accounts["overdraft", "CNY"], 300_00, NOW)
    planned = plan(Content("line-decrease", "L-1", "A-1", "CNY", decrease, "overdraft"), pool, NOW)
    assert (planned.most if isinstance(planned, Refusal) else None) == most


async def test_batches_that_lock_accounts_in_different_order_end_without_a_deadlock(
    harness: Harness, make: Any, broken: Any
) -> None:
    """Two instances take orders of four accounts in opposite directions, five times over."""
    accounts = ["A-1", "A-2", "A-3", "A-4"]
    await harness.play(*make.master_data(*accounts), *(make.payment(one, "100.00") for one in accounts))
    second = harness.instance()
    for number in range(5):
        sides = [
            [make.check(make.order(one, "1.00", order_id=f"SO-{side}-{number}-{one}")) for one in order]
            for side, order in enumerate((accounts, accounts[::-1]))
        ]
        await asyncio.gather(
            harness.context.consumer.consume([harness.raw(check) for check in sides[0]]),
            second.consumer.consume([harness.raw(check, partition=1) for check in sides[1]]),
        )
    await second.database.close()
    rows = await harness.rows("select distinct balance from fund_account")
    assert [row["balance"] for row in rows] == [90_00]
    assert await harness.rows("select reason from dead_letter") == []
    assert await broken() == []


@pytest.mark.parametrize(
    ("amounts", "points", "parts"),
    [([10, 10, 10], 3_334, [4, 3, 3]), ([1, 1, 1], 3_333, [1, 0, 0]), ([33, 33, 34], 5_000, [17, 16, 17])],
)
def test_a_split_that_does_not_divide_gives_the_rest_to_the_largest_remainders(
    amounts: list[int], points: int, parts: list[int]
) -> None:
    assert split(amounts, points) == parts
    assert sum(parts) == (2 * sum(amounts) * points + 10_000) // 20_000
