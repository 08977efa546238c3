"""Publishes traffic and gives commands in the background, as systems outside do that know nothing of the faults."""

import asyncio
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Self
from uuid import uuid4

import httpx
from aiokafka import AIOKafkaProducer

from ops.local.waiting import run
from tests.faults.books import Books
from tests.faults.traffic import COLD, Message

RATE: Final = 40.0
FLUSH_SECONDS: Final = 60.0
COMMAND_PAUSE_SECONDS: Final = 0.4
COMMAND_SECONDS_MAX: Final = 60.0
COMMAND_TRY_SECONDS: Final = 2.0
Place = tuple[str, int, int]
MANAGEMENT: Final = "A-HOT-1"
PERMISSION: Final = "view-financial-information"
OUTAGE_MILLISECONDS_MAX: Final = 180_000


async def publish(servers: str, messages: Iterable[Message]) -> list[Any]:
    """Publishes messages in order and returns where each one lies."""
    producer = _producer(servers)
    await producer.start()
    try:
        return list(await asyncio.gather(*[await _send(producer, message) for message in messages]))
    finally:
        await producer.stop()


def publish_now(servers: str, messages: Sequence[Message]) -> list[Any]:
    """The same from a plain function."""
    return run(publish(servers, messages))


def _producer(servers: str) -> AIOKafkaProducer:
    return AIOKafkaProducer(
        bootstrap_servers=servers,
        acks="all",
        enable_idempotence=True,
        linger_ms=0,
        request_timeout_ms=OUTAGE_MILLISECONDS_MAX,
    )


async def _send(producer: AIOKafkaProducer, message: Message) -> Any:
    return await producer.send(
        message.topic,
        message.value,
        key=message.key,
        headers=message.headers,
        partition=message.partition,
    )


class Stream:
    """A block in which an order system publishes at a steady rate; at its end everything is acknowledged."""

    def __init__(
        self, servers: str, messages: Iterator[Message], acknowledged: list[Place], rate: float = RATE
    ) -> None:
        self.servers = servers
        self.messages = messages
        self.acknowledged = acknowledged
        self.rate = rate
        self.sent = 0
        self.failure: BaseException | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._main, name="stream")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: BaseException | TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()
        if kind is None and self.failure is not None:
            raise self.failure

    def _main(self) -> None:
        try:
            asyncio.run(self._publish())
        except BaseException as failure:
            self.failure = failure

    async def _publish(self) -> None:
        producer = _producer(self.servers)
        await producer.start()
        under_way: list[tuple[Message, Any]] = []
        began = time.monotonic()
        try:
            while not self._stop.is_set():
                await asyncio.sleep(max(0.0, began + self.sent / self.rate - time.monotonic()))
                message = next(self.messages)
                under_way.append((message, await _send(producer, message)))
                self.sent += 1
            async with asyncio.timeout(FLUSH_SECONDS):
                places = await asyncio.gather(*(future for _, future in under_way), return_exceptions=True)
        finally:
            await producer.stop()
        self.acknowledged += [
            (place.topic, place.partition, place.offset)
            for place in places
            if not isinstance(place, BaseException)
        ]


@dataclass
class Relationships:
    """What people have been told about relationships: (id, version) of each one that they have made and ended."""

    ended: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def check(self, books: Books) -> None:
        """Every command was answered rightly, and what was ended stands ended, by three changes and no more."""
        assert self.wrong == []
        standing = books.relationships()
        assert {standing[key] for key in self.ended} <= {(3, "ended")}


class Commander:
    """A block in which people invite, accept and end over HTTP; each command is repeated until it is answered."""

    def __init__(self, urls: Sequence[str], token: str, relationships: Relationships) -> None:
        self.urls = urls
        self.token = token
        self.relationships = relationships
        self.failure: BaseException | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._main, name="commander")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: BaseException | TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()
        if kind is None and self.failure is not None:
            raise self.failure

    def _main(self) -> None:
        try:
            asyncio.run(self._command())
        except BaseException as failure:
            self.failure = failure

    async def _command(self) -> None:
        async with httpx.AsyncClient(
            timeout=COMMAND_TRY_SECONDS, headers={"Authorization": f"Bearer {self.token}"}
        ) as client:
            number = 0
            while not self._stop.is_set():
                number += 1
                await self._whole_life(client, COLD[number % len(COLD)])
                await asyncio.sleep(COMMAND_PAUSE_SECONDS)

    async def _whole_life(self, client: httpx.AsyncClient, member: str) -> None:
        invitation = {
            "kind": "financial",
            "management_account": MANAGEMENT,
            "member_account": member,
            "permissions": [PERMISSION],
        }
        invited = await self._send(client, "/relationships", invitation, 201)
        path = f"/relationships/{invited['relationship_id']}"
        await self._send(client, f"{path}/refuse", {"permissions": [PERMISSION]}, 200)
        ended = await self._send(client, f"{path}/end", None, 200)
        if ended["version"] != 3:
            self.relationships.wrong.append(f"{path} has version {ended['version']} after three changes")
        self.relationships.ended.append(str(ended["relationship_id"]))

    async def _send(
        self, client: httpx.AsyncClient, path: str, body: dict[str, Any] | None, status: int
    ) -> dict[str, Any]:
        """One command under one key, at one instance after the other until one answers it."""
        key = str(uuid4())
        deadline = time.monotonic() + COMMAND_SECONDS_MAX
        attempt = 0
        while True:
            url = self.urls[attempt % len(self.urls)] + path
            attempt += 1
            answer = await _answer(client, url, body, key)
            if answer is not None:
                if answer.status_code != status:
                    self.relationships.wrong.append(f"{path}: {answer.status_code} {answer.text[:300]}")
                document: dict[str, Any] = answer.json()
                return document
            assert time.monotonic() < deadline, f"{path} was not answered in {COMMAND_SECONDS_MAX:g} s"
            await asyncio.sleep(0.1)


async def _answer(
    client: httpx.AsyncClient, url: str, body: dict[str, Any] | None, key: str
) -> httpx.Response | None:
    """The answer; None where there was none, or where a service says that it cannot answer now."""
    try:
        answer = await client.post(url, json=body, headers={"Idempotency-Key": key})
    except httpx.TransportError:
        return None
    return None if answer.status_code in (409, 503) and _comes_again(answer) else answer


def _comes_again(answer: httpx.Response) -> bool:
    return "retry-after" in answer.headers
