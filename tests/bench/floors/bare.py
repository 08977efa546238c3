"""Floor `bare`: consume, one multi-row insert with the position, commit, one record produced for each. No logic.

Arguments: servers, DSN, input topic, output topic, group, batch size, records to process.
"""

import asyncio
import sys
from typing import Any

import asyncpg
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.partitioner import murmur2

SCHEMA = """
create table if not exists bare (topic text, partition int, "offset" bigint, key bytea, value bytea,
                                 primary key (topic, partition, "offset"));
create table if not exists bare_position (topic text, partition int, next_offset bigint, primary key (topic, partition))
"""
INSERT = "insert into bare select $1, * from unnest($2::int[], $3::bigint[], $4::bytea[], $5::bytea[])"
MOVE = """
insert into bare_position select $1, * from unnest($2::int[], $3::bigint[])
on conflict (topic, partition) do update set next_offset = excluded.next_offset
"""


async def main(servers: str, dsn: str, source: str, target: str, group: str, batch: int, total: int) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.execute(SCHEMA)
    consumer = AIOKafkaConsumer(source, bootstrap_servers=servers, group_id=group, enable_auto_commit=False,
                                auto_offset_reset="earliest")  # fmt: skip
    producer = AIOKafkaProducer(bootstrap_servers=servers, enable_idempotence=True, max_batch_size=512 * 1024)
    await consumer.start()
    await producer.start()
    partitions = len(await producer.partitions_for(target))
    done = 0
    while done < total:
        fetched = await consumer.getmany(timeout_ms=500, max_records=batch)
        records = [record for part in fetched.values() for record in part]
        if not records:
            continue
        async with connection.transaction():
            await connection.execute(INSERT, source, [r.partition for r in records], [r.offset for r in records],
                                     [r.key for r in records], [r.value for r in records])  # fmt: skip
            nexts = {part.partition: items[-1].offset + 1 for part, items in fetched.items() if items}
            await connection.execute(MOVE, source, list(nexts), list(nexts.values()))
        await produce(producer, target, partitions, records)
        await consumer.commit()
        done += len(records)
    await consumer.stop()
    await producer.stop()
    await connection.close()


async def produce(producer: AIOKafkaProducer, target: str, partitions: int, records: list[Any]) -> None:
    builders: dict[int, list[Any]] = {}
    for record in records:
        number = (murmur2(record.key) & 0x7FFFFFFF) % partitions
        batches = builders.setdefault(number, [producer.create_batch()])
        message = {
            "key": record.key,
            "value": record.value,
            "timestamp": None,
            "headers": list(record.headers),
        }
        if batches[-1].append(**message) is None:
            batches.append(producer.create_batch())
            batches[-1].append(**message)
    sent = [await producer.send_batch(b, target, partition=n) for n, bs in builders.items() for b in bs]
    await asyncio.gather(*sent)


if __name__ == "__main__":
    servers, dsn, source, target, group, batch, total = sys.argv[1:]
    uvloop.run(main(servers, dsn, source, target, group, int(batch), int(total)))
