"""SQL of the chassis: positions, inbox, dead letters, gaps, timers, pruning."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID, uuid5

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.arrays import Columns
from chassis.records import Record, pack_headers
from chassis.work import EVENT_NAMESPACE, INSERT_OUTBOX, DeadLetter, OutboxRow, Timer, outbox_parameters

PRUNE_ROWS_MAX: Final = 5_000
BATCH_SECONDS_MAX: Final = 15
"""A process that stands still gives up its locks by then, whatever it was in the middle of."""


class TopicPartition(NamedTuple):
    topic: str
    partition: int


@dataclass(frozen=True, slots=True)
class Admission:
    """What the first statement of a batch says: positions under lock, the records seen before, and the time."""

    positions: dict[TopicPartition, int]
    seen: frozenset[tuple[str, str]]
    now: datetime


RECORDS: Final = Columns(sources="text", ids="text", hashes="bytea")
ADMIT: Final = text(
    f"""
    with bound as materialized (select set_config('transaction_timeout', '{BATCH_SECONDS_MAX}s', true)),
    held as materialized (
        select topic, partition, next_offset from position
        where (topic, partition) in (select * from unnest(cast(:topics as text[]), cast(:partitions as int[])))
        order by topic, partition
        for update),
    given as materialized (select * from unnest({RECORDS.sql}) as r (source, id, hash)),
    fresh as (
        insert into inbox (source, id, hash, received_at)
        select source, id, hash, clock_timestamp() from given
        where (select count(*) from held) >= 0
        order by source, id
        on conflict do nothing
        returning source, id)
    select topic, cast(partition as bigint), next_offset, cast(null as text), cast(null as text), clock_timestamp()
    from held, bound
    union all
    select null, null, null, source, id, null from given where (source, id) not in (select source, id from fresh)
    """
)


async def admit(
    connection: AsyncConnection, partitions: Sequence[TopicPartition], records: Sequence[Record[Any]]
) -> Admission:
    """Locks the partitions' positions and enters the records in the inbox, in one statement."""
    rows = await connection.execute(
        ADMIT,
        {
            "topics": [partition.topic for partition in partitions],
            "partitions": [partition.partition for partition in partitions],
            **RECORDS.parameters((record.source, record.id, record.hash) for record in records),
        },
    )
    positions: dict[TopicPartition, int] = {}
    seen: set[tuple[str, str]] = set()
    now: datetime | None = None
    for topic, partition, next_offset, source, event_id, moment in rows:
        if topic is None:
            seen.add((source, event_id))
        else:
            positions[TopicPartition(topic, partition)] = next_offset
            now = moment
    assert now is not None, "a batch has at least one partition with a position"
    return Admission(positions, frozenset(seen), now)


async def inbox_hashes(
    connection: AsyncConnection, keys: Collection[tuple[str, str]]
) -> dict[tuple[str, str], bytes]:
    """The payload hashes under which these (source, id) were first applied."""
    rows = await connection.execute(
        text(
            """
            select source, id, hash from inbox
            where (source, id) in (select * from unnest(cast(:sources as text[]), cast(:ids as text[])))
            """
        ),
        {"sources": [source for source, _ in keys], "ids": [event_id for _, event_id in keys]},
    )
    return {(source, event_id): digest for source, event_id, digest in rows}


async def forget(connection: AsyncConnection, keys: Collection[tuple[str, str]]) -> None:
    """Takes records out of the inbox: a dead-lettered one leaves no row, so that its redrive is applied."""
    await connection.execute(
        text(
            """
            delete from inbox
            where (source, id) in (select * from unnest(cast(:sources as text[]), cast(:ids as text[])))
            """
        ),
        {"sources": [source for source, _ in keys], "ids": [event_id for _, event_id in keys]},
    )


FINISH: Final = text(
    f"""
    with moved as (
        update position p set next_offset = n.next_offset
        from unnest(cast(:moved_topics as text[]), cast(:moved_partitions as int[]), cast(:next_offsets as bigint[]))
            as n (topic, partition, next_offset)
        where p.topic = n.topic and p.partition = n.partition)
    {INSERT_OUTBOX.text}
    """
)


async def finish(
    connection: AsyncConnection, next_offsets: Mapping[TopicPartition, int], outbox: Sequence[OutboxRow]
) -> None:
    """Moves the positions and writes the outbox, in one statement."""
    await connection.execute(
        FINISH,
        {
            "moved_topics": [partition.topic for partition in next_offsets],
            "moved_partitions": [partition.partition for partition in next_offsets],
            "next_offsets": list(next_offsets.values()),
            **outbox_parameters(outbox),
        },
    )


