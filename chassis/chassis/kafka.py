"""Kafka behind the consumer: FastStream's batch subscriber, its log bounds, and a watch over lag and gaps."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from time import time
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener
from aiokafka import TopicPartition as KafkaPartition
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import IllegalStateError, KafkaError
from faststream.kafka import KafkaBroker
from faststream.kafka.message import KafkaAckableMessage
from faststream.middlewares import AckPolicy

from chassis import bookkeeping, metrics
from chassis.bookkeeping import TopicPartition
from chassis.consumer import Consumer
from chassis.database import Database
from chassis.errors import is_transient
from chassis.faults import Fault
from chassis.lanes import LANES, Lane, lane_of

SESSION_TIMEOUT_MS: Final = 6_000
HEARTBEAT_INTERVAL_MS: Final = 500
POLL_INTERVAL_MAX_MS: Final = 300_000
BATCH_TIMEOUT_MS: Final = 5
FETCH_WAIT_MAX_MS: Final = 100
"""A partition whose buffer is empty waits for the fetch that is under way, which idle partitions may keep open."""
WATCH_SECONDS: Final = 2.0
STUCK_SECONDS_MAX: Final = 60.0
SILENT_SECONDS_MAX: Final = 10.0
RECONNECT_SECONDS: Final = 1.0
BATCH_END_SECONDS_MAX: Final = 4.0
"""How long a stopping service waits for the batch in hand before it leaves the group without it."""
COMMIT_SECONDS_MAX: Final = 0.5
"""How long it waits for the group to take its offsets, which are only a hint."""
PARTITION_GAUGES: Final = (
    metrics.consumer_record_lag,
    metrics.consumer_position,
    metrics.consumer_time_lag_seconds,
)

log = structlog.get_logger(__name__)


class MissingTopics(Exception):
    """Topics that the service reads and that nobody has created."""

    def __init__(self, topics: Sequence[str]) -> None:
        self.topics = tuple(topics)
        super().__init__(
            f"these topics do not exist: {', '.join(topics)}; create them as ops/topics.toml declares"
        )


class _Rebalance(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    def __init__(self, revoked: Callable[[Sequence[TopicPartition]], None]) -> None:
        self._revoked = revoked

    def on_partitions_revoked(self, revoked: Any) -> None:
        self._revoked([TopicPartition(partition.topic, partition.partition) for partition in revoked])

    def on_partitions_assigned(self, assigned: Any) -> None:
        pass


class Subscriber:
    """Reads the service's topics in its consumer group and hands raw batches to the consumer."""

    def __init__(
        self, servers: str, group: str, client_id: str, topics: Sequence[str], records_max: int
    ) -> None:
        self.topics = tuple(topics)
        self.servers = servers
        self.lag_records = 0
        self.answered_at = time()
        self.progress_at = time()
        self._started = False
        self._consumer: Consumer | None = None
        self._lanes: list[Lane] = []
        self._committing: asyncio.Task[None] | None = None
        self._to_commit: dict[TopicPartition, int] = {}
        self._broker = KafkaBroker(
            servers,
            client_id=client_id,
            consumer_only=True,
            allow_auto_create_topics=False,
            apply_types=False,
            logger=None,
            graceful_timeout=BATCH_END_SECONDS_MAX,
        )
        self._subscription: Any = self._broker.subscriber(
            *topics,
            batch=True,
            max_records=records_max,
            batch_timeout_ms=BATCH_TIMEOUT_MS,
            group_id=group,
            auto_offset_reset="earliest",
            ack_policy=AckPolicy.MANUAL,
            no_reply=True,
            parser=self._parse,
            decoder=_pass_through,
            isolation_level="read_committed",
            fetch_max_wait_ms=FETCH_WAIT_MAX_MS,
            partition_assignment_strategy=(RangePartitionAssignor,),
            session_timeout_ms=SESSION_TIMEOUT_MS,
            heartbeat_interval_ms=HEARTBEAT_INTERVAL_MS,
            max_poll_interval_ms=POLL_INTERVAL_MAX_MS,
            listener=_Rebalance(self._revoked),
        )
        self._subscription(self._receive)

    async def _parse(self, records: Any) -> KafkaAckableMessage:
        return KafkaAckableMessage(
            body=b"",
            raw_message=records,
            headers={},
            message_id="",
            correlation_id="-",
            consumer=self._subscription.consumer,
        )

    async def _receive(self, records: Any) -> None:
        """Decodes a batch and hands it to the lanes, which apply those before it meanwhile."""
        assert self._consumer is not None
        decoded = await self._consumer.decode(records)
        for number, lane in enumerate(self._lanes):
            share = [incoming for incoming in decoded if lane_of(incoming) == number]
            if share:
                await lane.put(share)

    def _revoked(self, partitions: Sequence[TopicPartition]) -> None:
        if self._consumer is not None:
            self._consumer.revoked(partitions)

    @property
    def kafka(self) -> AIOKafkaConsumer:
        """None before the start and after the end."""
        return self._subscription.consumer

    async def start(self, consumer: Consumer) -> None:
        """Waits for the broker and the topics, then consumes."""
        self._consumer = consumer
        self._lanes = [Lane(consumer.apply) for _ in range(LANES)]
        await self._until_up(self._check_topics)
        await self._until_up(self._broker.start)
        self._started = True
        self.answered_at = self.progress_at = time()
        log.info("consuming", topics=list(self.topics))

    async def _until_up(self, step: Callable[[], Awaitable[Any]]) -> None:
        fault = Fault("waiting for Kafka", "Kafka answers", log=log.bind(servers=self.servers))
        while True:
            try:
                await step()
            except (KafkaError, OSError, MissingTopics) as error:
                fault.failed(error)
                await asyncio.sleep(RECONNECT_SECONDS)
            else:
                fault.passed()
                return

    async def _check_topics(self) -> None:
        """FastStream hangs on a missing topic, so they are looked up first."""
        probe = AIOKafkaConsumer(bootstrap_servers=self.servers)
        try:
            await probe.start()
            missing = sorted(set(self.topics) - set(await probe.topics()))
        finally:
            await probe.stop()
        if missing:
            raise MissingTopics(missing)

    async def stop(self) -> None:
        """Finishes the batch in hand and leaves the group."""
        await asyncio.gather(*(lane.stop(BATCH_END_SECONDS_MAX) for lane in self._lanes))
        if self._committing is not None:
            await asyncio.wait({self._committing}, timeout=COMMIT_SECONDS_MAX)
            self._committing.cancel()
        await self._broker.stop()

    def assigned(self) -> list[TopicPartition]:
        if self.kafka is None:
            return []
        return [TopicPartition(entry.topic, entry.partition) for entry in self.kafka.assignment()]

    async def begins(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        """One request: each waits behind a fetch that may last half a second."""
        found = await self.kafka.beginning_offsets([KafkaPartition(*partition) for partition in partitions])
        return {TopicPartition(*partition): begin for partition, begin in found.items()}

    async def bounds(self, partition: TopicPartition) -> tuple[int, int]:
        kafka_partition = KafkaPartition(*partition)
        begins = await self.kafka.beginning_offsets([kafka_partition])
        ends = await self.kafka.end_offsets([kafka_partition])
        return begins[kafka_partition], ends[kafka_partition]

    def seek(self, partition: TopicPartition, offset: int) -> None:
        try:
            self.kafka.seek(KafkaPartition(*partition), offset)
        except IllegalStateError:
            log.debug("partition was taken away before a seek", **partition._asdict())

    def pause(self, partition: TopicPartition) -> None:
        try:
            self.kafka.pause(KafkaPartition(*partition))
        except (IllegalStateError, ValueError):
            log.debug("partition was taken away before a pause", **partition._asdict())

    def resume(self, partition: TopicPartition, offset: int) -> None:
        self.seek(partition, offset)
        try:
            self.kafka.resume(KafkaPartition(*partition))
        except (IllegalStateError, ValueError):
            log.debug("partition was taken away before it went on", **partition._asdict())

    async def commit(self, next_offsets: dict[TopicPartition, int]) -> None:
        """Tells the group, without waiting for it; what comes while a request is under way goes with the next."""
        self._to_commit |= next_offsets
        if self._committing is None or self._committing.done():
            self._committing = asyncio.create_task(self._commit(), name="commit")

    async def _commit(self) -> None:
        while self._to_commit:
            offsets = {KafkaPartition(*partition): next_ for partition, next_ in self._to_commit.items()}
            self._to_commit = {}
            try:
                await self.kafka.commit(offsets)
            except (KafkaError, IllegalStateError) as error:
                log.debug("offsets not committed; the positions in the database hold", error=str(error))

    def readiness(self) -> tuple[bool, str]:
        """Whether records are being consumed, and a sentence about it."""
        if not self._started:
            return False, f"not consuming yet: waiting for Kafka at {self.servers}"
        if self._subscription.tasks and all(task.done() for task in self._subscription.tasks):
            return False, "the consume task has ended; restart the service"
        silent = time() - self.answered_at
        if silent > SILENT_SECONDS_MAX:
            return False, f"Kafka at {self.servers} has not answered for {silent:.0f} s"
        stuck = time() - self.progress_at
        if self.lag_records and stuck > STUCK_SECONDS_MAX:
            return False, f"{self.lag_records} records wait and none was consumed for {stuck:.0f} s"
        return True, f"{len(self.assigned())} partitions, {self.lag_records} records behind"


async def _pass_through(message: Any) -> Any:
    return message.raw_message


class Watch:
    """Looks at each assigned partition every few seconds: lag, gaps that nothing else would show, accepted gaps."""

    def __init__(self, subscriber: Subscriber, consumer: Consumer, database: Database) -> None:
        self.subscriber = subscriber
        self.consumer = consumer
        self.database = database
        self._idle_positions: dict[TopicPartition, int] = {}
        self._shown: set[TopicPartition] = set()

    async def run(self) -> None:
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            try:
                await self.look()
            except Exception as error:
                if not is_transient(error):
                    log.exception("watch failed")

    async def look(self) -> None:
        kafka = self.subscriber.kafka
        partitions = sorted(self.subscriber.assigned())
        if not partitions:
            self.subscriber.lag_records = 0
            self.subscriber.answered_at = self.subscriber.progress_at = time()
            return
        ends = await kafka.end_offsets([KafkaPartition(*partition) for partition in partitions])
        self.subscriber.answered_at = time()
        positions = await self._positions(partitions)
        lags = {
            partition: ends[KafkaPartition(*partition)] - positions[partition] for partition in partitions
        }
        self._measure(lags, positions)
        if not self.consumer.busy:
            for partition in partitions:
                await self._mend(partition, lags[partition], positions[partition])
        self._idle_positions = {} if self.consumer.busy else positions

    async def _positions(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        """The stored positions, and what operators have done about gaps."""
        async with self.database.transaction() as connection:
            open_gaps = {
                TopicPartition(gap.topic, gap.partition) for gap in await bookkeeping.open_gaps(connection)
            }
            positions = await bookkeeping.stored_positions(connection, partitions)
        metrics.open_gaps.set(len(open_gaps))
        for partition in self.consumer.blocked - open_gaps:
            self.consumer.blocked.discard(partition)
            self.consumer.positions.pop(partition, None)
            self.subscriber.resume(partition, positions[partition])
            log.info(
                "gap accepted; the partition goes on", **partition._asdict(), offset=positions[partition]
            )
        missing = [partition for partition in partitions if partition not in positions]
        if missing:
            begins = await self.subscriber.begins(missing)
            async with self.database.transaction() as connection:
                positions |= await bookkeeping.ensure_positions(connection, begins)
        return positions

    def _measure(self, lags: dict[TopicPartition, int], positions: dict[TopicPartition, int]) -> None:
        behind = sum(max(lag, 0) for lag in lags.values())
        if positions != self._idle_positions or not behind:
            self.subscriber.progress_at = time()
        self.subscriber.lag_records = behind
        for gone in self._shown - lags.keys():
            for gauge in PARTITION_GAUGES:
                gauge.remove(*gone)
        self._shown = set(lags)
        for partition, lag in lags.items():
            metrics.consumer_record_lag.labels(*partition).set(max(lag, 0))
            metrics.consumer_position.labels(*partition).set(positions[partition])
            if lag <= 0:
                metrics.consumer_time_lag_seconds.labels(*partition).set(0)

    async def _mend(self, partition: TopicPartition, lag: int, position: int) -> None:
        """A log that ends below the position is a gap; a consumer that stands beyond it reads again."""
        if partition in self.consumer.blocked:
            return
        if lag < 0:
            await self.consumer.ends_early(partition, position)
        elif lag and self._idle_positions.get(partition) == position:
            standing = await self.subscriber.kafka.position(KafkaPartition(*partition))
            if standing > position:
                self.subscriber.seek(partition, position)
