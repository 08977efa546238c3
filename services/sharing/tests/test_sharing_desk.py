"""Sharing on a real PostgreSQL: settings, decisions, views, events, timers, the bound, imports and exports."""

import asyncio
import csv
from datetime import UTC, datetime, timedelta
from io import BytesIO, StringIO
from typing import Any

import openpyxl
import pytest
from chassis.database import statements
from chassis.testing import only
from sharing.app import service
from sharing.repository import sharing as sharing_rows

from contracts import RelationshipChanged, ResourceChanged, SharingChanged

pytestmark = pytest.mark.stack

NOW = datetime(2026, 3, 10, 8, 0, tzinfo=UTC)
RI, SCU = "reserved-instance", "storage-capacity-unit"
Town = Any
"""Of conftest, which tests cannot import from."""


def later(**delta: float) -> datetime:
    return NOW + timedelta(**delta)


async def test_sharing_by_account_from_invitation_to_end(town: Town) -> None:
    await town.resources("RI1", "RI2")
    relationship_id, *_ = await town.trustees("S1", "S2")
    assert await town.reason("S1", "RI1") == "type-not-shared"
    await town.change("share-types", types=[RI])
    assert await town.reason("S1", "RI1") == "type-not-accepted"
    assert await town.told() == []
    town.harness.now = later(hours=1)
    await town.change("accept-types", accounts=["S1"], types=[RI])
    assert await town.reason("S1", "RI1") == "shared-with-account"
    assert await town.reason("M", "RI1") == "owner"
    assert await town.told() == [("S1", "RI1", "gained"), ("S1", "RI2", "gained")]
    town.harness.now = later(hours=2)
    asked = await town.end("S1", relationship_id)
    assert await town.reason("S1", "RI1") == "shared-with-account"
    await town.answer_end(asked, "fund-pool")
    await town.answer_end(asked, "credit")
    assert await town.reason("S1", "RI1") == "not-under-trusteeship"
    events = await town.harness.drain()
    lost = only(events, SharingChanged)
    assert [(event.resource_id, event.change, event.reason) for event in lost] == [
        ("RI1", "lost", "not-under-trusteeship"),
        ("RI2", "lost", "not-under-trusteeship"),
    ]
    ended = only(events, RelationshipChanged)[-1]
    assert (ended.state, ended.end_outcome, ended.request_id) == ("ended", "ended", asked["request_id"])
    assert lost[0].effective_at - later(hours=2) < timedelta(seconds=1)
    await town.trustees("S1")
    assert await town.reason("S1", "RI1") == "shared-with-account"
    assert await town.broken() == []


async def test_groups_reserve_and_confine(town: Town) -> None:
    await town.resources("RI1", "RI2")
    await town.change("share-types", types=[RI])
    await town.trustees("S1", "S2")
    group = (await town.change("create-group", name="West", accounts=["S1"]))["group"]
    await town.told()
    changed = await town.change("share-with-groups", bindings=[{"resource": "RI1", "group": group}])
    assert changed["group"] is None
    assert sorted(await town.told()) == [("S1", "RI2", "lost"), ("S2", "RI1", "lost")]
    reasons = {
        (account, name): await town.reason(account, name)
        for account in ("S1", "S2")
        for name in ("RI1", "RI2")
    }
    assert reasons == {
        ("S1", "RI1"): "shared-with-group",
        ("S1", "RI2"): "confined-to-its-group",
        ("S2", "RI1"): "reserved-for-another-group",
        ("S2", "RI2"): "shared-with-account",
    }
    decided = await town.person("S1").get("/accounts/S1/resources/RI2/decision")
    assert [each["setting"] for each in decided["because"]] == ["membership", "binding"]
    await town.change("dissolve-group", group=group)
    assert sorted(await town.told()) == [("S1", "RI2", "gained"), ("S2", "RI1", "gained")]
    assert await town.broken() == []


