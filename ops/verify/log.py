"""Everything that lies in the topics, read once from beginning to end."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from contracts.codec import Malformed, decode
from contracts.event import Event

POLL_MILLISECONDS: Final = 1_000


@dataclass(frozen=True, slots=True)
class Logged:
    """One decoded record with its place in the log and the id that its producer gave it."""

    event: Event
    topic: str
    partition: int
    offset: int
    source: str
    id: str


@dataclass(slots=True)
class Log:
    """The decoded records by topic, those that nobody can decode, and where each partition ends."""

    records: dict[str, list[Logged]] = field(default_factory=dict)
    malformed: list[tuple[str, int, int]] = field(default_factory=list)
    ends: dict[tuple[str, int], int] = field(default_factory=dict)

    def of(self, topic: str) -> list[Logged]:
        return self.records.get(topic, [])

    def add(self, record: Any) -> None:
        """Sorts one raw record in."""
        headers = {
            name: (value or b"").decode("utf-8", "replace") for name, value in reversed(record.headers)
        }
        try:
            event = decode(headers.get("ce_type", ""), record.value or b"")
        except Malformed:
            self.malformed.append((record.topic, record.partition, record.offset))
            return
        logged = Logged(
            event,
            record.topic,
            record.partition,
            record.offset,
            headers.get("ce_source", ""),
            headers.get("ce_id", ""),
        )
        self.records.setdefault(record.topic, []).append(logged)


async def ends_of(servers: str, topics: Sequence[str]) -> dict[tuple[str, int], int]:
    """The offset after the last record of every partition of these topics."""
    consumer = AIOKafkaConsumer(bootstrap_servers=servers, enable_auto_commit=False)
    await consumer.start()
    try:
        return {tuple(place): end for place, end in (await _ends(consumer, topics)).items()}
    finally:
        await consumer.stop()


async def read_log(servers: str, topics: Sequence[str]) -> Log:
    """Reads the topics from their first record to where they ended when the reading began."""
    log = Log()
    consumer = AIOKafkaConsumer(
        bootstrap_servers=servers, enable_auto_commit=False, isolation_level="read_committed"
    )
    await consumer.start()
    try:
        ends = await _ends(consumer, topics)
        log.ends = {tuple(place): end for place, end in ends.items()}
        consumer.assign(list(ends))
        await consumer.seek_to_beginning()
        while not await _reached(consumer, ends):
            for records in (await consumer.getmany(timeout_ms=POLL_MILLISECONDS)).values():
                for record in records:
                    log.add(record)
    finally:
        await consumer.stop()
    return log


async def _ends(consumer: AIOKafkaConsumer, topics: Sequence[str]) -> dict[TopicPartition, int]:
    existing = await consumer.topics()
    places = [
        TopicPartition(topic, number)
        for topic in topics
        if topic in existing
        for number in consumer.partitions_for_topic(topic) or ()
    ]
    ends: dict[TopicPartition, int] = await consumer.end_offsets(places)
    return ends


async def _reached(consumer: AIOKafkaConsumer, ends: dict[TopicPartition, int]) -> bool:
    return all([await consumer.position(place) >= end for place, end in ends.items()])
