"""Whole orders: from order-submitted to the pool item in cashplan, through all five services."""

import asyncio
import time
from typing import Final

import asyncpg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from tests.bench import load
from tests.bench.rows import Result, Row, time_row
from tests.bench.site import Site
from tests.bench.stages import COLD, CREDIT, FUND_POOL
from tests.bench.statistics import percentile

SERVICES: Final = ("fund-pool", "credit", "cashplan", "sharing", "notify")
ORDERS: Final = 10_000
LOW_EVERY: Final = 100
RATE: Final = 50
RATE_SECONDS: Final = 30
WARM_SECONDS: Final = 3
WAIT_SECONDS_MAX: Final = 180.0
P99_GOAL_MILLISECONDS: Final = 150.0
MEMORY_GOAL_MB: Final = 200.0
GROWTH_GOAL: Final = 1.1

LOW_ACCOUNTS: Final = f"""
    insert into quota_alert (account, currency, threshold, enabled, margin, margin_basis_points, changed_by, changed_at)
    select account, 'CNY', balance, true, 0, 0, 'bench', now() from fund_account
    where account_type = 'cash' and substr(account, 2)::int % {LOW_EVERY} = 0
"""
CONTACTS: Final = f"""
    insert into account (account, name, version)
    select 'A' || n, 'Account ' || n, 1 from generate_series(0, {COLD - 1}, {LOW_EVERY}) n on conflict do nothing;
    insert into contact (account, person, name, language, time_zone, security, wants, changed_at)
    select 'A' || n, 'P' || n, 'Person ' || n, 'en', 'Asia/Shanghai', true, '{{}}', now()
    from generate_series(0, {COLD - 1}, {LOW_EVERY}) n;
    insert into contact_address (account, person, channel, address, verified_at, changed_at)
    select 'A' || n, 'P' || n, kind, address, now(), now()
    from generate_series(0, {COLD - 1}, {LOW_EVERY}) n,
         lateral (values ('sms', '+8613800' || 100000 + n), ('email', 'p' || n || '@example.com')) as a (kind, address)
"""


async def _start(site: Site) -> None:
    site.reset(SERVICES)
    await site.sql("credit", CREDIT.prepare)
    await site.sql("fund-pool", FUND_POOL.prepare)
    await site.sql("fund-pool", LOW_ACCOUNTS)
    await site.sql("notify", CONTACTS)
    await asyncio.to_thread(site.stack.start_services, list(SERVICES))


async def _stop(site: Site) -> None:
    for process in site.stack.services():
        await asyncio.to_thread(process.stop)


async def _wait_for_rows(site: Site, service: str, query: str, expected: int) -> None:
    connection = await asyncpg.connect(site.stack.dsn(service))
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    try:
        while (found := await connection.fetchval(query)) < expected:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{service}: {found} of {expected} by `{query}`")
            await asyncio.sleep(0.1)
    finally:
        await connection.close()


async def whole_orders(site: Site, pairs: int) -> list[Result]:
    """The rate at which orders go all the way, one account in a hundred going low with both notices."""
    await _start(site)
    rates: list[float] = []
    memory: list[int] = []
    notified = COLD // LOW_EVERY
    for _ in range(max(pairs // 2, 1)):
        records = list(load.batch(load.submitted, ORDERS, COLD, site.next_run()))
        began = time.monotonic()
        await site.publish("order-submitted", records)
        await _wait_for_rows(site, "cashplan", "select count(*) from pool_item", ORDERS * (len(rates) + 1))
        rates.append(ORDERS / (time.monotonic() - began))
        memory.append(max(site.memory_of_services()))
    notices = "select count(*) from delivery where state in ('sent', 'delivered')"
    await _wait_for_rows(site, "notify", notices, 2 * notified)
    memory.append(max(site.memory_of_services()))
    await _stop(site)
    largest, growth = max(memory) / 1e6, memory[-1] / memory[0]
    return [
        Result(
            "whole orders, submitted to pool item", "orders/s", percentile(rates, 0.5), None, None, None, None
        ),
        Result(
            "largest memory of a service", "MB", largest, None, None, MEMORY_GOAL_MB, largest < MEMORY_GOAL_MB
        ),
        Result(
            "memory after all orders, of that after the first 10,000",
            "times",
            growth,
            None,
            None,
            GROWTH_GOAL,
            growth < GROWTH_GOAL,
        ),
    ]


async def latency(site: Site, _: int) -> list[Result]:
    """From order-submitted to order-decided as its sender sees it, at 50 orders a second."""
    await _start(site)
    records = list(load.batch(load.submitted, RATE * RATE_SECONDS, COLD, site.next_run()))
    sent_at: dict[str, float] = {}
    answered_at: dict[str, float] = {}
    consumer = AIOKafkaConsumer("order-decided", bootstrap_servers=site.servers, auto_offset_reset="latest")
    producer = AIOKafkaProducer(bootstrap_servers=site.servers, acks="all")
    await consumer.start()
    await consumer.seek_to_end()
    await producer.start()
    try:
        reading = asyncio.create_task(_read_answers(consumer, answered_at, len(records)))
        began = time.monotonic()
        for index, record in enumerate(records):
            await asyncio.sleep(max(began + index / RATE - time.monotonic(), 0))
            sent_at[dict(record.headers)["ce_id"].decode()] = time.monotonic()
            await producer.send("order-submitted", record.value, key=record.key, headers=record.headers)
        await asyncio.wait_for(reading, WAIT_SECONDS_MAX)
    finally:
        await consumer.stop()
        await producer.stop()
        await _stop(site)
    times = [(answered_at[event] - sent) * 1_000 for event, sent in sent_at.items()][RATE * WARM_SECONDS :]
    return [
        time_row(f"order-submitted to order-decided at {RATE}/s, p50", percentile(times, 0.5), None),
        time_row(
            f"order-submitted to order-decided at {RATE}/s, p99",
            percentile(times, 0.99),
            P99_GOAL_MILLISECONDS,
        ),
    ]


async def _read_answers(consumer: AIOKafkaConsumer, answered_at: dict[str, float], expected: int) -> None:
    """The correlation id of an answer is the id of the order event."""
    while len(answered_at) < expected:
        record = await consumer.getone()
        answered_at[dict(record.headers)["correlation_id"].decode()] = time.monotonic()


ROWS: Final = (
    Row("whole", "orders from order-submitted to cashplan's pool, 1 % of accounts going low", whole_orders),
    Row("latency", f"order-submitted to order-decided at {RATE} orders/s", latency),
)
