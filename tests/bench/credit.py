"""Credit beyond one profile: orders that hit eight, a hot customer group, recalculation and simulation."""

import asyncio
import os
import time
from typing import Any, Final
from uuid import uuid4

import httpx
import psutil
from contracts.event import Event

from contracts import OrderSubmitted
from tests.bench import load
from tests.bench.rows import Result, Row, ratio_row, time_row
from tests.bench.site import Site

RECORDS: Final = 6_000
CUSTOMERS: Final = 2_000
SPREAD: Final = 500
BATCH: Final = 500
SHAPE_GOAL: Final = 0.5
EVEN_GOAL: Final = 0.9
DOCUMENTS: Final = int(os.environ.get("BENCH_DOCUMENTS", "200000"))
"""1,000,000 is the size of the goal; the rate per document is the same, and 200,000 fit into a few minutes."""
DECISIONS: Final = 100_000
RECALCULATED_GOAL: Final = 20_000.0
RECALCULATED_GOAL_MB: Final = 300.0
SIMULATION_GOAL_MILLISECONDS: Final = 10_000.0
POLL_SECONDS: Final = 0.5
WAIT_SECONDS_MAX: Final = 1_200

PROFILE: Final = """
    insert into credit_profile (profile_id, scope, scope_id, object_type, object_id, currency, version,
        credit_limit_minor, credit_limit_unlimited, credit_limit_enforcement, single_document_limit_unlimited,
        single_document_limit_enforcement, used_minor, settled_minor, entries, changed_at)
    select gen_random_uuid(), scope, scope_id, object_type, object_id, 'CNY', 1, 900000000000, false, 'reject', false,
           'reject', 0, 0, 0, now()
"""


def _prepared(groups: int) -> str:
    """Customers over so many groups, with eight profiles that each order of theirs hits, and who hits which."""
    return f"""
    insert into organisation (organisation_id, version, name, organisation_type, time_zone, active, digest, changed_by,
                              changed_at)
        values ('ORG-1', 1, 'Bench', 'legal', 'Asia/Shanghai', true, '', 'bench', now());
    insert into customer (customer_id, credit_managed, version, name, active, digest, changed_by, changed_at,
                          customer_group)
        select 'C' || n, true, 1, 'Customer ' || n, true, '', 'bench', now(), 'G' || n % {groups}
        from generate_series(0, {CUSTOMERS - 1}) n;
    create table wanted as
        select n, kind.* from generate_series(0, {CUSTOMERS - 1}) n
        cross join lateral (values
            ('group', '*', 'customer', 'C' || n), ('legal', 'ORG-1', 'customer', 'C' || n),
            ('group', '*', 'customer-group', 'G' || n % {groups}),
            ('group', '*', 'customer-material', 'C' || n || '/M-1'),
            ('group', '*', 'customer-material', 'C' || n || '/M-2'),
            ('group', '*', 'salesperson', 'S' || n % 200), ('group', '*', 'sales-department', 'D' || n % 50),
            ('legal', 'ORG-1', 'sales-department', 'D' || n % 50))
            as kind (scope, scope_id, object_type, object_id);
    {PROFILE} from (select distinct scope, scope_id, object_type, object_id from wanted) w;
    create table hit as
        select 'A' || w.n as account, p.profile_id
        from wanted w join credit_profile p using (scope, scope_id, object_type, object_id);
    create index on hit (account);
    analyze;
    """


def _order(order_id: str, customer: str, account: str) -> Event:
    fields: dict[str, Any] = load.order_fields(order_id, customer, account)
    number = int(customer[1:])
    return OrderSubmitted(**fields, salesperson=f"S{number % 200}", sales_department=f"D{number % 50}")


