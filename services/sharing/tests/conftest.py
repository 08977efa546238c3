"""A management account with trustees on a real PostgreSQL, and people who act for accounts."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from chassis.invariants import run_checks
from chassis.testing import Harness, only
from contracts.master_data_changed import Account
from sharing.app import service

from contracts import MasterDataChanged, RelationshipEndAnswered, ResourceChanged, SharingChanged

NOW = datetime(2026, 3, 10, 8, 0, tzinfo=UTC)
RI = "reserved-instance"


class Person:
    """Somebody who acts for accounts over HTTP, with a new Idempotency-Key for each command."""

    def __init__(self, harness: Harness, accounts: Sequence[str], roles: Sequence[str]) -> None:
        self.http = harness.client(roles=roles, accounts=accounts, subject=f"user of {' '.join(accounts)}")

    async def post(self, path: str, body: Any = None, **options: Any) -> httpx.Response:
        headers = {"Idempotency-Key": uuid4().hex, **options.pop("headers", {})}
        if body is not None:
            options["json"] = body
        return await self.http.post(path, headers=headers, **options)

    async def get(self, path: str, **query: Any) -> Any:
        found = await self.http.get(
            path, params={name: value for name, value in query.items() if value is not None}
        )
        assert found.status_code == 200, found.text
        return found.json()


class TickingHarness(Harness):
    """Time goes on by a millisecond whenever anybody asks for it."""

    _now: datetime | None = None

    @property
    def now(self) -> datetime | None:
        if self._now is not None:
            self._now += timedelta(milliseconds=1)
        return self._now

    @now.setter
    def now(self, moment: datetime | None) -> None:
        self._now = moment


@dataclass
class Town:
    """Accounts M and S1, S2 ..., and what is done with them."""

    harness: Harness

    def person(self, *accounts: str, roles: Sequence[str] = ("account-user",)) -> Person:
        return Person(self.harness, accounts, roles)

    @property
    def management(self) -> Person:
        return self.person("M")

    @property
    def now(self) -> datetime:
        assert self.harness.now is not None
        return self.harness.now

    async def accounts(self, *names: str) -> None:
        for start in range(0, len(names), 500):
            await self.harness.play(*(_account(name) for name in names[start : start + 500]))

    async def relate(self, member: str, kind: str, *permissions: str, management: str = "M") -> str:
        """A relationship that the member has accepted with these permissions; returns its id."""
        invitation = {
            "kind": kind,
            "management_account": management,
            "member_account": member,
            "permissions": permissions,
        }
        invited = await self.person(management).post("/relationships", invitation)
        relationship_id: str = invited.json()["relationship_id"]
        accepted = await self.accept(member, relationship_id, *permissions)
        assert accepted.status_code == 200, accepted.text
        return relationship_id

    async def accept(self, member: str, relationship_id: str, *permissions: str) -> httpx.Response:
        path = f"/relationships/{relationship_id}/accept"
        return await self.person(member).post(path, {"permissions": permissions})

    async def trustees(self, *members: str) -> list[str]:
        return [await self.relate(member, "trusteeship") for member in members]

    async def answer_end(
        self, asked: dict[str, Any], answered_by: str, outcome: str = "agreed", **others: Any
    ) -> None:
        """What fund-pool or credit says to a request to end."""
        answer: Any = RelationshipEndAnswered(
            request_id=asked["request_id"],
            relationship_id=asked["relationship_id"],
            relationship_version=asked["version"],
            management_account="M",
            member_account=asked["member_account"],
            answered_by=answered_by,  # type: ignore[arg-type]  # one of the two
            outcome=outcome,  # type: ignore[arg-type]  # one of the two
            answered_at=self.now,
            **others,
        )
        await self.harness.context.consumer.consume(
            [self.harness.raw(answer, source=f"coffer/{answered_by}")]
        )

    async def end(self, member: str, relationship_id: str) -> dict[str, Any]:
        """Asks for the end; returns what the answers need to know."""
        asked = (await self.person(member).post(f"/relationships/{relationship_id}/end")).json()
        return {**asked, "request_id": asked["ending"]}

    async def change(self, change: str, **details: Any) -> Any:
        changed = await self.management.post(
            "/accounts/M/sharing/changes", {"change": {"change": change, **details}}
        )
        assert changed.status_code == 200, changed.text
        return changed.json()

    async def refused(self, change: str, **details: Any) -> Any:
        answer = await self.management.post(
            "/accounts/M/sharing/changes", {"change": {"change": change, **details}}
        )
        assert answer.status_code >= 400
        return answer.json()

    async def resources(self, *names: str, owner: str = "M", **others: Any) -> None:
        for start in range(0, len(names), 500):
            await self.harness.play(
                *(resource(name, owner=owner, **others) for name in names[start : start + 500])
            )
        await self.fire()

    async def fire(self, at: datetime | None = None) -> list[SharingChanged]:
        return only(await self.harness.fire_timers(at or self.now), SharingChanged)

    async def told(self) -> list[tuple[str, str, str]]:
        """What billing systems have been told since: account, resource, gained or lost."""
        await self.harness.context.timers.fire_due(self.now)
        events = only(await self.harness.drain(), SharingChanged)
        return [(event.member_account, event.resource_id, event.change) for event in events]

    async def reason(self, account: str, name: str, at: datetime | None = None) -> str:
        path = f"/accounts/{account}/resources/{name}/decision"
        reason: str = (await self.person(account).get(path, at=at and at.isoformat()))["reason"]
        return reason

    async def broken(self) -> list[str]:
        found = await run_checks(self.harness.context.database, service.checks)
        return [finding.check.name for finding in found if not finding.holds]


def _account(name: str) -> MasterDataChanged:
    record = Account(kind="account", name=f"Name of {name}", customer="C-1", settlement_organisation="ORG-1")
    return MasterDataChanged(id=name, version=1, changed_at=NOW, record=record)


def resource(name: str, **others: Any) -> ResourceChanged:
    values = {
        "resource_id": name,
        "version": 1,
        "owner": "M",
        "resource_type": RI,
        "name": f"Name of {name}",
        "valid_from": datetime(2026, 1, 1, tzinfo=UTC),
        "changed_at": NOW,
    }
    return ResourceChanged(**{**values, **others})


@pytest.fixture
async def town(postgres_dsn: str) -> AsyncIterator[Town]:
    async with TickingHarness(service, postgres_dsn) as harness:
        harness.now = NOW
        made = Town(harness)
        await made.accounts("M", "S1", "S2", "S3")
        yield made
