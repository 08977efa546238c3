"""Consumes batches of records: one transaction a batch, each record applied, refused or dead-lettered.

The order of steps and what they promise: docs/architecture.md, "One way to consume".
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from time import perf_counter, time
from typing import Any, Final, Protocol

import structlog
from contracts.event import Event

from chassis import bookkeeping, metrics, tracing
from chassis.bookkeeping import Admission, TopicPartition
from chassis.database import Database, statements
from chassis.errors import BookkeepingFailed, Refused, is_transient, stop_process
from chassis.faults import Fault
from chassis.records import RawRecord, Record, read
from chassis.work import Batch, Committed, DeadLetter, OutboxRow

DECODED_AT_ONCE_MAX: Final = 25
BACKOFF_SECONDS: Final = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
CONFLICT: Final = "id-conflict"
PROCESSING_FAILED: Final = "processing-failed"

log = structlog.get_logger(__name__)

Handler = Callable[[Any], Awaitable[None]]


@dataclass(frozen=True)
class Subscription:
    """A handler and the events that it applies; several types share a handler that locks the same rows."""

    handler: Handler
    events: tuple[type[Event], ...]

    def __init__(self, handler: Handler, *events: type[Event]) -> None:
        object.__setattr__(self, "handler", handler)
        object.__setattr__(self, "events", events)

    @property
    def topics(self) -> tuple[str, ...]:
        return tuple(event.contract.topic for event in self.events)


@dataclass(slots=True)
class Incoming:
    """A raw record with the event that it holds, or with the error by which it holds none."""

    raw: RawRecord
    record: Record[Event] | None = None
    error: Exception | None = None


class Log(Protocol):
    """What the consumer asks of Kafka besides records."""

    def assigned(self) -> Collection[TopicPartition]:
        """The partitions that this instance reads."""

    async def begins(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        """The first offset still there of each partition."""

    async def bounds(self, partition: TopicPartition) -> tuple[int, int]:
        """The first offset still there and the one after the last."""

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Reads the partition from `offset` on."""

    def pause(self, partition: TopicPartition) -> None:
        """Reads the partition no more until it is resumed."""

    async def commit(self, next_offsets: dict[TopicPartition, int]) -> None:
        """Tells the group how far it has come; only a hint."""


class _StalePositions(Exception):
    """Another instance has moved the positions since they were read."""

    def __init__(self, positions: dict[TopicPartition, int]) -> None:
        self.positions = positions


class _Stopping(Exception):
    """The process is shutting down while a batch waits for a fault to pass."""


