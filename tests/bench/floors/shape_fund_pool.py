"""Floor `shape` of the fund-pool stage: the rows that it writes and the records that it produces, with no logic."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import asyncpg

from tests.bench.floors.loop import run

WRITE = """
with o as (
    insert into order_state (source, order_id, account, status, check_number, order_revision, currency, customer,
                             business_organisation, settlement_organisation, payment_method, total, due_date, paid,
                             payments, fingerprints, changed_at)
    select 'bench', id, account, 'accepted', 1, 1, 'CNY', account, 'ORG-1', 'ORG-1', 'account', 1000, current_date,
           1000, $3, substr($3, 1, 16), now()
    from unnest($1::text[], $2::text[]) as n (id, account)),
d as (
    insert into decision (source, order_id, check_number, decided_at, account, outcome, entry_number, body)
    select 'bench', id, 1, now(), account, 'accepted', 1, $4 from unnest($1::text[], $2::text[]) as n (id, account)),
e as (
    insert into journal_entry (account, entry_number, posted_at, effective_date, document_type, document_source,
                               document_id, document_number)
    select account, $6::bigint + row_number() over (), now(), current_date, 'order-payment', 'bench', id, 1
    from unnest($1::text[], $2::text[]) as n (id, account)),
a as (
    update account set last_entry_number = last_entry_number + n.orders, last_posted_at = now()
    from unnest($5::text[], $7::bigint[]) as n (id, orders) where account = n.id),
f as (
    update fund_account set balance = balance - 1000 * n.orders
    from unnest($5::text[], $7::bigint[]) as n (id, orders)
    where account = n.id and account_type = 'cash' and currency = 'CNY')
insert into posting (account, account_type, currency, bucket, entry_number, posted_at, amount, after)
select account, account_type, 'CNY', bucket, $6::bigint + row_number() over (), now(), 1000, 1000
from unnest($1::text[], $2::text[]) as n (id, account),
     (values ('cash', 'balance'), ('order-revenue', 'internal')) as sides (account_type, bucket)
"""
PAYMENTS, DECISION, CHANGE = b"p" * 250, b"d" * 900, b"c" * 450


async def write(connection: asyncpg.Connection, records: Sequence[Any]) -> list[tuple[str, bytes, bytes]]:
    ids = [f"{record.partition}-{record.offset}" for record in records]
    accounts = [record.key.decode() for record in records]
    touched = Counter(accounts)
    await connection.execute(WRITE, ids, accounts, PAYMENTS, DECISION, list(touched), records[0].offset * 1000,
                             list(touched.values()))  # fmt: skip
    decided = [("bench-out", record.key, DECISION + PAYMENTS) for record in records]
    return decided + [("balance-changed", record.key, CHANGE) for record in records]


if __name__ == "__main__":
    run(write)