async def eight_profiles(site: Site, pairs: int) -> list[Result]:
    """Orders that hit eight profiles each, beside the same rows with no logic."""
    site.reset(["credit"])
    await site.sql("credit", _prepared(SPREAD))
    dsn = await site.floor_database("credit")
    ours: list[float] = []
    shape: list[float] = []
    floor = "shape_credit_profiles"
    for _ in range(pairs):
        records = list(load.batch(_order, RECORDS, CUSTOMERS, site.next_run()))
        await site.publish("order-submitted", records, [floor])
        ours.append(await site.stage_rate("credit", "credit-checked", BATCH, RECORDS))
        shape.append(await site.floor_rate(floor, dsn, "order-submitted", floor, BATCH, RECORDS))
    name = f"credit stage, eight profiles per order, batch {BATCH}, of shape"
    return [ratio_row(name, "records/s", ours, shape, SHAPE_GOAL)]


async def hot_group(site: Site, pairs: int) -> list[Result]:
    """All orders in one customer group, against as many over five hundred groups."""
    rates: dict[int, list[float]] = {1: [], SPREAD: []}
    for groups, measured in rates.items():
        site.reset(["credit"])
        await site.sql("credit", _prepared(groups))
        for _ in range(pairs):
            records = list(load.batch(_order, RECORDS, CUSTOMERS, site.next_run()))
            await site.publish("order-submitted", records)
            measured.append(await site.stage_rate("credit", "credit-checked", BATCH, RECORDS))
    return [
        ratio_row(
            "credit stage, one hot customer group of spread", "records/s", rates[1], rates[SPREAD], EVEN_GOAL
        )
    ]


DOCUMENTS_PREPARED: Final = f"""
    insert into customer (customer_id, credit_managed, version, name, active, digest, changed_by, changed_at)
        select 'C' || n, true, 1, 'Customer ' || n, true, '', 'bench', now()
        from generate_series(0, {CUSTOMERS - 1}) n;
    {PROFILE} from (select 'group' as scope, '*' as scope_id, 'customer' as object_type, 'C' || n as object_id
                    from generate_series(0, {CUSTOMERS - 1}) n) w;
    create function paper(kind text, name text, customer text, links text) returns bytea language sql immutable as $$
        select convert_to('{{"source":"erp","document_type":"' || kind || '","document_id":"' || name
            || '","document_revision":1,"operation":"audit","stance":"fact","party":"A-1","customer":"' || customer
            || '","sales_organisation":"ORG-1","currency":"CNY","document_date":"2026-03-02","final":false,"lines":'
            || '[{{"line_id":"1","material":"M-1","quantity":"4","amount":{{"amount":"40.00","currency":"CNY"}}'
            || links || '}}],"total":{{"amount":"40.00","currency":"CNY"}},"posted_at":"2026-03-02T09:00:00Z"}}',
            'UTF8')
    $$;
    insert into document (document_type, source, document_id, customer, revision, operation, phase, confirmed, digest,
                          body, changed_at)
        select kind, 'erp', letter || n, 'C' || n % {CUSTOMERS}, 1, 'audit', 'audited', true, '',
               paper(kind, letter || n, 'C' || n % {CUSTOMERS}, links), now()
        from generate_series(1, {DOCUMENTS // 2}) n
        cross join lateral (values
            ('outbound', 'D', ''),
            ('receivable', 'R', ',"upstream":[{{"document_type":"outbound","document_id":"D' || n
                                || '","line_id":"1","quantity":"4"}}]')) as k (kind, letter, links);
    insert into document_edge
        select 'receivable', 'erp', 'R' || n, 'outbound', 'erp', 'D' || n from generate_series(1, {DOCUMENTS // 2}) n
        union all
        select 'outbound', 'erp', 'D' || n, 'receivable', 'erp', 'R' || n from generate_series(1, {DOCUMENTS // 2}) n;
    insert into document_occupancy
        select 'receivable', 'erp', 'R' || n, p.profile_id, 'receivable', 4000, date '2026-03-02'
        from generate_series(1, {DOCUMENTS // 2}) n
        join credit_profile p on p.object_id = 'C' || n % {CUSTOMERS};
    update credit_profile p
        set used_minor = s.used, settled_minor = s.used, entries = 1
        from (select profile_id, sum(amount_minor) as used from document_occupancy group by profile_id) s
        where s.profile_id = p.profile_id;
    analyze;
"""


