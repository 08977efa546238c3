"""Floor `shape` of telling what is shared: outbox rows and records of the same sizes, with no logic.

Arguments: servers, DSN, output topic, records. Prints when it began."""

import asyncio
import sys
import time
from typing import Any

import asyncpg
import uvloop
from aiokafka import AIOKafkaProducer
from aiokafka.partitioner import murmur2

OUTBOX = """insert into outbox (headers, topic, key, body)
select $1, * from unnest($2::text[], $3::bytea[], $4::bytea[])"""
TAKE = "select id, topic, key, body from outbox order by id limit 1000"
DELETE = "delete from outbox where id = any($1::bigint[])"
HEADERS = [(f"ce_attribute_{number}", b"0" * 25) for number in range(9)]
BODY = b"0" * 200


async def main(servers: str, dsn: str, target: str, total: str) -> None:
    connection = await asyncpg.connect(dsn)
    async with AIOKafkaProducer(
        bootstrap_servers=servers, enable_idempotence=True, max_batch_size=512 * 1024
    ) as producer:
        partitions = len(await producer.partitions_for(target))
        print(time.time(), flush=True)
        async with connection.transaction():
            count = int(total)
            await connection.execute(
                OUTBOX, b" " * 395, [target] * count, [b"S00001"] * count, [BODY] * count
            )
        while rows := await connection.fetch(TAKE):
            await produce(producer, partitions, rows)
            await connection.execute(DELETE, [row["id"] for row in rows])
    await connection.close()


async def produce(producer: AIOKafkaProducer, partitions: int, rows: list[Any]) -> None:
    batches: dict[tuple[str, int], list[Any]] = {}
    for _, topic, key, body in rows:
        where = topic, (murmur2(key) & 0x7FFFFFFF) % partitions
        builders = batches.setdefault(where, [producer.create_batch()])
        if builders[-1].append(key=key, value=body, timestamp=None, headers=HEADERS) is None:
            builders.append(producer.create_batch())
            builders[-1].append(key=key, value=body, timestamp=None, headers=HEADERS)
    await asyncio.gather(
        *[await producer.send_batch(b, t, partition=n) for (t, n), bs in batches.items() for b in bs]
    )


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))
