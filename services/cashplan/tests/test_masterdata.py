"""Plan items, members and entities that follow master data."""

from datetime import UTC, datetime
from typing import Any

import pytest
from cashplan.domain.masterdata import MasterRecord, below, retired, with_items
from cashplan.domain.systems import Item
from contracts.master_data_changed import DimensionMember, Organisation, PlanItem

from contracts import MasterDataChanged

AT = datetime(2026, 10, 20, tzinfo=UTC)


def record(record_id: str, parent: str | None = None, **others: Any) -> MasterRecord:
    return MasterRecord(
        kind="plan-item", record_id=record_id, version=1, name=record_id.title(), parent=parent, **others
    )


def test_parents_come_before_children_and_circles_are_left_out() -> None:
    records = [record("a", "b"), record("b"), record("x", "y"), record("y", "x"), record("off", active=False)]
    assert [each.record_id for each in below(records, None)] == ["b", "a"]
    assert [each.record_id for each in below(records, "a")] == ["a"]
    assert below(records, "unknown") == []


def test_what_the_system_says_itself_stays() -> None:
    own = Item(id="total", name="Total", source="formula", formula='item["a"]', direction="out")
    followed = with_items(
        [own, Item(id="mine", name="Mine")], [record("total", direction="out"), record("a", "total")]
    )
    assert [(each.id, each.name, each.parent, each.source) for each in followed] == [
        ("total", "Total", None, "formula"),
        ("mine", "Mine", None, "entered"),
        ("a", "A", "total", "entered"),
    ]
    assert with_items(followed, [record("total", direction="out"), record("a", "total")]) == followed
    assert retired(followed, [record("mine", active=False)]) == ["mine"]


def changed(record_id: str, what: Any, version: int = 1, active: bool = True) -> MasterDataChanged:
    return MasterDataChanged(id=record_id, version=version, active=active, changed_at=AT, record=what)


def item(name: str, parent: str | None = None) -> PlanItem:
    return PlanItem(kind="plan-item", name=name, parent=parent, direction="out")


@pytest.mark.stack
async def test_items_members_and_entities_follow_master_data(group: Any) -> None:
    await group.set_up()
    zone = {"kind": "organisation", "organisation_type": "business", "time_zone": "Asia/Shanghai"}
    events = [
        changed("travel", item("Travel", "expenses")),
        changed("flights", item("Flights", "travel"), version=2),
        changed("flights", item("Old name", "travel"), version=1),
        changed("cheque", DimensionMember(kind="dimension-member", dimension="settlement", name="Cheque")),
        changed("G", Organisation(name="Group AG", **zone)),  # type: ignore[arg-type]
        changed("E", Organisation(name="Epsilon", parent="D", **zone)),  # type: ignore[arg-type]
    ]
    await group.harness.play(*events)
    items = await group.ask("ada", "POST", group.path("items/from-master-data"), {})
    assert items == {"added": ["travel", "flights"], "changed": [], "retired": [], "warnings": []}
    again = await group.ask("ada", "POST", group.path("items/from-master-data"), {"root": "travel"})
    assert again == {"added": [], "changed": [], "retired": [], "warnings": []}
    found = {each["id"]: each for each in await group.ask("ada", "GET", group.path("items"))}
    assert (found["flights"]["name"], found["flights"]["parent"]) == ("Flights", "travel")
    members = await group.ask("ada", "POST", group.path("dimensions/settlement/from-master-data"), {})
    assert members["added"] == ["cheque"]
    entities = await group.ask("ada", "POST", group.path("entities/from-master-data"), {})
    assert (entities["added"], entities["changed"]) == (["E"], ["G"])
    await group.harness.play(changed("flights", item("Flights", "travel"), version=3, active=False))
    gone = await group.ask("ada", "POST", group.path("items/from-master-data"), {})
    assert (gone["added"], gone["retired"]) == ([], ["flights"])
    await group.ask("paul-a", "POST", group.path("items/from-master-data"), {}, expect=403)
    listed = await group.ask("ada", "GET", "/master-data/plan-item")
    assert [each["record_id"] for each in listed["items"]] == ["flights", "travel"]


@pytest.mark.stack
async def test_master_records_also_come_by_http(group: Any) -> None:
    async with group.harness.client(["order-system"]) as client:
        path = "/master-data/plan-item/travel"
        stored = await client.put(
            path, json={"version": 2, "name": "Travel"}, headers={"Idempotency-Key": "1"}
        )
        assert stored.json()["name"] == "Travel"
        older = await client.put(path, json={"version": 1, "name": "Trips"}, headers={"Idempotency-Key": "2"})
        assert older.json()["name"] == "Travel"
        wrong = await client.put(
            path, json={"version": 3, "name": "Travel", "dimension": "bank"}, headers={"Idempotency-Key": "3"}
        )
        assert wrong.json()["errors"][0]["field"] == "dimension"
