"""The bench's own Kafka client: writes prepared records, waits for answers, reads rates off the log."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

POLL_SECONDS: Final = 0.05
WARM_FRACTION: Final = 0.1

Headers = list[tuple[str, bytes]]


@dataclass(frozen=True, slots=True)
class Prepared:
    """One record, ready to be written."""

    key: bytes
    value: bytes
    headers: Headers


async def publish(servers: str, topic: str, records: Sequence[Prepared]) -> None:
    """Writes records as fast as the broker takes them and returns when all are acknowledged."""
    producer = AIOKafkaProducer(bootstrap_servers=servers, linger_ms=5, max_batch_size=512 * 1024, acks="all")
    await producer.start()
    try:
        sent = [
            await producer.send(topic, record.value, key=record.key, headers=record.headers)
            for record in records
        ]
        await asyncio.gather(*sent)
    finally:
        await producer.stop()


class Tail:
    """Looks at one topic's log from where it ended when the tail was opened."""

    def __init__(self, servers: str, topic: str) -> None:
        self.topic = topic
        self.consumer = AIOKafkaConsumer(topic, bootstrap_servers=servers, enable_auto_commit=False)
        self.starts: dict[TopicPartition, int] = {}

    async def open(self) -> "Tail":
        """Without a group, a subscription is assigned every partition by the time the consumer has started."""
        await self.consumer.start()
        self.starts = await self.consumer.end_offsets(self.consumer.assignment())
        return self

    async def close(self) -> None:
        await self.consumer.stop()

    async def count(self) -> int:
        ends = await self.consumer.end_offsets(list(self.starts))
        return sum(ends[partition] - start for partition, start in self.starts.items())

    async def wait_for(self, expected: int, seconds: float) -> None:
        """Returns when that many records have been written since; TimeoutError when they were not."""
        deadline = time.monotonic() + seconds
        while (written := await self.count()) < expected:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.topic}: {written} of {expected} records in {seconds:.0f} s")
            await asyncio.sleep(POLL_SECONDS)

    async def timestamps(self) -> list[float]:
        """When each record was written, in seconds, in order of time."""
        for partition, start in self.starts.items():
            self.consumer.seek(partition, start)
        missing = await self.count()
        times: list[float] = []
        while missing > len(times):
            for records in (await self.consumer.getmany(timeout_ms=1_000)).values():
                times.extend(record.timestamp / 1_000 for record in records)
        return sorted(times)

    async def rate(self) -> float:
        """Records per second between the first tenth, in which the process warms up, and the last record."""
        times = await self.timestamps()
        first = int(len(times) * WARM_FRACTION)
        return (len(times) - first - 1) / max(times[-1] - times[first], 0.001)


async def skip(servers: str, topic: str, group: str) -> None:
    """A group begins behind everything that is in the topic now."""
    tail = await Tail(servers, topic).open()
    await tail.close()
    member = AIOKafkaConsumer(bootstrap_servers=servers, group_id=group, enable_auto_commit=False)
    await member.start()
    try:
        member.assign(list(tail.starts))
        await member.commit(tail.starts)
    finally:
        await member.stop()
