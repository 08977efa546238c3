"""cashplan: control of payment requests beside its floor, and what people wait for: a save, a roll-up, a forecast."""

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from functools import partial
from io import BytesIO
from typing import Any, Final

import httpx
import psutil
import xlsxwriter
from cashplan.domain.rounds import RoundBody
from cashplan.domain.samples import monthly_with_weeks
from cashplan.domain.systems import CheckRule, Entity, Item, Line, PlanningSystem, RoleAssignment, Sheet
from cashplan.repository.codec import dump, dump_content, dump_details, dump_figures
from cashplan.repository.systems import PARTS
from contracts.document_posted import DocumentLine
from contracts.event import Event
from contracts.money import Money

from contracts import DocumentPosted
from tests.bench.rows import Result, Row, time_row
from tests.bench.site import Site
from tests.bench.stages import Stage, against_floors
from tests.bench.statistics import percentile

ENTITIES: Final = 10_000
DAY: Final = date(2026, 11, 10)
WEEK: Final = "2026-11-W46"
GRID_ITEMS: Final = 1_000
GRID_RULES: Final = 50
SAVES: Final = 40
SAVE_GOAL_MS: Final = 1_000
ROLL_ENTITIES: Final = 500
ROLL_ITEMS: Final = 200
ROLL_PERIODS: Final = ("2026-11-W44", "2026-11-W45", "2026-11-W46", "2026-11-W47", "2026-11-W48")
ROLL_GOAL_MS: Final = 5_000
FLOWS: Final = 100_000
FORECAST_GOAL_MS: Final = 1_000
IMPORT_ROWS: Final = 100_000
IMPORT_GOAL_MB: Final = 300
OPENED: Final = datetime(2026, 10, 1, tzinfo=UTC)


def literal(value: bytes) -> str:
    return f"decode('{value.hex()}', 'hex')"


def system_sql(system: PlanningSystem) -> str:
    """A whole system as the statements that store it."""
    rows = []
    for kind, part in PARTS.items():
        value = getattr(system, part.attribute)
        body = dump(part.type, value if kind == "basics" else list(value))
        rows.append(f"('{system.id}', '{kind}', 1, {literal(body)}, 'bench', now())")
    return (
        f"insert into planning_system values ('{system.id}', 1, now());"
        f"insert into planning_part values {', '.join(rows)};"
    )


def controlled() -> PlanningSystem:
    """Ten thousand entities that plan wages by the week."""
    system = monthly_with_weeks("PLAN", "G")
    entities = [
        Entity(id="G", name="Group"),
        *(Entity(id=f"A{n}", name=f"A{n}", parent="G") for n in range(ENTITIES)),
    ]
    return replace(system, entities=tuple(entities))


def requested(document_id: str, _: str, account: str) -> Event:
    """A payment request of 10.00 for the entity's wages."""
    return DocumentPosted(
        source="bench",
        document_type="payment-request",
        document_id=document_id,
        document_revision=1,
        operation="submit",
        stance="request",
        party=account,
        currency="CNY",
        document_date=DAY,
        plan_item="wages",
        settlement_method="transfer",
        lines=[DocumentLine(line_id="1", amount=Money("10.00", "CNY"))],
        total=Money("10.00", "CNY"),
        posted_at=OPENED,
    )


CONTROL: Final = Stage(
    service="cashplan",
    source="document-posted",
    output="plan-checked",
    floor="shape_cashplan",
    make=requested,
    prepare=system_sql(controlled())
    + f"""
        insert into plan_cell (system_id, filing_type, entity, item, period, currency, members, fields, first_day,
            last_day, direction, is_planned, is_binding, filed_minor, effective_minor, adjusted_minor,
            pre_occupied_minor, actual_minor)
        select 'PLAN', 'month-plan', 'A' || n, item, '{WEEK}', 'CNY', '', '', '2026-11-09', '2026-11-15', 'out', true,
               true, 900000000000, 900000000000, 0, 0, 0
        from generate_series(0, {ENTITIES - 1}) n, unnest(array['wages', 'taxes', 'purchases']) item;
        analyze;
    """,
    history="",
)