async def ensure_positions(
    connection: AsyncConnection, begin_offsets: Mapping[TopicPartition, int]
) -> dict[TopicPartition, int]:
    """The stored positions; a partition never seen starts where its log begins."""
    ordered = sorted(begin_offsets.items())
    await connection.execute(
        text(
            """
            insert into position (topic, partition, next_offset)
            select * from unnest(cast(:topics as text[]), cast(:partitions as int[]), cast(:begins as bigint[]))
            on conflict do nothing
            """
        ),
        {
            "topics": [partition.topic for partition, _ in ordered],
            "partitions": [partition.partition for partition, _ in ordered],
            "begins": [begin for _, begin in ordered],
        },
    )
    return await stored_positions(connection, list(begin_offsets))


async def stored_positions(
    connection: AsyncConnection, partitions: Sequence[TopicPartition]
) -> dict[TopicPartition, int]:
    rows = await connection.execute(
        text(
            """
            select topic, partition, next_offset from position
            where (topic, partition) in (select * from unnest(cast(:topics as text[]), cast(:partitions as int[])))
            """
        ),
        {
            "topics": [partition.topic for partition in partitions],
            "partitions": [partition.partition for partition in partitions],
        },
    )
    return {TopicPartition(topic, partition): offset for topic, partition, offset in rows}


async def insert_dead_letters(
    connection: AsyncConnection, service: str, dead_letters: Sequence[DeadLetter]
) -> list[OutboxRow]:
    """Stores dead letters, each coordinate once; returns the messages for the dead-letter topic."""
    return [
        _dead_letter_message(service, dead_letter)
        for dead_letter in dead_letters
        if await _insert_dead_letter(connection, dead_letter)
    ]


def dead_letter_id(record: Any) -> UUID:
    """The same record always has the same dead letter; a recreated topic's record has another timestamp."""
    return uuid5(EVENT_NAMESPACE, f"{record.topic}/{record.partition}/{record.offset}/{record.timestamp}")


async def _insert_dead_letter(connection: AsyncConnection, dead_letter: DeadLetter) -> bool:
    record = dead_letter.record
    result = await connection.execute(
        text(
            """
            insert into dead_letter (id, topic, partition, "offset", timestamp_ms, key, value, headers, reason,
                                     detail, attempts, event_source, event_id, redrive_of)
            values (:id, :topic, :partition, :offset, :timestamp_ms, :key, :value, :headers, :reason,
                    :detail, :attempts, :event_source, :event_id, :redrive_of)
            on conflict (id) do nothing
            """
        ),
        {
            "id": dead_letter_id(record),
            "topic": record.topic,
            "partition": record.partition,
            "offset": record.offset,
            "timestamp_ms": record.timestamp,
            "key": record.key,
            "value": record.value,
            "headers": pack_headers(record.headers),
            "reason": dead_letter.reason,
            "detail": dead_letter.detail.replace("\x00", "\\0")[:2000],
            "attempts": dead_letter.attempts,
            "event_source": dead_letter.event_source,
            "event_id": dead_letter.event_id,
            "redrive_of": redrive_of(record),
        },
    )
    return result.rowcount == 1


def redrive_of(record: Any) -> UUID | None:
    """The dead letter that a redriven record repeats."""
    for name, value in record.headers:
        if name == "redrive_of" and value:
            try:
                return UUID(value.decode())
            except ValueError:
                return None
    return None


def _dead_letter_message(service: str, dead_letter: DeadLetter) -> OutboxRow:
    record = dead_letter.record
    about = {
        "dead_letter_id": str(dead_letter_id(record)),
        "dead_letter_reason": dead_letter.reason,
        "dead_letter_detail": dead_letter.detail[:1000],
        "dead_letter_topic": record.topic,
        "dead_letter_partition": str(record.partition),
        "dead_letter_offset": str(record.offset),
        "dead_letter_attempts": str(dead_letter.attempts),
        "dead_letter_service": service,
    }
    headers = [*record.headers, *((name, value.encode()) for name, value in about.items())]
    return OutboxRow(f"{service}.dead-letter", record.key, pack_headers(headers), record.value)


async def dead_letter(connection: AsyncConnection, dead_letter_id: UUID) -> Row[Any] | None:
    rows = await connection.execute(
        text("select * from dead_letter where id = :id for update"), {"id": dead_letter_id}
    )
    return rows.one_or_none()


async def mark_redriven(connection: AsyncConnection, dead_letter_id: UUID, by: str) -> None:
    await connection.execute(
        text("update dead_letter set redriven_at = clock_timestamp(), redriven_by = :by where id = :id"),
        {"id": dead_letter_id, "by": by},
    )


async def dead_letters(connection: AsyncConnection, limit: int) -> Sequence[Row[Any]]:
    rows = await connection.execute(
        text(
            """
            select id, topic, partition, "offset", reason, detail, attempts, recorded_at, redriven_at, redriven_by
            from dead_letter order by recorded_at desc, id limit :limit
            """
        ),
        {"limit": limit},
    )
    return rows.all()


