"""The fund pool: split orders, documents by HTTP, allocation, overview, statements and imports.

COFFER_BENCH_ENTRIES and COFFER_BENCH_ACCOUNTS size the history of `split-history`: half a million entries over a
hundred thousand accounts by default, 10000000 and 1000000 as the large setting (which takes an hour to make).
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from uuid import uuid4

import httpx
import psutil

from ops.local.services import ServiceProcess
from tests.bench import load
from tests.bench.rows import Result, Row, time_row
from tests.bench.site import Site
from tests.bench.stages import (
    BATCHES,
    COLD,
    FUND_POOL,
    Stage,
    against_floors,
    full_against_empty,
    hot_against_cold,
)
from tests.bench.statistics import percentile

ENTRIES: Final = int(os.environ.get("COFFER_BENCH_ENTRIES", "500000"))
ACCOUNTS: Final = int(os.environ.get("COFFER_BENCH_ACCOUNTS", "100000"))
PLENTY: Final = 900_000_000_000

RATE: Final = 100
RATE_SECONDS: Final = 20
WARM_SECONDS: Final = 3
POSTING_GOAL_MILLISECONDS: Final = 50.0
ALLOCATED_ROWS: Final = 10_000
ALLOCATION_GOAL: Final = 2_000.0
MEMBERS: Final = 100
OVERVIEWS: Final = 60
OVERVIEW_GOAL_MILLISECONDS: Final = 100.0
MOVEMENTS: Final = 1_000_000
IMPORTED_ROWS: Final = 100_000
WRONG_ROWS: Final = {17: "amount", 50_000: "currency", 99_999: "effective_date"}
MEMORY_GOAL_MB: Final = 250.0

SPLIT: Final = Stage(
    service="fund-pool",
    source="credit-checked",
    output="order-decided",
    floor="shape_fund_pool_split",
    make=load.checked,
    prepare=f"""
        {FUND_POOL.prepare}
        update account set extras = true;
        insert into account_type values ('ORG-1', 'rebate', 'Rebate', true, false, true, true, 'bench', now());
        insert into deduction_order_version (settlement_organisation, customer, account_types, changed_by, changed_at)
            values ('ORG-1', '', '{{rebate,cash,overdraft}}', 'bench', now());
        insert into deduction_order
            select settlement_organisation, customer, version, account_types from deduction_order_version;
        insert into fund_account (account, account_type, currency, balance, opened_at)
            select 'A' || n, 'rebate', 'CNY', {PLENTY}, now() from generate_series(0, {COLD - 1}) n;
        insert into fund_account (account, account_type, currency, balance, line, opened_at)
            select 'A' || n, 'overdraft', 'CNY', 0, {PLENTY}, now() from generate_series(0, {COLD - 1}) n;
        insert into usage_rule (business_organisation, currency, account_type, purposes, materials, material_groups,
            first_payment, made_by, made_at)
            select 'ORG-1', 'CNY', kind, '{{order-payment,final-payment}}', array[material], '{{}}', 10000,
                   'bench', now()
            from (values ('rebate', 'M-1'), ('cash', 'M-2'), ('overdraft', 'M-3')) as rules (kind, material);
        insert into voucher (voucher_id, kind, owner, currency, amount, remaining, issued_on, materials,
            material_groups, made_by, made_at)
            select 'VA' || n, 'card', 'A' || n, 'CNY', {PLENTY}, {PLENTY}, current_date, '{{M-4}}', '{{}}', 'bench',
                   now()
            from generate_series(0, {COLD - 1}) n;
        insert into voucher_member select 'A' || n, 'VA' || n from generate_series(0, {COLD - 1}) n;
    """,
    history=f"""
        insert into account (account, version, name, customer, settlement_organisation, active)
            select 'A' || n, 1, 'Account ' || n, 'C' || n, 'ORG-1', true
            from generate_series({COLD}, {max(ACCOUNTS, COLD)} - 1) n on conflict do nothing;
        insert into fund_account (account, account_type, currency, balance, opened_at)
            select 'A' || n, 'cash', 'CNY', {PLENTY}, now()
            from generate_series({COLD}, {max(ACCOUNTS, COLD)} - 1) n on conflict do nothing;
        insert into journal_entry (account, entry_number, posted_at, effective_date, document_type, document_source,
            document_id, document_number)
            select 'A' || n % {ACCOUNTS}, 1000000000 + n, now(), current_date, 'order-payment', 'history', n::text, 1
            from generate_series(1, {ENTRIES}) n;
        insert into posting (account, account_type, currency, bucket, entry_number, posted_at, amount, after)
            select 'A' || n % {ACCOUNTS}, kind, 'CNY', bucket, 1000000000 + n, now(), 1, 1
            from generate_series(1, {ENTRIES}) n,
                 (values ('cash', 'balance'), ('order-revenue', 'internal')) as sides (kind, bucket);
        insert into decision (source, order_id, check_number, decided_at, account, outcome, entry_number, body)
            select 'history', n::text, 1, now(), 'A' || n % {ACCOUNTS}, 'accepted', 1, ''
            from generate_series(1, {ENTRIES}) n;
        insert into order_state (source, order_id, account, status, check_number, order_revision)
            select 'history', n::text, 'A' || n % {ACCOUNTS}, 'accepted', 1, 1 from generate_series(1, {ENTRIES}) n;
        analyze;
    """,
)

MEMBERS_OF_M: Final = """
    insert into organisation values ('ORG-1', 1, 'Bench', 'business', null, 'Asia/Shanghai', true);
    insert into account (account, version, name, customer, settlement_organisation, active)
        select id, 1, 'Account ' || id, 'C-' || id, 'ORG-1', true
        from (select 'M' as id union all select 'A' || n from generate_series(1, {members}) n) ids;
    insert into fund_account (account, account_type, currency, balance, opened_at)
        select account, 'cash', 'CNY', 900000000000, now() from account;
    insert into relationship (relationship_id, version, kind, management_account, member_account, state, permissions,
        display_name, invoice_status)
        select 'R' || n, 1, 'financial', 'M', 'A' || n, 'active',
               '{{sync-credit-identity,view-financial-information}}', 'Member ' || n, 'valid'
        from generate_series(1, {members}) n;
    analyze;
