"""What both shape floors share: consume, write, produce what was written to the outbox, delete it. No logic.

Arguments: servers, DSN, input topic, output topic, group, batch size, records to process.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import asyncpg
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.partitioner import murmur2

Write = Callable[[asyncpg.Connection, Sequence[Any]], Awaitable[list[tuple[str, bytes, bytes]]]]
MOVE = """
insert into position select $1, * from unnest($2::int[], $3::bigint[])
on conflict (topic, partition) do update set next_offset = excluded.next_offset
"""
INBOX = "insert into inbox select 'bench', * , now() from unnest($1::text[], $2::bytea[])"
OUTBOX = """
insert into outbox (topic, key, headers, body) select * from unnest($1::text[], $2::bytea[], $3::bytea[], $4::bytea[])
returning id
"""
HEADERS = (
    b'[["ce_specversion","1.0"],["ce_id","'
    + b"0" * 36
    + b'"],'
    + b'["ce_source","coffer/bench"]'
    + b" " * 230
    + b"]"
)


async def main(
    write: Write, servers: str, dsn: str, source: str, target: str, group: str, batch: int, total: int
) -> None:
    connection = await asyncpg.connect(dsn)
    consumer = AIOKafkaConsumer(source, bootstrap_servers=servers, group_id=group, enable_auto_commit=False,
                                auto_offset_reset="earliest", max_poll_records=batch)  # fmt: skip
    producer = AIOKafkaProducer(bootstrap_servers=servers, enable_idempotence=True, max_batch_size=512 * 1024)
    await consumer.start()
    await producer.start()
    done = 0
    while done < total:
        fetched = await consumer.getmany(timeout_ms=500, max_records=batch)
        records = [record for part in fetched.values() for record in part]
        if not records:
            continue
        async with connection.transaction():
            await connection.execute(INBOX, [f"{r.partition}-{r.offset}-{group}" for r in records],
                                     [r.value[:16] for r in records])  # fmt: skip
            messages = await write(connection, records)
            nexts = {part.partition: items[-1].offset + 1 for part, items in fetched.items() if items}
            await connection.execute(MOVE, source, list(nexts), list(nexts.values()))
            ids = await connection.fetch(OUTBOX, [topic for topic, _, _ in messages], [key for _, key, _ in messages],
                                         [HEADERS] * len(messages), [body for _, _, body in messages])  # fmt: skip
        await produce(producer, messages)
        await connection.execute(
            "delete from outbox where id = any($1::bigint[])", [row["id"] for row in ids]
        )
        await consumer.commit()
        done += len(records)
    await consumer.stop()
    await producer.stop()


async def produce(producer: AIOKafkaProducer, messages: Sequence[tuple[str, bytes, bytes]]) -> None:
    headers = [("ce_id", b"0" * 36), ("ce_source", b"coffer/bench"), ("about", b"0" * 200)]
    builders: dict[tuple[str, int], list[Any]] = {}
    for topic, key, body in messages:
        partitions = len(await producer.partitions_for(topic))
        number = (murmur2(key) & 0x7FFFFFFF) % partitions
        batches = builders.setdefault((topic, number), [producer.create_batch()])
        message = {"key": key, "value": body, "timestamp": None, "headers": headers}
        if batches[-1].append(**message) is None:
            batches.append(producer.create_batch())
            batches[-1].append(**message)
    sent = [
        await producer.send_batch(b, topic, partition=n) for (topic, n), bs in builders.items() for b in bs
    ]
    await asyncio.gather(*sent)


def run(write: Write) -> None:
    servers, dsn, source, target, group, batch, total = sys.argv[1:]
    uvloop.run(main(write, servers, dsn, source, target, group, int(batch), int(total)))