async def record_gap(
    connection: AsyncConnection, partition: TopicPartition, kind: str, expected: int, begin: int, end: int
) -> bool:
    """Records that offsets from `expected` on are gone; False when this gap is open already."""
    result = await connection.execute(
        text(
            """
            insert into gap (topic, partition, kind, expected_offset, log_begin, log_end)
            values (:topic, :partition, :kind, :expected, :begin, :end)
            on conflict (topic, partition) where accepted_at is null do nothing
            """
        ),
        {**partition._asdict(), "kind": kind, "expected": expected, "begin": begin, "end": end},
    )
    return result.rowcount == 1


async def open_gaps(connection: AsyncConnection) -> Sequence[Row[Any]]:
    rows = await connection.execute(
        text(
            """
            select topic, partition, kind, expected_offset, log_begin, log_end, detected_at
            from gap where accepted_at is null order by topic, partition
            """
        )
    )
    return rows.all()


async def accept_gap(connection: AsyncConnection, partition: TopicPartition, by: str) -> bool:
    """Lets a partition go on where its log began when the gap was seen; False when it has no open gap."""
    rows = await connection.execute(
        text(
            """
            with accepted as (
                update gap set accepted_at = clock_timestamp(), accepted_by = :by
                where topic = :topic and partition = :partition and accepted_at is null
                returning topic, partition, log_begin)
            update position p set next_offset = accepted.log_begin
            from accepted where p.topic = accepted.topic and p.partition = accepted.partition
            returning p.topic
            """
        ),
        {**partition._asdict(), "by": by},
    )
    return rows.one_or_none() is not None


async def due_timers(
    connection: AsyncConnection, source: str, limit: int, at: datetime | None
) -> tuple[datetime, list[Timer]]:
    """The time and the timers due by then, locked, in due order; those that another instance fires are skipped."""
    now = at or (await connection.execute(text("select clock_timestamp()"))).scalar_one()
    rows = await connection.execute(
        text(
            """
            select kind, key, due_at, correlation_id, traceparent, attempts from timer
            where due_at <= :now order by due_at, kind, key limit :limit for update skip locked
            """
        ),
        {"now": now, "limit": limit},
    )
    return now, [
        Timer(kind, key, due_at, source, correlation_id, traceparent, attempts)
        for kind, key, due_at, correlation_id, traceparent, attempts in rows
    ]


async def delete_timers(connection: AsyncConnection, timers: Sequence[Timer]) -> None:
    """Removes the fired timers; one that its handler has set anew stays."""
    await connection.execute(
        text(
            """
            delete from timer t using unnest(cast(:kinds as text[]), cast(:keys as text[]), cast(:due as timestamptz[]))
                as fired (kind, key, due_at)
            where t.kind = fired.kind and t.key = fired.key and t.due_at = fired.due_at
            """
        ),
        {
            "kinds": [timer.kind for timer in timers],
            "keys": [timer.key for timer in timers],
            "due": [timer.due_at for timer in timers],
        },
    )


async def postpone_timer(connection: AsyncConnection, timer: Timer, delay: timedelta) -> None:
    await connection.execute(
        text(
            """
            update timer set attempts = attempts + 1, due_at = clock_timestamp() + cast(:delay as interval)
            where kind = :kind and key = :key and due_at = :due
            """
        ),
        {"kind": timer.kind, "key": timer.key, "due": timer.due_at, "delay": delay},
    )


async def next_due(connection: AsyncConnection) -> timedelta | None:
    """How long until the next timer is due; negative when one is overdue; None without timers."""
    rows = await connection.execute(text("select min(due_at) - clock_timestamp() from timer"))
    delay: timedelta | None = rows.scalar_one()
    return delay


async def outbox_state(connection: AsyncConnection) -> tuple[int, float]:
    """Rows waiting to be published and the age of the oldest in seconds."""
    rows = await connection.execute(
        text(
            """
            select count(*), coalesce(extract(epoch from clock_timestamp() - min(created_at)), 0) from outbox
            """
        )
    )
    count, age = rows.one()
    return int(count), float(age)


async def prune(connection: AsyncConnection, inbox_days: int, idempotency_days: int) -> int:
    """Removes a bounded number of rows past their keeping; returns how many."""
    removed = 0
    for table, key, column, days in (
        ("inbox", "(source, id)", "received_at", inbox_days),
        ("idempotency", "(principal, key)", "created_at", idempotency_days),
    ):
        columns = key.strip("()")
        result = await connection.execute(
            text(
                f"""
                delete from {table} where {key} in (
                    select {columns} from {table} where {column} < clock_timestamp() - cast(:keep as interval)
                    limit :limit for update skip locked)
                """
            ),
            {"keep": timedelta(days=days), "limit": PRUNE_ROWS_MAX},
        )
        removed += result.rowcount
    return removed
