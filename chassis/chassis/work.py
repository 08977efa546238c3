"""One transaction's work: what a handler, a timer or a command reads, emits and schedules."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha1
from typing import Any, Final, Generic, Protocol, TypeVar
from uuid import UUID

import orjson
from contracts.event import Contract, Event
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.arrays import Columns
from chassis.errors import Refused
from chassis.records import EVENT_BYTES_MAX, SPECVERSION, Record

EVENT_NAMESPACE: Final = UUID("6f9d7a52-5a51-4d3c-9a2e-0c1c3f1f7c11")
EVENT_NAMESPACE_BYTES: Final = EVENT_NAMESPACE.bytes
CONTENT_TYPE: Final = "application/json"
ID_TO_COME: Final = "\x7f"
"""Stands where an event's id will; nothing before it in the headers has this character."""

E = TypeVar("E", bound=Event)


def derived_id(source: str, cause_id: str, event_type: str, index: int) -> str:
    """UUIDv5 (RFC 9562) of cause, type and index; made by hand because each event needs one."""
    name = f"{source}\n{cause_id}\n{event_type}\n{index}".encode()
    return _uuid5(sha1(EVENT_NAMESPACE_BYTES + name, usedforsecurity=False).digest())


def derived_ids(source: str, cause_id: str, event_type: str, indexes: Iterable[int]) -> Iterator[str]:
    """The same for many indexes: what they have in common is hashed once."""
    common = sha1(EVENT_NAMESPACE_BYTES, usedforsecurity=False)
    common.update(f"{source}\n{cause_id}\n{event_type}\n".encode())
    for index in indexes:
        name = common.copy()
        name.update(b"%d" % index)
        yield _uuid5(name.digest())


def _uuid5(sha1_digest: bytes) -> str:
    digest = bytearray(sha1_digest[:16])
    digest[6] = digest[6] & 0x0F | 0x50
    digest[8] = digest[8] & 0x3F | 0x80
    text = digest.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _require_size(contract: Contract, body_bytes: int) -> None:
    if body_bytes > EVENT_BYTES_MAX:
        raise Refused(
            "too-large", f"{contract.type} would have {body_bytes} bytes; at most {EVENT_BYTES_MAX} go out"
        )


def _as_stored(text: str) -> str:
    """Header text as the outbox keeps it: a character for each byte of its UTF-8."""
    return text if text.isascii() else text.encode().decode("latin-1")


class CausedBy(Protocol):
    """What an emitted event names as its cause: a record, a timer or a command."""

    @property
    def source(self) -> str: ...
    @property
    def id(self) -> str: ...
    @property
    def correlation_id(self) -> str: ...
    @property
    def traceparent(self) -> str | None: ...


@dataclass(frozen=True, slots=True)
class Cause:
    """A command over HTTP, or whatever else has an id and no record."""

    source: str
    id: str
    correlation_id: str
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class Timer:
    """A due timer; as a cause its id is (kind, key, due time)."""

    kind: str
    key: str
    due_at: datetime
    source: str
    correlation_id: str
    traceparent: str | None = None
    attempts: int = 0

    @property
    def id(self) -> str:
        return f"{self.kind}/{self.key}/{self.due_at.astimezone(UTC).isoformat()}"