async def recalculation(site: Site, _: int) -> list[Result]:
    """Open documents, compared in pieces while the service runs; rate and memory."""
    site.reset(["credit"])
    site.say(f"credit: writing {DOCUMENTS} documents")
    await site.sql("credit", DOCUMENTS_PREPARED)
    with site.service("credit", BATCH) as process:
        await asyncio.to_thread(process.wait_ready)
        watched = psutil.Process(process.pid)
        async with _client(site) as client:
            began = time.monotonic()
            started = await client.post("/recalculations", json={"reason": "bench"}, headers=_key())
            assert started.status_code == 202, started.text
            path = f"/recalculations/{started.json()['run_id']}"
            peak, state = 0, "comparing"
            while state == "comparing" and time.monotonic() - began < WAIT_SECONDS_MAX:
                await asyncio.sleep(POLL_SECONDS)
                peak = max(peak, watched.memory_info().rss)
                run = (await client.get(path)).json()
                state = run["state"]
            seconds = time.monotonic() - began
    assert (state, run["documents"], run["differences"]) == ("compared", DOCUMENTS, 0), run
    rate, megabytes = DOCUMENTS / seconds, peak / 1e6
    name = f"recalculation of {DOCUMENTS:,} open documents"
    return [
        Result(name, "documents/s", rate, None, None, RECALCULATED_GOAL, rate >= RECALCULATED_GOAL),
        Result(
            f"{name}, memory",
            "MB",
            megabytes,
            None,
            None,
            RECALCULATED_GOAL_MB,
            megabytes < RECALCULATED_GOAL_MB,
        ),
    ]


DECISIONS_PREPARED: Final = f"""
    insert into sales_order (source, order_id, status, paying_account, last_revision, answered_ahead, parked, checks,
                             order_check)
        select 'history', n::text, 'accepted', 'A1', 1, '{{}}', '{{}}', 1, 1 from generate_series(1, {DECISIONS}) n;
    insert into credit_check (source, order_id, check_number, order_revision, operation, outcome, findings, checked_at)
        select 'history', n::text, 1, 1, 'submit', 'approved', convert_to('{{"reasons":[],"metrics":[' || m || ',' || m
               || ']}}', 'UTF8'), now()
        from generate_series(1, {DECISIONS}) n
        cross join lateral (select '{{"profile_id":"P","scope":"group","scope_id":"*","object_type":"customer",'
            || '"object_id":"C1","metric":"credit-limit","enforcement":"reject","limit":{{"amount":"1000.00",'
            || '"currency":"CNY"}},"used":{{"amount":"' || n % 900 || '.00","currency":"CNY"}},"delta":'
            || '{{"amount":"100.00","currency":"CNY"}},"result":"passed"}}' as m) x;
    analyze;
"""


async def simulation(site: Site, _: int) -> list[Result]:
    """What a changed rule would have decided over a hundred thousand stored decisions."""
    site.reset(["credit"])
    await site.sql("credit", DECISIONS_PREPARED)
    with site.service("credit", BATCH) as process:
        await asyncio.to_thread(process.wait_ready)
        async with _client(site) as client:
            began = time.monotonic()
            body = {"days": 1, "metrics": {"credit-limit": {"limit_percent": 80}}}
            answer = await client.post("/simulations", json=body, headers=_key())
            took = (time.monotonic() - began) * 1_000
    assert answer.json()["decisions"] == DECISIONS, answer.text
    return [time_row(f"simulation of {DECISIONS:,} decisions", took, SIMULATION_GOAL_MILLISECONDS)]


def _client(site: Site) -> httpx.AsyncClient:
    token = site.stack.token("credit-manager", "auditor")
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.AsyncClient(base_url=site.stack.url("credit"), headers=headers, timeout=300)


def _key() -> dict[str, str]:
    return {"Idempotency-Key": str(uuid4())}


ROWS: Final = (
    Row("credit-profiles", "orders that hit eight profiles each, beside shape", eight_profiles),
    Row("credit-group", "one hot customer group against five hundred", hot_group),
    Row("credit-recalculation", "recalculation of open documents: rate and memory", recalculation),
    Row("credit-simulation", "simulation of a hundred thousand stored decisions", simulation),
)
