"""Floor `shape` of the credit stage: the rows that it writes and the records that it produces, with no logic."""

from collections.abc import Sequence
from typing import Any

import asyncpg

from tests.bench.floors.loop import run

WRITE = """
with o as (
    insert into sales_order (source, order_id, status, paying_account, last_revision, answered_ahead, parked, checks,
                             open_check, order_check)
    select 'bench', id, 'undecided', account, 1, '{}', '{}', 1, 1, 1
    from unnest($1::text[], $2::text[]) as n (id, account)),
c as (
    insert into credit_check (source, order_id, check_number, order_revision, operation, outcome, findings,
                              event_source, event_id, digest, body, body_version, checked_at)
    select 'bench', id, 1, 1, 'submit', 'approved', $3, 'bench', id, substr(body, 1, 16), body, 1, now()
    from unnest($1::text[], $4::bytea[]) as n (id, body)),
y as (
    insert into occupancy (source, order_id, check_number, profile_id, amount_minor, settled)
    select 'bench', id, 1, profile_id, 1000, false
    from unnest($1::text[], $5::text[]) as n (id, customer)
    join credit_profile on object_id = customer and currency = 'CNY'),
p as (
    update credit_profile set used_minor = used_minor + n.orders * 1000, entries = entries + n.orders
    from (select customer, count(*) as orders from unnest($5::text[]) as c (customer) group by customer) as n
    where object_id = n.customer and currency = 'CNY')
insert into occupancy_entry (profile_id, entry_number, recorded_at, source, order_id, check_number, change_minor,
                             used_after_minor, permit, limit_minor)
select profile_id, $6::bigint + row_number() over (), now(), 'bench', id, 1, 1000, 1000, 'within-limit', 1000
from unnest($1::text[], $5::text[]) as n (id, customer)
join credit_profile on object_id = customer and currency = 'CNY'
"""
FINDINGS = b"f" * 400


async def write(connection: asyncpg.Connection, records: Sequence[Any]) -> list[tuple[str, bytes, bytes]]:
    ids = [f"{record.partition}-{record.offset}" for record in records]
    accounts = [record.key.decode() for record in records]
    customers = ["C" + account[1:] for account in accounts]
    values = [record.value for record in records]
    await connection.execute(WRITE, ids, accounts, FINDINGS, values, customers, records[0].offset * 100)
    return [("bench-out", record.key, record.value + FINDINGS) for record in records]


if __name__ == "__main__":
    run(write)
