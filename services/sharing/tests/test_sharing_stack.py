"""sharing on a real PostgreSQL: commands and queries over HTTP, master data, checks."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from chassis.database import statements
from chassis.http import OPEN_PATHS, unprotected_routes
from chassis.invariants import run_checks
from chassis.testing import Harness, only
from contracts.master_data_changed import Account, Customer
from sharing.app import service
from sharing.tables import METADATA
from sqlalchemy import Connection

from contracts import (
    MasterDataChanged,
    RelationshipChanged,
    RelationshipEndAnswered,
    RelationshipEndRequested,
)

pytestmark = pytest.mark.stack

NOW = datetime(2026, 3, 10, 8, 0, tzinfo=UTC)
SYNC, VIEW = "sync-credit-identity", "view-financial-information"


def account(account_id: str, version: int = 1, name: str = "", active: bool = True) -> MasterDataChanged:
    record = Account(
        kind="account", name=name or f"Name of {account_id}", customer="C-1", settlement_organisation="ORG-1"
    )
    return MasterDataChanged(id=account_id, version=version, active=active, changed_at=NOW, record=record)


@pytest.fixture
async def harness(postgres_dsn: str) -> AsyncIterator[Harness]:
    async with Harness(service, postgres_dsn) as running:
        running.now = NOW
        await running.play(*(account(each) for each in ("A-GROUP", "A-OTHER", "A-1", "A-2")))
        yield running


class Caller:
    """An account user of one account, with a new Idempotency-Key for each command."""

    def __init__(self, harness: Harness, *accounts: str, roles: tuple[str, ...] = ("account-user",)) -> None:
        self.http = harness.client(roles=roles, accounts=accounts, subject=f"user of {' '.join(accounts)}")
        self.commands = 0

    async def post(
        self, path: str, body: dict[str, Any] | None = None, key: str | None = None
    ) -> httpx.Response:
        self.commands += 1
        headers = {"Idempotency-Key": key or f"command {self.commands}".replace(" ", "-")}
        return await self.http.post(path, json=body, headers=headers)

    async def invite(self, *permissions: str, key: str | None = None, **others: Any) -> httpx.Response:
        body = {
            "kind": "financial",
            "management_account": "A-GROUP",
            "member_account": "A-1",
            "permissions": permissions,
        }
        return await self.post("/relationships", {**body, **others}, key)

    async def accept(self, relationship_id: str, *permissions: str) -> httpx.Response:
        return await self.post(f"/relationships/{relationship_id}/accept", {"permissions": permissions})

    async def end(self, relationship_id: str) -> httpx.Response:
        return await self.post(f"/relationships/{relationship_id}/end")


async def ended(harness: Harness, caller: Caller, relationship_id: str) -> None:
    """Asks for the end of an accepted relationship, to which fund-pool and credit agree."""
    request = (await caller.end(relationship_id)).json()
    assert request["ending"] is not None
    for service_name in ("fund-pool", "credit"):
        answer = RelationshipEndAnswered(
            request_id=request["ending"],
            relationship_id=relationship_id,
            relationship_version=request["version"],
            management_account=request["management_account"],
            member_account=request["member_account"],
            answered_by=service_name,
            outcome="agreed",
            answered_at=NOW,
        )
        await harness.context.consumer.consume([harness.raw(answer, source=f"coffer/{service_name}")])


async def findings(harness: Harness) -> list[str]:
    found = await run_checks(harness.context.database, service.all_checks)
    return [finding.check.name for finding in found if not finding.holds]


def states(relationship: Any) -> dict[str, str]:
    return {permission["name"]: permission["state"] for permission in relationship["permissions"]}


async def test_a_relationship_lives_from_invitation_to_end(harness: Harness) -> None:
    group, member = Caller(harness, "A-GROUP"), Caller(harness, "A-1")
    invited = await group.invite(SYNC, VIEW)
    assert invited.status_code == 201
    relationship_id = invited.json()["relationship_id"]
    assert invited.json()["display_name"] == "Name of A-1"
    accepted = (await member.accept(relationship_id, SYNC)).json()
    assert (accepted["state"], states(accepted)) == ("active", {SYNC: "accepted", VIEW: "offered"})
    refused = await member.post(f"/relationships/{relationship_id}/refuse", {"permissions": [VIEW]})
    assert states(refused.json()) == {SYNC: "accepted", VIEW: "refused"}
    await ended(harness, group, relationship_id)
    events = await harness.drain()
    assert [event.relationship_version for event in only(events, RelationshipEndRequested)] == [4]
    told = only(events, RelationshipChanged)
    assert [(event.relationship_version, event.state) for event in told] == [
        (1, "invited"),
        (2, "active"),
        (3, "active"),
        (5, "ended"),
    ]
    assert (told[-1].end_outcome, told[-1].request_id is None) == ("ended", False)
    assert {permission.name: permission.state for permission in told[2].permissions} == {
        SYNC: "accepted",
        VIEW: "refused",
    }
    assert await findings(harness) == []


async def test_the_history_says_who_changed_what_and_when(harness: Harness) -> None:
    group, member = Caller(harness, "A-GROUP"), Caller(harness, "A-1")
    relationship_id = (await group.invite(SYNC)).json()["relationship_id"]
    harness.now = NOW + timedelta(hours=1)
    await member.accept(relationship_id, SYNC)
    harness.now = NOW + timedelta(hours=2)
    await ended(harness, member, relationship_id)
    history = (await group.http.get(f"/relationships/{relationship_id}/history")).json()["items"]
    assert [(each["step"], each["side"], each["changed_by"]) for each in history] == [
        ("invited", "management", "user of A-GROUP"),
        ("accepted", "member", "user of A-1"),
        ("end-requested", "member", "user of A-1"),
        ("ended", "member", "user of A-1"),
    ]
    hours = [datetime.fromisoformat(each["relationship"]["changed_at"]) - NOW for each in history]
    assert hours == [timedelta(hours=number) for number in (0, 1, 2, 2)]


async def test_a_relationship_is_told_as_of_a_moment(harness: Harness) -> None:
    group, member = Caller(harness, "A-GROUP"), Caller(harness, "A-1")
    relationship_id = (await group.invite(SYNC)).json()["relationship_id"]
    harness.now = NOW + timedelta(hours=1)
    await member.accept(relationship_id, SYNC)
    harness.now = NOW + timedelta(hours=2)
    await ended(harness, group, relationship_id)

    async def state(hours: float) -> tuple[str, list[str]]:
        as_of = {"as_of": (NOW + timedelta(hours=hours)).isoformat()}
        one = await group.http.get(f"/relationships/{relationship_id}", params=as_of)
        listed = await group.http.get("/accounts/A-GROUP/relationships", params=as_of)
        return one.json().get("state", "none"), [each["state"] for each in listed.json()["items"]]

    assert await state(-1) == ("none", [])
    assert await state(0) == ("invited", ["invited"])
    assert await state(1.5) == ("active", ["active"])
    assert await state(2) == ("ended", ["ended"])


async def test_a_member_has_one_management_account_per_kind(harness: Harness) -> None:
    group, other, member = (Caller(harness, each) for each in ("A-GROUP", "A-OTHER", "A-1"))
    relationship_id = (await group.invite(SYNC)).json()["relationship_id"]
    refused = await other.invite(SYNC, management_account="A-OTHER")
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:coffer:problem:already-linked")
    assert "A-GROUP" not in refused.text
    trusteeship = await other.invite(SYNC, management_account="A-OTHER", kind="trusteeship")
    assert trusteeship.status_code == 201
    await member.end(relationship_id)
    assert (await other.invite(SYNC, management_account="A-OTHER")).status_code == 201
    assert await findings(harness) == []


async def test_of_concurrent_invitations_one_wins(harness: Harness) -> None:
    managers = [f"M-{number}" for number in range(8)]
    await harness.play(*(account(manager) for manager in managers))
    answers = await asyncio.gather(
        *(Caller(harness, manager).invite(SYNC, management_account=manager) for manager in managers)
    )
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 7
    assert len(only(await harness.drain(), RelationshipChanged)) == 1
    assert await findings(harness) == []


async def test_concurrent_answers_leave_no_gap(harness: Harness) -> None:
    relationship_id = (await Caller(harness, "A-GROUP").invite(SYNC, VIEW)).json()["relationship_id"]
    callers = [(Caller(harness, "A-1"), name) for name in (SYNC, VIEW, SYNC, VIEW)]
    await asyncio.gather(
        *(
            caller.post(f"/relationships/{relationship_id}/accept", {"permissions": [name]}, f"{at}-{name}")
            for at, (caller, name) in enumerate(callers)
        )
    )
    told = only(await harness.drain(), RelationshipChanged)
    assert [event.relationship_version for event in told] == [1, 2, 3]
    assert {permission.state for permission in told[-1].permissions} == {"accepted"}
    assert await findings(harness) == []


async def test_repeats_change_nothing(harness: Harness) -> None:
    group, member = Caller(harness, "A-GROUP"), Caller(harness, "A-1")
    first = await group.invite(SYNC, VIEW, key="same")
    replayed = await group.invite(SYNC, VIEW, key="same")
    repeated = await group.invite(VIEW, SYNC)
    assert (first.status_code, replayed.status_code, repeated.status_code) == (201, 201, 200)
    assert first.json() == replayed.json() == repeated.json()
    relationship_id = first.json()["relationship_id"]
    for _ in range(2):
        assert (await member.accept(relationship_id, SYNC)).json()["version"] == 2
    told = await harness.play(account("A-1", version=2, name="Renamed"))
    assert (await group.invite(SYNC, VIEW)).json()["version"] == 2
    for caller in (group, member):
        assert (await caller.end(relationship_id)).json()["version"] == 3
    events = [*told, *await harness.drain()]
    assert len(only(events, RelationshipChanged)) == 2
    assert len(only(events, RelationshipEndRequested)) == 1


async def test_the_same_key_with_another_invitation_is_refused(harness: Harness) -> None:
    group = Caller(harness, "A-GROUP")
    await group.invite(SYNC, key="same")
    assert (await group.invite(SYNC, key="same", member_account="A-2")).status_code == 422


async def test_other_terms_for_a_standing_invitation_are_refused(harness: Harness) -> None:
    group = Caller(harness, "A-GROUP")
    await group.invite(SYNC)
    refused = await group.invite(SYNC, VIEW)
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:coffer:problem:already-linked")


async def test_accepting_what_was_not_offered_is_refused(harness: Harness) -> None:
    relationship_id = (await Caller(harness, "A-GROUP").invite(SYNC)).json()["relationship_id"]
    refused = await Caller(harness, "A-1").accept(relationship_id, SYNC, VIEW)
    assert (refused.status_code, refused.json()["type"]) == (422, "urn:coffer:problem:permission-not-offered")
    assert refused.json()["errors"] == [{"field": "permissions[1]", "message": "was not offered"}]
    assert len(await harness.rows("select * from relationship_history")) == 1


@pytest.mark.parametrize(
    ("others", "problem", "fields"),
    [
        ({"member_account": "A-GROUP"}, "same-account", ["member_account"]),
        ({"member_account": "A-9"}, "unknown-account", ["member_account"]),
        ({"member_account": "A-RETIRED"}, "unknown-account", ["member_account"]),
        ({"permissions": [SYNC, SYNC]}, "invalid-request", ["permissions"]),
        ({"permissions": ["be-rich"]}, "invalid-request", ["permissions[0]"]),
        ({"kind": "friendship"}, "invalid-request", ["kind"]),
        ({"colour": "red"}, "invalid-request", ["colour"]),
        ({"display_name": ""}, "invalid-request", ["display_name"]),
    ],
)
async def test_a_wrong_invitation_says_which_field(
    harness: Harness, others: dict[str, Any], problem: str, fields: list[str]
) -> None:
    await harness.play(account("A-RETIRED"), account("A-RETIRED", version=2, active=False))
    refused = await Caller(harness, "A-GROUP").invite(SYNC, **others)
    assert (refused.status_code, refused.json()["type"]) == (422, f"urn:coffer:problem:{problem}")
    assert [error["field"] for error in refused.json()["errors"]] == fields
    assert await harness.rows("select * from relationship") == []


async def test_declining_ends_the_matter(harness: Harness) -> None:
    group, member = Caller(harness, "A-GROUP"), Caller(harness, "A-1")
    relationship_id = (await group.invite(SYNC)).json()["relationship_id"]
    assert (await member.post(f"/relationships/{relationship_id}/decline")).json()["state"] == "declined"
    over = await member.accept(relationship_id, SYNC)
    assert (over.status_code, over.json()["type"]) == (409, "urn:coffer:problem:relationship-over")
    again = await group.invite(SYNC)
    assert (again.status_code, again.json()["version"]) == (201, 1)


async def test_each_side_acts_for_itself_only(harness: Harness) -> None:
    group, member, stranger = (Caller(harness, each) for each in ("A-GROUP", "A-1", "A-2"))
    relationship_id = (await group.invite(SYNC)).json()["relationship_id"]
    path = f"/relationships/{relationship_id}"
    own_side = await group.accept(relationship_id, SYNC)
    assert (own_side.status_code, own_side.json()["type"]) == (403, "urn:coffer:problem:not-your-side")
    assert (await member.http.put(f"{path}/display-name", json={"display_name": "Mine"})).status_code == 403
    assert (await group.http.put(f"{path}/display-name", json={"display_name": "One"})).json()["version"] == 2
    assert (await member.http.get(path)).status_code == 200
    for answer in (
        await stranger.accept(relationship_id, SYNC),
        await stranger.end(relationship_id),
        await stranger.http.get(path),
        await stranger.http.get(f"{path}/history"),
        await stranger.http.get("/accounts/A-1/relationships"),
        await group.http.get("/accounts/A-1/relationships"),
        await stranger.invite(SYNC),
        await group.http.get("/relationships/nonsense"),
    ):
        assert answer.status_code == 404


async def test_no_token_and_a_wrong_role_are_refused(harness: Harness) -> None:
    relationship_id = (await Caller(harness, "A-GROUP").invite(SYNC)).json()["relationship_id"]
    path = f"/relationships/{relationship_id}"
    nobody, treasurer = Caller(harness, roles=()), Caller(harness, roles=("treasurer",))
    for at in (path, f"{path}/history", "/accounts/A-1/relationships"):
        assert (await nobody.http.get(at)).status_code == 401
        assert (await treasurer.http.get(at)).status_code == 403
    assert (await treasurer.invite(SYNC)).status_code == 403
    assert (await treasurer.end(relationship_id)).status_code == 403


async def test_administrators_act_and_auditors_read_everywhere(harness: Harness) -> None:
    administrator = Caller(harness, roles=("administrator",))
    auditor = Caller(harness, roles=("auditor",))
    relationship_id = (await administrator.invite(SYNC)).json()["relationship_id"]
    assert (await administrator.accept(relationship_id, SYNC)).json()["state"] == "active"
    history = (await auditor.http.get(f"/relationships/{relationship_id}/history")).json()["items"]
    assert {each["side"] for each in history} == {"administrator"}
    assert (await auditor.end(relationship_id)).status_code == 403


async def test_relationships_of_an_account_are_filtered_and_paged(harness: Harness) -> None:
    members = [f"S-{number}" for number in range(5)]
    await harness.play(*(account(member) for member in members))
    group = Caller(harness, "A-GROUP")
    for number, member in enumerate(members):
        harness.now = NOW + timedelta(minutes=number)
        await group.invite(SYNC, member_account=member)
    await Caller(harness, "A-OTHER").invite(
        SYNC, management_account="A-OTHER", member_account="A-GROUP", kind="trusteeship"
    )

    async def parties(**parameters: str) -> list[str]:
        found: list[str] = []
        cursor: str | None = None
        while True:
            query = {"limit": "2", **parameters, **({"cursor": cursor} if cursor else {})}
            page = (await group.http.get("/accounts/A-GROUP/relationships", params=query)).json()
            found += [each["member_account"] for each in page["items"]]
            if (cursor := page["next"]) is None:
                return found

    assert await parties(side="management") == members
    assert await parties(side="member") == ["A-GROUP"]
    assert sorted(await parties()) == ["A-GROUP", *members]
    assert await parties(kind="trusteeship") == ["A-GROUP"]
    assert await parties(state="ended") == []
    assert await parties(side="management", as_of=(NOW + timedelta(minutes=2)).isoformat()) == members[:3]


async def test_accounts_come_by_event_and_by_http_and_the_newest_counts(harness: Harness) -> None:
    customer = MasterDataChanged(
        id="A-1", version=9, changed_at=NOW, record=Customer(kind="customer", name="Customer")
    )
    await harness.play(
        account("A-1", version=3, name="Third"), customer, account("A-1", version=2, name="Second")
    )
    erp = Caller(harness, roles=("order-system",))
    older = await erp.http.put("/accounts/A-1", json={"version": 2, "name": "Second"})
    assert older.json()["name"] == "Third"
    assert (await erp.http.put("/accounts/A-9", json={"version": 1, "name": "Nine"})).status_code == 200
    assert (await Caller(harness, "A-9").http.get("/accounts/A-9")).json()["name"] == "Nine"
    assert (await Caller(harness, "A-9").http.get("/accounts/A-1")).status_code == 404
    assert (
        await Caller(harness, "A-9").http.put("/accounts/A-9", json={"version": 2, "name": "x"})
    ).status_code == 403


@pytest.mark.parametrize("accounts", [1, 200])
async def test_a_batch_of_master_data_takes_one_statement(harness: Harness, accounts: int) -> None:
    seen: list[int] = []
    handle = service.subscriptions[0].handler

    async def counted(batch: Any) -> None:
        before = statements(batch.connection)
        await handle(batch)
        seen.append(statements(batch.connection) - before)

    object.__setattr__(service.subscriptions[0], "handler", counted)
    try:
        await harness.play(*(account(f"A-{number}", version=5) for number in range(accounts)))
    finally:
        object.__setattr__(service.subscriptions[0], "handler", handle)
    assert seen == [1]


async def test_master_data_replayed_changes_nothing(harness: Harness) -> None:
    records = [harness.raw(account("A-7", version=version)) for version in (2, 1, 3)]
    await harness.consume(records)
    before = await harness.rows("select * from account order by 1")
    await harness.spoil("delete from position; delete from inbox")
    await harness.instance().consumer.consume(records)
    assert await harness.rows("select * from account order by 1") == before


HISTORY = (
    "kind, management_account, member_account, state, offered, accepted, refused, display_name, invoice_status,"
    " changed_at"
)
WITHOUT_CONSTRAINTS = """
do $$ declare found record; begin
    for found in select conrelid::regclass as owner, conname from pg_constraint
        where conrelid in ('relationship'::regclass, 'relationship_history'::regclass) and contype = 'c'
    loop execute format('alter table %s drop constraint %I', found.owner, found.conname); end loop;
