"""Look-ups: simulation as a pure rule with worked numbers; status, exceptions, approvals and files on a database."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from credit.domain.simulation import Changed, Decided, Report, Rule, redecide

from .test_documents_stack import posted

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def metric(used: str, delta: str, limit: Any = "100.00", **changes: Any) -> dict[str, Any]:
    fields = {
        "metric": "credit-limit",
        "object_type": "customer",
        "object_id": "C-1",
        "enforcement": "reject",
        "limit": {"amount": limit, "currency": "CNY"} if limit not in (None, "unlimited") else limit,
        "used": {"amount": used, "currency": "CNY"},
        "delta": {"amount": delta, "currency": "CNY"},
        "result": "passed",
    }
    return fields | changes


def decided(outcome: str, *metrics: dict[str, Any]) -> Decided:
    return Decided("shop", "O-1", 1, outcome, metrics)


def limits(**changes: Any) -> Rule:
    return Rule({"credit-limit": Changed(**changes)})


@pytest.mark.parametrize(
    ("rule", "recorded", "was", "would_be"),
    [
        (limits(percent=80), metric("30.00", "50.00"), "approved", "approved"),
        (limits(percent=80), metric("30.00", "50.01"), "approved", "declined"),
        (limits(percent=80, enforcement="warn"), metric("30.00", "50.01"), "approved", "warned"),
        (limits(limit=8_000, sets_limit=True), metric("30.00", "50.01"), "approved", "declined"),
        (
            limits(limit="unlimited", sets_limit=True),
            metric("90.00", "50.00", result="rejected"),
            "declined",
            "approved",
        ),
        (
            limits(limit=None, sets_limit=True),
            metric("90.00", "50.00", result="held"),
            "pending-approval",
            "approved",
        ),
        (
            limits(enforcement="special-approval"),
            metric("90.00", "50.00", result="rejected"),
            "declined",
            "pending-approval",
        ),
        (limits(limit=0, sets_limit=True), metric("500.00", "0.00"), "approved", "approved"),
        (limits(percent=1), metric("0.00", "5.00", None), "approved", "approved"),
        (limits(percent=1), metric("0.00", "5.00", "unlimited"), "approved", "approved"),
    ],
)
def test_a_decision_under_another_rule(rule: Rule, recorded: dict[str, Any], was: str, would_be: str) -> None:
    outcome, _ = redecide(rule, decided(was, recorded))
    assert outcome == would_be


def test_the_most_severe_metric_wins_and_what_the_rule_does_not_touch_stays() -> None:
    group = metric("0.00", "5.00", object_type="customer-group", object_id="G-1", result="held")
    own = metric("90.00", "5.00")
    rule = Rule({"credit-limit": Changed(percent=90)}, object_type="customer")
    assert redecide(rule, decided("pending-approval", own, group)) == (
        "declined",
        ["credit-limit", "credit-limit"],
    )
    nobody = Rule({"credit-limit": Changed(percent=0)}, object_id="C-9")
    assert redecide(nobody, decided("declined", own)) == ("declined", [])
    assert redecide(rule, decided("declined")) == ("declined", []), (
        "declined for another reason than a metric"
    )


def test_a_report_counts_every_decision_once() -> None:
    report = Report()
    report.take(
        limits(percent=50), [decided("approved", metric("0.00", amount)) for amount in ("50.00", "50.01")]
    )
    assert dict(report.outcomes) == {("approved", "approved"): 1, ("approved", "declined"): 1}
    assert (report.decisions, report.different, len(report.changed)) == (2, 1, 1)


async def history(bench: Any, make: Any) -> None:
    """One order passes, one warns, one is held and approved, one is declined."""
    bench.now = NOW
    await bench.managed_customer(make, "C-1", 10_000)
    await bench.managed_customer(make, "C-2", 10_000, "warn")
    await bench.managed_customer(make, "C-3", 10_000, "special-approval")
    await bench.right("boss")
    await bench.checks(
        make.order("O-1", 9_000),
        make.order("O-2", 20_000, customer="C-2"),
        make.order("O-3", 30_000, customer="C-3"),
        make.order("O-4", 5_000),
    )
    async with bench.client({"credit-approver"}, subject="boss") as client:
        answer = await client.post(
            "/pending-orders/shop/O-3/approve",
            json={"reason": "known for years"},
            headers={"Idempotency-Key": str(uuid4())},
        )
        assert answer.status_code == 200, answer.text


async def get(bench: Any, path: str) -> Any:
    async with bench.client({"auditor"}) as client:
        answer = await client.get(path)
    assert answer.status_code == 200, answer.text
    return answer.json() if answer.headers["content-type"] == "application/json" else answer.text


@pytest.mark.stack
async def test_status_exceptions_and_approvals_are_looked_up_and_downloaded(bench: Any, make: Any) -> None:
    await history(bench, make)
    status = (await get(bench, "/credit-status?object_id=C-1"))["items"]
    assert [(row["used"]["amount"], row["available"]["amount"]) for row in status] == [("90.00", "10.00")]
    full = (await get(bench, "/credit-status?usage_percent=100&limit=1"))["items"]
    assert len(full) == 1
    assert {row["object_id"] for row in full} <= {"C-2", "C-3"}
    lines = (await get(bench, "/credit-status/file")).splitlines()
    assert len(lines) == 4
    assert lines[0].endswith("used,settled,undecided,available,overdue,overdue_days,frozen,profile_id")

    found = (await get(bench, "/exceptions"))["items"]
    assert {(row["order_id"], row["check_number"], row["outcome"]) for row in found} == {
        ("O-2", 1, "warned"),
        ("O-3", 1, "pending-approval"),
        ("O-3", 2, "approved"),
        ("O-4", 1, "declined"),
    }
    held = next(row for row in found if row["outcome"] == "pending-approval")
    assert (held["person"], held["person_reason"]) == ("boss", "known for years")
    assert held["failed"] == ["credit-limit customer C-3"]
    first = await get(bench, "/exceptions?limit=3")
    rest = await get(bench, f"/exceptions?limit=3&cursor={first['next']}")
    assert first["items"] + rest["items"] == found
    assert [row["order_id"] for row in (await get(bench, "/exceptions?outcome=declined"))["items"]] == ["O-4"]
    assert (await get(bench, "/exceptions?until=2026-03-01T00:00:00Z"))["items"] == []
    text = await get(bench, "/exceptions/file?outcome=declined")
    assert "credit-limit customer C-1" in text

    [total] = await get(bench, "/approvals-in-total")
    assert (total["person"], total["customer"], total["approved"], total["approved_total"]["amount"]) == (
        "boss",
        "C-3",
        1,
        "300.00",
    )
    assert "boss,C-3,CNY,1,300.00,0,0.00" in await get(bench, "/approvals-in-total/file")


@pytest.mark.stack
async def test_a_changed_rule_is_simulated_over_the_stored_decisions(bench: Any, make: Any) -> None:
    await history(bench, make)
    body = {"days": 1, "metrics": {"credit-limit": {"limit_percent": 80, "enforcement": "reject"}}}
    async with bench.client({"credit-manager"}) as client:
        answer = await client.post("/simulations", json=body, headers={"Idempotency-Key": str(uuid4())})
        assert answer.status_code == 200, answer.text
        wrong = {"metrics": {"credit-limit": {"limit": {"amount": "5", "currency": "CNY"}}}}
        refused = await client.post("/simulations", json=wrong, headers={"Idempotency-Key": str(uuid4())})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (
        422,
        "metrics.credit-limit.limit.currency",
    )
    found = answer.json()
    outcomes = {(row["was"], row["would_be"]): row["decisions"] for row in found["outcomes"]}
    assert outcomes == {
        ("approved", "declined"): 2,
        ("warned", "declined"): 1,
        ("pending-approval", "declined"): 1,
        ("declined", "declined"): 1,
    }
    assert (found["decisions"], found["different"], found["complete"]) == (5, 4, True)
    assert await bench.rows("select count(*) as checks from credit_check") == [{"checks": 5}]


@pytest.mark.stack
async def test_the_status_counts_coefficient_temporary_credit_and_what_is_overdue(
    bench: Any, make: Any
) -> None:
    """(100 x 1.2 + 30) = 150 in force; 60 used, 40 of it overdue since 10 days: 90 are available."""
    bench.now = NOW
    await bench.managed_customer(make, "C-1", 10_000)
    async with bench.client({"credit-manager"}) as client:
        body = make.limits(10_000, coefficient={"factor": "1.2"})
        answer = await client.put("/profiles/group/*/customer/C-1/CNY", json=body)
        assert answer.status_code == 200, answer.text
        profile_id = answer.json()["profile_id"]
    await bench.spoil(
        "update credit_profile set terms = convert_to(jsonb_set(convert_from(terms, 'UTF8')::jsonb, '{temporary}', "
        """'[{"amount":3000,"valid_from":"2026-03-01","valid_to":"2026-03-31","mode":"add"}]')::text, 'UTF8')"""
    )
    due = NOW.date() - timedelta(days=10)
    await bench.play(
        posted(make, "receivable R", 4_000, due_date=due),
        posted(make, "receivable S", 2_000, due_date=NOW.date()),
    )
    [row] = (await get(bench, "/credit-status?object_id=C-1"))["items"]
    told = {
        name: row[name]["amount"] for name in ("limit", "limit_in_force", "temporary", "used", "available")
    }
    assert told == {
        "limit": "100.00",
        "limit_in_force": "150.00",
        "temporary": "30.00",
        "used": "60.00",
        "available": "90.00",
    }
    assert (row["coefficient"], row["overdue"]["amount"], row["overdue_days"]) == ("1.2", "40.00", 10)
    status = await get(bench, f"/profiles/{profile_id}/status")
    assert (status["limit_in_force"]["amount"], status["available"]["amount"]) == ("150.00", "90.00")
    await bench.play(posted(make, "outbound D", 20_000, quantity="1"))
    assert "exception" in await get(bench, "/document-exceptions/file?customer=C-1")
