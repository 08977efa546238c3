"""Publishes the outbox: one relay at a time per service, in id order, deleting what the broker acknowledged.

Plain id order over visible rows is right because a row is inserted while its key's lock is held; order by
transaction id is not (docs/decisions).
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from time import monotonic
from typing import Any, Final

import asyncpg
import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.partitioner import murmur2

from chassis import bookkeeping, metrics
from chassis.database import CONNECT_SECONDS_MAX, Database, driver_url
from chassis.errors import is_transient
from chassis.faults import Fault
from chassis.records import unpack_headers

ROWS_MAX: Final = 2_000
BYTES_MAX: Final = 16 * 1024 * 1024
BATCH_BYTES_MAX: Final = 512 * 1024
PARTITIONS_KEPT_MAX: Final = 10_000
"""The hash of a key is worked out in Python, and a burst has few keys."""
REQUEST_BYTES_MAX: Final = 9 * 1024 * 1024
POLL_SECONDS: Final = 5.0
IDLE_SESSION_SECONDS: Final = 15
SEND_WITHIN_SECONDS: Final = 8.0
RETRY_SECONDS: Final = 1.0
TRUNCATE_AFTER_ROWS: Final = 20_000
RELAY_LOCK: Final = 7_203_366_002
CHANNEL: Final = "outbox"
TRY_LOCK: Final = "select pg_try_advisory_lock($1)"

assert POLL_SECONDS < IDLE_SESSION_SECONDS, "a relay that lives must not lose its session"
assert SEND_WITHIN_SECONDS < IDLE_SESSION_SECONDS, "what was read is sent while the lock is surely held"

SESSION: Final = {
    "idle_session_timeout": f"{IDLE_SESSION_SECONDS}s",
    "idle_in_transaction_session_timeout": "10s",
    "statement_timeout": "30s",
    "lock_timeout": "5s",
    "tcp_user_timeout": "15s",
}
# A running sum over bytes bounds what one round holds in memory, whatever the rows' sizes.
READ: Final = """
select id, topic, key, headers, body from (
    select *, sum(coalesce(octet_length(body), 0)) over (order by id) as bytes
    from (select * from outbox order by id limit $1) as oldest) as summed
where bytes <= $2 or id = (select min(id) from outbox)
order by id
"""

log = structlog.get_logger(__name__)


class StoodStill(TimeoutError):
    """So much time has passed since the rows were read that another relay may be sending them."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        super().__init__(f"rows that were read {seconds:.0f} s ago are not sent; they are read again")