"""

LONG_HISTORY: Final = f"""
    insert into organisation values ('ORG-1', 1, 'Bench', 'business', null, 'Asia/Shanghai', true);
    insert into account (account, version, name, customer, settlement_organisation, active, last_entry_number)
        values ('A', 1, 'A', 'C', 'ORG-1', true, {MOVEMENTS});
    insert into fund_account (account, account_type, currency, balance, opened_at)
        values ('A', 'cash', 'CNY', {MOVEMENTS} * 100, now());
    insert into journal_entry (account, entry_number, posted_at, effective_date, document_type, document_source,
        document_id, document_number)
        select 'A', n, now() - interval '1 hour' + n * interval '1 ms', current_date, 'order-payment', 'shop-east',
               'SO-' || n, 1
        from generate_series(1, {MOVEMENTS}) n;
    insert into posting (account, account_type, currency, bucket, entry_number, posted_at, amount, after)
        select 'A', 'cash', 'CNY', 'balance', n, now() - interval '1 hour' + n * interval '1 ms', 100, n * 100
        from generate_series(1, {MOVEMENTS}) n;
    analyze;
"""


@asynccontextmanager
async def _service(site: Site, sql: str) -> AsyncIterator[ServiceProcess]:
    """fund-pool alone over these rows."""
    site.reset(["fund-pool"])
    await site.sql("fund-pool", sql)
    with site.service("fund-pool", BATCHES[0]) as process:
        await asyncio.to_thread(process.wait_ready)
        yield process


def _client(site: Site, *roles: str, subject: str = "bench") -> httpx.AsyncClient:
    token = site.stack.token(*(roles or ("administrator",)), subject=subject)
    return httpx.AsyncClient(
        base_url=site.stack.url("fund-pool"), headers={"Authorization": f"Bearer {token}"}, timeout=300
    )


async def posting(site: Site, _: int) -> list[Result]:
    """Documents that wait are approved, and so posted, a hundred a second."""
    number = RATE * RATE_SECONDS
    waiting = f"""
        insert into document (document_type, document_id, account, currency, amount, account_type, reason, status,
            version, made_by, made_at, submitted_at)
            select 'other-credit', 'D-' || n, 'A' || n % 1000 + 1, 'CNY', 100, 'cash', 'bench', 'submitted', 2,
                   'maker', now(), now()
            from generate_series(1, {number}) n;
    """
    times: list[float] = []

    async def approve(client: httpx.AsyncClient, each: int) -> None:
        began = time.monotonic()
        path = f"/documents/other-credit/D-{each}/approve"
        answer = await client.post(path, headers={"Idempotency-Key": uuid4().hex})
        assert answer.json()["status"] == "posted", answer.text
        times.append((time.monotonic() - began) * 1_000)

    async with (
        _service(site, MEMBERS_OF_M.format(members=1_000) + waiting),
        _client(site) as client,
        asyncio.TaskGroup() as group,
    ):
        began = time.monotonic()
        for each in range(number):
            await asyncio.sleep(max(began + each / RATE - time.monotonic(), 0))
            group.create_task(approve(client, each + 1))
    warm = times[RATE * WARM_SECONDS :]
    name = f"a document posted by HTTP at {RATE}/s"
    return [
        time_row(f"{name}, p50", percentile(warm, 0.5), None),
        time_row(f"{name}, p99", percentile(warm, 0.99), POSTING_GOAL_MILLISECONDS),
    ]


async def allocation(site: Site, pairs: int) -> list[Result]:
    """One batch that gives ten thousand members money: all of it, or nothing."""
    rows = [
        {"member_account": f"A{n}", "amount": {"amount": "1.00", "currency": "CNY"}}
        for n in range(1, ALLOCATED_ROWS + 1)
    ]
    body = {"operation": "allocate", "management_account": "M", "rows": rows}
    rates = []
    async with _service(site, MEMBERS_OF_M.format(members=ALLOCATED_ROWS)), _client(site) as client:
        for _ in range(max(pairs // 2, 1)):
            began = time.monotonic()
            answer = await client.post("/allocations", json=body, headers={"Idempotency-Key": uuid4().hex})
            assert answer.json()["status"] == "posted", answer.text[:500]
            rates.append(ALLOCATED_ROWS / (time.monotonic() - began))
    rate = sorted(rates)[len(rates) // 2]
    return [
        Result(
            f"an allocation of {ALLOCATED_ROWS} rows",
            "rows/s",
            rate,
            None,
            None,
            ALLOCATION_GOAL,
            rate >= ALLOCATION_GOAL,
        )
    ]


async def overview(site: Site, _: int) -> list[Result]:
    """What a management account and its hundred members have, on one page."""
    times = []
    async with _service(site, MEMBERS_OF_M.format(members=MEMBERS)), _client(site) as client:
        for _ in range(OVERVIEWS):
            began = time.monotonic()
            answer = await client.get("/accounts/M/assets", params={"limit": 500, "sort": "-quota"})
            assert len(answer.json()["items"]) == MEMBERS + 1
            times.append((time.monotonic() - began) * 1_000)
    return [
        time_row(
            f"an overview of {MEMBERS} members, median",
            percentile(times[5:], 0.5),
            OVERVIEW_GOAL_MILLISECONDS,
        )
    ]


async def statement(site: Site, _: int) -> list[Result]:
    """A statement of a million movements as CSV and as Excel; what counts is the service's memory."""
    results = []
    site.say(f"writing {MOVEMENTS} movements")
    async with _service(site, LONG_HISTORY) as process, _client(site) as client:
        for file_format in ("csv", "xlsx"):
            began = time.monotonic()
            peak, size, lines = await _statement_file(client, process, file_format)
            seconds = time.monotonic() - began
            if file_format == "csv":
                assert lines == MOVEMENTS + 4, lines
            results += [
                _memory(f"a statement of a million movements as {file_format}, memory", peak),
                Result(
                    f"a statement of a million movements as {file_format}, {size / 1e6:.0f} MB",
                    "rows/s",
                    MOVEMENTS / seconds,
                    None,
                    None,
                    None,
                    None,
                ),
            ]
    return results


