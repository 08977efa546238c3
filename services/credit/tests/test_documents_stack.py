"""Documents on a real PostgreSQL: requests and facts, the chain's worked numbers, whatever comes when."""

import random
from datetime import date, timedelta
from itertools import permutations
from typing import Any

import pytest
from chassis.testing import only
from contracts.document_checked import DocumentChecked
from contracts.document_posted import DocumentLine, DocumentPosted, Upstream
from contracts.money import Money
from credit.repository import documents

pytestmark = pytest.mark.stack

NOW = "2026-03-02T09:00:00Z"


def upstream(name: str, quantity: str | None = None, amount: int | None = None) -> Upstream:
    """`outbound D` of the ERP, or `sales-order O-1` of the shop."""
    kind, document_id = name.split()
    source = "shop" if kind == "sales-order" else None
    money = None if amount is None else Money.of(amount, "CNY")
    return Upstream(
        document_type=kind,  # type: ignore[arg-type]  # a plain word of a test
        source=source,
        document_id=document_id,
        line_id="1",
        quantity=quantity,
        amount=money,
    )


def posted(
    make: Any,
    name: str,
    amount: int,
    *links: Upstream,
    quantity: str | None = None,
    revision: int = 1,
    operation: str = "audit",
    stance: str = "fact",
    currency: str = "CNY",
    **changes: Any,
) -> DocumentPosted:
    kind, document_id = name.split()
    money = Money.of(amount, currency)
    line = DocumentLine(
        line_id="1", material="M-1", quantity=quantity, amount=money, upstream=list(links) or None
    )
    fields: dict[str, Any] = {
        "source": "erp",
        "document_type": kind,
        "document_id": document_id,
        "document_revision": revision,
        "operation": operation,
        "stance": stance,
        "party": "A-1",
        "customer": "C-1",
        "sales_organisation": "SA-1",
        "currency": currency,
        "document_date": date(2026, 3, 2),
        "lines": [line],
        "total": money,
        "posted_at": make.now,
    }
    return DocumentPosted(**(fields | changes))


