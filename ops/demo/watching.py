"""Looks at the topics and at the sinks while things happen."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from aiokafka import AIOKafkaConsumer

from ops.demo.story import Kafka
from ops.local.sinks import Message, Sink

POLL_MILLISECONDS: Final = 200
CAUGHT_UP_SECONDS: Final = 0.05
SINK_SECONDS: Final = 0.5
FETCH_BYTES_MAX: Final = 16 * 1024 * 1024


class TopicWatch:
    """Hands over every record of some topics, from the first one on."""

    def __init__(self, servers: str, topics: Sequence[str], take: Callable[[Kafka], None]) -> None:
        self._take = take
        self._consumer = AIOKafkaConsumer(
            *topics,
            bootstrap_servers=servers,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            fetch_max_bytes=FETCH_BYTES_MAX,
        )

    async def run(self) -> None:
        """Goes on until it is cancelled."""
        await self._consumer.start()
        try:
            while True:
                for records in (await self._consumer.getmany(timeout_ms=POLL_MILLISECONDS)).values():
                    for record in records:
                        self._take(record)
        finally:
            await self._consumer.stop()

    async def caught_up(self) -> None:
        """Returns when everything that is in the topics now has been handed over."""
        ends = await self._consumer.end_offsets(self._consumer.assignment())
        while not all([await self._consumer.position(place) >= end for place, end in ends.items()]):  # noqa: ASYNC110 - the broker decides
            await asyncio.sleep(CAUGHT_UP_SECONDS)


class SinkWatch:
    """Hands over every message that arrives from its making on, with its channel."""

    def __init__(self, sinks: Mapping[str, Sink], take: Callable[[str, Message], None]) -> None:
        self._sinks = sinks
        self._take = take
        self._seen = {channel: len(sink.messages()) for channel, sink in sinks.items()}
        self._looking = asyncio.Lock()

    async def run(self) -> None:
        """Goes on until it is cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(SINK_SECONDS)

    async def look(self) -> None:
        """Hands over what has arrived since the last time."""
        async with self._looking:
            for channel, sink in self._sinks.items():
                messages = await asyncio.to_thread(sink.messages)
                for message in messages[self._seen[channel] :]:
                    self._take(channel, message)
                self._seen[channel] = len(messages)