async def _statement_file(
    client: httpx.AsyncClient, process: ServiceProcess, file_format: str
) -> tuple[int, int, int]:
    wanted = {"account_type": "cash", "currency": "CNY", "format": file_format}
    watched, done = psutil.Process(process.pid), asyncio.Event()
    peak = 0

    async def watch() -> None:
        nonlocal peak
        while not done.is_set():
            peak = max(peak, watched.memory_info().rss)
            await asyncio.sleep(0.1)

    watching = asyncio.create_task(watch())
    size = lines = 0
    async with client.stream("GET", "/accounts/A/statement/export", params=wanted) as answer:
        assert answer.status_code == 200
        async for chunk in answer.aiter_bytes():
            size += len(chunk)
            lines += chunk.count(b"\n")
    done.set()
    await watching
    return peak, size, lines


def _memory(name: str, held: int) -> Result:
    return Result(name, "MB", held / 1e6, None, None, MEMORY_GOAL_MB, held / 1e6 < MEMORY_GOAL_MB)


def _import_file() -> bytes:
    lines = ["account,account_type,currency,amount,effective_date"]
    for n in range(1, IMPORTED_ROWS + 1):
        row = {"currency": "CNY", "amount": "100.00", "effective_date": "2026-01-01"}
        if n in WRONG_ROWS:
            row[WRONG_ROWS[n]] = "wrong"
        lines.append(f"A{n},cash,{row['currency']},{row['amount']},{row['effective_date']}")
    return "\n".join(lines).encode()


