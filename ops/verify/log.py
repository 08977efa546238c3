"""Everything that lies in the topics, read once from beginning to end."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from chassis.errors import Refused
from chassis.records import RawRecord, read
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
    """The decoded records by topic, those that every reader must refuse, and where each partition ends."""

    records: dict[str, list[Logged]] = field(default_factory=dict)
    malformed: list[tuple[str, int, int]] = field(default_factory=list)
    ends: dict[tuple[str, int], int] = field(default_factory=dict)

    def of(self, topic: str) -> list[Logged]:
        return self.records.get(topic, [])

    def add(self, record: RawRecord) -> None:
        """Sorts one raw record in, read as the services read it."""
        try:
            found = read(record, record.topic if record.topic.endswith(".redrive") else "")
        except Refused:
            self.malformed.append((record.topic, record.partition, record.offset))
            return
        logged = Logged(found.event, record.topic, record.partition, record.offset, found.source, found.id)
        self.records.setdefault(record.topic, []).append(logged)


async def ends_of(servers: str, topics: Sequence[str]) -> dict[tuple[str, int], int]:
    """The offset after the last record of every partition of these topics."""
    places = await _places(servers, topics)
    consumer = AIOKafkaConsumer(bootstrap_servers=servers, enable_auto_commit=False)
    await consumer.start()
    try:
        return {tuple(place): end for place, end in (await consumer.end_offsets(places)).items()}
    finally:
        await consumer.stop()


async def read_log(servers: str, topics: Sequence[str]) -> Log:
    """Reads the topics from their first record to where they ended when the reading began."""
    log = Log()
    places = await _places(servers, topics)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=servers, enable_auto_commit=False, isolation_level="read_committed"
    )
    await consumer.start()
    try:
        ends = await consumer.end_offsets(places)
        log.ends = {tuple(place): end for place, end in ends.items()}
        consumer.assign(places)
        await consumer.seek_to_beginning()
        while not await _reached(consumer, ends):
            for records in (await consumer.getmany(timeout_ms=POLL_MILLISECONDS)).values():
                for record in records:
                    log.add(record)
    finally:
        await consumer.stop()
    return log


async def _places(servers: str, topics: Sequence[str]) -> list[TopicPartition]:
    """The partitions of those topics that exist."""
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:
        described = await admin.describe_topics(list(topics))
    finally:
        await admin.close()
    return [
        TopicPartition(entry["topic"], partition["partition"])
        for entry in described
        if not entry["error_code"]
        for partition in entry["partitions"]
    ]


async def _reached(consumer: AIOKafkaConsumer, ends: dict[TopicPartition, int]) -> bool:
    return all([await consumer.position(place) >= end for place, end in ends.items()])
