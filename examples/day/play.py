"""Publishes files of the day to Kafka as bytes, as an outside system would: it imports nothing of Coffer.

`python examples/day/play.py examples/day/20-orders.ndjson [--among examples/day/broken.ndjson] [--shuffle 7]
[--rate 200]` publishes to the brokers of KAFKA_BOOTSTRAP_SERVERS and prints what was sent to which topic.

A line is one record: `topic`, `key`, `headers` (a value may be null, or {"base64": ...}), and its value as
`value` (JSON), `value_text`, `value_base64`, `value_null`, or `value_repeat` (prefix, repeat, times, suffix).
"""

import argparse
import asyncio
import base64
import json
import os
import random
import time
from collections import Counter, defaultdict, deque
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from aiokafka import AIOKafkaProducer

REQUEST_BYTES_MAX = 8 * 1024 * 1024
UNCONFIRMED_MAX = 1000

Json = dict[str, Any]  # Any: a parsed JSON document


class Message(NamedTuple):
    """One Kafka record, ready to be sent."""

    topic: str
    key: bytes
    value: bytes | None
    headers: list[tuple[str, bytes | None]]


def load(path: Path) -> list[Json]:
    """The records of one NDJSON file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def message(record: Json) -> Message:
    """A record as it goes over the wire; the same record always has the same bytes."""
    headers = [(name, _header(value)) for name, value in record["headers"].items()]
    return Message(record["topic"], record["key"].encode(), _value(record), headers)


def _header(value: str | dict[str, str] | None) -> bytes | None:
    if isinstance(value, dict):
        return base64.b64decode(value["base64"])
    return None if value is None else value.encode()


def _value(record: Json) -> bytes | None:
    if "value" in record:
        return json.dumps(record["value"], ensure_ascii=False, separators=(",", ":")).encode()
    if "value_text" in record:
        return str(record["value_text"]).encode()
    if "value_base64" in record:
        return base64.b64decode(record["value_base64"])
    if "value_repeat" in record:
        recipe = record["value_repeat"]
        text = recipe.get("prefix", "") + recipe["repeat"] * recipe["times"] + recipe.get("suffix", "")
        return str(text).encode()
    return None


def shuffled(records: Iterable[Json], seed: int) -> list[Json]:
    """Another order across topics and keys; within one topic and key the order stays, as Kafka keeps it."""
    waiting: dict[tuple[str, str], deque[Json]] = defaultdict(deque)
    for record in records:
        waiting[record["topic"], record["key"]].append(record)
    turns = [lane for lane, queue in waiting.items() for _ in queue]
    random.Random(seed).shuffle(turns)  # noqa: S311 - the same seed gives the same order
    return [waiting[lane].popleft() for lane in turns]


def mixed(records: list[Json], among: list[Json]) -> list[Json]:
    """The records of `among` spread evenly over the others."""
    placed = [(index / max(len(records), 1), record) for index, record in enumerate(records)]
    placed += [((index + 0.5) / len(among), record) for index, record in enumerate(among)]
    return [record for _, record in sorted(placed, key=lambda pair: pair[0])]


async def publish(records: Iterable[Json], servers: str, rate: float | None = None) -> Counter[str]:
    """Sends the records in order and waits for every acknowledgement; `rate` is records per second at most.

    Returns how many went to each topic.
    """
    sent: Counter[str] = Counter()
    producer = AIOKafkaProducer(
        bootstrap_servers=servers, acks="all", enable_idempotence=True, max_request_size=REQUEST_BYTES_MAX
    )
    await producer.start()
    try:
        unconfirmed: list[asyncio.Future[Any]] = []  # Any: aiokafka has no types
        started = time.monotonic()
        for number, each in enumerate(map(message, records)):
            if rate:
                await asyncio.sleep(max(0.0, started + number / rate - time.monotonic()))
            future = await producer.send(each.topic, each.value, key=each.key, headers=each.headers)
            sent[each.topic] += 1
            unconfirmed.append(future)
            if len(unconfirmed) >= UNCONFIRMED_MAX:
                await asyncio.gather(*unconfirmed)
                unconfirmed.clear()
        await asyncio.gather(*unconfirmed)
    finally:
        await producer.stop()
    return sent


def main() -> None:
    """Plays the files named on the command line, one after the other."""
    parser = argparse.ArgumentParser(description="Publishes files of the day to Kafka.")
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--among", type=Path, help="a file whose records are spread over the others")
    parser.add_argument("--shuffle", type=int, metavar="SEED", help="shuffle across topics and keys")
    parser.add_argument("--rate", type=float, help="records per second at most")
    chosen = parser.parse_args()
    records = [record for path in chosen.files for record in load(path)]
    if chosen.among:
        records = mixed(records, load(chosen.among))
    if chosen.shuffle is not None:
        records = shuffled(records, chosen.shuffle)
    servers = os.environ.get("KAFKA_BOOTSTRAP_SERVERS", "localhost:9092")
    for topic, count in sorted(asyncio.run(publish(records, servers, chosen.rate)).items()):
        print(f"{count:6} records to {topic}")


if __name__ == "__main__":
    main()
