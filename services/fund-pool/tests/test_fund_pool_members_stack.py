"""Bills, limits and ends of relationships on a real PostgreSQL."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx
import pytest
from chassis.testing import Harness, only
from contracts.money import Money

from contracts import (
    BalanceChanged,
    BillIssued,
    BillSettled,
    CreditLimitAnswered,
    CreditLimitChanged,
    CreditLimitProposed,
    PaymentOverdue,
    RelationshipEndAnswered,
    RelationshipEndRequested,
)

pytestmark = pytest.mark.stack
NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)


def bill(bill_id: str, amount: str, **more: Any) -> BillIssued:
    return BillIssued(
        bill_id=bill_id,
        account="A-1",
        amount=Money(amount, "CNY"),
        issued_on=date(2026, 3, 1),
        due_on=more.pop("due_on", date(2026, 3, 20)),
        **more,
    )


def settled(settlement_id: str, bill_id: str, amount: str, paid_from: Any = "account") -> BillSettled:
    return BillSettled(
        settlement_id=settlement_id,
        bill_id=bill_id,
        account="A-1",
        amount=Money(amount, "CNY"),
        paid_from=paid_from,
        settled_on=date(2026, 3, 2),
    )


@pytest.fixture
async def house(harness: Harness, make: Any) -> Harness:
    harness.now = NOW
    await harness.play(*make.master_data("A-1", "M-1"), make.payment("A-1", "100.00", payment_id="P-1"))
    return harness


@pytest.fixture
def maker(house: Harness, client_of: Any) -> httpx.AsyncClient:
    client: httpx.AsyncClient = client_of({"finance-maker"}, "maker")
    return client


async def quota(maker: httpx.AsyncClient) -> str:
    told: str = (await maker.get("/accounts/A-1/quota")).json()["quotas"][0]["quota"]["amount"]
    return told


async def test_a_bill_makes_overdue_and_its_settlement_clears_it(
    house: Harness, maker: httpx.AsyncClient, broken: Any
) -> None:
    events = await house.play(bill("B-1", "130.00"), bill("B-1", "130.00"))
    overdue = only(events, PaymentOverdue)
    assert [(one.kind, one.overdue.amount) for one in overdue] == [("opened", "30.00")]
    assert await quota(maker) == "-30.00"
    events = await house.play(settled("S-1", "B-1", "130.00"), settled("S-1", "B-1", "130.00"))
    changed = only(events, BalanceChanged)[0]
    assert changed.bill_settled == Money("100.00", "CNY")
    assert changed.bill_outstanding == Money("30.00", "CNY")
    assert only(events, PaymentOverdue) == []
    events = await house.play(settled("S-2", "B-1", "30.00", "outside"))
    cleared = only(events, PaymentOverdue)
    assert [(one.kind, one.episode_id) for one in cleared] == [("cleared", overdue[0].episode_id)]
    await house.play(bill("B-1", "131.00"))
    letters = await house.rows("select reason from dead_letter")
    assert [letter["reason"] for letter in letters] == ["bill-conflict"]
    assert await broken() == []


async def test_a_settlement_that_comes_before_its_bill_waits_for_it(
    house: Harness, maker: httpx.AsyncClient, broken: Any
) -> None:
    await house.play(settled("S-1", "B-1", "40.00"))
    await house.play(bill("B-1", "40.00"))
    assert await quota(maker) == "60.00"
    rows = await house.rows("select settled, status from bill_settlement")
    assert rows == [{"settled": 40_00, "status": "settled"}]
    assert await broken() == []


async def test_a_limit_is_followed_proposed_and_answered_in_turn(
    house: Harness, maker: httpx.AsyncClient, make: Any, broken: Any
) -> None:
    opened = {"account_type": "overdraft", "currency": "CNY"}
    assert (await maker.post("/accounts/A-1/fund-accounts", json=opened)).status_code == 201
    path = "/accounts/A-1/fund-accounts/overdraft/CNY/line-source"
    assert (await maker.put(path, json={"line_source": "member-limit"})).status_code == 200

    def changed(version: int, amount: str) -> CreditLimitChanged:
        limit = Money(amount, "CNY")
        return CreditLimitChanged(account="A-1", limit_version=version, limit=limit, changed_at=NOW)

    def proposed(version: int, amount: str) -> CreditLimitProposed:
        return CreditLimitProposed(
            account="A-1",
            limit_version=version,
            current_limit=Money("500.00", "CNY"),
            proposed_limit=Money(amount, "CNY"),
            proposed_at=NOW,
        )

    await house.play(changed(2, "500.00"))
    assert (await house.rows("select line from fund_account where account_type = 'overdraft'"))[0][
        "line"
    ] == 0
    await house.play(changed(1, "300.00"))
    await house.play(make.check(make.order("A-1", "445.00")))
    refused = only(await house.play(proposed(3, "345.00")), CreditLimitAnswered)[0]
    assert (refused.outcome, refused.smallest_limit) == ("refused", Money("345.01", "CNY"))
    again = only(await house.play(replace(proposed(3, "345.00"), reason="again")), CreditLimitAnswered)
    assert again == [refused]
    accepted = only(await house.play(proposed(4, "345.01")), CreditLimitAnswered)[0]
    assert (accepted.outcome, accepted.limit, accepted.available_quota.amount) == (
        "accepted",
        Money("345.01", "CNY"),
        "0.01",
    )
    increase = {
        "document_type": "line-increase",
        "document_id": "L-1",
        "account": "A-1",
        "amount": {"amount": "1.00", "currency": "CNY"},
        "submit": True,
    }
    answer = await maker.post("/documents", json=increase)
    assert answer.json()["type"].endswith("line-follows-limit")
    assert await broken() == []


async def test_the_end_of_a_relationship_is_answered_and_freezes_allocations(
    house: Harness, maker: httpx.AsyncClient, make: Any, broken: Any
) -> None:
    await house.play(make.related("M-1", "A-1"), make.payment("M-1", "50.00", payment_id="P-2"))
    assert (
        await maker.post("/allocations", json=make.allocation("allocate", ("A-1", "20.00")))
    ).status_code == 201
    await house.play(bill("B-1", "5.00", due_on=date(2026, 3, 1)))

    def request(number: int, purpose: Any) -> RelationshipEndRequested:
        return RelationshipEndRequested(
            request_id=f"RQ-{number}",
            purpose=purpose,
            relationship_id="R-M-1-A-1",
            relationship_version=2,
            kind="trusteeship",
            management_account="M-1",
            member_account="A-1",
            requested_by="member",
            requested_at=NOW,
            answer_by=NOW + timedelta(days=1),
        )

    refused = only(await house.play(request(1, "end")), RelationshipEndAnswered)[0]
    assert (refused.outcome, [one.code for one in refused.obstacles]) == ("refused", ["past-due-bill"])
    await house.play(settled("S-1", "B-1", "5.00"))
    preview = only(await house.play(request(2, "preview")), RelationshipEndAnswered)[0]
    assert [(one.account_type, one.amount.amount) for one in preview.staying] == [("cash", "115.00")]
    agreed = only(await house.play(request(3, "end")), RelationshipEndAnswered)[0]
    assert agreed.outcome == "agreed"
    frozen = await maker.post("/allocations", json=make.allocation("allocate", ("A-1", "1.00")))
    assert frozen.json()["rows"][0]["code"] == "relationship-ending"
    back = await maker.post("/allocations", json=make.allocation("reclaim", ("A-1", "1.00")))
    assert back.status_code == 201
    withdrawn = make.related("M-1", "A-1", version=3)
    await house.play(replace(withdrawn, request_id="RQ-3", end_outcome="withdrawn"))
    assert (
        await maker.post("/allocations", json=make.allocation("allocate", ("A-1", "1.00")))
    ).status_code == 201
    assert await broken() == []
