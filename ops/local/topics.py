"""The topics that ops/topics.toml declares: reading the file, making them, and the rights that follow."""

import asyncio
import tomllib
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import for_code

from ops.local.errors import NotReadyError, StackError
from ops.local.waiting import POLL_SECONDS, run

FILE = Path(__file__).resolve().parent.parent / "topics.toml"
REQUEST_MILLISECONDS = 60_000
READY_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic as it shall be. Sizes are in bytes, times in milliseconds."""

    name: str
    key: str
    writers: tuple[str, ...]
    readers: tuple[str, ...]
    partitions: int
    replication: int
    min_insync_replicas: int
    retention_ms: int
    message_bytes_max: int
    unclean_leader_election: bool

    @property
    def configuration(self) -> dict[str, str]:
        """The settings in Kafka's words."""
        return {
            "min.insync.replicas": str(self.min_insync_replicas),
            "retention.ms": str(self.retention_ms),
            "max.message.bytes": str(self.message_bytes_max),
            "unclean.leader.election.enable": str(self.unclean_leader_election).lower(),
        }


@dataclass(frozen=True, slots=True, order=True)
class Right:
    """One thing that a principal may do."""

    principal: str
    operation: str
    resource: str
    name: str


def declared(profile: str = "local", file: Path = FILE) -> tuple[Topic, ...]:
    """The topics of the file, with the defaults of a profile (`local`, or empty for a cluster)."""
    document = tomllib.loads(file.read_text())
    defaults = document["defaults"] | (document["profiles"][profile] if profile else {})
    topics = [Topic(name=name, **_merged(defaults, entry)) for name, entry in document["topics"].items()]
    return (*topics, *_service_topics(document["services"], defaults))


def _merged(defaults: dict[str, Any], entry: dict[str, Any]) -> dict[str, Any]:
    merged = defaults | entry
    return merged | {"writers": tuple(merged["writers"]), "readers": tuple(merged["readers"])}


def _service_topics(services: dict[str, Any], defaults: dict[str, Any]) -> list[Topic]:
    topics = []
    for name in services["names"]:
        topics += service_topics(name, services, defaults)
    return topics


def service_topics(service: str, services: dict[str, Any], defaults: dict[str, Any]) -> list[Topic]:
    """A service's dead letters, which operators read, and its redrive, which they write."""
    common = defaults | {"key": "the record's own", "message_bytes_max": services["message_bytes_max"]}
    operators = services["operators"]
    return [
        Topic(name=f"{service}.dead-letter", writers=(service,), readers=(operators,), **common),
        Topic(name=f"{service}.redrive", writers=(operators,), readers=(service,), **common),
    ]


def of_service(service: str, file: Path = FILE) -> tuple[Topic, ...]:
    """The two topics of a service that the file does not name, for tests that bring their own."""
    document = tomllib.loads(file.read_text())
    defaults = document["defaults"] | document["profiles"]["local"]
    return tuple(service_topics(service, document["services"], defaults))


def rights(topics: Iterable[Topic]) -> tuple[Right, ...]:
    """Who may do what: write and read as declared, and each reader its own consumer group."""
    found = set()
    for topic in topics:
        for writer in topic.writers:
            found |= {Right(writer, operation, "topic", topic.name) for operation in ("Write", "Describe")}
            found.add(Right(writer, "IdempotentWrite", "cluster", "kafka-cluster"))
        for reader in topic.readers:
            found |= {Right(reader, operation, "topic", topic.name) for operation in ("Read", "Describe")}
            found.add(Right(reader, "Read", "group", reader))
    return tuple(sorted(found))


def acl_commands(topics: Iterable[Topic]) -> list[str]:
    """The rights as arguments of kafka-acls.sh, one line each."""
    lines = []
    for right in rights(topics):
        resource = "--cluster" if right.resource == "cluster" else f"--{right.resource} {right.name}"
        lines.append(
            f"--add --allow-principal User:{right.principal} --operation {right.operation} {resource}"
        )
    return lines


def create(bootstrap_servers: str, topics: Sequence[Topic], *, fresh: bool = False) -> list[str]:
    """Make what is missing, set what differs, and return the names of the new ones.

    fresh: delete the ones that exist first, with all their records. Partitions of a topic that exists are
    never changed, for that would break the order of its keys.
    """
    return run(_create(bootstrap_servers, topics, fresh))


async def _create(bootstrap_servers: str, topics: Sequence[Topic], fresh: bool) -> list[str]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers, request_timeout_ms=REQUEST_MILLISECONDS)
    await admin.start()
    try:
        existing = set(await admin.list_topics())
        if fresh:
            await _delete(admin, [topic.name for topic in topics if topic.name in existing])
            existing = set()
        missing = [topic for topic in topics if topic.name not in existing]
        await _make(admin, missing)
        await _adjust(admin, [topic for topic in topics if topic.name in existing])
        await _led(admin, topics)
        return [topic.name for topic in missing]
    finally:
        await admin.close()


async def _make(admin: AIOKafkaAdminClient, topics: Sequence[Topic]) -> None:
    if not topics:
        return
    new = [
        NewTopic(topic.name, topic.partitions, topic.replication, topic_configs=topic.configuration)
        for topic in topics
    ]
    response = await admin.create_topics(new, timeout_ms=REQUEST_MILLISECONDS)
    _require_success("made", response.topic_errors)


async def _delete(admin: AIOKafkaAdminClient, names: Sequence[str]) -> None:
    if not names:
        return
    response = await admin.delete_topics(list(names), timeout_ms=REQUEST_MILLISECONDS)
    _require_success("deleted", response.topic_error_codes)

    async def gone() -> bool:
        return not set(names) & set(await admin.list_topics())

    await _eventually(gone, "The deletion of topics")


async def _adjust(admin: AIOKafkaAdminClient, topics: Sequence[Topic]) -> None:
    """Give topics that exist the declared settings."""
    resources = [
        ConfigResource(ConfigResourceType.TOPIC, topic.name, topic.configuration) for topic in topics
    ]
    if resources:
        for response in await admin.alter_configs(resources):
            _require_success("changed", [(name, code) for code, _, _, name in response.resources])


async def _led(admin: AIOKafkaAdminClient, topics: Sequence[Topic]) -> None:
    """Wait until every partition has a leader, so that the first client finds all of them."""

    async def complete() -> bool:
        described = await admin.describe_topics([topic.name for topic in topics])
        return all(
            entry["error_code"] == 0 and all(partition["leader"] >= 0 for partition in entry["partitions"])
            for entry in described
        )

    await _eventually(complete, "A leader for every partition")


async def _eventually(condition: Callable[[], Awaitable[bool]], what: str) -> None:
    try:
        async with asyncio.timeout(READY_SECONDS):
            while not await condition():  # noqa: ASYNC110 - another machine decides, nothing here can tell
                await asyncio.sleep(POLL_SECONDS)
    except TimeoutError:
        raise NotReadyError(what, READY_SECONDS) from None


def _require_success(done: str, outcomes: Iterable[tuple[Any, ...]]) -> None:
    for name, code, *_ in outcomes:
        if code:
            raise StackError(f"Topic {name} could not be {done}: {for_code(code).__name__}.")