async def test_starts_and_ends_are_told_in_order_after_a_day_of_downtime(town: Town) -> None:
    await town.resources("RI1", "RI2")
    await town.trustees("S1", "S2")
    group = (await town.change("create-group", name="West", accounts=["S1", "S2"]))["group"]
    spans = {"RI1": (1, 30), "RI2": (2, 3)}
    bindings = [
        {
            "resource": name,
            "group": group,
            "start": later(hours=start).isoformat(),
            "end": later(hours=end).isoformat(),
        }
        for name, (start, end) in spans.items()
    ]
    await town.change("share-with-groups", bindings=bindings)
    assert await town.told() == []
    told = await town.fire(later(hours=25))
    assert [(event.member_account, event.resource_id, event.change) for event in told] == [
        ("S1", "RI1", "gained"),
        ("S2", "RI1", "gained"),
        ("S1", "RI2", "gained"),
        ("S2", "RI2", "gained"),
        ("S1", "RI2", "lost"),
        ("S2", "RI2", "lost"),
    ]
    hours = [(event.effective_at - NOW) / timedelta(hours=1) for event in told]
    assert hours == [1, 1, 2, 2, 3, 3]
    assert await town.fire(later(hours=29)) == []
    assert [event.change for event in await town.fire(later(hours=30))] == ["lost", "lost"]
    assert await town.harness.rows("select * from timer") == []


async def test_a_change_tells_what_was_due_before_itself(town: Town) -> None:
    """The timer is late, and a command comes first: the start is told at its own moment, then the change."""
    await town.resources("RI1", valid_until=later(hours=5))
    await town.change("share-types", types=[RI])
    await town.trustees("S1")
    await town.told()
    town.harness.now = later(hours=6)
    await town.change("accept-types", accounts=["S1"], types=[])
    told = only(await town.harness.drain(), SharingChanged)
    assert [(event.effective_at, event.change, event.reason) for event in told] == [
        (later(hours=5), "lost", "resource-ended")
    ]