@dataclass(slots=True)
class OutboxRow:
    """One message to publish; headers are packed."""

    topic: str
    key: bytes | None
    headers: bytes
    body: bytes | None


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record that could not be applied, kept with its bytes, coordinates, reason and attempts."""

    record: Any
    reason: str
    detail: str
    attempts: int
    event_source: str | None = None
    event_id: str | None = None


@dataclass(slots=True)
class UnitOfWork:
    """What happens inside one transaction and goes out with its commit.

    `now` is the database's clock, read once. Nothing is written until `flush`, which runs at most three
    statements however much was emitted.
    """

    service: str
    connection: AsyncConnection
    now: datetime
    cause: CausedBy | None = None
    outbox: list[OutboxRow] = field(default_factory=list)
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    _timers_set: dict[tuple[str, str], tuple[datetime, CausedBy]] = field(default_factory=dict)
    _timers_cancelled: set[tuple[str, str]] = field(default_factory=set)
    _emitted: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    _fixed_headers: list[tuple[str, str]] = field(default_factory=list)

    def emit(self, event: Event, cause: CausedBy | None = None) -> str:
        """Publishes an event with this transaction; returns its id, UUIDv5 of (cause, type, index).

        Errors: Refused `too-large` when the event has more than 4 MiB.
        """
        because = self._because(cause)
        contract = event.contract
        body = event.to_json()
        _require_size(contract, len(body))
        counter = (because.source, because.id, contract.type)
        index = self._emitted[counter]
        self._emitted[counter] = index + 1
        event_id = derived_id(because.source, because.id, contract.type, index)
        headers = self._headers(event_id, contract.type, because)
        self.outbox.append(OutboxRow(contract.topic, event.key().encode(), headers, body))
        return event_id

    def emit_all(self, events: Sequence[Event], cause: CausedBy | None = None) -> None:
        """Publishes many events of one type, each as `emit` does; what they have in common is made once.

        Errors: Refused `too-large` when one of them has more than 4 MiB.
        """
        if not events:
            return
        because = self._because(cause)
        contract = events[0].contract
        counter = (because.source, because.id, contract.type)
        first = self._emitted[counter]
        self._emitted[counter] = first + len(events)
        indexes = range(first, first + len(events))
        ids = derived_ids(because.source, because.id, contract.type, indexes)
        packed = self._headers(ID_TO_COME, contract.type, because).partition(ID_TO_COME.encode())
        to_json, key_name = contract.adapter.serializer.to_json, contract.key
        for event, event_id in zip(events, ids, strict=True):
            body = to_json(event, exclude_none=True)
            headers = packed[0] + event_id.encode() + packed[2]
            key = str(getattr(event, key_name)).encode()
            self.outbox.append(OutboxRow(contract.topic, key, headers, body))
            _require_size(contract, len(body))

    def _headers(self, event_id: str, event_type: str, because: CausedBy) -> bytes:
        """The CloudEvents headers, packed as `pack_headers` packs any."""
        if not self._fixed_headers:
            self._fixed_headers = [
                ("ce_specversion", SPECVERSION),
                ("ce_source", f"coffer/{self.service}"),
                ("ce_time", self.now.isoformat()),
                ("content-type", CONTENT_TYPE),
            ]
        headers = [
            *self._fixed_headers,
            ("ce_id", event_id),
            ("ce_type", event_type),
            ("correlation_id", _as_stored(because.correlation_id)),
            ("causation_id", _as_stored(because.id)),
        ]
        if because.traceparent:
            headers.append(("traceparent", _as_stored(because.traceparent)))
        return orjson.dumps(headers)

    def _because(self, cause: CausedBy | None) -> CausedBy:
        because = cause or self.cause
        assert because is not None, "an event outside a command names its cause"
        return because

    def set_timer(self, kind: str, key: str, due_at: datetime, cause: CausedBy | None = None) -> None:
        """Fires `kind` for `key` at `due_at`; one timer per (kind, key), the last call wins."""
        self._timers_cancelled.discard((kind, key))
        self._timers_set[kind, key] = (due_at, self._because(cause))

    def cancel_timer(self, kind: str, key: str) -> None:
        """Takes a timer back; one that is firing at this moment must see the changed state itself."""
        self._timers_set.pop((kind, key), None)
        self._timers_cancelled.add((kind, key))

    def count(self, decision: str, outcome: str) -> None:
        """Counts a decision in the metrics, once this transaction has committed."""
        self.counts[decision, outcome] += 1

    async def flush(self) -> None:
        """Writes what was scheduled and emitted."""
        await self.flush_timers()
        await self.flush_outbox()

    async def flush_outbox(self) -> None:
        """Writes what was emitted so far, so that a long command holds little of it in memory."""
        await insert_outbox(self.connection, self.outbox)
        self.outbox.clear()

    async def flush_timers(self) -> None:
        if self._timers_cancelled:
            await _cancel_timers(self.connection, sorted(self._timers_cancelled))
        if self._timers_set:
            await _set_timers(self.connection, self._timers_set)


@dataclass(slots=True)
class Batch(UnitOfWork, Generic[E]):
    """The records of one batch that one handler is to apply, in log order."""

    records: Sequence[Record[E]] = ()
    dead_letters: list[DeadLetter] = field(default_factory=list)

    def __iter__(self) -> Iterator[Record[E]]:
        return iter(self.records)

    def __len__(self) -> int:
        return len(self.records)

    def dead_letter(self, record: Record[Any], reason: str, detail: str) -> None:
        """Refuses a record that has no other answer, with a stable reason and a sentence."""
        self.dead_letters.append(DeadLetter(record.raw, reason, detail, 1, record.source, record.id))


@dataclass(slots=True)
class TimerBatch(UnitOfWork):
    """The due timers of one kind, in due order."""

    timers: Sequence[Timer] = ()

    def __iter__(self) -> Iterator[Timer]:
        return iter(self.timers)


async def insert_outbox(connection: AsyncConnection, rows: Sequence[OutboxRow]) -> None:
    if not rows:
        return
    await connection.execute(INSERT_OUTBOX, outbox_parameters(rows))


OUTBOX: Final = Columns(topics="text", keys="bytea", headers="bytea", bodies="bytea")
INSERT_OUTBOX: Final = text(
    f"""
    insert into outbox (topic, key, headers, body)
    select topic, key, headers, body
    from unnest({OUTBOX.sql})
        with ordinality as o (topic, key, headers, body, ordinal)
    order by ordinal
    """
)


def outbox_parameters(rows: Sequence[OutboxRow]) -> dict[str, Any]:
    return OUTBOX.parameters((row.topic, row.key, row.headers, row.body) for row in rows)


TIMERS: Final = Columns(
    timer_kinds="text", timer_keys="text", due="timestamptz", correlations="text", traces="text"
)
SET_TIMERS: Final = text(
    f"""
    insert into timer (kind, key, due_at, correlation_id, traceparent)
    select * from unnest({TIMERS.sql})
    on conflict (kind, key) do update
    set due_at = excluded.due_at, correlation_id = excluded.correlation_id,
        traceparent = excluded.traceparent, attempts = 0
    """
)


async def _set_timers(
    connection: AsyncConnection, timers: dict[tuple[str, str], tuple[datetime, CausedBy]]
) -> None:
    rows = [
        (kind, key, due_at, cause.correlation_id, cause.traceparent)
        for (kind, key), (due_at, cause) in sorted(timers.items(), key=_timer_place)
    ]
    await connection.execute(SET_TIMERS, TIMERS.parameters(rows))


def _timer_place(timer: tuple[tuple[str, str], object]) -> tuple[str, str]:
    return timer[0]


async def _cancel_timers(connection: AsyncConnection, timers: Sequence[tuple[str, str]]) -> None:
    """Skips a locked timer: it is firing, and its handler waits for the very rows that are locked here."""
    await connection.execute(
        text(
            """
            delete from timer where (kind, key) in (
                select kind, key from timer
                where (kind, key) in (select * from unnest(cast(:kinds as text[]), cast(:keys as text[])))
                order by kind, key
                for update skip locked)
            """
        ),
        {"kinds": [kind for kind, _ in timers], "keys": [key for _, key in timers]},
    )


class Committed(Protocol):
    """What is told of a commit: the relay is woken, decisions are counted."""

    def committed(self, work: UnitOfWork) -> None: ...