end $$;
"""
SPOILED = [
    ("relationship-versions-gapless", "delete from relationship_history where version = 1"),
    ("relationship-versions-gapless", "update relationship set version = 5"),
    ("relationship-versions-gapless", "delete from relationship"),
    ("relationship-equals-its-history", "update relationship set accepted = offered"),
    (
        "relationship-live-once",
        f"""drop index relationship_live;
        insert into relationship (relationship_id, version, {HISTORY})
        select 'R-2', version, {HISTORY} from relationship""",
    ),
    (
        "relationship-accepts-only-what-is-offered",
        f"{WITHOUT_CONSTRAINTS} update relationship set accepted = accepted || 'manage-invoices'::text",
    ),
    (
        "relationship-accepts-only-what-is-offered",
        f"{WITHOUT_CONSTRAINTS} update relationship_history set refused = offered",
    ),
    ("relationship-over-stays-over", "update relationship_history set state = 'ended' where version = 1"),
]


@pytest.mark.parametrize(("check", "sql"), SPOILED, ids=[name for name, _ in SPOILED])
async def test_each_check_reports_spoiled_data(harness: Harness, check: str, sql: str) -> None:
    relationship_id = (await Caller(harness, "A-GROUP").invite(SYNC, VIEW)).json()["relationship_id"]
    await Caller(harness, "A-1").accept(relationship_id, SYNC)
    assert await findings(harness) == []
    await harness.spoil(sql)
    assert check in await findings(harness)


def test_every_check_is_spoiled_once() -> None:
    about_relationships = {
        name for check in service.checks if (name := check.name).startswith("relationship-")
    }
    assert about_relationships == {name for name, _ in SPOILED}


async def test_every_route_declares_a_policy_and_shows_examples(harness: Harness) -> None:
    app = harness.context.application()
    assert unprotected_routes(app, open_paths=OPEN_PATHS) == []
    schemas = app.openapi()["components"]["schemas"]
    for name in ("Invitation", "Answer", "Renaming", "Relationship", "ChangeView", "AccountBody", "Account"):
        assert schemas[name]["examples"], name


async def test_the_tables_are_what_the_migrations_make(harness: Harness) -> None:
    def differences(connection: Connection) -> list[Any]:
        own = set(METADATA.tables)

        def is_own(_: object, name: str | None, kind: str, *__: object) -> bool:
            return kind != "table" or name in own

        context = MigrationContext.configure(connection, opts={"include_object": is_own})
        return list(compare_metadata(context, METADATA))

    async with harness.connection() as connection:
        assert await connection.run_sync(differences) == []
