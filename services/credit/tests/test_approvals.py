"""Special approval: ceilings, metrics, validity, consumption and four eyes, for orders and documents."""

import asyncio
from datetime import date, timedelta
from typing import Any
from uuid import uuid4

import pytest
from chassis.testing import only
from contracts.credit_checked import CreditChecked, MetricResult
from contracts.document_checked import DocumentChecked
from contracts.money import Money, SignedMoney
from contracts.task_changed import TaskChanged
from credit import advance_desk, alert_desk
from credit.domain.approvals import Need, Right, needs, objection, period_start

from .test_documents_stack import posted, used

DAY = date(2026, 3, 2)
RIGHT = Right(
    "ada", "CNY", 10_000, "month", frozenset({"credit-limit"}), date(2026, 1, 1), date(2026, 12, 31)
)
PROBLEM = "urn:coffer:problem:"


def metric(name: str, used: int, delta: int, limit: int | None, result: str = "waived") -> MetricResult:
    return MetricResult(
        profile_id="P-1",
        scope="group",
        scope_id="*",
        object_type="customer",
        object_id="C-1",
        metric=name,
        enforcement="special-approval",
        limit=None if limit is None else Money.of(limit, "CNY"),
        used=SignedMoney.of(used, "CNY"),
        delta=SignedMoney.of(delta, "CNY"),
        result=result,  # type: ignore[arg-type]  # a plain word of a test table
    )


@pytest.mark.parametrize(
    ("period", "start"),
    [
        ("day", date(2026, 8, 20)),
        ("month", date(2026, 8, 1)),
        ("quarter", date(2026, 7, 1)),
        ("year", date(2026, 1, 1)),
    ],
)
def test_a_period_begins_on_its_first_day(period: Any, start: date) -> None:
    assert period_start(date(2026, 8, 20), period) == start


def test_what_counts_is_the_excess_over_the_limit_and_for_other_metrics_the_amount() -> None:
    excess = metric("credit-limit", 9_000, 3_000, 10_000)
    assert needs([excess], lambda _: 3_000) == [Need("CNY", 2_000, ("credit-limit",))]
    single = metric("single-document-limit", 0, 3_000, 1_000)
    assert needs([excess, single], lambda _: 3_000) == [
        Need("CNY", 3_000, ("credit-limit", "single-document-limit"))
    ]
    assert needs([metric("credit-limit", 0, 1, 1, "passed")], lambda _: 1) == []


@pytest.mark.parametrize(
    ("right", "amount", "consumed", "code"),
    [
        (RIGHT, 4_000, 6_000, None),
        (RIGHT, 4_001, 6_000, "beyond-ceiling"),
        (None, 1, 0, "no-approval-right"),
        (Right("ada", "CNY", 9, "day", frozenset({"credit-limit"}), DAY + timedelta(1), DAY + timedelta(2)), 1, 0,
         "no-approval-right"),
        (Right("ada", "CNY", 9, "day", frozenset({"credit-limit"}), DAY, DAY, active=False), 1, 0,
         "no-approval-right"),
        (Right("ada", "CNY", 9, "day", frozenset({"overdue-days"}), DAY, DAY), 1, 0, "metric-not-covered"),
    ],
)  # fmt: skip
def test_a_right_lets_pass_what_is_left_of_it(
    right: Right | None, amount: int, consumed: int, code: str | None
) -> None:
    reason = objection(Need("CNY", amount, ("credit-limit",)), "ada", right, consumed, DAY)
    assert (reason.code if reason else None) == code
    if code == "beyond-ceiling":
        assert reason is not None
        assert "40.00 CNY is left" in reason.text


async def approve(
    bench: Any, order_id: str, person: str = "ada", status: int = 200, verb: str = "approve"
) -> Any:
    return await judge(bench, f"/pending-orders/shop/{order_id}/{verb}", person, status)


async def judge(bench: Any, path: str, person: str, status: int) -> Any:
    async with bench.client({"credit-approver"}, subject=person) as client:
        answer = await client.post(
            path, json={"reason": "a good payer"}, headers={"Idempotency-Key": str(uuid4())}
        )
    assert answer.status_code == status, answer.text
    return answer.json()


