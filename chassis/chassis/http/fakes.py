"""A service without a database and tokens for it, for fast tests of routes."""

import json
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import uuid4

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fastapi import FastAPI
from pydantic import SecretStr

from chassis.database import Database
from chassis.http import Authenticator, KeySet, Readiness, Router, build_app
from chassis.settings import Settings
from chassis.work import CausedBy, UnitOfWork

NOW = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
LIFETIME = timedelta(hours=1)


class TokenIssuer:
    """An OpenID Connect issuer of one's own: makes a key, publishes it, mints tokens."""

    def __init__(
        self,
        key: Ed25519PrivateKey,
        *,
        key_id: str,
        issuer: str = "https://issuer.test",
        audience: str = "coffer",
    ) -> None:
        self._key = key
        self.key_id = key_id
        self.issuer = issuer
        self.audience = audience

    @classmethod
    def generate(cls, *, issuer: str = "https://issuer.test", audience: str = "coffer") -> "TokenIssuer":
        return cls(Ed25519PrivateKey.generate(), key_id=uuid4().hex, issuer=issuer, audience=audience)

    def key_set(self) -> dict[str, Any]:
        """The public key as a JWKS document."""
        public = jwt.algorithms.OKPAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        return {"keys": [{**public, "kid": self.key_id, "use": "sig", "alg": "EdDSA"}]}

    def key_set_json(self) -> bytes:
        return json.dumps(self.key_set()).encode()

    def mint(
        self,
        subject: str,
        *,
        roles: Iterable[str] = (),
        accounts: Iterable[str] = (),
        lifetime: timedelta = LIFETIME,
        issued_at: datetime | None = None,
        **claims: Any,
    ) -> str:
        """A signed token; further `claims` replace or add to the usual ones."""
        now = issued_at or datetime.now(UTC)
        usual = {
            "iss": self.issuer,
            "aud": self.audience,
            "sub": subject,
            "roles": sorted(roles),
            "accounts": sorted(accounts),
            "iat": now,
            "exp": now + lifetime,
            "auth_time": int(now.timestamp()),
        }
        return jwt.encode({**usual, **claims}, self._key, algorithm="EdDSA", headers={"kid": self.key_id})


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

    def now(self) -> datetime | None:
        return NOW

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