def grid_system() -> PlanningSystem:
    """A thousand items over the five weeks of a month, with fifty rules."""
    base = monthly_with_weeks("GRID", "G")
    items = [Item(id="all", name="All", direction="out")]
    items += [Item(id=f"i{n}", name=f"Item {n}", parent="all", direction="out") for n in range(GRID_ITEMS)]
    rows = [
        Line(id="all", members={"item": "all"}),
        *(Line(id=f"i{n}", members={"item": f"i{n}"}) for n in range(GRID_ITEMS)),
    ]
    rules = [
        CheckRule(
            id=f"rule-{n}",
            filing_type="month-plan",
            formula=f'item["i{n}"] + item["i{n + 1}"] <= item["all"]',
            message="Two items are more than all",
        )
        for n in range(GRID_RULES)
    ]
    return _bare(base, items, [Sheet(id="main", name="Plan", type="main", rows=rows)], rules)


def _bare(
    base: PlanningSystem, items: list[Item], sheets: list[Sheet], rules: list[CheckRule]
) -> PlanningSystem:
    return replace(
        base,
        items=tuple(items),
        roles=(RoleAssignment(subject="bench", role="administrator"),),
        check_rules=tuple(rules),
        templates=(replace(base.templates[0], sheets=sheets),),
        policies=(),
        pool_rules=(),
        elimination_rules=base.elimination_rules
        if any(item.id == "internal-payments" for item in items)
        else (),
        statistics_templates=(),
        mappings=(),
    )


def _round_body() -> RoundBody:
    return RoundBody(
        filing_type="month-plan",
        first_day=date(2026, 11, 1),
        starts_at=OPENED,
        ends_at=datetime(2027, 1, 1, tzinfo=UTC),
        cut_off=datetime(2027, 1, 1, tzinfo=UTC),
        rates_on=date(2026, 10, 1),
    )


def _client(site: Site) -> httpx.Client:
    client = site.client("cashplan", "administrator")
    client.timeout = httpx.Timeout(120)
    return client


def _timed(repeat: int, action: Callable[[], Any]) -> list[float]:
    times = []
    for _ in range(repeat):
        began = time.perf_counter()
        action()
        times.append((time.perf_counter() - began) * 1_000)
    return times


def _ok(answer: httpx.Response) -> httpx.Response:
    assert answer.is_success, answer.text[:500]
    return answer


async def grid(site: Site, _: int) -> list[Result]:
    """A person saves five thousand cells; fifty check rules look at them."""
    site.reset(["cashplan"])
    await site.sql("cashplan", system_sql(grid_system()))
    with site.service("cashplan", 500) as process, _client(site) as client:
        process.wait_ready()
        body = _round_body()
        opened = {
            "filing_type": body.filing_type,
            "first_day": "2026-11-01",
            "starts_at": body.starts_at.isoformat(),
            "ends_at": body.ends_at.isoformat(),
            "cut_off": body.cut_off.isoformat(),
            "rates_on": "2026-10-01",
        }
        round_ = _ok(
            client.post("/planning-systems/GRID/rounds", json=opened, headers={"Idempotency-Key": "round"})
        ).json()
        line = _ok(client.get(f"/planning-systems/GRID/rounds/{round_['round_id']}/progress")).json()[
            "lines"
        ][0]
        periods = [column["period"] for column in round_["columns"]][:5]
        cells = [
            {"sheet": "main", "item": f"i{n}", "period": period, "currency": "CNY", "amount": f"{n}.00"}
            for n in range(GRID_ITEMS)
            for period in periods
        ]
        path = f"/filings/{line['filing_id']}/grid"
        times = _timed(SAVES, lambda: _ok(client.patch(path, json={"version": 1, "cells": cells})))
    return [
        time_row("cashplan saves 5,000 cells with 50 rules, p50", percentile(times, 0.5), None),
        time_row("cashplan saves 5,000 cells with 50 rules, p99", percentile(times, 0.99), SAVE_GOAL_MS),
    ]


