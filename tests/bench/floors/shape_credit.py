"""Floor `shape` of the credit stage: the rows that it writes and the records that it produces, with no logic."""

import asyncio
import sys
import time
from typing import Any

import asyncpg
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.partitioner import murmur2

# fmt: off
INBOX = "insert into inbox select 'bench', *, now() from unnest($1::text[], $2::bytea[])"
STAGE = """
with n as materialized (
    select n.*, profile_id from unnest($1::text[], $2::text[], $3::bytea[]) as n (id, account, body)
    join credit_profile on object_id = 'C' || substr(account, 2) and credit_profile.currency = 'CNY'),
o as (insert into sales_order (source, order_id, status, paying_account, last_revision, answered_ahead, parked, checks,
        open_check, order_check)
    select 'bench', id, 'undecided', account, 1, '{}', '{}', 1, 1, 1 from n),
c as (insert into credit_check (source, order_id, check_number, order_revision, operation, outcome, findings,
        event_source, event_id, digest, body, body_version, checked_at)
    select 'bench', id, 1, 1, 'submit', 'approved', substr(body, 1, 647), '', id, substr(body, 1, 16), body, 1, now()
    from n),
y as (insert into occupancy (source, order_id, check_number, profile_id, amount_minor, settled)
    select 'bench', id, 1, profile_id, 1000, false from n),
p as (update credit_profile p set used_minor = used_minor + t.orders * 1000, entries = entries + t.orders
    from (select profile_id, count(*) as orders from n group by profile_id) as t where p.profile_id = t.profile_id)
insert into occupancy_entry (profile_id, entry_number, recorded_at, source, order_id, check_number, change_minor,
    used_after_minor, permit, limit_minor)
select profile_id, $4::bigint + row_number() over (), now(), 'bench', id, 1, 1000, 1000, 'within-limit', 1000 from n"""
MOVE = """insert into position select $1, * from unnest($2::int[], $3::bigint[])
on conflict (topic, partition) do update set next_offset = excluded.next_offset"""
OUTBOX = """insert into outbox (headers, topic, key, body)
select $1, * from unnest($2::text[], $3::bytea[], $4::bytea[]) returning id"""
DELETE = "delete from outbox where id = any($1::bigint[])"
EVENT_BYTES = 844
HEADERS = [(f"ce_attribute_{number}", b"0" * 26) for number in range(8)]


async def main(servers: str, dsn: str, source: str, target: str, group: str, batch: str, total: str) -> None:
    connection = await asyncpg.connect(dsn)
    consumer = AIOKafkaConsumer(source, bootstrap_servers=servers, group_id=group, enable_auto_commit=False,
                                auto_offset_reset="earliest")
    producer = AIOKafkaProducer(bootstrap_servers=servers, enable_idempotence=True, max_batch_size=512 * 1024)
    async with consumer, producer:
        done, partitions = 0, len(await producer.partitions_for(target))
        while done < int(total):
            fetched = await consumer.getmany(timeout_ms=500, max_records=int(batch))
            if records := [record for part in fetched.values() for record in part]:
                ids = [f"{group}-{r.partition}-{r.offset}" for r in records]
                stage = ids, [r.key.decode() for r in records], [r.value for r in records], time.time_ns() // 1_000
                messages = [(target, r.key, r.value + (r.value * 4)[:EVENT_BYTES]) for r in records]
                nexts = {part.partition: items[-1].offset + 1 for part, items in fetched.items() if items}
                async with connection.transaction():
                    await connection.execute(INBOX, ids, [r.value[:16] for r in records])
                    await connection.execute(STAGE, *stage)
                    await connection.execute(MOVE, source, list(nexts), list(nexts.values()))
                    rows = await connection.fetch(OUTBOX, b" " * 334, *map(list, zip(*messages, strict=True)))
                await produce(producer, partitions, messages)
                await connection.execute(DELETE, [row["id"] for row in rows])
                await consumer.commit()
                done += len(records)


async def produce(producer: AIOKafkaProducer, partitions: int, messages: list[tuple[str, bytes, bytes]]) -> None:
    batches: dict[tuple[str, int], list[Any]] = {}
    for topic, key, body in messages:
        where = topic, (murmur2(key) & 0x7FFFFFFF) % partitions
        builders = batches.setdefault(where, [producer.create_batch()])
        if builders[-1].append(key=key, value=body, timestamp=None, headers=HEADERS) is None:
            builders.append(producer.create_batch())
            builders[-1].append(key=key, value=body, timestamp=None, headers=HEADERS)
    await asyncio.gather(*[await producer.send_batch(b, t, partition=n) for (t, n), bs in batches.items() for b in bs])


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))
