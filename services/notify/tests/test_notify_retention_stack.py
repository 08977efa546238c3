"""Retention on a real database: what is over for long goes, bounded and with all its parts; what is open stays."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from contracts.relationship_changed import Permission
from notify import pruning
from notify.domain.samples import plan_exceeded, task
from notify.repository.retention import PRUNED
from notify.testing import quota_low

from contracts import RelationshipChanged

pytestmark = pytest.mark.stack

YEARS = timedelta(days=730)
LEFT = {
    "notices": "select account, family from notice order by account, family",
    "deliveries": "select account, kind from delivery order by account, kind, channel",
    "tasks": "select task_id from task",
    "episodes": "select account, family, episode_id from episode",
}


async def prune_all(office: Any) -> dict[str, int]:
    """Prunes until nothing more goes; how many rows went."""
    gone = dict.fromkeys(PRUNED, 0)
    for _ in range(20):
        round_ = {what: await pruning.prune_once(office.harness.context, what, YEARS) for what in PRUNED}
        for what, count in round_.items():
            gone[what] += count
        if not any(round_.values()):
            return gone
    raise AssertionError("there is no end to it")


async def left(office: Any, what: str) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in await office.harness.rows(LEFT[what])]


def managed(account: str, at: datetime) -> RelationshipChanged:
    return RelationshipChanged(
        relationship_id=f"R-{account}",
        relationship_version=1,
        kind="financial",
        management_account="M-1",
        member_account=account,
        state="active",
        permissions=[Permission(name="view-financial-information", state="accepted")],
        display_name=account,
        changed_at=at,
    )


async def test_what_is_over_goes_and_what_is_open_stays(
    office: Any, findings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A-1 recovered, A-2 is low to this day; a plan was exceeded once; one to-do is done, one is not."""
    monkeypatch.setattr(pruning, "NOTICES_MAX", 2)
    office.harness.now = datetime.now(UTC) - timedelta(days=740)
    await office.contact(phone=None)
    await office.contact("xu", account="A-2", phone=None)
    preparer = {"account": "entity RE-SH", "security": False, "roles": frozenset({"preparer"}), "phone": None}
    await office.contact("wu", **preparer)
    await office.contact("mei", account="M-1", wants_of_members=frozenset({"quota-low"}), phone=None)
    await office.harness.play(managed("A-1", office.now), managed("A-2", office.now))
    open_task = replace(task(), task_id="open", changed_at=office.now)
    await office.harness.play(
        quota_low(office.now),
        quota_low(office.now, account="A-2"),
        replace(plan_exceeded(), occurred_at=office.now),
        replace(task(), changed_at=office.now),
        open_task,
    )
    await office.harness.fire_timers(office.wait(minutes=3))
    await office.send()
    await office.harness.play(
        quota_low(office.now, kind="resolved", quota="1200.00"),
        replace(task("done", 2), changed_at=office.now),
    )
    await office.harness.fire_timers(office.wait(minutes=3))
    for _ in range(3):
        await office.send()
        office.wait(hours=1)
    assert await office.harness.rows("select 1 from delivery where ended_at is null") == []
    assert len(await office.harness.rows("select 1 from delivery where carried_by is not null")) == 2
    assert sum((await prune_all(office)).values()) == 0, "nothing is old enough"
    office.harness.now = datetime.now(UTC)
    gone = await prune_all(office)
    assert gone["notices"] >= 4
    assert gone["tasks"] == 1
    assert [row for row in await left(office, "notices") if row[0] != "M-1"] == [
        ("A-2", "quota-low"),
        ("the company", "task"),
    ]
    assert await left(office, "tasks") == [("open",)]
    assert {row[1] for row in await left(office, "deliveries") if row[0] == "A-2"} == {"quota-low-opened"}
    assert {row[2] for row in await left(office, "episodes")} == {"E-1", "coffer/credit/open"}
    assert await findings() == []
    orphans = "select 1 from delivery_history h where not exists (select from delivery d where d.id = h.delivery_id)"
    assert await office.harness.rows(orphans) == []


async def test_a_delivery_that_has_not_ended_keeps_its_notice(office: Any) -> None:
    """An SMS whose report is still to come, however old: nothing of it goes."""
    await office.contact(email=None)
    await office.harness.play(replace(plan_exceeded(), occurred_at=office.now), quota_low(office.now))
    await office.harness.play(quota_low(office.now, kind="resolved", quota="1200.00"))
    office.wait(days=800)
    await prune_all(office)
    kinds = {row["kind"] for row in await office.harness.rows("select kind from notice")}
    assert "quota-low-resolved" in kinds, "its SMS waits to go out"
    assert "plan-exceeded" not in kinds, "nobody was there to be told: it is over"


async def test_a_round_takes_a_bounded_number(office: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pruning, "NOTICES_MAX", 3)
    exceeded = [
        replace(plan_exceeded(), check_id=f"check-{number}", occurred_at=office.now) for number in range(7)
    ]
    await office.harness.play(*exceeded)
    office.wait(days=800)
    counts = [await pruning.prune_once(office.harness.context, "notices", YEARS) for _ in range(4)]
    assert counts == [3, 3, 1, 0]