def roll_up_sql() -> str:
    """Five hundred approved filings of two hundred items in five weeks, each with an internal payment and receipt."""
    base = monthly_with_weeks("ROLL", "G")
    items = [
        Item(id="internal-payments", name="Internal payments", direction="out"),
        Item(id="internal-receipts", name="Internal receipts", direction="in"),
        *(Item(id=f"i{n}", name=f"Item {n}", direction="out") for n in range(ROLL_ITEMS - 2)),
    ]
    rows = [Line(id=item.id, members={"item": item.id}) for item in items]
    system = _bare(base, items, [Sheet(id="main", name="Plan", type="main", rows=rows)], [])
    divisions = [Entity(id=f"D{n}", name=f"D{n}", parent="G") for n in range(10)]
    leaves = [Entity(id=f"E{n}", name=f"E{n}", parent=f"D{n % 10}") for n in range(ROLL_ENTITIES)]
    nodes = ["G", *(each.id for each in divisions)]
    system = replace(
        system,
        entities=(Entity(id="G", name="Group"), *divisions, *leaves),
        filing_types=(replace(system.filing_types[0], roll_up_nodes=nodes),),
    )
    return system_sql(system) + _filings_sql([each.id for each in leaves], [item.id for item in items], nodes)


def _filings_sql(leaves: list[str], items: list[str], nodes: list[str]) -> str:
    from cashplan.domain.approvals import Course
    from cashplan.domain.cells import CellKey
    from cashplan.domain.filings import Content
    from cashplan.domain.grids import DetailRow

    course = literal(dump(Course, Course(state="approved", maker="somebody")))
    figures = literal(
        dump_figures({CellKey(item, period, "CNY"): 100_00 for item in items for period in ROLL_PERIODS})
    )
    content = literal(dump_content(Content()))
    statements = [
        (
            f"insert into plan_round values ('ROLL', 'R', 'month-plan', '2026-11', '2026-11-01', '2026-11-30', "
            f"{literal(dump(RoundBody, _round_body()))}, 'bench', now());"
        )
    ]
    for number, leaf in enumerate(leaves):
        others = (leaves[(number + 1) % len(leaves)], leaves[number - 1])
        details = {
            "internal": [
                DetailRow(row_id=f"{item}-{period}", item=item, period=period, currency="CNY", minor=50_00,
                          fields={"counterparty": other})
                for item, other in zip(("internal-payments", "internal-receipts"), others, strict=True)
                for period in ROLL_PERIODS
            ]
        }  # fmt: skip
        statements.append(
            f"insert into filing values ('F{number}', 'ROLL', 'R', 'month-plan', '{leaf}', 'approved', {course}, 1, "
            f"null, 0, now()); insert into filing_version values ('F{number}', 1, {content}, true, 'bench', now()); "
            f"insert into filing_figures values ('F{number}', {figures}, {figures}, {literal(dump_details(details))});"
        )
    draft = literal(dump(Course, Course()))
    statements += [
        f"insert into roll_up values ('ROLL', 'R', '{node}', 'draft', {draft}, '{{}}', '[]', null, now());"
        for node in nodes
    ]
    return "".join(statements)


async def roll_up(site: Site, _: int) -> list[Result]:
    """The group sums five hundred entities and eliminates what is internal."""
    site.reset(["cashplan"])
    await site.sql("cashplan", roll_up_sql())
    path = "/planning-systems/ROLL/rounds/R/roll-ups/G"
    with site.service("cashplan", 500) as process, _client(site) as client:
        process.wait_ready()
        numbers = iter(range(1_000))

        def both() -> None:
            key = {"Idempotency-Key": f"eliminate-{next(numbers)}"}
            pairs = _ok(client.post(f"{path}/eliminate", headers=key)).json()
            assert len(pairs) == ROLL_ENTITIES * len(ROLL_PERIODS)
            _ok(client.get(path))

        times = _timed(5, both)
    return [
        time_row(
            "cashplan rolls up 500 entities x 200 items x 5 periods with elimination",
            percentile(times, 0.5),
            ROLL_GOAL_MS,
        )
    ]


