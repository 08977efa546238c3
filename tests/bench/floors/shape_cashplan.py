"""Floor `shape` of execution control: the rows that it writes and the records that it produces, with no logic.

Arguments: servers, DSN, input topic, output topic, group, batch size, records to process."""

import asyncio
import sys
from typing import Any

import asyncpg
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.partitioner import murmur2

# fmt: off
INBOX = "insert into inbox select 'bench', *, now() from unnest($1::text[], $2::bytea[])"
SLOT = "'PLAN', 'month-plan', account, 'wages', '2026-11-W46', 'CNY', '', ''"
STAGE = f"""
with n as materialized (select * from unnest($1::text[], $2::text[], $3::bytea[]) as n (id, account, body)),
d as (insert into control_document (source, document_type, document_id, revision, state, confirmed_state, changed_at)
    select 'bench', 'payment-request', id, 1, substr(body, 1, 248), null, now() from n),
h as (insert into control_holding select 'bench', 'payment-request', id, {SLOT}, current_date, 1000, 0 from n),
e as (insert into occupancy_entry (recorded_at, source, document_type, document_id, system_id, filing_type, entity,
        item, period, currency, members, fields, revision, operation, stance, pre_occupied_minor, actual_minor)
    select now(), 'bench', 'payment-request', id, {SLOT}, 1, 'submit', 'request', 1000, 0 from n),
c as (insert into plan_check (source, document_type, document_id, revision, operation, stance, check_id, entity,
        outcome, body, checked_at)
    select 'bench', 'payment-request', id, 1, 'submit', 'request', md5(id), account, 'passed', body, now() from n),
t as (insert into timer (kind, key, due_at, correlation_id) select 'grant-unconfirmed', id, now() + '1 day', id from n)
update plan_cell p set pre_occupied_minor = pre_occupied_minor + 1000 * g.documents
from (select account, count(*) as documents from n group by account) as g
where p.system_id = 'PLAN' and p.entity = g.account and p.item = 'wages' and p.period = '2026-11-W46'"""
MOVE = """insert into position select $1, * from unnest($2::int[], $3::bigint[])
on conflict (topic, partition) do update set next_offset = excluded.next_offset"""
OUTBOX = """insert into outbox (headers, topic, key, body)
select $1, * from unnest($2::text[], $3::bytea[], $4::bytea[]) returning id"""
DELETE = "delete from outbox where id = any($1::bigint[])"
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
                messages = [(target, r.key, r.value + r.value[:261]) for r in records]
                nexts = {part.partition: items[-1].offset + 1 for part, items in fetched.items() if items}
                async with connection.transaction():
                    await connection.execute(INBOX, ids, [r.value[:16] for r in records])
                    await connection.execute(STAGE, ids, [m[1].decode() for m in messages], [m[2] for m in messages])
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