async def right_of(bench: Any, approver: str = "ada") -> tuple[str, str]:
    async with bench.client({"auditor"}) as client:
        [right] = (await client.get(f"/approval-rights?approver={approver}")).json()["items"]
    return right["consumed"]["amount"], right["remaining"]["amount"]


@pytest.mark.stack
async def test_an_approval_beyond_its_ceiling_is_refused_with_what_is_left(bench: Any, make: Any) -> None:
    """Limit 50, ceiling 120: an excess of 100 passes, 20 are left; an order that needs 21 is refused, 20 passes."""
    await bench.managed_customer(make, limit=5_000, enforcement="special-approval")
    await bench.right("ada", 12_000)
    [held] = await bench.checks(make.order("O-1", 15_000))
    assert held.outcome == "pending-approval"
    await approve(bench, "O-1")
    assert await right_of(bench) == ("100.00", "20.00")
    await bench.play(make.order("O-2", 1_000))
    refused = await approve(bench, "O-2", status=409)
    assert refused["type"] == f"{PROBLEM}beyond-ceiling"
    assert "20.00 CNY is left" in refused["detail"]
    assert await used(bench) == "150.00"
    assert [
        row["state"] for row in await bench.rows("select state from pending_order order by order_id")
    ] == [
        "approved",
        "pending",
    ]
    await approve(bench, "O-2", status=409)
    assert await bench.broken() == []


@pytest.mark.stack
async def test_what_fund_pool_declines_gives_the_ceiling_back(bench: Any, make: Any) -> None:
    await bench.managed_customer(make, limit=5_000, enforcement="special-approval")
    await bench.right("ada", 10_000)
    await bench.play(make.order("O-1", 15_000))
    await approve(bench, "O-1")
    [check] = only(await bench.drain(), CreditChecked)
    assert await right_of(bench) == ("100.00", "0.00")
    await bench.play(make.decision(check, "declined"))
    assert await right_of(bench) == ("0.00", "100.00")
    await bench.play(make.order("O-2", 15_000))
    await approve(bench, "O-2")
    [check] = only(await bench.drain(), CreditChecked)
    await bench.play(make.decision(check, "accepted"))
    assert await right_of(bench) == ("100.00", "0.00")
    async with bench.client({"auditor"}) as client:
        grants = (await client.get("/approval-grants?approver=ada&customer=C-1")).json()["items"]
        file = (await client.get("/approval-grants/file")).text
    assert [(grant["document_id"], grant["returned_at"] is None) for grant in grants] == [
        ("O-2", True),
        ("O-1", False),
    ]
    assert len(file.splitlines()) == 3
    assert await bench.broken() == []


@pytest.mark.stack
async def test_nobody_approves_what_is_his_own(bench: Any, make: Any) -> None:
    await bench.managed_customer(make, limit=0, enforcement="special-approval")
    await bench.right("U-1")
    await bench.play(make.order("O-1", 100))
    assert (await approve(bench, "O-1", "U-1", 403))["type"] == f"{PROBLEM}four-eyes"
    assert (await approve(bench, "O-1", "eve", 409))["type"] == f"{PROBLEM}no-approval-right"
    async with bench.client({"credit-manager"}, subject="eve") as client:
        body = {
            "ceiling": {"amount": "1.00", "currency": "CNY"},
            "metrics": ["credit-limit"],
            "valid_from": "2026-01-01",
            "valid_to": "2026-12-31",
            "reason": "mine",
        }
        own = await client.put("/approval-rights/eve/CNY", json=body)
    assert (own.status_code, own.json()["type"]) == (403, f"{PROBLEM}four-eyes")
    assert await bench.rows("select * from approval_grant") == []


@pytest.mark.stack
async def test_special_approval_asks_for_a_fresh_login(bench: Any, make: Any) -> None:
    await bench.managed_customer(make, limit=0, enforcement="special-approval")
    await bench.right("ada")
    await bench.play(make.order("O-1", 100))
    bench.now = make.now + timedelta(days=36_000)
    stale = await approve(bench, "O-1", status=401)
    assert stale["type"] == f"{PROBLEM}login-not-fresh"
    bench.now = None
    await approve(bench, "O-1")


