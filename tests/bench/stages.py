"""Records per second of the deciding stages, alternating with their floors."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from contracts.event import Event

from tests.bench import load
from tests.bench.rows import Result, Row, ratio_row
from tests.bench.site import Site

RECORDS: Final = 12_000
COLD: Final = 10_000
BATCHES: Final = (500, 2_000)
SHAPE_GOAL: Final = 0.5
EVEN_GOAL: Final = 0.9
HISTORY: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Stage:
    """A deciding stage: its service, what it reads and writes, its floor, and what it needs to be able to decide."""

    service: str
    source: str
    output: str
    floor: str
    make: Callable[[str, str, str], Event]
    prepare: str
    history: str


CREDIT: Final = Stage(
    service="credit",
    source="order-submitted",
    output="credit-checked",
    floor="shape_credit",
    make=load.submitted,
    prepare=f"""
        insert into customer (customer_id, credit_managed, version, name, active, digest, changed_by, changed_at)
        select 'C' || n, true, 1, 'Customer ' || n, true, '', 'bench', now() from generate_series(0, {COLD - 1}) n
        on conflict do nothing;
        insert into credit_profile (profile_id, scope, scope_id, object_type, object_id, currency, version,
            credit_limit_minor, credit_limit_unlimited, credit_limit_enforcement, single_document_limit_unlimited,
            single_document_limit_enforcement, used_minor, settled_minor, entries, changed_at)
        select gen_random_uuid(), 'group', '*', 'customer', 'C' || n, 'CNY', 1, 900000000000, false, 'reject', false,
               'reject', 0, 0, 0, now() from generate_series(0, {COLD - 1}) n
        on conflict do nothing;
    """,
    history=f"""
        insert into sales_order (source, order_id, status, paying_account, last_revision, answered_ahead, parked,
                                 checks, order_check)
        select 'history', n::text, 'accepted', 'A' || n % {COLD}, 1, '{{}}', '{{}}', 1, 1
        from generate_series(1, {HISTORY}) n;
        insert into credit_check (source, order_id, check_number, order_revision, operation, outcome, findings,
                                  checked_at)
        select 'history', n::text, 1, 1, 'submit', 'approved', '', now() from generate_series(1, {HISTORY}) n;
        insert into occupancy_entry (profile_id, entry_number, recorded_at, source, order_id, check_number,
                                     change_minor, used_after_minor, permit)
        select profile_id, 1000000000 + n, now(), 'history', n::text, 1, 1, 1, 'within-limit'
        from generate_series(1, {HISTORY}) n join credit_profile on object_id = 'C' || n % {COLD};
        analyze;
    """,
)
FUND_POOL: Final = Stage(
    service="fund-pool",
    source="credit-checked",
    output="order-decided",
    floor="shape_fund_pool",
    make=load.checked,
    prepare=f"""
        insert into organisation values ('ORG-1', 1, 'Bench', 'business', null, 'Asia/Shanghai', true)
        on conflict do nothing;
        insert into account (account, version, name, customer, settlement_organisation, active)
        select 'A' || n, 1, 'Account ' || n, 'C' || n, 'ORG-1', true from generate_series(0, {COLD - 1}) n
        on conflict do nothing;
        insert into user_right (right_id, version, user_id, account, right_name, active)
        select 'R' || n, 1, 'user-1', 'A' || n, 'use-balance', true from generate_series(0, {COLD - 1}) n
        on conflict do nothing;
        insert into fund_account (account, account_type, currency, balance, opened_at)
        select 'A' || n, 'cash', 'CNY', 900000000000, now() from generate_series(0, {COLD - 1}) n
        on conflict do nothing;
    """,
    history=f"""
        insert into journal_entry (account, entry_number, posted_at, effective_date, document_type, document_source,
                                   document_id, document_number)
        select 'A' || n % {COLD}, 1000000000 + n, now(), current_date, 'order-payment', 'history', n::text, 1
        from generate_series(1, {HISTORY}) n;
        insert into posting (account, account_type, currency, bucket, entry_number, posted_at, amount, after)
        select 'A' || n % {COLD}, kind, 'CNY', bucket, 1000000000 + n, now(), 1, 1 from generate_series(1, {HISTORY}) n,
            (values ('cash', 'balance'), ('order-revenue', 'internal')) as sides (kind, bucket);
        insert into decision (source, order_id, check_number, decided_at, account, outcome, entry_number, body)
        select 'history', n::text, 1, now(), 'A' || n % {COLD}, 'accepted', 1, '' from generate_series(1, {HISTORY}) n;
        insert into order_state (source, order_id, account, status, check_number, order_revision)
        select 'history', n::text, 'A' || n % {COLD}, 'accepted', 1, 1 from generate_series(1, {HISTORY}) n;
        analyze;
    """,
)
STAGES: Final = (CREDIT, FUND_POOL)


async def _prepare(site: Site, stage: Stage) -> None:
    site.reset([stage.service])
    await site.sql(stage.service, stage.prepare)


async def _publish(site: Site, stage: Stage, customers: int, floors: Sequence[str] = ()) -> None:
    records = list(load.batch(stage.make, RECORDS, customers, site.next_run()))
    await site.publish(stage.source, records, floors)


async def _ours(site: Site, stage: Stage, batch: int) -> float:
    return await site.stage_rate(stage.service, stage.output, batch, RECORDS)


async def against_floors(stage: Stage, batch: int, site: Site, pairs: int) -> list[Result]:
    """Ours, shape and bare over the same records, in turn."""
    await _prepare(site, stage)
    dsn = await site.floor_database(stage.service)
    ours: list[float] = []
    floors: dict[str, list[float]] = {stage.floor: [], "bare": []}
    for _ in range(pairs):
        await _publish(site, stage, COLD, list(floors))
        ours.append(await _ours(site, stage, batch))
        for floor, rates in floors.items():
            rates.append(await site.floor_rate(floor, dsn, stage.source, floor, batch, RECORDS))
    name = f"{stage.service} stage, batch {batch}"
    return [
        ratio_row(f"{name}, of shape", "records/s", ours, floors[stage.floor], SHAPE_GOAL),
        ratio_row(f"{name}, of bare", "records/s", ours, floors["bare"], None),
    ]


async def hot_against_cold(stage: Stage, site: Site, pairs: int) -> list[Result]:
    """All orders on one account, against as many over ten thousand."""
    await _prepare(site, stage)
    rates: dict[int, list[float]] = {1: [], COLD: []}
    for _ in range(pairs):
        for customers, measured in rates.items():
            await _publish(site, stage, customers)
            measured.append(await _ours(site, stage, BATCHES[0]))
    name = f"{stage.service} stage, one hot account of cold"
    return [ratio_row(name, "records/s", rates[1], rates[COLD], EVEN_GOAL)]


async def full_against_empty(stage: Stage, site: Site, pairs: int) -> list[Result]:
    """Behind a history of a million entries, against an empty one; the history is added half way."""
    await _prepare(site, stage)
    rates: list[list[float]] = []
    for history in (None, stage.history):
        if history:
            site.say(f"{stage.service}: writing a history of {HISTORY} entries")
            await site.sql(stage.service, history)
        measured = []
        for _ in range(pairs):
            await _publish(site, stage, COLD)
            measured.append(await _ours(site, stage, BATCHES[0]))
        rates.append(measured)
    name = f"{stage.service} stage, full history of empty"
    return [ratio_row(name, "records/s", rates[1], rates[0], EVEN_GOAL)]


def _row(name: str, sentence: str, measure: Callable[[Site, int], Awaitable[list[Result]]]) -> Row:
    return Row(name, sentence, measure)


ROWS: Final = tuple(
    row
    for stage in STAGES
    for row in (
        *(
            _row(
                f"{stage.service}-{batch}",
                f"the {stage.service} stage at batch {batch}, beside shape and bare",
                partial(against_floors, stage, batch),
            )
            for batch in BATCHES
        ),
        _row(
            f"{stage.service}-hot",
            "one hot account against 10,000 cold ones",
            partial(hot_against_cold, stage),
        ),
        _row(
            f"{stage.service}-history",
            "a history of a million against an empty one",
            partial(full_against_empty, stage),
        ),
    )
)
