"""Alert plans: pure rules with worked numbers, and episodes on a real database."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from chassis.testing import only
from contracts.credit_alerted import CreditAlerted
from contracts.task_changed import TaskChanged
from credit import alert_desk
from credit.domain.alerts import Open, Person, Plan, Reading, found_in, steps
from credit.repository import alerts as alert_rows

from .test_documents_stack import posted, upstream

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
D = Decimal


def plan(plan_id: str = "P", percent: str | None = "80", objects: list[str] | None = None) -> Plan:
    threshold = D(percent) if percent is not None else None
    return Plan(plan_id, plan_id, "customer", objects or [], threshold, False, [Person("person", "ann")])


def reading(used: int, limit: int | None = 10_000, object_id: str = "C-1") -> Reading:
    return Reading(f"X-{object_id}", "group", "*", "customer", object_id, "CNY", limit, used)


@pytest.mark.parametrize(
    ("used", "limit", "percent", "opens"),
    [
        (8_000, 10_000, "80.00", False),
        (8_001, 10_000, "80.01", True),
        (0, 0, None, False),
        (1, 0, "999999", True),
        (-500, 10_000, None, False),
        (9_999, None, None, False),
    ],
)
def test_usage_alerts_above_its_threshold_only(
    used: int, limit: int | None, percent: str | None, opens: bool
) -> None:
    seen = reading(used, limit)
    assert seen.usage_percent == (D(percent) if percent is not None else None)
    assert [step.state for step in steps([plan()], [seen], [])] == (["opened"] if opens else [])


def test_an_episode_opens_once_and_resolves_once() -> None:
    opened = [Open("P", "X-C-1")]
    assert list(steps([plan()], [reading(9_000)], opened)) == []
    assert [step.state for step in steps([plan()], [reading(8_000)], opened)] == ["resolved"]
    assert [step.state for step in steps([], [reading(9_000)], opened)] == ["resolved"], "the plan is off"


def test_each_plan_has_its_own_episode_and_its_own_objects() -> None:
    plans = [plan("A", "80"), plan("B", "95"), plan("C", "10", ["C-2"])]
    found = list(steps(plans, [reading(9_600), reading(2_000, object_id="C-2")], [Open("A", "X-C-1")]))
    assert [(step.state, step.plan_id, step.reading.object_id) for step in found] == [
        ("opened", "B", "C-1"),
        ("opened", "C", "C-2"),
    ]


async def set_plan(bench: Any, **changes: Any) -> None:
    body = {
        "name": "Dealers",
        "usage_percent": "80",
        "people": [{"kind": "person", "id": "ann"}],
        "actions": ["dunning-task"],
        "active": True,
    }
    async with bench.client({"credit-manager"}) as client:
        answer = await client.put("/alert-plans/P-1", json=body | changes)
    assert answer.status_code == 200, answer.text


async def told(bench: Any) -> list[Any]:
    """What a look at the changes publishes."""
    await alert_desk.sweep_once(bench.context)
    return list(await bench.drain())


@pytest.mark.stack
async def test_usage_is_told_once_per_episode_with_its_to_do(bench: Any, make: Any) -> None:
    bench.now = NOW
    await bench.managed_customer(make, "C-1", 10_000)
    await set_plan(bench)
    [check] = await bench.checks(make.order("O-1", 8_001))
    first = await told(bench)
    [alert] = only(first, CreditAlerted)
    assert (alert.kind, alert.state, alert.usage_percent, alert.actions) == (
        "usage-high",
        "opened",
        "80.01",
        ["dunning-task"],
    )
    [task] = only(first, TaskChanged)
    assert (task.kind, task.state, task.assignee) == ("dun-customer", "opened", "ann")
    assert await told(bench) == []
    bench.now = NOW + timedelta(seconds=5)
    await bench.play(make.decision(check, "declined"))
    ended = await told(bench)
    [resolved] = only(ended, CreditAlerted)
    assert (resolved.state, resolved.episode_id) == ("resolved", alert.episode_id)
    assert [(each.state, each.task_id) for each in only(ended, TaskChanged)] == [("done", task.task_id)]
    assert await told(bench) == []
    await bench.checks(make.order("O-2", 9_000))
    [again] = only(await told(bench), CreditAlerted)
    assert again.episode_id != alert.episode_id


@pytest.mark.stack
async def test_a_plan_that_is_switched_on_or_off_looks_at_everything(bench: Any, make: Any) -> None:
    bench.now = NOW
    await bench.managed_customer(make, "C-1", 10_000)
    await bench.checks(make.order("O-1", 9_000))
    assert await told(bench) == []
    bench.now = NOW + timedelta(hours=1)
    await set_plan(bench, actions=[])
    [alert] = only(await told(bench), CreditAlerted)
    await set_plan(bench, actions=[], active=False)
    [resolved] = only(await told(bench), CreditAlerted)
    assert (resolved.state, resolved.episode_id) == ("resolved", alert.episode_id)


@pytest.mark.stack
async def test_a_held_order_goes_to_its_approvers_and_is_resolved_when_decided(bench: Any, make: Any) -> None:
    bench.now = NOW
    await bench.managed_customer(make, "C-1", 100, "special-approval")
    await bench.checks(make.order("O-1", 500))
    found = await told(bench)
    [alert] = only(found, CreditAlerted)
    assert (alert.kind, alert.object_id, alert.document and alert.document.id) == ("order-held", "C-1", "O-1")
    assert [(each.kind, each.id) for each in alert.addressees] == [("role", "credit-approver")]
    assert alert.decide_until == NOW + timedelta(days=7)
    assert [task.kind for task in only(found, TaskChanged)] == ["approve-order"]
    assert await told(bench) == []
    async with bench.client({"credit-approver"}) as client:
        headers = {"Idempotency-Key": "K-1"}
        body = {"reason": "known for years"}
        answer = await client.post("/pending-orders/shop/O-1/reject", json=body, headers=headers)
        assert answer.status_code == 200, answer.text
    await bench.drain()
    ended = await told(bench)
    assert [each.state for each in only(ended, CreditAlerted)] == ["resolved"]
    assert [task.state for task in only(ended, TaskChanged)] == ["done"]


@pytest.mark.stack
async def test_a_failed_check_is_told_to_the_people_of_the_plan_and_settled_by_them(
    bench: Any, make: Any
) -> None:
    bench.now = NOW
    await bench.managed_customer(make, "C-1", 100)
    await bench.play(make.customer_record("C-2"))
    await set_plan(bench, failed_checks=True, usage_percent=None)
    await bench.checks(make.order("O-1", 500), make.order("O-2", 500, customer="C-2"), make.order("O-3", 50))
    found = await told(bench)
    alerts = {
        alert.object_id: (alert.kind, [reason.code for reason in alert.reasons])
        for alert in only(found, CreditAlerted)
    }
    assert alerts == {
        "C-1": ("check-failed", ["credit-limit-exceeded"]),
        "C-2": ("check-failed", ["no-profile"]),
    }
    assert {(task.kind, task.assignee) for task in only(found, TaskChanged)} == {("check-failed", "ann")}
    assert await told(bench) == []
    async with bench.client({"credit-manager"}, subject="ann") as client:
        open_now = (await client.get("/alert-episodes?state=open&object_id=C-1")).json()["items"]
        path = f"/alert-episodes/{open_now[0]['episode_id']}/settle"
        body = {"reason": "he pays tomorrow"}
        settled = await client.post(path, json=body, headers={"Idempotency-Key": str(uuid4())})
        assert (settled.status_code, settled.json()["resolved_by"]) == (200, "ann")
        again = await client.post(path, json=body, headers={"Idempotency-Key": str(uuid4())})
        assert again.status_code == 409
    ended = await bench.drain()
    assert [(task.state, task.done_by) for task in only(ended, TaskChanged)] == [("done", "ann")]


@pytest.mark.stack
async def test_a_plan_that_watches_nothing_is_refused(bench: Any) -> None:
    async with bench.client({"credit-manager"}) as client:
        body = {"name": "N", "people": [{"kind": "person", "id": "ann"}], "active": True}
        answer = await client.put("/alert-plans/P-1", json=body)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "usage_percent")


@pytest.mark.stack
async def test_two_instances_that_look_at_once_tell_it_once(bench: Any, make: Any) -> None:
    bench.now = NOW
    await bench.managed_customer(make, "C-1", 10_000)
    await set_plan(bench, actions=[])
    await bench.checks(make.order("O-1", 9_000))
    async with bench.connection() as other:
        await alert_rows.try_lock(other)
        assert await told(bench) == [], "the other instance is looking"
    assert len(only(await told(bench), CreditAlerted)) == 1


@pytest.mark.parametrize(
    ("fields", "changes", "kinds"),
    [
        ({"overdue_minor": 1_000, "overdue_currency": "CNY"}, {"overdue": 1_001}, ["overdue-amount"]),
        ({"overdue_minor": 1_000, "overdue_currency": "CNY"}, {"overdue": 1_000}, []),
        ({"overdue_minor": 1_000, "overdue_currency": "USD"}, {"overdue": 1_001}, []),
        ({"overdue_days": 30}, {"overdue_days": 31}, ["overdue-days"]),
        ({"overdue_days": 30}, {"overdue_days": 30}, []),
        ({"ending_days": 7}, {"temporary_until": date(2026, 3, 9)}, ["temporary-credit-ending"]),
        ({"ending_days": 7}, {"valid_until": date(2026, 3, 10)}, []),
        ({"ending_days": 7}, {"valid_until": date(2026, 3, 2)}, ["profile-ending"]),
        ({"ending_days": 7}, {"valid_until": date(2026, 3, 1)}, []),
    ],
)
def test_each_condition_opens_beyond_its_threshold(
    fields: dict[str, Any], changes: dict[str, Any], kinds: list[str]
) -> None:
    watching = replace(plan(percent=None), **fields)
    assert list(found_in(watching, replace(reading(0), **changes), NOW.date())) == kinds


@pytest.mark.stack
async def test_a_day_that_passes_makes_receivables_overdue_and_freezes_their_profile(
    bench: Any, make: Any
) -> None:
    bench.now = NOW
    await bench.managed_customer(make, "C-1", 10_000)
    await bench.play(posted(make, "receivable R", 5_000, due_date=NOW.date()))
    await set_plan(bench, usage_percent=None, overdue_days=0, actions=["freeze"])
    assert await told(bench) == []
    bench.now = NOW + timedelta(days=1)
    [alert] = only(await told(bench), CreditAlerted)
    assert (alert.kind, alert.overdue_days, alert.overdue and alert.overdue.amount, alert.actions) == (
        "overdue-days",
        1,
        "50.00",
        ["freeze"],
    )
    [declined] = await bench.checks(make.order("O-1", 100))
    assert [reason.code for reason in declined.reasons] == ["credit-frozen"]
    await bench.play(posted(make, "receipt P", 5_000, upstream("receivable R", amount=5_000)))
    [resolved] = only(await told(bench), CreditAlerted)
    assert (resolved.state, resolved.episode_id) == ("resolved", alert.episode_id)
    assert await bench.broken() == []


@pytest.mark.stack
async def test_a_profile_that_ends_soon_is_told_once(bench: Any, make: Any) -> None:
    bench.now = NOW
    await bench.managed_customer(make, "C-1", 10_000)
    async with bench.client({"credit-manager"}) as client:
        body = make.limits(10_000, validity={"valid_to": "2026-03-12"})
        answer = await client.put("/profiles/group/*/customer/C-1/CNY", json=body)
        assert answer.status_code == 200, answer.text
    await set_plan(bench, usage_percent=None, ending_days=7, actions=[])
    assert await told(bench) == []
    for days in (3, 4):
        bench.now = NOW + timedelta(days=days)
        alerts = only(await told(bench), CreditAlerted)
        assert [(one.kind, one.valid_until) for one in alerts] == (
            [("profile-ending", date(2026, 3, 12))] if days == 3 else []
        )
