"""Floor `shape` of the fund-pool stage: the rows that it writes and the records that it produces, with no logic."""

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
with n as materialized (select * from unnest($1::text[], $2::text[], $3::bytea[]) as n (id, account, body)),
t as materialized (select account as id, count(*) as orders from n group by account),
o as (insert into order_state (source, order_id, account, status, check_number, order_revision, currency, customer,
        business_organisation, settlement_organisation, payment_method, total, due_date, paid, payments, fingerprints)
    select 'bench', id, account, 'accepted', 1, 1, 'CNY', account, 'ORG-1', 'ORG-1', 'account', 9, current_date, 9,
        substr(body, 1, 97), substr(body, 1, 16) from n),
d as (insert into decision (source, order_id, check_number, decided_at, account, outcome, entry_number, body)
    select 'bench', id, 1, now(), account, 'accepted', 1, substr(body, 1, 1327) from n),
e as (insert into journal_entry (account, entry_number, posted_at, effective_date, document_type, document_source,
        document_id, document_number, hash)
    select account, $4::bigint + row_number() over (), now(), current_date, 'paid', '', id, 1, sha256(body) from n),
a as (update account a set last_posted_at = now(), chain_head = sha256(''), last_entry_number = 9 from t
    where account = t.id),
f as (update fund_account set balance = balance - 9 * orders from t where account = t.id and account_type = 'cash')
insert into posting (account, account_type, currency, bucket, entry_number, posted_at, amount, after)
select account, kind, 'CNY', bucket, $4::bigint + row_number() over (), now(), 1000, 1000
from n, (values ('cash', 'balance'), ('order-revenue', 'internal')) as sides (kind, bucket)"""
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
        told = (target, 1327), ("entry-posted", 503), ("balance-changed", 421)
        done, partitions = 0, len(await producer.partitions_for(target))
        while done < int(total):
            fetched = await consumer.getmany(timeout_ms=500, max_records=int(batch))
            if records := [record for part in fetched.values() for record in part]:
                ids = [f"{group}-{r.partition}-{r.offset}" for r in records]
                stage = ids, [r.key.decode() for r in records], [r.value for r in records], time.time_ns() // 1_000
                messages = [(topic, r.key, r.value[:size]) for topic, size in told for r in records]
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