async def forecast(site: Site, _: int) -> list[Result]:
    """A year by day over a hundred thousand open items."""
    site.reset(["cashplan"])
    await site.sql("cashplan", system_sql(monthly_with_weeks("CASH", "G")))
    await site.sql(
        "cashplan",
        f"""
        insert into pool_item (document_type, source, document_id, version, direction, entity, currency, counterparty,
            account, due_date, document_minor, settled_minor, covered_minor, attributes, step, changed_at)
        select 'receivable', 'bench', n::text, 1, case n % 2 when 0 then 'in' else 'out' end, 'G', 'CNY', null, 'G',
               current_date + n % 365, 1000 + n, 0, 0, '{{}}', 1, now()
        from generate_series(1, {FLOWS}) n;
        analyze;
        """,
    )
    with site.service("cashplan", 500) as process, _client(site) as client:
        process.wait_ready()
        path = "/planning-systems/CASH/forecast?entity=G&days=365"
        _ok(client.get(path))
        times = _timed(9, lambda: _ok(client.get(path)))
    return [
        time_row("cashplan forecasts 365 days over 100,000 flows", percentile(times, 0.5), FORECAST_GOAL_MS)
    ]


def _workbook() -> bytes:
    file = BytesIO()
    book = xlsxwriter.Workbook(file, {"constant_memory": True})
    page = book.add_worksheet()
    page.write_row(0, 0, ["id", "entity", "direction", "currency", "amount", "due_date", "purpose"])
    for number in range(1, IMPORT_ROWS + 1):
        page.write_row(number, 0, [f"M{number}", "G", "out", "CNY", number / 100, "2026-12-24", "Imported"])
    book.close()
    return file.getvalue()


async def excel_import(site: Site, _: int) -> list[Result]:
    """A hundred thousand rows of Excel come in at once."""
    site.reset(["cashplan"])
    body = _workbook()
    with site.service("cashplan", 500) as process, _client(site) as client:
        process.wait_ready()
        began = time.perf_counter()
        answer = client.post(
            "/pool-items/import", files={"file": ("items.xlsx", body)}, headers={"Idempotency-Key": "import"}
        )
        seconds = time.perf_counter() - began
        _ok(answer)
        assert process.pid is not None
        peak = _peak_bytes(psutil.Process(process.pid))
    return [
        Result("cashplan imports 100,000 rows of Excel", "s", seconds, None, None, None, None),
        Result("memory of it", "MB", peak / 1e6, None, None, IMPORT_GOAL_MB, peak / 1e6 < IMPORT_GOAL_MB),
    ]


def _peak_bytes(process: psutil.Process) -> int:
    """The most that a process has held, where the system tells; what it holds now elsewhere."""
    try:
        with open(f"/proc/{process.pid}/status") as status:  # noqa: PTH123  # a file of the kernel's
            line = next(line for line in status if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    except (OSError, StopIteration):
        return int(process.memory_info().rss)


ROWS: Final = (
    Row(
        "cashplan-500",
        "control of payment requests at batch 500, beside shape and bare",
        partial(against_floors, CONTROL, 500),
    ),
    Row("cashplan-grid", "saving a grid of 5,000 cells with 50 check rules", grid),
    Row("cashplan-roll-up", "500 entities x 200 items x 5 periods with elimination", roll_up),
    Row("cashplan-forecast", "365 days over 100,000 flows", forecast),
    Row("cashplan-import", "100,000 rows of Excel in bounded memory", excel_import),
)
