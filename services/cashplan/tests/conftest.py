"""What cashplan's tests on a real database share: a harness with a group that plans by month, and its documents."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

import httpx
import pytest
from cashplan.app import service
from chassis.invariants import run_checks
from chassis.testing import Harness
from contracts.document_posted import Attribute, DocumentLine, Upstream
from contracts.event import Event
from contracts.money import Money

from contracts import DocumentPosted

OCTOBER = datetime(2026, 10, 20, 8, tzinfo=UTC)
PEOPLE = {
    "ada": ("administrator", None),
    "max": ("node-manager", "G"),
    "paul-a": ("preparer", "A"),
    "paul-b": ("preparer", "B"),
    "paul-c": ("preparer", "C"),
}


@dataclass
class Group:
    """A group G with a division D above A and B, and C beside it, that plans November 2026 by weeks."""

    harness: Harness
    system: str = "GROUP"
    filing_type: str = "month-plan"
    keys: int = 0
    transport: httpx.ASGITransport | None = None
    emitted: list[Event] = field(default_factory=list)

    def client(self, subject: str) -> httpx.AsyncClient:
        """A person's client; the application is put together once."""
        if self.transport is None:
            self.transport = httpx.ASGITransport(app=self.harness.context.application())
        role = "plan-administrator" if subject == "ada" else "planner"
        headers = {"Authorization": f"Bearer {self.harness.token([role], subject=subject)}"}
        return httpx.AsyncClient(transport=self.transport, base_url="http://service.test", headers=headers)

    async def ask(
        self, subject: str, method: str, path: str, body: Any = None, expect: int | None = None, **extra: Any
    ) -> Any:
        """Sends a request as a person; the answer's JSON, once its status is what was expected."""
        self.keys += 1
        headers = {"Idempotency-Key": f"key-{self.keys}"}
        answer = await self.client(subject).request(method, path, json=body, headers=headers, **extra)
        wanted = expect if expect is not None else (200, 201)
        assert answer.status_code in (wanted if isinstance(wanted, tuple) else (wanted,)), answer.text
        self.emitted += await self.harness.drain()
        is_json = answer.headers.get("content-type", "").endswith("json")
        return answer.json() if is_json else answer.content

    def path(self, rest: str) -> str:
        return f"/planning-systems/{self.system}/{rest}"

    async def set_up(self, sample: str = "monthly-with-weeks", **changes: Any) -> None:
        body = {"sample": sample, "responsible_body": "G"}
        await self.ask("ada", "POST", self.path("from-sample"), body)
        entities = [
            {"id": "G", "name": "Group"},
            {"id": "D", "name": "Division", "parent": "G"},
            {"id": "A", "name": "Alpha", "parent": "D"},
            {"id": "B", "name": "Beta", "parent": "D"},
            {"id": "C", "name": "Gamma", "parent": "G"},
        ]
        await self.ask("ada", "PUT", self.path("entities"), entities)
        roles = [
            {"subject": subject, "role": role, **({"entity": entity} if entity else {})}
            for subject, (role, entity) in PEOPLE.items()
        ]
        await self.ask("ada", "PUT", self.path("roles"), roles)
        for kind, change in changes.items():
            path = self.path(kind.replace("_", "-"))
            await self.ask("ada", "PUT", path, change(await self.ask("ada", "GET", path)))

    async def open_round(self, first_day: str = "2026-11-01", **others: Any) -> dict[str, Any]:
        body = {
            "filing_type": self.filing_type,
            "first_day": first_day,
            "starts_at": "2026-10-01T00:00:00Z",
            "ends_at": "2026-12-31T00:00:00Z",
            "cut_off": "2026-10-28T10:00:00Z",
            "rates_on": "2026-10-20",
            "entities": ["A", "B", "C"],
            **others,
        }
        round_: dict[str, Any] = await self.ask("ada", "POST", self.path("rounds"), body)
        lines = (await self.ask("max", "GET", self.path(f"rounds/{round_['round_id']}/progress")))["lines"]
        return {**round_, "filings": {line["entity"]: line["filing_id"] for line in lines}}

    async def fill(self, filing_id: str, cells: dict[tuple[str, str], str], details: Any = None) -> Any:
        grid = await self.ask("max", "GET", f"/filings/{filing_id}/grid")
        body = {
            "version": grid["version"],
            "cells": [
                {"sheet": "main", "item": item, "period": period, "currency": "CNY", "amount": amount}
                for (item, period), amount in cells.items()
            ],
            "details": details or {},
        }
        return await self.ask(f"paul-{grid['entity'].lower()}", "PATCH", f"/filings/{filing_id}/grid", body)

    async def file(self, filing_id: str, cells: dict[tuple[str, str], str], details: Any = None) -> Any:
        """Fills in, submits and approves a filing."""
        await self.fill(filing_id, cells, details)
        entity = (await self.ask("max", "GET", f"/filings/{filing_id}/grid"))["entity"].lower()
        await self.ask(f"paul-{entity}", "POST", f"/filings/{filing_id}/submit")
        return await self.ask("max", "POST", f"/filings/{filing_id}/approve")

    async def findings(self) -> list[str]:
        found = await run_checks(self.harness.context.database, service.checks)
        return [finding.check.name for finding in found if not finding.holds]


@pytest.fixture
async def group(postgres_dsn: str) -> AsyncIterator[Group]:
    async with Harness(service, postgres_dsn) as running:
        running.now = OCTOBER
        yield Group(running)


def document(
    kind: str,
    document_id: str,
    amount: str,
    day: date,
    *,
    revision: int = 1,
    operation: str = "submit",
    stance: str = "fact",
    entity: str = "A",
    item: str | None = "wages",
    settles: str | None = None,
    upstream: list[Upstream] | None = None,
    currency: str = "CNY",
    **others: Any,
) -> DocumentPosted:
    """A document of one line, as an ERP posts it."""
    if settles is not None:
        upstream = [Upstream(document_type="payment-request", document_id=settles)]
    line = DocumentLine(
        line_id="1",
        amount=Money(amount, currency),
        upstream=upstream,
        attributes=[Attribute(name="project", value="P-1")],
    )
    return DocumentPosted(
        source="erp",
        document_type=kind,  # type: ignore[arg-type]
        document_id=document_id,
        document_revision=revision,
        operation=operation,  # type: ignore[arg-type]
        stance=stance,  # type: ignore[arg-type]
        party=entity,
        currency=currency,
        document_date=day,
        plan_item=item,
        lines=[line],
        total=Money(amount, currency),
        posted_at=OCTOBER,
        **others,
    )


@pytest.fixture
def post() -> Any:
    return document
