"""Execution control on a real PostgreSQL: documents through the consumer, decisions by hand, two instances at once."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from itertools import permutations
from typing import Any

import pytest
from chassis.database import statements
from chassis.testing import only

from contracts import PlanChecked, PlanExceeded, TaskChanged

pytestmark = pytest.mark.stack

WEEK, NEXT_WEEK = "2026-11-W46", "2026-11-W47"
DAY, NEXT_DAY = date(2026, 11, 10), date(2026, 11, 17)
OCTOBER_LATER = datetime(2026, 10, 21, 8, 1, tzinfo=UTC)


def alone(types: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**each, "roll_up": False, "roll_up_nodes": []} for each in types]


async def planned(group: Any, **changes: Any) -> None:
    """A plans 100 of wages a week, and 100 of purchases under two contracts."""
    await group.set_up(filing_types=alone, **changes)
    round_ = await group.open_round()
    rows = [
        {"row": "1", "period": WEEK, "amount": "70.00", "fields": {"contract-number": "C1"}},
        {"row": "2", "period": WEEK, "amount": "30.00", "fields": {"contract-number": "C2"}},
    ]
    cells = {("wages", WEEK): "100.00", ("wages", NEXT_WEEK): "50.00", ("sales", WEEK): "500.00"}
    await group.file(round_["filings"]["A"], cells, {"contracts": rows})


async def cells(group: Any, item: str = "wages") -> dict[tuple[str, str], tuple[int, int, int]]:
    rows = await group.harness.rows(
        "select period, fields, effective_minor, pre_occupied_minor, actual_minor from plan_cell "
        f"where item = '{item}' and entity = 'A' "
        "and (effective_minor <> 0 or pre_occupied_minor <> 0 or actual_minor <> 0)"
    )
    return {
        (row["period"], row["fields"]): (
            row["effective_minor"],
            row["pre_occupied_minor"],
            row["actual_minor"],
        )
        for row in rows
    }


def answer(events: Any) -> PlanChecked:
    (found,) = only(events, PlanChecked)
    return found


async def test_requests_are_answered_with_the_numbers_and_facts_confirm_them(group: Any, post: Any) -> None:
    await planned(group)
    granted = answer(await group.harness.play(post("payment-request", "R1", "60.00", DAY, stance="request")))
    (finding,) = granted.findings
    assert (granted.outcome, finding.effective.amount, finding.available.amount) == (
        "approved",
        "100.00",
        "100.00",
    )
    events = await group.harness.play(post("payment-request", "R2", "41.00", DAY, stance="request"))
    refused = answer(events)
    assert (refused.outcome, refused.findings[0].excess.amount) == ("declined", "1.00")
    assert refused.reasons[0].text == (
        "wages in 2026-11-W46 has 40.00 CNY available; the document takes 41.00 CNY"
    )
    (exceeded,) = only(events, PlanExceeded)
    assert (exceeded.outcome, [person.id for person in exceeded.addressees]) == ("blocked", ["paul-a"])
    assert await cells(group) == {(WEEK, ""): (100_00, 60_00, 0), (NEXT_WEEK, ""): (50_00, 0, 0)}
    assert only(await group.harness.play(post("payment-request", "R1", "60.00", DAY)), PlanChecked) == []
    assert (await cells(group))[WEEK, ""] == (100_00, 60_00, 0)
    paid = post("payment", "P1", "20.00", NEXT_DAY, stance="request", settles="R1")
    assert answer(await group.harness.play(paid)).outcome == "approved"
    assert await cells(group) == {(WEEK, ""): (100_00, 40_00, 0), (NEXT_WEEK, ""): (50_00, 0, 20_00)}
    assert await group.findings() == []


async def test_replays_and_repeats_change_nothing(group: Any, post: Any) -> None:
    await planned(group)
    records = [
        group.harness.raw(post("payment-request", "R1", "60.00", DAY)),
        group.harness.raw(post("payment", "P1", "10.00", DAY, settles="R1")),
        group.harness.raw(post("payment-request", "R1", "60.00", DAY, revision=2, operation="close")),
    ]
    await group.harness.consume(records)
    before = await cells(group)
    assert before[WEEK, ""] == (100_00, 0, 10_00)
    await group.harness.spoil("delete from position; delete from inbox")
    again = group.harness.context = group.harness.instance()
    await again.consumer.consume(records)
    assert await cells(group) == before
    request = post("payment-request", "R9", "5.00", DAY, stance="request")
    first = answer(await group.harness.play(request))
    second = answer(await group.harness.play(request))
    assert first == second
    assert (await cells(group))[WEEK, ""] == (100_00, 5_00, 10_00)
    assert await group.findings() == []


async def test_a_grant_that_is_never_confirmed_lapses_and_a_later_fact_still_posts(
    group: Any, post: Any
) -> None:
    await planned(group)
    request = post("payment-request", "R1", "60.00", DAY, stance="request")
    await group.harness.play(request)
    later = datetime(2026, 10, 21, 8, 1, tzinfo=UTC)
    await group.harness.fire_timers(later)
    assert (await cells(group))[WEEK, ""] == (100_00, 0, 0)
    assert await group.findings() == []
    assert answer(await group.harness.play(request)).outcome == "approved"
    await group.harness.play(post("payment-request", "R1", "60.00", DAY))
    await group.harness.fire_timers(later + timedelta(days=2))
    assert (await cells(group))[WEEK, ""] == (100_00, 60_00, 0)
    assert await group.findings() == []


async def test_a_held_document_is_approved_under_the_locks_of_that_moment(group: Any, post: Any) -> None:
    await planned(group)
    request = post(
        "payment-request", "R1", "80.00", DAY, stance="request", item="purchases", contract_number="C1"
    )
    events = await group.harness.play(request)
    held = answer(events)
    assert (held.outcome, held.findings[-1].controlled_on) == ("pending-approval", "contract-number=C1")
    tasks = only(events, TaskChanged)
    assert [(task.kind, task.assignee) for task in tasks] == [
        ("approve-document", "ada"),
        ("approve-document", "max"),
    ]
    assert await cells(group, "purchases") == {
        (WEEK, ""): (100_00, 0, 0),
        (WEEK, "contract-number=C1"): (70_00, 0, 0),
        (WEEK, "contract-number=C2"): (30_00, 0, 0),
    }
    (waiting,) = (await group.ask("max", "GET", "/special-approvals"))["items"]
    path = f"/special-approvals/{waiting['approval_id']}"
    await group.ask("paul-a", "POST", f"{path}/approve", {}, expect=403)
    group.emitted.clear()
    approved = await group.ask("max", "POST", f"{path}/approve", {"note": "urgent"})
    assert approved["state"] == "approved"
    told = answer(group.emitted)
    assert (told.outcome, told.approved_by, told.approval_id) == ("approved", "max", waiting["approval_id"])
    assert await cells(group, "purchases") == {
        (WEEK, ""): (100_00, 80_00, 0),
        (WEEK, "contract-number=C1"): (70_00, 80_00, 0),
        (WEEK, "contract-number=C2"): (30_00, 0, 0),
    }
    await group.ask("max", "POST", f"{path}/approve", {}, expect=409)
    assert await group.findings() == []


async def test_a_held_document_is_rejected_or_lapses(group: Any, post: Any) -> None:
    await planned(group)
    for name in ("R1", "R2"):
        await group.harness.play(
            post(
                "payment-request",
                name,
                "80.00",
                DAY,
                stance="request",
                item="purchases",
                contract_number="C1",
            )
        )
    first, _ = (await group.ask("max", "GET", "/special-approvals"))["items"]
    group.emitted.clear()
    await group.ask("max", "POST", f"/special-approvals/{first['approval_id']}/reject", {"note": "no"})
    told = answer(group.emitted)
    assert (told.outcome, told.reasons[0].code) == ("declined", "rejected")
    events = await group.harness.fire_timers(datetime(2026, 10, 27, 9, tzinfo=UTC))
    assert [(event.outcome, event.reasons[0].code) for event in only(events, PlanChecked)] == [
        ("declined", "expired")
    ]
    assert (await group.ask("max", "GET", "/special-approvals"))["items"] == []


async def test_what_is_left_at_a_periods_end_is_listed_moved_with_a_check_or_released(
    group: Any, post: Any
) -> None:
    await planned(group)
    await group.harness.play(
        post("payment-request", "R1", "60.00", DAY), post("payment-request", "R2", "30.00", DAY)
    )
    group.harness.now = datetime(2026, 11, 20, 8, tzinfo=UTC)
    listed = (await group.ask("max", "GET", group.path("leftovers")))["items"]
    assert [(each["document_id"], each["pre_occupied"]) for each in listed] == [
        ("R1", "60.00"),
        ("R2", "30.00"),
    ]
    body = {"source": "erp", "document_type": "payment-request", "filing_type": "month-plan"}
    move = {**body, "document_id": "R1", "action": "move", "day": "2026-11-18"}
    refused = await group.ask("max", "POST", group.path("leftovers"), move, expect=409)
    assert "5000 minor units available, 6000 are needed" in refused["detail"]
    await group.ask("max", "POST", group.path("leftovers"), {**move, "document_id": "R2"})
    await group.ask(
        "max", "POST", group.path("leftovers"), {**body, "document_id": "R1", "action": "release"}
    )
    assert await cells(group) == {(WEEK, ""): (100_00, 0, 0), (NEXT_WEEK, ""): (50_00, 30_00, 0)}
    await group.harness.play(post("payment", "P1", "30.00", date(2026, 11, 18), settles="R2"))
    assert (await cells(group))[NEXT_WEEK, ""] == (50_00, 0, 30_00)
    assert await group.findings() == []


async def test_execution_is_told_down_to_documents(group: Any, post: Any) -> None:
    await planned(group)
    await group.harness.play(
        post("payment-request", "R1", "60.00", DAY),
        post("payment", "P1", "25.00", DAY, settles="R1"),
        post("payment-request", "R7", "1.00", DAY, item="sundries"),
    )
    query = "filing_type=month-plan&from=2026-11-01&to=2026-11-30"
    lines = await group.ask("paul-a", "GET", group.path(f"execution?{query}"))
    (wages,) = [line for line in lines if line["item"] == "wages" and line["period"] == WEEK]
    assert (wages["effective"], wages["pre_occupied"], wages["actual"], wages["available"]) == (
        "100.00",
        "35.00",
        "25.00",
        "40.00",
    )
    assert (wages["execution_rate"], wages["indicators"]["execution-rate"]) == ("25.00", "25")
    cell = f"filing_type=month-plan&entity=A&item=wages&period={WEEK}&currency=CNY"
    holders = await group.ask("paul-a", "GET", group.path(f"execution/documents?{cell}"))
    assert [(each["document_id"], each["pre_occupied"], each["actual"]) for each in holders] == [
        ("P1", "0.00", "25.00"),
        ("R1", "35.00", "0.00"),
    ]
    records = (await group.ask("paul-a", "GET", group.path("execution-records")))["items"]
    assert [(each["document_id"], each["pre_occupied"], each["actual"]) for each in records] == [
        ("R1", "60.00", "0.00"),
        ("P1", "-25.00", "25.00"),
    ]
    (unmapped,) = (await group.ask("ada", "GET", group.path("unmapped")))["items"]
    assert (unmapped["document_id"], unmapped["dimension"], unmapped["tried"]) == ("R7", "item", "sundries")


@pytest.mark.parametrize("documents", [1, 40])
async def test_a_batch_takes_a_constant_number_of_statements(group: Any, post: Any, documents: int) -> None:
    await planned(group)
    seen: list[int] = []
    subscription = group.harness.service.subscriptions[1]
    handle = subscription.handler

    async def counted(batch: Any) -> None:
        before = statements(batch.connection)
        await handle(batch)
        seen.append(statements(batch.connection) - before)

    await group.harness.play(post("payment-request", "first", "1.00", DAY))
    object.__setattr__(subscription, "handler", counted)
    try:
        await group.harness.play(
            *(post("payment-request", f"R{n}", "1.00", DAY, stance="request") for n in range(documents))
        )
    finally:
        object.__setattr__(subscription, "handler", handle)
    assert seen == [5]


async def test_32_at_once_on_one_item_with_two_instances_never_take_more_than_the_plan(
    group: Any, post: Any
) -> None:
    await planned(group)
    instances = [group.harness.context, group.harness.instance()]
    records = [
        group.harness.raw(post("payment-request", f"R{n}", "7.00", DAY, stance="request"), partition=n)
        for n in range(32)
    ]
    consumers = [instance.consumer for instance in instances]
    await asyncio.gather(*(consumers[n % 2].consume([record]) for n, record in enumerate(records)))
    outcomes = [event.outcome for event in only(await group.harness.drain(), PlanChecked)]
    await instances[1].database.close()
    assert sorted(outcomes) == ["approved"] * 14 + ["declined"] * 18
    assert (await cells(group))[WEEK, ""] == (100_00, 98_00, 0)
    assert await group.findings() == []


async def test_a_later_plan_counts_and_earlier_documents_stay_where_they_are(group: Any, post: Any) -> None:
    """A fact before any plan is flagged, not refused; the plan that comes then finds it occupied."""
    await group.set_up(filing_types=alone)
    events = await group.harness.play(post("payment-request", "R1", "60.00", DAY))
    (exceeded,) = only(events, PlanExceeded)
    assert (exceeded.outcome, exceeded.reason) == ("flagged", "not-planned")
    round_ = await group.open_round()
    await group.file(round_["filings"]["A"], {("wages", WEEK): "100.00", ("sales", WEEK): "500.00"})
    assert (await cells(group))[WEEK, ""] == (100_00, 60_00, 0)
    refused = answer(await group.harness.play(post("payment-request", "R2", "41.00", DAY, stance="request")))
    assert refused.outcome == "declined"


async def test_a_changed_mapping_moves_nothing_by_itself_and_the_next_operation_moves_all(
    group: Any, post: Any
) -> None:
    await planned(group)
    await group.harness.play(post("payment-request", "R1", "60.00", DAY, item="salaries"))
    assert (await cells(group))[WEEK, ""] == (100_00, 0, 0)
    mappings = await group.ask("ada", "GET", group.path("mappings"))
    rule = {"when": {"plan-item": ["salaries"]}, "member": "wages"}
    changed = [{**each, "rules": [rule]} if each["dimension"] == "item" else each for each in mappings]
    await group.ask("ada", "PUT", group.path("mappings"), changed)
    await group.harness.play(post("payment", "P1", "10.00", DAY, settles="R1", item="salaries"))
    assert (await cells(group))[WEEK, ""] == (100_00, 50_00, 10_00)
    assert await group.findings() == []


async def test_documents_that_contradict_themselves_are_dead_lettered(group: Any, post: Any) -> None:
    from dataclasses import replace

    from contracts.money import Money

    await planned(group)
    wrong = replace(post("payment-request", "R1", "60.00", DAY), total=Money("61.00", "CNY"))
    await group.harness.play(wrong, post("payment-request", "R2", "5.00", DAY))
    letters = await group.harness.rows("select reason from dead_letter")
    assert [letter["reason"] for letter in letters] == ["document-misstated"]
    assert (await cells(group))[WEEK, ""] == (100_00, 5_00, 0)


SPOILED = [
    ("plan-cell-equals-holdings", "update plan_cell set pre_occupied_minor = pre_occupied_minor + 1"),
    ("plan-cell-equals-holdings", "delete from control_holding"),
    ("plan-cell-equals-execution-record", "delete from occupancy_entry"),
    ("parked-documents-are-counted", "update control_document set parked = 1"),
    ("effective-plan-has-its-filing", "update filing set state = 'approved'"),
    (
        "elimination-not-above-either-side",
        """insert into elimination (system_id, round_id, rule, payer, receiver, agreed, period, currency, out_item,
                                    in_item, out_minor, in_minor, eliminated_minor, run_at)
        select system_id, round_id, 'internal', 'A', 'B', '', '2026-11', 'CNY', 'x', 'y', 5, 5, 5, now()
        from plan_round""",
    ),
]


@pytest.mark.parametrize(("check", "sql"), SPOILED, ids=[name for name, _ in SPOILED])
async def test_each_check_reports_spoiled_data(group: Any, post: Any, check: str, sql: str) -> None:
    await planned(group)
    await group.harness.play(post("payment-request", "R1", "60.00", DAY))
    assert await group.findings() == []
    await group.harness.spoil(sql)
    assert check in await group.findings()


def outcomes(events: Any) -> list[tuple[int, str]]:
    return [(event.document_revision, event.outcome) for event in only(events, PlanChecked)]


@pytest.mark.parametrize("together", [False, True], ids=["one-by-one", "in-one-batch"])
async def test_operations_in_any_order_end_alike(group: Any, post: Any, together: bool) -> None:
    """Asked 60 and posted, asked 10 and posted, closed; whichever comes first, each is taken in its turn."""
    await planned(group)
    for number, order in enumerate(permutations(range(5))):
        name = f"R{number}"
        history = [
            post("payment-request", name, "60.00", DAY, stance="request"),
            post("payment-request", name, "60.00", DAY),
            post("payment-request", name, "10.00", DAY, revision=2, stance="request"),
            post("payment-request", name, "10.00", DAY, revision=2),
            post("payment-request", name, "10.00", DAY, revision=3, operation="close"),
        ]
        batches = [[history[each] for each in order]] if together else [[history[each]] for each in order]
        events = [event for batch in batches for event in await group.harness.play(*batch)]
        told = outcomes(events)
        assert sorted(revision for revision, _ in told) == [1, 2], order
        assert (await cells(group))[WEEK, ""] == (100_00, 0, 0), order
        lower_came_late = order.index(0) > order.index(1) and order.index(0) > order.index(2)
        if not lower_came_late:
            assert all(outcome in ("approved", "declined") for _, outcome in told)
    rows = await group.harness.rows("select distinct revision, parked from control_document")
    assert rows == [{"revision": 3, "parked": 0}]
    assert await group.harness.rows("select * from parked_document") == []
    assert await group.harness.rows("select * from timer where kind = 'document-parked'") == []
    assert await group.findings() == []


async def test_what_comes_before_its_predecessor_waits_and_occupies_nothing(group: Any, post: Any) -> None:
    await planned(group)
    later = post("payment-request", "R1", "30.00", DAY, revision=2, stance="request")
    assert outcomes(await group.harness.play(later)) == []
    assert (await cells(group))[WEEK, ""] == (100_00, 0, 0)
    assert await group.findings() == []
    assert outcomes(await group.harness.play(later)) == []
    events = await group.harness.play(post("payment-request", "R1", "60.00", DAY, stance="request"))
    assert outcomes(events) == [(1, "approved"), (2, "approved")]
    assert (await cells(group))[WEEK, ""] == (100_00, 30_00, 0)
    assert await group.findings() == []


async def test_a_predecessor_that_never_comes_declines_the_request_and_posts_the_fact(
    group: Any, post: Any
) -> None:
    await planned(group)
    await group.harness.play(
        post("payment-request", "R1", "30.00", DAY, revision=2, stance="request"),
        post("payment-request", "R2", "40.00", DAY, revision=2),
        post("payment-request", "R2", "45.00", DAY, revision=3),
    )
    assert (await cells(group))[WEEK, ""] == (100_00, 0, 0)
    events = await group.harness.fire_timers(OCTOBER_LATER)
    (told,) = only(events, PlanChecked)
    assert (told.outcome, told.reasons[0].code) == ("declined", "predecessor-missing")
    assert (await cells(group))[WEEK, ""] == (100_00, 45_00, 0)
    next_one = post("payment-request", "R1", "20.00", DAY, revision=3, stance="request")
    assert outcomes(await group.harness.play(next_one)) == [(3, "approved")]
    assert await group.findings() == []


async def test_no_more_than_64_operations_of_a_document_wait(group: Any, post: Any) -> None:
    await planned(group)
    early = [post("payment-request", "R1", "10.00", DAY, revision=revision) for revision in range(2, 66)]
    await group.harness.play(*early)
    assert (await group.harness.rows("select parked from control_document")) == [{"parked": 64}]
    await group.harness.play(post("payment-request", "R1", "15.00", DAY, revision=80))
    assert (await group.harness.rows("select parked, revision from control_document")) == [
        {"parked": 0, "revision": 80}
    ]
    assert (await cells(group))[WEEK, ""] == (100_00, 15_00, 0)
    assert await group.findings() == []


def over(post: Any, revision: int = 1, **others: Any) -> Any:
    """Ten more than its contract has."""
    others = {"stance": "request", "item": "purchases", "contract_number": "C1", **others}
    return post("payment-request", "R1", "80.00", DAY, revision=revision, **others)


@pytest.mark.parametrize("order", list(permutations(range(3))))
async def test_a_held_request_that_was_withdrawn_is_not_pending_any_more(
    group: Any, post: Any, order: tuple[int, ...]
) -> None:
    """Asked and held, recalled, asked again at its old revision: in every order, one by one."""
    await planned(group)
    history = [over(post), over(post, 2, operation="recall", stance="fact"), over(post)]
    told = [outcomes(await group.harness.play(history[each])) for each in order]
    answered = [each for each in told if each]
    if order.index(1) == 2:
        assert answered == [[(1, "pending-approval")], [(1, "pending-approval")]]
    else:
        assert answered == [[(1, "pending-approval")], [(1, "declined")]]
    assert (await group.ask("max", "GET", "/special-approvals"))["items"] == []
    again = await group.harness.play(over(post))
    assert outcomes(again) == [(1, "declined")]
    assert only(again, PlanChecked)[0].reasons[0].code == "superseded"
    assert outcomes(await group.harness.play(over(post, 3))) == [(3, "pending-approval")]
    assert len((await group.ask("max", "GET", "/special-approvals"))["items"]) == 1
    assert await group.findings() == []


async def test_a_request_asked_again_after_it_was_withdrawn_or_rejected_waits_anew(
    group: Any, post: Any
) -> None:
    await planned(group)
    await group.harness.play(over(post))
    await group.harness.play(over(post, operation="recall", stance="fact"))
    events = await group.harness.play(over(post))
    assert outcomes(events) == [(1, "pending-approval")]
    (waiting,) = (await group.ask("max", "GET", "/special-approvals"))["items"]
    assert waiting["approval_id"] == answer(events).approval_id
    path = f"/special-approvals/{waiting['approval_id']}"
    await group.ask("max", "POST", f"{path}/reject", {"note": "no"})
    assert outcomes(await group.harness.play(over(post))) == [(1, "pending-approval")]
    (waiting,) = (await group.ask("max", "GET", "/special-approvals"))["items"]
    await group.ask("max", "POST", f"/special-approvals/{waiting['approval_id']}/approve", {})
    assert (await cells(group, "purchases"))[WEEK, ""] == (100_00, 80_00, 0)
    assert await group.findings() == []


async def test_two_instances_that_meet_a_new_document_take_it_one_after_the_other(
    group: Any, post: Any
) -> None:
    """The same document comes by two partitions at once; whoever stores it second begins again from the first."""
    await planned(group)
    instances = [group.harness.context, group.harness.instance()]
    for number in range(8):
        history = [
            group.harness.raw(post("payment-request", f"R{number}", "5.00", DAY), partition=0),
            group.harness.raw(post("payment-request", f"R{number}", "7.00", DAY, revision=2), partition=1),
        ]
        await asyncio.gather(
            *(each.consumer.consume([record]) for each, record in zip(instances, history, strict=True))
        )
    await instances[1].database.close()
    assert (await cells(group))[WEEK, ""] == (100_00, 56_00, 0)
    assert await group.findings() == []