async def test_more_events_than_one_transaction_takes_are_told_by_the_timer(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sharing.changing.EVENTS_MAX", 3)
    await town.resources(*(f"RI{number}" for number in range(8)))
    await town.trustees("S1", "S2")
    await town.change("accept-types", accounts=["S1", "S2"], types=[RI])
    await town.change("share-types", types=[RI])
    first = only(await town.harness.drain(), SharingChanged)
    assert len(first) == 3
    town.harness.now = later(minutes=1)
    await town.change("accept-types", accounts=["S1"], types=[])
    told = [*first, *only(await town.harness.drain(), SharingChanged), *await town.fire()]
    assert [event.change for event in told] == ["gained"] * 16 + ["lost"] * 8
    pairs = [(event.member_account, event.resource_id) for event in told]
    assert len(set(pairs[:16])) == 16


async def test_of_two_requests_for_the_hundredth_place_one_wins(town: Town) -> None:
    members = [f"T{number:03}" for number in range(101)]
    await town.accounts(*members)
    await town.harness.spoil(
        "insert into sharer values ('M', '2026-03-10T07:00Z', null, 0);"
        "insert into trusteeship select 'M', 'T' || lpad(n::text, 3, '0'), '2026-03-10T07:00Z', null"
        " from generate_series(0, 100) n"
    )
    await town.change("share-types", types=[RI])
    await town.change("accept-types", accounts=members[:99], types=[RI])
    people = [(town.person(member), member) for member in members[99:]]
    answers = await asyncio.gather(
        *(
            person.http.put(f"/accounts/{member}/accepted-types", json={"types": [RI]})
            for person, member in people
        )
    )
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    refused = next(answer.json() for answer in answers if answer.status_code == 409)
    assert refused["type"] == "urn:coffer:problem:sharing-limit-reached"
    assert (refused["resource_type"], refused["accounts"], refused["limit"]) == (RI, 101, 100)
    accepting = "select count(*) as held from accepted_type where ends_at is null"
    assert await town.harness.rows(accepting) == [{"held": 100}]
    assert "sharing-hundred-accounts" not in await town.broken()


async def test_a_trustee_too_many_is_refused_with_the_number_and_stays_invited(town: Town) -> None:
    await town.harness.spoil(
        "insert into sharer values ('M', '2026-03-10T07:00Z', null, 0);"
        "insert into trusteeship select 'M', 'T' || n, '2026-03-10T07:00Z', null from generate_series(1, 100) n;"
        f"insert into accepted_type select 'M', account, '{RI}', starts_at, null from trusteeship"
    )
    await town.change("share-types", types=[RI])
    invitation = {
        "kind": "trusteeship",
        "management_account": "M",
        "member_account": "S1",
        "permissions": [],
    }
    relationship_id = (await town.management.post("/relationships", invitation)).json()["relationship_id"]
    refused = await town.accept("S1", relationship_id)
    assert (refused.status_code, refused.json()["accounts"]) == (409, 101)
    assert (await town.management.get(f"/relationships/{relationship_id}"))["state"] == "invited"


BAD: list[tuple[dict[str, Any], str, str | None]] = [
    (
        {"change": "accept-types", "accounts": ["S3"], "types": [RI]},
        "not-under-trusteeship",
        "change.accounts[0]",
    ),
    (
        {"change": "accept-types", "accounts": ["S1"], "types": ["x"]},
        "unknown-resource-type",
        "change.types[0]",
    ),
    ({"change": "share-types", "types": [RI, RI]}, "invalid-request", "change.types"),
    ({"change": "share-types", "types": ["lunch"]}, "unknown-resource-type", "change.types[0]"),
    (
        {"change": "join-group", "group": "GROUP", "accounts": ["S2", "S2"]},
        "invalid-request",
        "change.accounts",
    ),
    ({"change": "join-group", "group": "other", "accounts": ["S2"]}, "unknown-group", "change.group"),
    (
        {"change": "create-group", "name": "East", "accounts": ["S1"]},
        "in-another-group",
        "change.accounts[0]",
    ),
    ({"change": "create-group", "name": "West"}, "group-name-taken", "change.name"),
    (
        {"change": "share-with-groups", "bindings": [{"resource": "RI5", "group": "GROUP"}]},
        "not-your-resource",
        "change.bindings[0].resource",
    ),
    (
        {
            "change": "share-with-groups",
            "bindings": [
                {
                    "resource": "RI2",
                    "group": "GROUP",
                    "start": "2026-04-02T00:00:00+08:00",
                    "end": "2026-04-01T00:00:00+08:00",
                }
            ],
        },
        "end-before-start",
        "change.bindings[0].end",
    ),
    (
        {
            "change": "share-with-groups",
            "bindings": [{"resource": "RI2", "group": "GROUP", "start": "2026-01-01T00:00:00Z"}],
        },
        "start-in-the-past",
        "change.bindings[0].start",
    ),
    (
        {
            "change": "set-groups",
            "resource": "RI2",
            "groups": [{"group": "GROUP"}, {"group": "GROUP", "start": "2027-01-01T00:00:00Z"}],
        },
        "overlapping",
        "change.groups[1]",
    ),
    (
        {
            "change": "share-with-groups",
            "bindings": [{"resource": "RI1", "group": "GROUP", "start": "2027-01-01T00:00:00Z"}],
        },
        "overlapping",
        "change.bindings[0]",
    ),
    ({"change": "end-trusteeship", "account": "S1"}, "invalid-request", None),
]


async def test_bad_changes_are_refused_by_name_and_change_nothing(town: Town) -> None:
    await town.resources("RI1", "RI2")
    await town.resources("RI5", owner="S1")
    await town.trustees("S1", "S2")
    group = (await town.change("create-group", name="West", accounts=["S1"]))["group"]
    await town.change("share-with-groups", bindings=[{"resource": "RI1", "group": group}])
    before = await town.harness.rows("select * from sharing_change")
    for change, problem, field in BAD:
        body = {"change": _with_group(change, group)}
        answer = await town.management.post("/accounts/M/sharing/changes", body)
        told = answer.json()
        assert told["type"] == f"urn:coffer:problem:{problem}", told
        if field is not None:
            assert field in [each["field"] for each in told["errors"]], told
        if problem not in ("invalid-request", "group-name-taken"):
            assert (await town.management.post("/accounts/M/sharing/previews", body)).json()["type"] == told[
                "type"
            ]
    assert await town.harness.rows("select * from sharing_change") == before
    stranger = await town.person("S1").post(
        "/accounts/M/sharing/changes", {"change": {"change": "share-types", "types": []}}
    )
    assert stranger.status_code == 404
    alone = await town.person("S3").http.put("/accounts/S3/accepted-types", json={"types": [RI]})
    assert alone.json()["type"] == "urn:coffer:problem:not-under-trusteeship"


def _with_group(value: Any, group: str) -> Any:
    if isinstance(value, dict):
        return {key: _with_group(inner, group) for key, inner in value.items()}
    if isinstance(value, list):
        return [_with_group(inner, group) for inner in value]
    return group if value == "GROUP" else value


async def test_a_preview_says_who_gains_and_loses_what_and_changes_nothing(town: Town) -> None:
    await town.resources("RI1")
    await town.change("share-types", types=[RI])
    await town.trustees("S1", "S2")
    await town.told()
    group = (await town.change("create-group", name="West", accounts=["S1"]))["group"]
    start = later(days=30)
    bindings = [{"resource": "RI1", "group": group, "start": start.isoformat()}]
    change = {"change": {"change": "share-with-groups", "bindings": bindings}}
    seen = (await town.management.post("/accounts/M/sharing/previews", change)).json()
    assert [(each["account"], each["change"], each["reason"]) for each in seen["items"]] == [
        ("S2", "lost", "reserved-for-another-group")
    ]
    assert datetime.fromisoformat(seen["items"][0]["at"]) == start
    ending = {"change": {"change": "end-trusteeship", "account": "S2"}}
    seen = (await town.management.post("/accounts/M/sharing/previews", ending)).json()
    assert (seen["gained"], seen["lost"], seen["complete"]) == (0, 1, True)
    beginning = {"change": {"change": "begin-trusteeship", "account": "S3"}}
    seen = (await town.management.post("/accounts/M/sharing/previews", beginning)).json()
    assert [(each["account"], each["change"]) for each in seen["items"]] == [("S3", "gained")]
    resource = {"change": "store-resource", "resource": "RI2", "resource_type": RI}
    storing = {"change": {**resource, "valid_from": "2026-01-01T00:00:00Z"}}
    seen = (await town.management.post("/accounts/M/sharing/previews", storing)).json()
    assert [(each["account"], each["resource"]) for each in seen["items"]] == [("S1", "RI2"), ("S2", "RI2")]
    wrong = {"change": {**storing["change"], "valid_until": "2026-01-01T00:00:00Z"}}
    refused = (await town.management.post("/accounts/M/sharing/previews", wrong)).json()
    assert refused["type"] == "urn:coffer:problem:invalid-request"
    accepting = await town.person("S2").post("/accounts/S2/accepted-types/previews", {"types": []})
    assert [(each["resource"], each["reason"]) for each in accepting.json()["items"]] == [
        ("RI1", "type-not-accepted")
    ]
    assert await town.told() == []
    assert (await town.management.get("/accounts/M/sharing/bindings"))["items"] == []


async def test_a_preview_counts_everything_and_lists_the_first(town: Town) -> None:
    await town.resources(*(f"RI{number:03}" for number in range(300)))
    await town.trustees("S1", "S2")
    await town.change("accept-types", accounts=["S1", "S2"], types=[RI])
    wanted = {"change": {"change": "share-types", "types": [RI]}}
    seen = (await town.management.post("/accounts/M/sharing/previews", wanted)).json()
    assert (seen["gained"], seen["lost"], len(seen["items"]), seen["complete"]) == (600, 0, 500, False)


async def test_everything_is_told_as_of_any_moment_with_who_changed_it(town: Town) -> None:
    await town.resources("RI1")
    await town.trustees("S1")
    town.harness.now = later(hours=1)
    await town.change("share-types", types=[RI])
    town.harness.now = later(hours=2)
    await town.person("S1").http.put("/accounts/S1/accepted-types", json={"types": [RI]})
    town.harness.now = later(hours=3)
    await town.change("accept-types", accounts=["S1"], types=[])
    reasons = [await town.reason("S1", "RI1", later(hours=hour + 0.5)) for hour in range(5)]
    assert reasons == [
        "type-not-shared",
        "type-not-accepted",
        "shared-with-account",
        "type-not-accepted",
        "type-not-accepted",
    ]
    history = (await town.management.get("/accounts/M/sharing/changes"))["items"]
    assert [(each["change"]["change"], each["side"], each["changed_by"]) for each in history] == [
        ("accept-types", "management", "user of M"),
        ("accept-types", "member", "user of S1"),
        ("share-types", "management", "user of M"),
        ("begin-trusteeship", "member", "user of S1"),
    ]
    at = later(hours=2.5).isoformat()
    details = (await town.management.get("/accounts/M/sharing/details", at=at, member="S1"))["items"]
    assert [(each["resource"], each["allowed"], each["reason"]) for each in details] == [
        ("RI1", True, "shared-with-account")
    ]
    assert datetime.fromisoformat(details[0]["since"]) - later(hours=2) < timedelta(seconds=1)
    assert datetime.fromisoformat(details[0]["until"]) - later(hours=3) < timedelta(seconds=1)


async def example(town: Town) -> str:
    """Three members, two groups' worth of settings: something of everything."""
    await town.resources("RI1", "RI2")
    await town.resources("SCU1", resource_type=SCU)
    await town.change("share-types", types=[RI])
    await town.trustees("S1", "S2", "S3")
    await town.change("accept-types", accounts=["S3"], types=[])
    group: str = (await town.change("create-group", name="=West", accounts=["S1"]))["group"]
    await town.change("share-with-groups", bindings=[{"resource": "RI1", "group": group}])
    return group


async def test_the_three_views_and_the_members_own(town: Town) -> None:
    group = await example(town)
    accounts = (await town.management.get("/accounts/M/sharing/accounts"))["items"]
    assert [
        (each["account"], each["group"], each["accepted_types"], each["usable"]) for each in accounts
    ] == [
        ("S1", group, [RI], {RI: 1}),
        ("S2", None, [RI], {RI: 1}),
        ("S3", None, [], {}),
    ]
    groups = (await town.management.get("/accounts/M/sharing/groups"))["items"]
    assert [(each["name"], each["members"], each["bindings"][0]["resource"]) for each in groups] == [
        ("=West", ["S1"], "RI1")
    ]
    for chosen, expected in [({"group": group}, ["S1"]), ({"accepted_type": RI}, ["S1", "S2"])]:
        some = (await town.management.get("/accounts/M/sharing/accounts", limit=5, **chosen))["items"]
        assert [each["account"] for each in some] == expected
    of_resource = await town.management.get("/accounts/M/sharing/bindings", resource="RI1")
    assert [each["group"] for each in of_resource["items"]] == [group]
    rows: list[Any] = []
    cursor = None
    while True:
        page = await town.management.get("/accounts/M/sharing/details", limit=5, cursor=cursor)
        rows += page["items"]
        if (cursor := page["next"]) is None:
            break
    assert [(each["account"], each["resource"], each["reason"]) for each in rows] == [
        ("M", "RI1", "owner"),
        ("M", "RI2", "owner"),
        ("M", "SCU1", "owner"),
        ("S1", "RI1", "shared-with-group"),
        ("S1", "RI2", "confined-to-its-group"),
        ("S1", "SCU1", "confined-to-its-group"),
        ("S2", "RI1", "reserved-for-another-group"),
        ("S2", "RI2", "shared-with-account"),
        ("S2", "SCU1", "type-not-shared"),
        ("S3", "RI1", "reserved-for-another-group"),
        ("S3", "RI2", "type-not-accepted"),
        ("S3", "SCU1", "type-not-shared"),
    ]
    filtered = await town.management.get("/accounts/M/sharing/details", allowed="true", resource_type=RI)
    assert len(filtered["items"]) == 4
    by_type = (await town.management.get("/accounts/M/sharing/details/by-type", limit=2))["items"]
    assert [
        (each["account"], each["resource_type"], each["reason"], each["resources"]) for each in by_type
    ] == [
        ("M", RI, "owner", 2),
        ("M", SCU, "owner", 1),
        ("S1", RI, "confined-to-its-group", 1),
        ("S1", RI, "shared-with-group", 1),
        ("S1", SCU, "confined-to-its-group", 1),
    ]
    one = await town.management.get("/accounts/M/sharing/details/by-type", member="S3", resource_type=SCU)
    assert [(each["reason"], each["resources"]) for each in one["items"]] == [("type-not-shared", 1)]
    await town.resources("RI7", owner="S2")
    own = (await town.person("S2").get("/accounts/S2/usable-resources"))["items"]
    assert [(each["resource"], each["reason"]) for each in own] == [
        ("RI2", "shared-with-account"),
        ("RI7", "owner"),
    ]
    assert (await town.management.get("/accounts/S2/usable-resources"))["items"] == own
    for path in (
        "/accounts/M/sharing/details",
        "/accounts/S1/usable-resources",
        "/accounts/S1/resources/RI1/decision",
    ):
        assert (await town.person("S3").http.get(path)).status_code == 404


@pytest.mark.parametrize(
    ("view", "rows"),
    [
        ("sharing/accounts/export", 3),
        ("sharing/accounts/export?accepted_type=reserved-instance", 2),
        ("sharing/groups/export", 2),
        ("sharing/details/export", 12),
        ("sharing/details/export?member=S1&allowed=true", 1),
        ("sharing/details/by-type/export", 11),
        ("sharing/details/by-type/export?resource_type=reserved-instance&member=S2", 2),
        ("usable-resources/export", 3),
    ],
)
async def test_each_view_is_a_csv_and_an_excel_file(town: Town, view: str, rows: int) -> None:
    await example(town)
    path = f"/accounts/M/{view}"
    joined = "&" if "?" in view else "?"
    text = (await town.management.http.get(path + joined + "time_zone=Asia/Shanghai")).content.decode(
        "utf-8-sig"
    )
    table = list(csv.reader(StringIO(text, newline="")))
    assert len(table) == rows + 1
    if "groups" in view:
        assert {row[0] for row in table[1:]} == {"'=West"}
    answer = await town.management.http.get(path + joined + "format=xlsx")
    sheet = openpyxl.load_workbook(BytesIO(answer.content)).worksheets[0]
    assert (sheet.max_row, sheet.freeze_panes) == (rows + 1, "A2")
    assert (await town.person("S1").http.get(path)).status_code == 404


async def test_resources_come_by_event_and_what_contradicts_them_is_refused(town: Town) -> None:
    def told(**others: Any) -> ResourceChanged:
        values = {
            "resource_id": "RI1",
            "version": 2,
            "owner": "M",
            "resource_type": RI,
            "name": "One",
            "valid_from": NOW,
            "changed_at": NOW,
        }
        return ResourceChanged(**{**values, **others})

    await town.harness.play(
        told(),
        told(version=1, name="Old"),
        told(version=3, name="Three"),
        told(version=4, owner="S1"),
        told(version=4, resource_type=SCU),
        told(resource_id="RI2", owner="nobody"),
        told(resource_id="RI2", resource_type="lunch"),
        told(resource_id="RI2", valid_until=NOW),
    )
    refused = await town.harness.rows("select reason from dead_letter order by 1")
    assert [row["reason"] for row in refused] == [
        "end-before-start",
        "owner-changed",
        "resource-type-changed",
        "unknown-account",
        "unknown-resource-type",
    ]
    known = (await town.management.get("/accounts/M/resources"))["items"]
    assert [(each["resource_id"], each["version"], each["name"]) for each in known] == [("RI1", 3, "Three")]
    assert (await town.management.get("/resources/RI1"))["name"] == "Three"
    assert (await town.person("S1").http.get("/resources/RI1")).status_code == 404


async def test_resources_and_types_come_by_http(town: Town) -> None:
    billing = town.person(roles=["billing-system"])
    body = {
        "version": 1,
        "owner": "M",
        "resource_type": "data-plan",
        "name": "Data plan",
        "valid_from": "2026-01-01T00:00:00+08:00",
        "quantity": "12.50",
        "unit": "terabyte",
    }
    refused = await billing.http.put("/resources/DP-1", json=body)
    assert refused.json()["type"] == "urn:coffer:problem:unknown-resource-type"
    assert (
        await billing.http.put("/resource-types/data-plan", json={"name": "Data plans"})
    ).status_code == 200
    stored = await billing.http.put("/resources/DP-1", json=body)
    assert (stored.json()["quantity"], stored.json()["unit"]) == ("12.50", "terabyte")
    assert (await billing.http.put("/resources/DP-1", json={**body, "name": "x"})).json()[
        "name"
    ] == "Data plan"
    types = {each["resource_type"]: each["preset"] for each in await town.management.get("/resource-types")}
    assert types == {RI: True, "savings-plan": True, SCU: True, "voucher": True, "data-plan": False}
    assert (await town.management.http.put("/resources/DP-1", json=body)).status_code == 403


async def imported(town: Town, text: str, **query: Any) -> Any:
    billing = town.person(roles=["billing-system"])
    headers = {"Content-Type": "text/csv"}
    return await billing.post("/resource-imports", content=text.encode(), headers=headers, params=query)


async def test_resources_are_imported_from_a_file_whole_or_not_at_all(town: Town) -> None:
    heading = "resource_id,version,owner,resource_type,name,valid_from,valid_until"
    lines = [heading, *(f"RI{number},1,M,{RI},One,2026-01-01T00:00:00+08:00," for number in (1, 2))]
    good = "\n".join(lines)
    bad = "\n".join(
        [
            *lines,
            f"RI3,1,M,{RI},Three,2026-01-01,",
            f"RI2,1,M,{RI},Two,2026-01-01T00:00:00Z,",
            f"RI4,1,X,{RI},Four,2026-01-01T00:00:00Z,",
        ]
    )
    seen = (await imported(town, bad, preview=True)).json()
    assert (seen["imported"], seen["stored"], seen["refused"]) == (False, 2, 3)
    assert sorted((each["row"], each["column"]) for each in seen["faults"]) == [
        (4, "valid_from"),
        (5, "resource_id"),
        (6, "owner"),
    ]
    refused = await imported(town, bad)
    assert (refused.status_code, refused.json()["type"]) == (422, "urn:coffer:problem:rows-refused")
    assert await town.harness.rows("select * from resource") == []
    done = (await imported(town, good)).json()
    assert (done["imported"], done["stored"], done["known_already"]) == (True, 2, 0)
    assert (await imported(town, good)).json()["known_already"] == 2
    unreadable = (await imported(town, "colour\nred")).json()
    assert unreadable["type"] == "urn:coffer:problem:unreadable-table"


async def test_a_decision_takes_the_same_statements_however_much_there_is(town: Town) -> None:
    await town.resources(*(f"RI{number:04}" for number in range(600)))
    await town.change("share-types", types=[RI])
    await town.trustees("S1", "S2")
    group = (await town.change("create-group", name="West", accounts=["S1"]))["group"]
    bindings = [{"resource": f"RI{number:04}", "group": group} for number in range(500)]
    await town.change("share-with-groups", bindings=bindings)
    for account, name, reason in [
        ("S1", "RI0000", "shared-with-group"),
        ("S1", "RI0599", "confined-to-its-group"),
        ("S2", "RI0000", "reserved-for-another-group"),
        ("S2", "RI0599", "shared-with-account"),
    ]:
        assert await town.reason(account, name) == reason
    async with town.harness.connection() as connection:
        whole = await sharing_rows.sharing(connection, "M")
    assert len(whole.facts) > 1_100


@pytest.mark.parametrize("resources", [1, 200])
async def test_a_batch_of_resources_takes_five_statements(town: Town, resources: int) -> None:
    await town.change("share-types", types=[RI])
    await town.trustees("S1", "S2")
    seen: list[int] = []
    entry = next(each for each in service.subscriptions if "resource-changed" in each.topics)
    handle = entry.handler

    async def counted(batch: Any) -> None:
        before = statements(batch.connection)
        await handle(batch)
        seen.append(statements(batch.connection) - before)

    object.__setattr__(entry, "handler", counted)
    try:
        await town.resources(*(f"RI{number}" for number in range(resources)))
    finally:
        object.__setattr__(entry, "handler", handle)
    assert seen == [5]
    details = await town.management.get("/accounts/M/sharing/details", allowed="true", member="S1", limit=500)
    assert len(details["items"]) == resources