class Consumer:
    """Applies raw records of the service's topics; the caller hands it one batch at a time."""

    def __init__(
        self,
        service: str,
        database: Database,
        subscriptions: Sequence[Subscription],
        kafka: Log,
        committed: Committed,
        *,
        stopping: asyncio.Event | None = None,
        now: Callable[[], datetime | None] = lambda: None,
    ) -> None:
        self.service = service
        self.database = database
        self.subscriptions = subscriptions
        self.kafka = kafka
        self.committed = committed
        self.stopping = stopping or asyncio.Event()
        self._in_hand = 0
        self.positions: dict[TopicPartition, int] = {}
        self.blocked: set[TopicPartition] = set()
        self._sought: dict[TopicPartition, tuple[int, int]] = {}
        self._reached: dict[TopicPartition, int] = {}
        self._now = now
        self._fault = Fault("batch waits for a fault to pass", "batches are applied again", log=log)
        self._handler_of = {
            event.contract.name: index for index, entry in enumerate(subscriptions) for event in entry.events
        }

    @property
    def topics(self) -> tuple[str, ...]:
        """What the service reads, its own redrive topic last."""
        names = [topic for subscription in self.subscriptions for topic in subscription.topics]
        return (*names, self.redrive_topic)

    @property
    def redrive_topic(self) -> str:
        return f"{self.service}.redrive"

    def revoked(self, partitions: Iterable[TopicPartition]) -> None:
        """Forgets what was known of partitions that another instance may read now."""
        for partition in partitions:
            self.positions.pop(partition, None)
            self._sought.pop(partition, None)
            self._reached.pop(partition, None)
            self.blocked.discard(partition)

    @property
    def busy(self) -> bool:
        """Whether a batch is being applied."""
        return self._in_hand > 0

    async def decode(self, records: Sequence[RawRecord]) -> list[Incoming]:
        """Reads records, a few at a time, so that a batch in hand goes on as soon as the database answers it."""
        incoming: list[Incoming] = []
        for record in records:
            if incoming and len(incoming) % DECODED_AT_ONCE_MAX == 0:
                await asyncio.sleep(0)
            incoming.append(self._decode(record))
        return incoming

    async def apply(self, incoming: Sequence[Incoming]) -> None:
        """Applies decoded records as `consume` does; leaves them when the process stops."""
        if not self.stopping.is_set():
            await self.consume([item.raw for item in incoming], incoming)

    async def consume(self, records: Sequence[RawRecord], decoded: Sequence[Incoming] | None = None) -> None:
        """Applies a batch, however long the database is away; returns unapplied only when the process stops.

        `decoded` is what `decode` made of the records, where that was done ahead.
        """
        self._in_hand += 1
        try:
            incoming = await self.decode(records) if decoded is None else decoded
            await self._until_it_passes(self._process_or_isolate, incoming)
        except _Stopping:
            log.info("batch left for the next start", records=len(records))
        except Exception:
            log.critical("a batch can be neither applied nor put aside; the process stops", exc_info=True)
            self.stopping.set()
            stop_process()
        finally:
            self._in_hand -= 1

    async def _until_it_passes(self, step: Callable[..., Awaitable[None]], *arguments: Any) -> None:
        attempt = 0
        while True:
            try:
                await step(*arguments)
            except Exception as error:
                if not is_transient(error):
                    raise
                self._fault.failed(error)
                await self._wait(BACKOFF_SECONDS[min(attempt, len(BACKOFF_SECONDS) - 1)])
                attempt += 1
            else:
                self._fault.passed()
                return

    async def _wait(self, seconds: float) -> None:
        if self.stopping.is_set():
            raise _Stopping
        try:
            await asyncio.wait_for(self.stopping.wait(), seconds)
        except TimeoutError:
            return
        raise _Stopping

    async def _process_or_isolate(self, records: Sequence[Incoming]) -> None:
        try:
            await self.process(records)
        except (BookkeepingFailed, _Stopping):
            raise
        except Exception as error:
            if is_transient(error):
                raise
            log.exception("batch failed; its records are tried one by one", records=len(records))
            for record in records:
                await self._until_it_passes(self._process_alone, record)

    async def _process_alone(self, record: Incoming) -> None:
        try:
            await self.process([record])
        except (BookkeepingFailed, _Stopping):
            raise
        except Exception as error:
            if is_transient(error):
                raise
            reason, detail = _why(error)
            if reason == PROCESSING_FAILED:
                log.exception(
                    "record failed twice",
                    topic=record.raw.topic,
                    partition=record.raw.partition,
                    offset=record.raw.offset,
                )
            await self.process([record], failure=(reason, detail))

    async def process(self, records: Sequence[Incoming], failure: tuple[str, str] | None = None) -> None:
        """One transaction over the records that are still to be applied; `failure` dead-letters them instead."""
        started = perf_counter()
        while True:
            positions = await self._positions_of(records)
            pending = await self._continuous(records, positions)
            if not pending:
                return
            try:
                await self._transact(pending, positions, failure, started)
                return
            except _StalePositions as stale:
                self.positions.update(stale.positions)

    async def _positions_of(self, records: Sequence[Incoming]) -> dict[TopicPartition, int]:
        """The positions of the records' partitions, read where they are not known.

        All assigned partitions are looked up at once, because a request to the broker waits behind a fetch.
        It is a copy: a rebalance may take partitions away at any await, and the statement that locks the rows
        compares again.
        """
        partitions = {_partition_of(record.raw) for record in records}
        known = {partition: self.positions[partition] for partition in partitions & self.positions.keys()}
        if len(known) == len(partitions):
            return known
        wanted = partitions.union(self.kafka.assigned()) - known.keys()
        loaded = await self._stored_positions(sorted(wanted))
        self.positions.update(loaded)
        return known | {partition: loaded[partition] for partition in partitions - known.keys()}

    async def _stored_positions(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        """The positions in the database; a partition that was never read starts where its log begins."""
        async with self.database.transaction() as connection:
            stored = await bookkeeping.stored_positions(connection, partitions)
            for gap in await bookkeeping.open_gaps(connection):
                self._block(TopicPartition(gap.topic, gap.partition))
        new = [partition for partition in partitions if partition not in stored]
        if new:
            begins = await self.kafka.begins(new)
            async with self.database.transaction() as connection:
                stored |= await bookkeeping.ensure_positions(connection, begins)
        return stored

    async def _continuous(
        self, records: Sequence[Incoming], positions: dict[TopicPartition, int]
    ) -> list[Incoming]:
        """The records at or above their partition's stored position, without partitions that have a hole."""
        by_partition: dict[TopicPartition, list[Incoming]] = {}
        for record in records:
            by_partition.setdefault(_partition_of(record.raw), []).append(record)
        pending: list[Incoming] = []
        for partition, ordered in by_partition.items():
            if partition in self.blocked:
                continue
            position = positions[partition]
            above = [record for record in ordered if record.raw.offset >= position]
            if filtered := len(ordered) - len(above):
                metrics.records.labels(topic=partition.topic, outcome="filtered").inc(filtered)
                if ordered[-1].raw.offset + 1 < position and await self.ends_early(partition, position):
                    continue
            if above and await self._reaches(partition, position, above[0].raw.offset):
                pending.extend(above)
        return pending

    async def _reaches(self, partition: TopicPartition, position: int, first: int) -> bool:
        """Whether nothing lies between the stored position and the first record.

        The first time it does not, the partition is read again from the position. If that shows the same
        record first, the offsets between are transaction markers; if the log begins later, they are gone.
        A batch that was fetched before the seek shows a later record, and proves nothing.
        """
        sought = self._sought.get(partition)
        if first == position or sought == (position, first):
            return True
        begin, end = await self.kafka.bounds(partition)
        if begin > position:
            await self._gap(partition, "log-begins-later", position, begin, end)
        else:
            known = sought[1] if sought is not None and sought[0] == position else first
            self._sought[partition] = position, min(known, first)
            self.kafka.seek(partition, position)
        return False

    async def ends_early(self, partition: TopicPartition, position: int) -> bool:
        """Whether the log ends below the stored position, as a recreated topic does; records the gap if so.

        Asked once per position: every request to the broker waits behind a fetch.
        """
        if self._reached.get(partition) == position:
            return False
        begin, end = await self.kafka.bounds(partition)
        if end >= position:
            self._reached[partition] = position
            return False
        await self._gap(partition, "log-ends-earlier", position, begin, end)
        return True

    async def _gap(self, partition: TopicPartition, kind: str, expected: int, begin: int, end: int) -> None:
        async with self.database.transaction() as connection:
            new = await bookkeeping.record_gap(connection, partition, kind, expected, begin, end)
        if new:
            log.error(
                "gap in the log", **partition._asdict(), kind=kind, expected=expected, begin=begin, end=end
            )
        self._block(partition)

    def _block(self, partition: TopicPartition) -> None:
        self.blocked.add(partition)
        self.kafka.pause(partition)

    async def _transact(
        self,
        incoming: Sequence[Incoming],
        positions: dict[TopicPartition, int],
        failure: tuple[str, str] | None,
        started: float,
    ) -> None:
        raw = [item.raw for item in incoming]
        if failure is None:
            records, dead_letters = _sorted_by_outcome(incoming)
        else:
            records, dead_letters = [], [_failed(record, failure, attempts=2) for record in raw]
        next_offsets: dict[TopicPartition, int] = {}
        for record in raw:
            next_offsets[_partition_of(record)] = record.offset + 1
        first_of, repeats = _first_of_each(records)
        async with self.database.transaction() as connection:
            expected = {partition: positions[partition] for partition in sorted(next_offsets)}
            admission = await self._admit(connection, expected, list(first_of.values()))
            conflicts, duplicates = await self._sort_out(connection, admission, first_of, repeats)
            fresh = [record for key, record in first_of.items() if key not in admission.seen]
            works = await self._handle(connection, self._now() or admission.now, fresh)
            dead_letters = [
                *dead_letters,
                *conflicts,
                *(late for work in works for late in work.dead_letters),
            ]
            outbox = await self._settle(connection, works, dead_letters)
            await self._finish(connection, next_offsets, outbox)
            count = statements(connection)
        self.positions.update(next_offsets)
        for partition in next_offsets:
            self._sought.pop(partition, None)
        for work in works:
            self.committed.committed(work)
        self._measure(raw, fresh, duplicates, dead_letters, count, perf_counter() - started)
        await self.kafka.commit(next_offsets)

    def _decode(self, raw: RawRecord) -> Incoming:
        """Reads one record; whatever is wrong with it is kept for when it is applied."""
        try:
            record = read(raw, self.redrive_topic)
            if record.event.contract.name not in self._handler_of:
                raise Refused("wrong-topic", f"ce_type: {self.service} does not read {record.type}")
        except Exception as error:
            return Incoming(raw, error=error)
        return Incoming(raw, record)

    async def _admit(
        self, connection: Any, expected: dict[TopicPartition, int], records: Sequence[Record[Event]]
    ) -> Admission:
        try:
            admission = await bookkeeping.admit(connection, list(expected), records)
        except Exception as error:
            raise _bookkeeping("positions and inbox", error) from error
        if admission.positions != expected:
            for partition in expected.keys() - admission.positions.keys():
                self.positions.pop(partition, None)
            raise _StalePositions(admission.positions)
        return admission

    async def _sort_out(
        self,
        connection: Any,
        admission: Admission,
        first_of: dict[tuple[str, str], Record[Event]],
        repeats: Sequence[Record[Event]],
    ) -> tuple[list[DeadLetter], int]:
        """Duplicates are dropped; the same id with another payload is a conflict and goes to the dead letter."""
        seen = [first_of[key] for key in admission.seen]
        if not seen and not repeats:
            return [], 0
        hashes = {key: record.hash for key, record in first_of.items()}
        if seen:
            hashes |= await bookkeeping.inbox_hashes(
                connection, [(record.source, record.id) for record in seen]
            )
        conflicts = [
            _failed(
                record.raw,
                (CONFLICT, f"ce_id: {record.id} of {record.source} came before with another payload"),
                1,
            )
            for record in (*seen, *repeats)
            if record.hash != hashes[record.source, record.id]
        ]
        return conflicts, len(seen) + len(repeats) - len(conflicts)

    async def _handle(
        self, connection: Any, now: datetime, fresh: Sequence[Record[Event]]
    ) -> list[Batch[Any]]:
        groups: dict[int, list[Record[Event]]] = {}
        for record in fresh:
            groups.setdefault(self._handler_of[record.event.contract.name], []).append(record)
        works: list[Batch[Any]] = []
        for index in sorted(groups):
            batch: Batch[Any] = Batch(
                service=self.service, connection=connection, now=now, records=groups[index]
            )
            handler = self.subscriptions[index].handler
            with tracing.batch_span(handler.__name__, groups[index]):
                await handler(batch)
            works.append(batch)
        return works

    async def _settle(
        self, connection: Any, works: Sequence[Batch[Any]], dead_letters: Sequence[DeadLetter]
    ) -> list[OutboxRow]:
        outbox = [row for work in works for row in work.outbox]
        for work in works:
            await work.flush_timers()
        if dead_letters:
            outbox += await bookkeeping.insert_dead_letters(connection, self.service, dead_letters)
            forgotten = {
                (letter.event_source, letter.event_id)
                for letter in dead_letters
                if letter.event_source is not None and letter.event_id is not None
            }
            if forgotten:
                await bookkeeping.forget(connection, forgotten)
        return outbox

    async def _finish(
        self, connection: Any, next_offsets: dict[TopicPartition, int], outbox: Sequence[OutboxRow]
    ) -> None:
        try:
            await bookkeeping.finish(connection, next_offsets, outbox)
        except Exception as error:
            raise _bookkeeping("positions and outbox", error) from error

    def _measure(
        self,
        raw: Sequence[RawRecord],
        fresh: Sequence[Record[Event]],
        duplicates: int,
        dead_letters: Sequence[DeadLetter],
        statement_count: int,
        seconds: float,
    ) -> None:
        metrics.batch_records.observe(len(raw))
        metrics.batch_seconds.observe(seconds)
        metrics.batch_statements.observe(statement_count)
        if duplicates:
            metrics.records.labels(topic=raw[0].topic, outcome="duplicate").inc(duplicates)
        for letter in dead_letters:
            metrics.records.labels(topic=letter.record.topic, outcome="dead-letter").inc()
            metrics.dead_letters.labels(reason=letter.reason).inc()
        for topic, count in Counter(record.topic for record in fresh).items():
            metrics.records.labels(topic=topic, outcome="applied").inc(count)
        if again := sum(record.topic == self.redrive_topic for record in raw):
            metrics.redriven.inc(again)
        for partition, record in {_partition_of(record): record for record in raw}.items():
            age = max(time() - record.timestamp / 1000, 0)
            metrics.consumer_time_lag_seconds.labels(*partition).set(age)


def _partition_of(record: RawRecord) -> TopicPartition:
    return TopicPartition(record.topic, record.partition)


def _sorted_by_outcome(incoming: Sequence[Incoming]) -> tuple[list[Record[Event]], list[DeadLetter]]:
    """The records that hold an event, and dead letters for those that were refused.

    An error that is no refusal is raised, so that the batch is taken apart.
    """
    records: list[Record[Event]] = []
    dead_letters: list[DeadLetter] = []
    for item in incoming:
        if item.record is not None:
            records.append(item.record)
        elif isinstance(item.error, Refused):
            dead_letters.append(_failed(item.raw, (item.error.reason, item.error.detail), attempts=1))
        elif item.error is not None:
            raise item.error
    return records, dead_letters


def _first_of_each(
    records: Sequence[Record[Event]],
) -> tuple[dict[tuple[str, str], Record[Event]], list[Record[Event]]]:
    """The first record of each (source, id) in the batch, and the later ones with the same."""
    first_of: dict[tuple[str, str], Record[Event]] = {}
    repeats = [
        record for record in records if first_of.setdefault((record.source, record.id), record) is not record
    ]
    return first_of, repeats


def _failed(record: RawRecord, failure: tuple[str, str], attempts: int) -> DeadLetter:
    reason, detail = failure
    return DeadLetter(record, reason, detail, attempts)


def _why(error: Exception) -> tuple[str, str]:
    if isinstance(error, Refused):
        return error.reason, error.detail
    return PROCESSING_FAILED, f"{type(error).__name__}: {error}"


def _bookkeeping(step: str, error: Exception) -> Exception:
    return error if is_transient(error) else BookkeepingFailed(step, error)
