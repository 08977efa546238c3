"""A service without a database and tokens for it, for fast tests of routes."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

import httpx
from fastapi import FastAPI
from pydantic import SecretStr

from chassis.database import Database
from chassis.http import Authenticator, KeySet, Readiness, Router, build_app
from chassis.http.tokens import TokenIssuer
from chassis.settings import Settings
from chassis.work import CausedBy, UnitOfWork

NOW = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
ISSUER = TokenIssuer.generate()


def settings(**values: Any) -> Settings:
    return Settings(database_dsn=SecretStr("postgresql://nobody@127.0.0.1:1/none"), **values)


class FakeReader:
    """Hands the endpoint a connection that must not be used, and counts the snapshots."""

    def __init__(self) -> None:
        self.opened = 0

    @asynccontextmanager
    async def reader(self) -> AsyncIterator[object]:
        self.opened += 1
        yield object()


@dataclass
class FakeContext:
    """Records what became of each transaction; `faults` are raised at the next commits."""

    name: str = "sample"
    settings: Settings = field(default_factory=settings)
    outcomes: list[str] = field(default_factory=list)
    causes: list[CausedBy] = field(default_factory=list)
    faults: list[Exception] = field(default_factory=list)
    checks: Sequence[Readiness] = ()
    snapshots: FakeReader = field(default_factory=FakeReader)

    @property
    def database(self) -> Database:
        return cast(Database, self.snapshots)

    @asynccontextmanager
    async def open_work(self, cause: CausedBy) -> AsyncIterator[UnitOfWork]:
        self.causes.append(cause)
        try:
            yield UnitOfWork(service=self.name, connection=cast(Any, None), now=NOW, cause=cause)
            if self.faults:
                raise self.faults.pop(0)
        except BaseException:
            self.outcomes.append("rolled back")
            raise
        self.outcomes.append("committed")

    async def readiness(self) -> Sequence[Readiness]:
        return self.checks


def authenticator(issuer: TokenIssuer = ISSUER) -> Authenticator:
    async def fetch(_: str) -> bytes:
        return issuer.key_set_json()

    return Authenticator(issuer.issuer, issuer.audience, KeySet("memory", fetch=fetch))


def application(context: FakeContext, *routers: Router) -> FastAPI:
    return build_app(context, routers, authenticator=authenticator())


def client(
    app: FastAPI, *roles: str, accounts: Sequence[str] = (), subject: str = "wang"
) -> httpx.AsyncClient:
    """A client with a token for these roles; without roles, without a token."""
    headers = {}
    if roles:
        headers["Authorization"] = f"Bearer {ISSUER.mint(subject, roles=roles, accounts=accounts)}"
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://sample.test", headers=headers)
