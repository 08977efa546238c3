"""What fund-pool says to requests to end a relationship, and what its answers hold up."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx
import pytest
from chassis.testing import Harness, only
from contracts.money import Money
from fund_pool.domain.assessment import assess
from fund_pool.domain.ends import Balance, MemberMoney, PastDue, WaitingOrder, answer, is_early
from fund_pool.domain.pool import CommonLine
from fund_pool.domain.walk import LineAmount, walk
from fund_pool.repository.ends import WAITING_MAX

from contracts import (
    BillIssued,
    OrderDecided,
    RelationshipChanged,
    RelationshipEndAnswered,
    RelationshipEndRequested,
)

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
LATER = datetime(2999, 3, 3, 9, 30, tzinfo=UTC)


def asked(request_id: str = "Q-1", version: int = 2, **others: Any) -> RelationshipEndRequested:
    values: dict[str, Any] = {
        "request_id": request_id,
        "purpose": "end",
        "relationship_id": "R-M-1-A-1",
        "relationship_version": version,
        "kind": "trusteeship",
        "management_account": "M-1",
        "member_account": "A-1",
        "requested_by": "member",
        "requested_at": NOW,
        "answer_by": LATER,
    }
    return RelationshipEndRequested(**{**values, **others})


def waiting(count: int) -> list[WaitingOrder]:
    return [WaitingOrder(f"SO-{number:03}", "pending-approval") for number in range(count)]


@pytest.mark.parametrize(
    ("money", "obstacles"),
    [
        (MemberMoney(), []),
        (
            MemberMoney(waiting_count=1, waiting=[WaitingOrder("SO-1", "pending-approval")]),
            [("pending-order", "SO-1", "Order SO-1 waits for special approval.")],
        ),
        (
            MemberMoney(waiting_count=1, waiting=[WaitingOrder("SO-2", "new")]),
            [("undecided-order", "SO-2", "Order SO-2 is not decided yet.")],
        ),
        (
            MemberMoney(past_due_count=1, past_due=[PastDue("B-1", "KWD", 1_500, date(2026, 3, 1))]),
            [("past-due-bill", "B-1", "1.500 KWD of B-1 is past due since 2026-03-01.")],
        ),
    ],
)
def test_what_stands_against_the_end_of_trusteeship(
    money: MemberMoney, obstacles: list[tuple[str, str, str]]
) -> None:
    told = answer(asked(), money, NOW)
    assert [(each.code, each.reference, each.text) for each in told.obstacles] == obstacles
    assert told.outcome == ("refused" if obstacles else "agreed")
    assert answer(asked(kind="financial"), money, NOW).outcome == "agreed"


def test_the_first_hundred_obstacles_of_all_are_named() -> None:
    late = [PastDue(f"B-{number}", "CNY", 1, date(2026, 3, 1)) for number in range(3)]
    told = answer(asked(), MemberMoney(150, waiting(100), 3, late), NOW)
    assert (told.obstacles_count, len(told.obstacles)) == (153, 100)
    assert (told.obstacles[0].reference, told.obstacles[3].reference) == ("B-0", "SO-000")


def test_what_lies_in_the_members_accounts_stays() -> None:
    told = answer(asked(), MemberMoney(balances=[Balance("cash", "KWD", 1_500)]), NOW)
    assert told.outcome == "agreed"
    assert [(each.account_type, each.amount.amount) for each in told.staying] == [("cash", "1.500")]


@pytest.mark.parametrize(
    ("purpose", "known", "early"),
    [
        ("end", 0, True),
        ("end", 3, True),
        ("end", 4, False),
        ("end", 9, False),
        ("preview", 4, True),
        ("preview", 5, False),
        ("preview", 6, False),
    ],
)
def test_a_request_waits_for_the_version_before_it(purpose: str, known: int, early: bool) -> None:
    assert is_early(asked(version=5, purpose=purpose), known) is early


def test_a_common_line_gives_nothing_to_new_orders_while_trusteeship_is_about_to_end(make: Any) -> None:
    """Cash 10 pays 10; 10.01 would need the line of 50, which still pays what is left of an old order."""
    owner = make.pool("M-1", overdraft=("50.00", "0.00"))
    pool = make.pool("A-1", cash="10.00")
    pool.commons["CNY"] = CommonLine("M-1", owner.fund_accounts["overdraft", "CNY"], ending=True)
    assert walk(pool, "CNY", [LineAmount("1", 10_00)], NOW.date()).shortfall == 0
    short = walk(pool, "CNY", [LineAmount("1", 10_01)], NOW.date())
    assert (short.shortfall, short.shares[1].code) == (1, "relationship-ending")
    old = walk(pool, "CNY", [LineAmount("1", 10_01)], NOW.date(), purpose="final-payment")
    assert [(paid.account, paid.amount) for paid in old.payments] == [("A-1", 10_00), ("M-1", 1)]


def test_who_is_about_to_leave_orders_nothing_new_on_the_management_account(make: Any) -> None:
    pool = make.pool("M-1", cash="100.00")
    pool.customer, pool.leaving_customers = "C-M", frozenset({"C-1"})
    order = make.order("M-1", "10.00")
    refused = assess(pool, order, NOW)
    assert [reason.code for reason in refused.reasons] == ["relationship-ending"]
    assert assess(pool, replace(order, customer="C-2"), NOW).reasons == []
    pool.leaving_customers = frozenset({"C-M"})
    assert assess(pool, replace(order, customer="C-M"), NOW).reasons == []


def trusteeship(make: Any, version: int = 1, **others: Any) -> RelationshipChanged:
    told: RelationshipChanged = make.related("M-1", "A-1", version=version)
    return replace(told, kind="trusteeship", **others)


def financial(make: Any, version: int = 1, **others: Any) -> RelationshipChanged:
    told: RelationshipChanged = make.related("M-1", "A-1", version=version)
    return replace(told, **others)


async def answers(harness: Harness, *events: Any) -> list[tuple[str, str]]:
    told = only(await harness.play(*events), RelationshipEndAnswered)
    return [(each.request_id, each.outcome) for each in told]


async def frozen(harness: Harness) -> list[tuple[int, str | None]]:
    rows = await harness.rows("select version, frozen_by from relationship order by relationship_id")
    return [(row["version"], row["frozen_by"]) for row in rows]


@pytest.mark.stack
async def test_an_answer_names_what_is_late_and_waits_and_the_money_that_stays(
    harness: Harness, make: Any, broken: Any
) -> None:
    member = [make.account("A-1", customer="C-2"), make.account("M-1", customer="C-M")]
    bill = BillIssued(
        bill_id="B-1",
        account="A-1",
        amount=Money("12.00", "CNY"),
        issued_on=date(2026, 1, 1),
        due_on=date(2026, 1, 31),
    )
    await harness.play(make.organisation(), *member, make.payment("A-1", "30.00"), bill, trusteeship(make))
    on_management = replace(make.order("M-1", "5.00", order_id="SO-M"), customer="C-2")
    early = make.check(make.order("A-1", "5.00", order_id="SO-3"), 2)
    await harness.play(
        make.check(make.order("A-1", "5.00", order_id="SO-1"), outcome="pending-approval"),
        make.check(make.order("A-1", "5.00", order_id="SO-2"), outcome="declined"),
        make.check(on_management, outcome="pending-approval"),
        early,
    )
    told = only(await harness.play(asked(version=1, purpose="preview")), RelationshipEndAnswered)[0]
    assert (told.outcome, told.obstacles_count) == ("refused", 4)
    assert [(each.code, each.reference) for each in told.obstacles] == [
        ("past-due-bill", "B-1"),
        ("pending-order", "SO-1"),
        ("undecided-order", "SO-3"),
        ("pending-order", "SO-M"),
    ]
    assert told.obstacles[0].amount == Money("12.00", "CNY")
    assert [(each.account_type, each.amount.amount) for each in told.staying] == [("cash", "30.00")]
    assert await frozen(harness) == [(1, None)]
    assert await broken() == []


@pytest.mark.stack
async def test_a_request_that_comes_before_its_relationship_is_answered_when_that_comes(
    harness: Harness, make: Any
) -> None:
    await harness.play(*make.master_data("A-1", "M-1"))
    assert await answers(harness, asked("Q-1", 3), asked("Q-0", 2, purpose="preview")) == []
    assert await answers(harness, trusteeship(make, 1)) == []
    assert await answers(harness, trusteeship(make, 2)) == [("Q-0", "agreed"), ("Q-1", "agreed")]
    assert await frozen(harness) == [(3, "Q-1")]
    assert await harness.rows("select * from waiting_end_request") == []
    assert await answers(harness, asked("Q-1", 3)) == [("Q-1", "agreed")]
    assert await answers(harness, trusteeship(make, 4, request_id="Q-1", end_outcome="refused")) == []
    assert await frozen(harness) == [(4, None)]


@pytest.mark.stack
async def test_a_request_that_comes_after_its_outcome_holds_nothing_up(harness: Harness, make: Any) -> None:
    await harness.play(*make.master_data("A-1", "M-1"), trusteeship(make, 3, request_id="Q-1"))
    assert await answers(harness, asked("Q-1", 2)) == [("Q-1", "agreed")]
    assert await frozen(harness) == [(3, None)]
    together = trusteeship(make, 5, request_id="Q-2", end_outcome="withdrawn"), trusteeship(make, 6)
    assert await answers(harness, asked("Q-2", 4)) == [("Q-2", "agreed")]
    assert await frozen(harness) == [(4, "Q-2")]
    assert await answers(harness, *together) == []
    assert await frozen(harness) == [(6, None)]


@pytest.mark.stack
async def test_no_more_requests_wait_than_may_and_none_beyond_its_time(harness: Harness, make: Any) -> None:
    await harness.play(*make.master_data("A-1", "M-1"))
    past = NOW - timedelta(days=1)
    many = [asked(f"Q-{number}", 2, purpose="preview") for number in range(WAITING_MAX)]
    assert await answers(harness, replace(many[0], request_id="Q-old", answer_by=past)) == []
    assert await answers(harness, *many, replace(many[0], request_id="Q-over")) == []
    refused = await harness.rows("select reason, detail from dead_letter")
    assert [row["reason"] for row in refused] == ["predecessor-missing"]
    assert len(await answers(harness, trusteeship(make, 2))) == WAITING_MAX


@pytest.mark.stack
async def test_nothing_new_is_allocated_while_the_end_is_undecided(
    harness: Harness, make: Any, client_of: Any
) -> None:
    maker: httpx.AsyncClient = client_of({"finance-maker"}, "maker")
    await harness.play(
        *make.master_data("A-1", "A-2", "M-1"),
        make.payment("M-1", "100.00"),
        financial(make),
        make.related("M-1", "A-2"),
        asked(kind="financial"),
    )

    async def allocated() -> list[tuple[str, str | None]]:
        body = make.allocation("allocate", ("A-1", "5.00"), ("A-2", "5.00"))
        rows = (await maker.post("/allocations/preview", json=body)).json()["rows"]
        return [(row["result"], row["code"]) for row in rows]

    assert await allocated() == [("refused", "relationship-ending"), ("will-post", None)]
    await harness.play(financial(make, 3, request_id="Q-1", end_outcome="timed-out"))
    assert await allocated() == [("will-post", None), ("will-post", None)]


@pytest.mark.stack
async def test_new_orders_on_the_management_account_wait_for_the_outcome(
    harness: Harness, make: Any, client_of: Any, broken: Any
) -> None:
    """The member's own 10 pays; the common line of 50 and the management account's cash of 100 do not."""
    maker: httpx.AsyncClient = client_of({"finance-maker"}, "maker")
    await harness.play(
        make.organisation(),
        make.account("A-1", customer="C-2"),
        make.account("M-1", customer="C-M"),
        make.right("A-1"),
        make.right("M-1"),
        make.payment("A-1", "10.00"),
        make.payment("M-1", "100.00"),
        trusteeship(make),
    )
    opened = {"account_type": "overdraft", "currency": "CNY"}
    assert (await maker.post("/accounts/M-1/fund-accounts", json=opened)).status_code == 201
    line = {"document_type": "line-increase", "document_id": "L-1", "account": "M-1", "submit": True}
    body = {**line, "amount": {"amount": "50.00", "currency": "CNY"}}
    assert (await maker.post("/documents", json=body)).status_code == 201
    approver: httpx.AsyncClient = client_of({"finance-approver"}, "approver")
    assert (await approver.post("/documents/line-increase/L-1/approve")).status_code == 200
    shared = await maker.put("/accounts/A-1/common-lines/CNY", json={"management_account": "M-1"})
    assert shared.status_code == 200

    async def decided(number: int) -> list[tuple[str, str | None]]:
        small = make.order("A-1", "4.00", order_id=f"SO-{number}-own")
        large = make.order("A-1", "20.00", order_id=f"SO-{number}-line")
        paid = replace(make.order("M-1", "1.00", order_id=f"SO-{number}-paid"), customer="C-2")
        own = replace(make.order("M-1", "1.00", order_id=f"SO-{number}-M"), customer="C-M")
        told = only(
            await harness.play(*(make.check(each) for each in (small, large, paid, own))), OrderDecided
        )
        return [(each.outcome, each.reasons[0].code if each.reasons else None) for each in told]

    assert await answers(harness, asked()) == [("Q-1", "agreed")]
    held_up = [("accepted", None), ("declined", "insufficient-funds"), ("declined", "relationship-ending")]
    assert await decided(1) == [*held_up, ("accepted", None)]
    await harness.play(trusteeship(make, 3, request_id="Q-1", end_outcome="refused"))
    assert await decided(2) == [("accepted", None)] * 4
    await harness.play(trusteeship(make, 4, state="ended"))
    own_money, on_the_line, *_ = await decided(3)
    assert (own_money, on_the_line) == (
        ("declined", "insufficient-funds"),
        ("declined", "insufficient-funds"),
    )
    assert await broken() == []