@pytest.mark.stack
@pytest.mark.parametrize("verb", ["approve", "reject"])
async def test_a_held_document_goes_on_when_approved_and_is_declined_when_rejected(
    bench: Any, make: Any, verb: str
) -> None:
    await bench.managed_customer(make, limit=1_000, enforcement="special-approval")
    await bench.right("ada")
    ask = posted(make, "outbound D", 4_000, quantity="4", stance="request")
    [held] = only(await bench.play(ask), DocumentChecked)
    assert (held.outcome, await used(bench)) == ("pending-approval", "0.00")
    async with bench.client({"auditor"}) as client:
        [waiting] = (await client.get("/pending-documents?customer=C-1")).json()["items"]
    assert (waiting["document_id"], waiting["total"]["amount"]) == ("D", "40.00")
    done = await judge(bench, f"/pending-documents/outbound/erp/D/{verb}", "ada", 200)
    [answer] = only(await bench.drain(), DocumentChecked)
    if verb == "approve":
        assert (done["state"], answer.outcome, await used(bench)) == ("approved", "approved", "40.00")
        assert [reason.code for reason in answer.reasons] == ["special-approval", "credit-limit-exceeded"]
        assert await right_of(bench) == ("30.00", "99970.00")
        await bench.play(posted(make, "outbound D", 4_000, quantity="4"))
        assert await used(bench) == "40.00"
    else:
        assert (done["state"], answer.outcome, await used(bench)) == ("rejected", "declined", "0.00")
    assert (await judge(bench, f"/pending-documents/outbound/erp/D/{verb}", "ada", 409))["type"] == (
        f"{PROBLEM}not-pending"
    )
    assert await bench.broken() == []


@pytest.mark.stack
async def test_a_held_document_expires_and_is_superseded_by_its_fact(bench: Any, make: Any) -> None:
    bench.now = make.now
    await bench.managed_customer(make, limit=1_000, enforcement="special-approval")
    for name in ("outbound D", "outbound E"):
        await bench.play(posted(make, name, 4_000, quantity="4", stance="request"))
    await bench.play(posted(make, "outbound E", 4_000, quantity="4"))
    assert await used(bench) == "40.00"
    bench.now = make.now + timedelta(days=8)
    answers = only(await bench.fire_timers(bench.now), DocumentChecked)
    assert [(answer.document_id, answer.outcome) for answer in answers] == [("D", "declined")]
    states = await bench.rows("select document_id, state from pending_document order by document_id")
    assert [(row["document_id"], row["state"]) for row in states] == [("D", "expired"), ("E", "superseded")]
    assert await used(bench) == "40.00"
    assert await bench.broken() == []


@pytest.mark.stack
async def test_two_approvals_at_once_never_share_what_is_left(bench: Any, make: Any) -> None:
    await bench.managed_customer(make, limit=0, enforcement="special-approval")
    await bench.right("ada", 10_000)
    await bench.play(make.order("O-1", 6_000), make.order("O-2", 6_000))

    async def judged(order_id: str) -> int:
        async with bench.client({"credit-approver"}, subject="ada") as client:
            answer = await client.post(
                f"/pending-orders/shop/{order_id}/approve",
                json={"reason": "both at once"},
                headers={"Idempotency-Key": order_id},
            )
        return int(answer.status_code)

    assert sorted(await asyncio.gather(judged("O-1"), judged("O-2"))) == [200, 409]
    assert await right_of(bench) == ("60.00", "40.00")
    assert await bench.broken() == []


@pytest.mark.stack
async def test_a_held_document_is_a_to_do_of_the_approvers_until_its_wait_ends(bench: Any, make: Any) -> None:
    await bench.managed_customer(make, limit=1_000, enforcement="special-approval")
    await bench.right("ada")
    for name in ("outbound D", "outbound E"):
        await bench.play(posted(make, name, 4_000, quantity="4", stance="request"))

    async def told() -> list[tuple[str | None, str, str | None]]:
        await alert_desk.sweep_once(bench.context)
        tasks = only(await bench.drain(), TaskChanged)
        return [
            (task.document_id, task.state, task.done_by) for task in tasks if task.kind == "approve-document"
        ]

    assert await told() == [("D", "opened", None), ("E", "opened", None)]
    assert await told() == []
    await judge(bench, "/pending-documents/outbound/erp/D/reject", "ada", 200)
    await bench.play(posted(make, "outbound E", 4_000, quantity="4"))
    assert await told() == [("D", "done", "ada"), ("E", "withdrawn", None)]
    assert await told() == []