class Relay:
    """The service's publisher; every instance runs one, and the one that holds the database's lock works."""

    def __init__(self, service: str, dsn: str, servers: str, database: Database) -> None:
        self.service = service
        self.dsn = driver_url(dsn)
        self.servers = servers
        self.database = database
        self.holding = False
        self._wake = asyncio.Event()
        self._background: set[asyncio.Task[None]] = set()
        self._fault = Fault("relay waits for a fault to pass", "relay publishes again", log=log)
        self._deleted = 0

    def wake(self) -> None:
        """Tells whoever holds the lock, here or in another instance, that rows are waiting."""
        if self.holding:
            self._wake.set()
        elif not self._background:
            task = asyncio.create_task(self._notify())
            self._background.add(task)
            task.add_done_callback(self._background.discard)

    async def _notify(self) -> None:
        try:
            async with self.database.transaction() as connection:
                await connection.exec_driver_sql(f"notify {CHANNEL}")
        except Exception as error:
            log.debug("the relay's poll will find the rows", error=str(error))

    async def run(self) -> None:
        """Takes the lock when it is free, and publishes while it holds it; never ends by itself."""
        while True:
            try:
                await self._hold()
            except asyncio.CancelledError:
                raise
            except Exception as error:
                metrics.relay_failures.inc()
                if not is_transient(error):
                    log.exception("relay failed; it starts anew")
                else:
                    self._fault.failed(error)
            finally:
                self.holding = False
                metrics.relay_leader.set(0)
            await asyncio.sleep(RETRY_SECONDS)

    async def _hold(self) -> None:
        connection = await asyncpg.connect(
            self.dsn,
            timeout=CONNECT_SECONDS_MAX,
            command_timeout=30,
            server_settings={**SESSION, "application_name": f"{self.service}-relay"},
        )
        try:
            while not await connection.fetchval(TRY_LOCK, RELAY_LOCK):  # noqa: ASYNC110  # held elsewhere
                await asyncio.sleep(RETRY_SECONDS)
            await connection.add_listener(CHANNEL, lambda *_: self._wake.set())
            await self._publish_while_holding(connection)
        finally:
            self.holding = False
            connection.terminate()

    async def _publish_while_holding(self, connection: asyncpg.Connection) -> None:
        producer = self.make_producer()
        try:
            await producer.start()
            self.holding = True
            metrics.relay_leader.set(1)
            self._fault.passed()
            while True:
                self._wake.clear()
                if not await self.publish_waiting(connection, producer):
                    await self._pause(connection)
        finally:
            await producer.stop()

    async def _pause(self, connection: asyncpg.Connection) -> None:
        if self._deleted >= TRUNCATE_AFTER_ROWS:
            self._deleted = 0
            await truncate_if_empty(connection)
        try:
            await asyncio.wait_for(self._wake.wait(), POLL_SECONDS)
        except TimeoutError:
            return

    def make_producer(self) -> AIOKafkaProducer:
        return AIOKafkaProducer(
            bootstrap_servers=self.servers,
            client_id=f"{self.service}-relay",
            acks="all",
            enable_idempotence=True,
            linger_ms=0,
            max_batch_size=BATCH_BYTES_MAX,
            max_request_size=REQUEST_BYTES_MAX,
            request_timeout_ms=10_000,
        )

    async def publish_waiting(self, connection: asyncpg.Connection, producer: AIOKafkaProducer) -> int:
        """One round: read, send, wait for every acknowledgement, delete; returns how many."""
        read_at = monotonic()
        rows = await connection.fetch(READ, ROWS_MAX, BYTES_MAX)
        if not rows:
            return 0
        await self.send(producer, rows, read_at)
        await self.delete(connection, [row["id"] for row in rows])
        self._deleted += len(rows)
        for topic, count in Counter(row["topic"] for row in rows).items():
            metrics.relay_published.labels(topic=topic).inc(count)
        return len(rows)

    async def send(self, producer: AIOKafkaProducer, rows: Sequence[Any], read_at: float) -> None:
        """Sends the rows in batches built per partition, in row order, and waits for the acknowledgements.

        Errors: StoodStill when this process was stopped after `read_at`, for longer than its lock is sure.
        """
        counts = {
            topic: len(await producer.partitions_for(topic)) for topic in {row["topic"] for row in rows}
        }
        by_partition: dict[tuple[str, int], list[Any]] = {}
        for row in rows:
            where = (row["topic"], partition_of(row["key"], counts[row["topic"]]))
            by_partition.setdefault(where, []).append(row)
        sent = []
        for (topic, partition), ordered in by_partition.items():
            for batch in self._batches(producer, ordered):
                if (seconds := monotonic() - read_at) > SEND_WITHIN_SECONDS:
                    raise StoodStill(seconds)
                sent.append(await producer.send_batch(batch, topic, partition=partition))
        await asyncio.gather(*sent)

    def _batches(self, producer: AIOKafkaProducer, rows: Sequence[Any]) -> list[Any]:
        batches: list[Any] = []
        for row in rows:
            key, value, headers = row["key"], row["body"], unpack_headers(row["headers"])
            if (
                not batches
                or batches[-1].append(key=key, value=value, timestamp=None, headers=headers) is None
            ):
                batches.append(producer.create_batch())
                appended = batches[-1].append(key=key, value=value, timestamp=None, headers=headers)
                assert appended is not None, "an empty batch takes one message of any size"
        for batch in batches:
            batch.close()
        return batches

    async def delete(self, connection: asyncpg.Connection, ids: Sequence[int]) -> None:
        """Deletes on the connection that holds the lock: who has lost the lock deletes nothing."""
        await connection.execute("delete from outbox where id = any($1::bigint[])", ids)


@lru_cache(maxsize=PARTITIONS_KEPT_MAX)
def partition_of(key: bytes | None, partitions: int) -> int:
    """The partition that every Kafka client's default partitioner picks for a key; 0 without one."""
    return (int(murmur2(key or b"")) & 0x7FFFFFFF) % partitions


async def truncate_if_empty(connection: asyncpg.Connection) -> bool:
    """Gives the space of deleted rows back at once when nobody uses the table; False when somebody does."""
    try:
        async with connection.transaction():
            await connection.execute("lock table outbox in access exclusive mode nowait")
            if await connection.fetchval("select exists (select from outbox)"):
                return False
            await connection.execute("truncate outbox")
            return True
    except asyncpg.LockNotAvailableError:
        return False


async def measure_outbox(database: Database) -> tuple[int, float]:
    """Rows and age of the outbox, put into the metrics."""
    async with database.transaction() as connection:
        rows, age = await bookkeeping.outbox_state(connection)
    metrics.outbox_rows.set(rows)
    metrics.outbox_age_seconds.set(age)
    return rows, age