async def importing(site: Site, _: int) -> list[Result]:
    """A file of a hundred thousand opening balances with three bad rows: previewed, then posted when told."""
    results = []
    accounts = f"""
        insert into organisation values ('ORG-1', 1, 'Bench', 'business', null, 'Asia/Shanghai', true);
        insert into account (account, version, name, customer, settlement_organisation, active)
            select 'A' || n, 1, 'A' || n, 'C', 'ORG-1', true from generate_series(1, {IMPORTED_ROWS}) n;
        analyze;
    """
    async with (
        _service(site, accounts) as process,
        _client(site, "finance-maker", subject="maker") as maker,
        _client(site, "finance-approver", subject="approver") as approver,
    ):
        watched = psutil.Process(process.pid)
        began = time.monotonic()
        answer = await maker.post(
            "/opening-balance-imports/file",
            content=_import_file(),
            headers={"Content-Type": "text/csv", "Idempotency-Key": uuid4().hex},
        )
        draft = answer.json()
        previewed = time.monotonic() - began
        found = {fault["row"] - 1: fault["column"] for fault in draft["faults"]}
        assert found == WRONG_ROWS, (answer.status_code, answer.text[:500])
        began = time.monotonic()
        path = f"/opening-balance-imports/{draft['import_id']}/approve"
        body, key = {"leave_out_refused": True}, {"Idempotency-Key": uuid4().hex}
        told = await approver.post(path, json=body, headers=key)
        assert told.json()["postable"] == IMPORTED_ROWS - len(WRONG_ROWS), told.text[:500]
        posted = time.monotonic() - began
        held = watched.memory_info().rss
    for what, seconds in (("previewed", previewed), ("posted", posted)):
        name = f"{IMPORTED_ROWS} opening balances {what}"
        results.append(Result(name, "rows/s", IMPORTED_ROWS / seconds, None, None, None, None))
    results.append(Result("memory after that import", "MB", held / 1e6, None, None, None, None))
    return results


async def split_hot(site: Site, pairs: int) -> list[Result]:
    """Orders that four payers share, all on one account against over ten thousand."""
    return [_renamed(result) for result in await hot_against_cold(SPLIT, site, pairs)]


async def split_history(site: Site, pairs: int) -> list[Result]:
    """The same before and after a long history over many accounts is there."""
    return [_renamed(result) for result in await full_against_empty(SPLIT, site, pairs)]


async def split_floors(site: Site, pairs: int) -> list[Result]:
    return [_renamed(result) for result in await against_floors(SPLIT, BATCHES[0], site, pairs)]


def _renamed(result: Result) -> Result:
    name = result.name.replace("fund-pool stage", "fund-pool, three accounts and a voucher")
    return Result(name, result.unit, result.ours, result.floor, result.ratio, result.goal, result.met)


ROWS: Final = (
    Row("split", "orders paid by three accounts under usage rules and a voucher, beside shape", split_floors),
    Row("split-hot", "such orders on one hot account against 10,000 cold ones", split_hot),
    Row("split-history", f"such orders behind {ENTRIES} entries of {ACCOUNTS} accounts", split_history),
    Row("posting", f"documents approved by HTTP, {RATE} a second", posting),
    Row("allocation", f"one allocation to {ALLOCATED_ROWS} members", allocation),
    Row("overview", f"the assets of {MEMBERS} members", overview),
    Row("statement", "a statement of a million movements as CSV and Excel", statement),
    Row("import", f"an import of {IMPORTED_ROWS} opening balances", importing),
)