async def ahead(
    bench: Any, kind: str, name: str, *metrics: str, valid_until: str = "2090-01-01T00:00:00Z"
) -> Any:
    body = {
        "document_type": kind,
        "source": "shop" if kind == "sales-order" else "erp",
        "document_id": name,
        "metrics": list(metrics),
        "valid_until": valid_until,
        "reason": "agreed by telephone",
    }
    async with bench.client({"credit-approver"}, subject="ada") as client:
        return await client.post("/advance-approvals", json=body, headers={"Idempotency-Key": str(uuid4())})


async def states_of_advances(bench: Any) -> dict[str, tuple[str, str | None]]:
    async with bench.client({"auditor"}) as client:
        items = (await client.get("/advance-approvals?approver=ada")).json()["items"]
    return {item["document_id"]: (item["state"], item["refusal"]) for item in items}


@pytest.mark.stack
async def test_an_approval_given_ahead_is_consumed_by_its_order_and_its_document(
    bench: Any, make: Any
) -> None:
    await bench.managed_customer(make, limit=1_000, enforcement="special-approval")
    await bench.right("ada", 12_000)
    for kind, name in (("sales-order", "O-1"), ("outbound", "D")):
        assert (await ahead(bench, kind, name, "credit-limit")).status_code == 201
    assert not await advance_desk.step(bench.context), "nothing is held yet"
    [held] = await bench.checks(make.order("O-1", 5_000))
    assert held.outcome == "pending-approval"
    assert await advance_desk.step(bench.context)
    [check] = only(await bench.drain(), CreditChecked)
    assert (check.outcome, check.reasons[0].code) == ("approved", "special-approval")
    await bench.play(make.decision(check, "accepted"))
    await bench.play(posted(make, "outbound D", 4_000, quantity="4", stance="request"))
    assert await advance_desk.step(bench.context)
    [answer] = only(await bench.drain(), DocumentChecked)
    assert (answer.outcome, await used(bench)) == ("approved", "90.00")
    assert await right_of(bench) == ("120.00", "0.00")
    assert not await advance_desk.step(bench.context)
    assert (await ahead(bench, "sales-order", "O-1", "credit-limit")).status_code == 409
    assert await states_of_advances(bench) == {"O-1": ("consumed", None), "D": ("consumed", None)}
    assert await bench.broken() == []


@pytest.mark.stack
async def test_an_approval_given_ahead_covers_its_metrics_its_time_and_its_right_only(
    bench: Any, make: Any
) -> None:
    single = {"limit": {"amount": "20.00", "currency": "CNY"}, "enforcement": "special-approval"}
    await bench.managed_customer(
        make, limit=1_000, enforcement="special-approval", single_document_limit=single
    )
    await bench.right("ada", 3_000)
    late = await ahead(bench, "sales-order", "O-0", "credit-limit", valid_until="2020-01-01T00:00:00Z")
    assert late.status_code == 422
    await ahead(bench, "sales-order", "O-1", "credit-limit")
    await ahead(bench, "sales-order", "O-2", "credit-limit", "single-document-limit")
    await bench.play(make.order("O-1", 5_000), make.order("O-2", 5_000))
    while await advance_desk.step(bench.context):
        pass
    told = await states_of_advances(bench)
    assert "not single-document-limit" in (told["O-1"][1] or "")
    assert "30.00 CNY is left" in (told["O-2"][1] or "")
    assert await used(bench) == "0.00"
    waiting = await bench.rows("select order_id from pending_order where state = 'pending'")
    assert {row["order_id"] for row in waiting} == {"O-1", "O-2"}
    assert await bench.broken() == []
