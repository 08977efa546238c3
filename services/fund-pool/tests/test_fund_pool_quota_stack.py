"""Thresholds and episodes on a real PostgreSQL, with time passed in."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from chassis.testing import Harness, only
from contracts.event import Event

from contracts import QuotaLow

pytestmark = pytest.mark.stack

T0 = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
DAY = timedelta(days=1)


async def set_alert(harness: Harness, account: str, amount: str, enabled: bool = True, **more: Any) -> Any:
    body = {"threshold": {"amount": amount, "currency": "CNY"}, "enabled": enabled, **more}
    async with harness.client(roles={"finance-maker"}) as client:
        answer = await client.put(f"/accounts/{account}/quota-alerts/CNY", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()


def kinds(events: Sequence[Event]) -> list[tuple[str, int]]:
    return [(event.kind, event.reminder_number) for event in only(events, QuotaLow)]


async def test_an_episode_from_its_opening_to_its_end(harness: Harness, make: Any, broken: Any) -> None:
    harness.now = T0
    await harness.play(*make.master_data("A-1"), make.payment("A-1", "500.00"))
    await set_alert(harness, "A-1", "100.00", margin={"amount": "20.00", "currency": "CNY"})

    calm = await harness.play(make.check(make.order("A-1", "400.00", order_id="SO-1")))
    assert kinds(calm) == []
    (opened,) = only(await harness.play(make.check(make.order("A-1", "0.01", order_id="SO-2"))), QuotaLow)
    assert (opened.kind, opened.quota.amount, opened.threshold.amount) == ("opened", "99.99", "100.00")
    assert opened.terms.cash_balance.amount == "99.99"
    assert await broken() == []

    assert kinds(await harness.fire_timers(T0 + DAY - timedelta(seconds=1))) == []
    for day in range(1, 6):
        assert kinds(await harness.fire_timers(T0 + day * DAY)) == [("reminder", day)]
    assert kinds(await harness.fire_timers(T0 + 30 * DAY)) == []

    assert kinds(await harness.play(make.payment("A-1", "20.00"))) == []
    (resolved,) = only(await harness.play(make.payment("A-1", "0.01")), QuotaLow)
    assert (resolved.kind, resolved.quota.amount) == ("resolved", "120.00")
    assert resolved.episode_id == opened.episode_id
    assert await broken() == []


async def test_an_entry_each_is_looked_at_within_one_batch(harness: Harness, make: Any, broken: Any) -> None:
    """Cash 100 and threshold 50: the fourth and fifth order of 15 fall below, the cancellations end it."""
    await harness.play(*make.master_data("A-1"), make.payment("A-1", "100.00"))
    await set_alert(harness, "A-1", "50.00")
    checks = [make.check(make.order("A-1", "15.00", order_id=f"SO-{n}")) for n in range(5)]
    cancels = [make.cancel("A-1", 2, order_id=f"SO-{n}") for n in range(2)]
    out = await harness.play(*checks, *cancels)
    assert kinds(out) == [("opened", 0), ("resolved", 0)]
    assert await harness.rows("select 1 from timer") == []
    assert await broken() == []


async def test_disabling_ends_the_episode_and_enabling_waits_for_a_change(
    harness: Harness, make: Any, broken: Any
) -> None:
    await harness.play(*make.master_data("A-1"), make.payment("A-1", "10.00"))
    await set_alert(harness, "A-1", "50.00")
    assert kinds(await harness.drain()) == []
    assert kinds(await harness.play(make.payment("A-1", "1.00"))) == [("opened", 0)]
    view = await set_alert(harness, "A-1", "50.00", enabled=False)
    assert view["threshold"] == "--"
    assert await harness.rows("select 1 from timer") == []
    assert kinds(await harness.play(make.payment("A-1", "1.00"))) == []
    await set_alert(harness, "A-1", "50.00")
    assert kinds(await harness.drain()) == []
    assert kinds(await harness.play(make.payment("A-1", "1.00"))) == [("opened", 0)]
    endings = await harness.rows("select ending from quota_episode order by opened_at")
    assert [row["ending"] for row in endings] == ["disabled", None]
    assert await broken() == []


async def test_a_lowered_threshold_ends_the_open_episode_over_http(
    harness: Harness, make: Any, broken: Any
) -> None:
    await harness.play(*make.master_data("A-1"), make.payment("A-1", "10.00"))
    await set_alert(harness, "A-1", "50.00")
    await harness.play(make.payment("A-1", "1.00"))
    await set_alert(harness, "A-1", "5.00", margin_percent="50")
    (resolved,) = only(await harness.drain(), QuotaLow)
    assert (resolved.kind, resolved.quota.amount, resolved.threshold.amount) == ("resolved", "11.00", "5.00")
    assert await broken() == []


async def test_a_deposit_does_not_raise_the_quota(harness: Harness, make: Any) -> None:
    await harness.play(*make.master_data("A-1"), make.payment("A-1", "10.00"))
    async with harness.client(roles={"finance-maker"}) as client:
        body = {"account_type": "deposit", "currency": "CNY"}
        key = {"Idempotency-Key": "k-1"}
        opened = await client.post("/accounts/A-1/fund-accounts", json=body, headers=key)
        assert opened.status_code == 201
        await set_alert(harness, "A-1", "50.00")
        assert kinds(await harness.play(make.payment("A-1", "90.00", account_type="deposit"))) == []
        quota = (await client.get("/accounts/A-1/quota")).json()["quotas"][0]
    assert quota["quota"]["amount"] == "10.00"
    assert quota["alert"]["threshold"] == "50.00"


async def test_a_timer_that_fires_while_the_episode_ends_says_nothing(
    harness: Harness, make: Any, broken: Any
) -> None:
    """A timer left over from an episode that has ended finds none, or one whose time has not come."""
    harness.now = T0
    await harness.play(*make.master_data("A-1"), make.payment("A-1", "10.00"))
    await set_alert(harness, "A-1", "50.00")
    await harness.play(make.payment("A-1", "1.00"))
    harness.now = T0 + timedelta(hours=20)
    await harness.play(make.payment("A-1", "100.00"))
    await harness.play(make.check(make.order("A-1", "100.00")))
    assert kinds(await harness.fire_timers(T0 + DAY)) == []
    assert kinds(await harness.fire_timers(T0 + DAY + timedelta(hours=20))) == [("reminder", 1)]
    assert await broken() == []


async def test_thresholds_for_many_accounts_have_a_result_each(
    harness: Harness, make: Any, broken: Any
) -> None:
    await harness.play(*make.master_data("A-1", "A-2", "A-3", "M"))
    await harness.play(make.relationship("M", "A-1"), make.relationship("M", "A-2", view="refused"))
    body = {
        "accounts": ["A-1", "A-2", "A-3", "A-9", "A-1", "M"],
        "threshold": {"amount": "50.00", "currency": "CNY"},
        "margin_percent": "10",
    }
    async with harness.client(roles={"account-user"}, accounts={"M"}) as client:
        answer = await client.post("/quota-alerts", json=body, headers={"Idempotency-Key": "k-1"})
    results = [(row["account"], row["result"]) for row in answer.json()["results"]]
    assert results == [
        ("A-1", "set"),
        ("A-2", "not-found"),
        ("A-3", "not-found"),
        ("A-9", "not-found"),
        ("A-1", "repeated"),
        ("M", "set"),
    ]
    rows = await harness.rows(
        "select account, threshold, margin_basis_points from quota_alert order by account"
    )
    assert [tuple(row.values()) for row in rows] == [("A-1", 50_00, 1_000), ("M", 50_00, 1_000)]
    async with harness.client(roles={"account-user"}, accounts={"M"}, subject="mei") as client:
        (alert,) = (await client.get("/accounts/A-1/quota-alerts")).json()
        assert (alert["threshold"], alert["resolved_from"]["amount"]) == ("50.00", "55.00")
        assert alert["changed_by"] == "tester"
    async with harness.client(roles={"finance-maker"}) as client:
        answer = await client.post("/quota-alerts", json=body, headers={"Idempotency-Key": "k-1"})
        assert {row["result"] for row in answer.json()["results"]} == {"set", "repeated", "not-found"}
    assert await broken() == []


async def test_episodes_are_listed_newest_first(harness: Harness, make: Any) -> None:
    harness.now = T0
    await harness.play(*make.master_data("A-1"), make.payment("A-1", "10.00"))
    await set_alert(harness, "A-1", "50.00")
    for day in range(3):
        harness.now = T0 + day * DAY
        await harness.play(make.payment("A-1", "100.00"))
        await harness.play(make.check(make.order("A-1", "100.00", order_id=f"SO-{day}")))
    async with harness.client(roles={"auditor"}) as client:
        first = (await client.get("/accounts/A-1/quota-episodes", params={"limit": 2})).json()
        last = (
            await client.get("/accounts/A-1/quota-episodes", params={"limit": 2, "cursor": first["next"]})
        ).json()
    opened = [item["opened_at"] for item in first["items"] + last["items"]]
    assert opened == sorted(opened, reverse=True)
    assert [item["ending"] for item in first["items"]] == [None, "resolved"]
    assert last["next"] is None