async def ordered(bench: Any, make: Any, amount: int, quantity: str, order_id: str = "O-1") -> None:
    """An accepted order of one line."""
    price = Money.of(amount // int(quantity), "CNY").amount
    line = make.line("1", amount, quantity=quantity, price=price)
    check, *_ = await bench.checks(make.order(order_id, amount, lines=[line]))
    await bench.play(make.decision(check, "accepted"))


async def answers(bench: Any, *events: Any) -> list[DocumentChecked]:
    return only(await bench.play(*events), DocumentChecked)


async def used(bench: Any) -> str:
    return str((await bench.status())["used"])


@pytest.mark.parametrize(
    ("limit", "outcome", "after"), [(10_800, "approved", "108.00"), (10_700, "declined", "100.00")]
)
async def test_an_outbound_is_asked_for_checked_and_occupied_in_one_step(
    bench: Any, make: Any, limit: int, outcome: str, after: str
) -> None:
    """Order 10 x 10.00, outbound 4 x 12.00: total 108, delta +8; 108 passes, 107 rejects and 100 stay."""
    await bench.managed_customer(make, limit=limit)
    await ordered(bench, make, 10_000, "10")
    ask = posted(make, "outbound D", 4_800, upstream("sales-order O-1"), quantity="4", stance="request")
    [answer] = await answers(bench, ask)
    assert answer.outcome == outcome
    assert answer.metrics[0].delta.amount == "8.00"
    assert await used(bench) == after
    assert await bench.broken() == []
    if outcome == "approved":
        undone = posted(
            make,
            "outbound D",
            4_800,
            upstream("sales-order O-1"),
            quantity="4",
            revision=2,
            operation="un-audit",
        )
        await bench.play(undone)
        assert await used(bench) == "100.00"
        assert await bench.broken() == []


async def test_the_worked_chain_whatever_comes_when(bench: Any, make: Any) -> None:
    """Order 100, deliver 40, invoice 40, receive 25: order 60, outbound 0, receivable 15, total 75."""
    await bench.managed_customer(make, limit=None)
    facts = [
        posted(make, "delivery-notice N", 4_000, upstream("sales-order O-1"), quantity="40"),
        posted(make, "outbound D", 4_000, upstream("delivery-notice N"), quantity="40"),
        posted(make, "receivable R", 4_000, upstream("outbound D"), quantity="40"),
        posted(make, "receipt P", 2_500, upstream("receivable R", amount=2_500)),
    ]
    orders = list(permutations(range(4)))
    chance = random.Random(7)
    for number, order in enumerate(chance.sample(orders, 6)):
        renamed = [_renamed(fact, number) for fact in facts]
        position = chance.randint(0, 4)
        for step, place in enumerate(order):
            if step == position:
                await ordered(bench, make, 10_000, "100", f"O-1x{number}")
            await bench.play(renamed[place], renamed[place])
        if position == 4:
            await ordered(bench, make, 10_000, "100", f"O-1x{number}")
        assert await used(bench) == Money.of(7_500 * (number + 1), "CNY").amount
        assert await bench.broken() == []
    stages = await bench.rows(
        "select stage, sum(amount_minor) as amount from document_occupancy group by stage"
    )
    assert {row["stage"]: int(row["amount"]) for row in stages} == {"receivable": 6 * 1_500}


def _renamed(fact: DocumentPosted, number: int) -> DocumentPosted:
    from dataclasses import replace

    lines = [
        replace(
            line,
            upstream=[
                replace(link, document_id=f"{link.document_id}x{number}") for link in line.upstream or ()
            ],
        )
        for line in fact.lines
    ]
    return replace(fact, document_id=f"{fact.document_id}x{number}", lines=lines)


async def test_a_receipt_in_advance_lets_an_order_of_100_pass_and_not_of_101(bench: Any, make: Any) -> None:
    """Limit 70, a receipt of 30 in advance: -30; 101 fails, 100 passes; outbound, receivable: 70."""
    await bench.managed_customer(make, limit=7_000)
    await bench.play(posted(make, "receipt P", 3_000))
    assert await used(bench) == "-30.00"
    [declined] = await bench.checks(make.order("O-2", 10_100))
    assert declined.outcome == "declined"
    await ordered(bench, make, 10_000, "10")
    assert await used(bench) == "70.00"
    outbound = posted(make, "outbound D", 10_000, upstream("sales-order O-1"), quantity="10")
    receivable = posted(make, "receivable R", 10_000, upstream("outbound D"), quantity="10")
    matched = posted(make, "receipt P", 3_000, upstream("receivable R", amount=3_000), revision=2)
    for event in (outbound, receivable, matched):
        await bench.play(event)
        assert await used(bench) == "70.00"
    assert await bench.broken() == []


async def test_what_was_delivered_before_its_order_is_not_counted_again(bench: Any, make: Any) -> None:
    await bench.managed_customer(make, limit=10_000)
    await bench.play(posted(make, "outbound D", 4_000, upstream("sales-order O-1"), quantity="4"))
    assert await used(bench) == "40.00"
    line = make.line("1", 10_000, quantity="10", price="10.00")
    [check] = await bench.checks(make.order("O-1", 10_000, lines=[line]))
    assert check.outcome == "approved"
    assert check.metrics[0].delta.amount == "60.00"
    assert await used(bench) == "100.00"
    await bench.play(make.decision(check, "declined"))
    assert await used(bench) == "40.00"
    assert await bench.broken() == []


async def test_24000_available_let_an_order_of_12010_pass_and_so_its_delivery(bench: Any, make: Any) -> None:
    await bench.managed_customer(make, limit=2_400_000)
    await ordered(bench, make, 1_201_000, "1")
    link = upstream("sales-order O-1")
    [answer] = await answers(
        bench, posted(make, "delivery-notice N", 1_201_000, link, quantity="1", stance="request")
    )
    assert answer.outcome == "approved"
    assert await used(bench) == "12010.00"


async def test_a_fact_is_never_refused_and_what_it_breaks_is_an_exception(bench: Any, make: Any) -> None:
    await bench.managed_customer(make, limit=1_000)
    assert await answers(bench, posted(make, "outbound D", 4_000, quantity="4")) == []
    assert await used(bench) == "40.00"
    [row] = await bench.rows("select outcome, is_exception from document_check")
    assert (row["outcome"], row["is_exception"]) == ("exception", True)
    assert await bench.broken() == []


async def test_a_granted_request_is_confirmed_once_or_lapses(bench: Any, make: Any) -> None:
    await bench.managed_customer(make, limit=10_000)
    bench.now = make.now
    ask = posted(make, "outbound D", 4_000, quantity="4", stance="request")
    assert [answer.outcome for answer in await answers(bench, ask)] == ["approved"]
    await bench.play(posted(make, "outbound D", 4_200, quantity="4"))
    assert await used(bench) == "42.00"
    other = posted(make, "outbound E", 1_000, quantity="1", stance="request")
    await bench.play(other)
    assert await used(bench) == "52.00"
    bench.now = make.now + timedelta(hours=25)
    await bench.fire_timers(bench.now)
    assert await used(bench) == "42.00"
    await bench.play(posted(make, "outbound E", 1_000, quantity="1", revision=2))
    assert await used(bench) == "52.00"
    assert await bench.broken() == []


async def test_wrong_documents_are_recorded_refusals(bench: Any, make: Any) -> None:
    await bench.managed_customer(make, limit=10_000)
    skipped = posted(make, "outbound D", 100, quantity="1", revision=3, stance="request")
    [answer] = await answers(bench, skipped)
    assert [reason.code for reason in answer.reasons] == ["revision-skipped"]
    await bench.play(posted(make, "receivable R", 1_000, quantity="1"))
    foreign = posted(
        make,
        "receipt P",
        1_000,
        Upstream(document_type="receivable", document_id="R"),
        currency="USD",
        stance="request",
    )
    [answer] = await answers(bench, foreign)
    assert [reason.code for reason in answer.reasons] == ["currency-mismatch"]
    await bench.play(posted(make, "outbound X", 100, quantity="1", customer="nobody"))
    await bench.play(posted(make, "outbound Y", 100, quantity="1", customer=None))
    await bench.play(posted(make, "receivable R", 2_000, quantity="1"))
    assert await bench.dead_letters() == ["unknown-customer", "customer-missing", "revision-conflict"]
    assert await bench.broken() == []


async def test_a_failed_metric_freezes_and_what_lowers_still_passes(bench: Any, make: Any) -> None:
    await bench.managed_customer(make, limit=10_000, enforcement="freeze")
    await ordered(bench, make, 6_000, "6")
    [declined] = await bench.checks(make.order("O-2", 5_000))
    assert declined.outcome == "declined"
    [small] = await bench.checks(make.order("O-3", 100))
    assert [reason.code for reason in small.reasons] == ["credit-frozen"]
    await bench.play(posted(make, "receipt P", 1_000))
    assert await used(bench) == "50.00"
    [row] = await bench.rows("select reason, unfrozen_at from profile_freeze")
    assert (row["reason"], row["unfrozen_at"]) == ("credit-limit failed", None)


async def test_replaying_documents_changes_nothing(bench: Any, make: Any) -> None:
    await bench.managed_customer(make, limit=None)
    await ordered(bench, make, 10_000, "10")
    events = [
        posted(make, "outbound D", 4_000, upstream("sales-order O-1"), quantity="4"),
        posted(make, "receivable R", 4_000, upstream("outbound D"), quantity="4"),
        posted(
            make,
            "outbound D",
            4_000,
            upstream("sales-order O-1"),
            quantity="4",
            revision=2,
            operation="un-audit",
        ),
    ]
    await bench.play(*events)
    before = await used(bench)
    await bench.play(*reversed(events))
    assert await used(bench) == before == "100.00"
    assert await bench.broken() == []


async def test_chains_that_are_too_long_are_refused_and_never_cut_short(
    bench: Any, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With room for three documents, the fourth of a chain is a dead letter, and the numbers stay."""
    await bench.managed_customer(make, limit=None)
    monkeypatch.setattr(documents, "CHAINS_DOCUMENTS_MAX", 3)
    await ordered(bench, make, 10_000, "10")
    for number in range(2):
        await bench.play(
            posted(make, f"outbound D{number}", 1_000, upstream("sales-order O-1"), quantity="1")
        )
    assert await used(bench) == "100.00"
    await bench.play(posted(make, "outbound D2", 2_000, upstream("sales-order O-1"), quantity="1"))
    assert (await used(bench), await bench.dead_letters()) == ("100.00", ["chain-too-long"])
    assert await bench.broken() == []
