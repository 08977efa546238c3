"""A service under test on a real PostgreSQL, without Kafka: records go through the very consumer code."""

import secrets
import tempfile
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from importlib.resources import files
from pathlib import Path
from typing import Any, Self, TypeVar
from uuid import uuid4

import asyncpg
import httpx
import jwt
from contracts.codec import decode
from contracts.event import EXTERNAL, Event
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis import migrations, tables
from chassis.bookkeeping import TopicPartition
from chassis.consumer import Consumer
from chassis.migrations import upgrade
from chassis.records import Headers, unpack_headers
from chassis.service import Service, ServiceContext

E = TypeVar("E", bound=Event)

ISSUER = "https://issuer.test"
AUDIENCE = "coffer"
ORDER_SYSTEM = "test/order-system"


@dataclass(frozen=True, slots=True)
class TestRecord:
    """A raw record as Kafka would deliver it."""

    __test__ = False

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers


class MemoryLog:
    """Stands in for Kafka's log bounds: everything ever appended is still there."""

    def __init__(self) -> None:
        self.ends: dict[TopicPartition, int] = {}
        self.begins_at: dict[TopicPartition, int] = {}
        self.sought: list[tuple[TopicPartition, int]] = []
        self.paused: set[TopicPartition] = set()

    def append(
        self, topic: str, key: bytes | None, value: bytes | None, headers: Headers, partition: int = 0
    ) -> Any:
        where = TopicPartition(topic, partition)
        offset = self.ends.get(where, 0)
        self.ends[where] = offset + 1
        return TestRecord(topic, partition, offset, int(time.time() * 1000), key, value, headers)

    def assigned(self) -> list[TopicPartition]:
        return list(self.ends)

    async def begins(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        return {partition: self.begins_at.get(partition, 0) for partition in partitions}

    async def bounds(self, partition: TopicPartition) -> tuple[int, int]:
        return self.begins_at.get(partition, 0), self.ends.get(partition, 0)

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self.sought.append((partition, offset))

    def pause(self, partition: TopicPartition) -> None:
        self.paused.add(partition)

    async def commit(self, next_offsets: dict[TopicPartition, int]) -> None:
        return


def _template_name(package: str) -> str:
    """Says by a digest which state of the migrations, the service's and the chassis', a database has."""
    digest = blake2b(digest_size=6)
    for file in sorted((Path(str(files(package))) / "migrations").rglob("*.py")):
        digest.update(file.read_bytes())
    digest.update(Path(tables.__file__).read_bytes() + Path(migrations.__file__).read_bytes())
    return f"test_{package}_{digest.hexdigest()}"


@dataclass(frozen=True, slots=True)
class Keys:
    """A throw-away issuer's key pair and its public key set."""

    private: ec.EllipticCurvePrivateKey
    key_set: str

    @classmethod
    def make(cls) -> Self:
        private = ec.generate_private_key(ec.SECP256R1())
        public = jwt.algorithms.ECAlgorithm.to_jwk(private.public_key())
        return cls(private, '{"keys": [' + public[:-1] + ', "kid": "test", "alg": "ES256", "use": "sig"}]}')


class Harness:
    """One service with a fresh database of its own; `play` publishes to it and returns what it emitted."""

    def __init__(self, service: Service, admin_dsn: str) -> None:
        self.service = service
        self.admin_dsn = admin_dsn
        self.now: datetime | None = None
        self.log = MemoryLog()
        self.keys = Keys.make()
        self.role = _template_name(service.package)
        self.database_name = f"{self.role}_{secrets.token_hex(4)}"
        self.context: ServiceContext

    async def __aenter__(self) -> Self:
        await self._make_template()
        owner = f"{self.role}_owner"
        await self._admin(f'create database "{self.database_name}" template "{self.role}" owner "{owner}"')
        self.context = self.instance()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.context.database.close()
        self._remove_key_file()
        await self._admin(f'drop database "{self.database_name}" with (force)')

    def _remove_key_file(self) -> None:
        Path(self.context.settings.oidc_jwks).unlink(missing_ok=True)

    async def _make_template(self) -> None:
        """Migrates one database per state of the migrations; every fresh one is a copy of it."""
        connection = await asyncpg.connect(self.admin_dsn)
        try:
            await connection.execute("select pg_advisory_lock(hashtext($1))", self.role)
            done = "select exists (select from pg_database where datname = $1 and datistemplate)"
            if await connection.fetchval(done, self.role):
                return
            await connection.execute(f'drop database if exists "{self.role}"')
            for role in (f"{self.role}_owner", self.role):
                if not await connection.fetchval(
                    "select exists (select from pg_roles where rolname = $1)", role
                ):
                    await connection.execute(f"create role \"{role}\" login password 'test'")
            await connection.execute(f'create database "{self.role}" owner "{self.role}_owner"')
            await upgrade(self.service.package, self.dsn(f"{self.role}_owner", self.role))
            await connection.execute(f'alter database "{self.role}" is_template true')
        finally:
            await connection.close()

    async def _admin(self, *statements: str) -> None:
        connection = await asyncpg.connect(self.admin_dsn)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    def dsn(self, role: str | None = None, database: str | None = None) -> str:
        """The address of the fresh database, or another, for a role; the application role by default."""
        scheme, rest = self.admin_dsn.split("://", 1)
        location = rest.rsplit("@", 1)[-1].split("/", 1)[0]
        return f"{scheme}://{role or self.role}:test@{location}/{database or self.database_name}"

    def instance(self) -> ServiceContext:
        """Another instance of the service on the same database, with a log of its own."""
        settings = self.service.settings(
            KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1",
            database_dsn=self.dsn(),
            oidc_issuer=ISSUER,
            oidc_audience=AUDIENCE,
            oidc_jwks=self._key_file(),
        )
        context = ServiceContext(self.service, settings, now=lambda: self.now)
        context.consumer = Consumer(
            self.service.name,
            context.database,
            self.service.subscriptions,
            self.log,
            context,
            now=lambda: self.now,
        )
        return context

    def _key_file(self) -> str:
        with tempfile.NamedTemporaryFile("w", suffix=".json", delete=False) as file:
            file.write(self.keys.key_set)
        return file.name

    def raw(
        self, event: Event, *, event_id: str | None = None, source: str | None = None, partition: int = 0
    ) -> Any:
        """The record that a producer of this event would have written."""
        contract = event.contract
        producer = contract.producers[0]
        own_source = ORDER_SYSTEM if producer == EXTERNAL else f"coffer/{producer}"
        headers = [
            ("ce_specversion", b"1.0"),
            ("ce_id", (event_id or str(uuid4())).encode()),
            ("ce_source", (source or own_source).encode()),
            ("ce_type", contract.type.encode()),
            ("ce_time", datetime.now(UTC).isoformat().encode()),
            ("content-type", b"application/json"),
        ]
        return self.log.append(contract.topic, event.key().encode(), event.to_json(), headers, partition)

    async def play(self, *events: Event) -> list[Event]:
        """Publishes events in order as one batch and returns everything that was emitted since."""
        return await self.consume([self.raw(event) for event in events])

    async def play_raw(
        self, topic: str, key: bytes | None, value: bytes | None, headers: Headers = ()
    ) -> list[Event]:
        return await self.consume([self.log.append(topic, key, value, headers)])

    async def consume(self, records: Sequence[Any]) -> list[Event]:
        """Hands raw records to the consumer as one batch."""
        await self.context.consumer.consume(records)
        return await self.drain()

    async def drain(self) -> list[Event]:
        """Takes the outbox as the relay would; dead letters are left out, they lie in their table."""
        async with self.connection() as connection:
            rows = await connection.exec_driver_sql(
                "with gone as (delete from outbox returning *) select topic, headers, body from gone order by id"
            )
            return [
                decode((dict(unpack_headers(row.headers))["ce_type"] or b"").decode(), row.body)
                for row in rows
                if not row.topic.endswith((".dead-letter", ".redrive"))
            ]

    async def fire_timers(self, at: datetime) -> list[Event]:
        """Fires everything due by `at`, as if that were now."""
        while await self.context.timers.fire_due(at):
            pass
        return await self.drain()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[AsyncConnection]:
        """A transaction of the application role."""
        async with self.context.database.transaction() as connection:
            yield connection

    async def rows(self, sql: str) -> list[dict[str, Any]]:
        async with self.connection() as connection:
            return [dict(row) for row in (await connection.exec_driver_sql(sql)).mappings()]

    async def spoil(self, sql: str) -> None:
        """Changes data behind the service's back, to see a check report it."""
        connection = await asyncpg.connect(self.dsn(f"{self.role}_owner"))
        try:
            await connection.execute(sql)
        finally:
            await connection.close()

    def token(self, roles: Iterable[str], accounts: Iterable[str] = (), subject: str = "tester") -> str:
        now = int(time.time())
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": subject,
            "roles": sorted(roles),
            "accounts": sorted(accounts),
            "iat": now,
            "auth_time": now,
            "exp": now + 600,
        }
        return jwt.encode(claims, self.keys.private, algorithm="ES256", headers={"kid": "test"})

    def client(
        self, roles: Iterable[str] = (), accounts: Iterable[str] = (), subject: str = "tester"
    ) -> httpx.AsyncClient:
        """An HTTP client on the service's application, with a token for these roles; without roles, no token."""
        roles = tuple(roles)
        headers = {"Authorization": f"Bearer {self.token(roles, accounts, subject)}"} if roles else {}
        transport = httpx.ASGITransport(app=self.context.application())
        return httpx.AsyncClient(transport=transport, base_url="http://service.test", headers=headers)


def only(events: Sequence[Event], kind: type[E]) -> list[E]:
    """The events of one kind, in order."""
    return [event for event in events if isinstance(event, kind)]
