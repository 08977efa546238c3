"""Analysis: the cash position forecast, statistics, execution, deviations, accuracy of rolling forecasts."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Annotated, Any, Final, Literal

from chassis.http import CurrentPrincipal, FieldError, Now, Policy, Problem, Reader, Router, Work
from contracts.money import decimal_string
from contracts.text import Code, CurrencyCode, Id, Text
from contracts.times import CalendarDate
from fastapi import Depends, Query
from fastapi.responses import Response
from pydantic import BaseModel, Field, StringConstraints
from sqlalchemy.ext.asyncio import AsyncConnection

from cashplan import charts, evaluation
from cashplan.api.common import (
    PLAN_PEOPLE,
    PLAN_READERS,
    Body,
    known_system,
    refusals,
    require,
    require_sight,
    visible_entities,
)
from cashplan.domain import analysis
from cashplan.domain.analysis import BASES, Forecasted, Pivot, Record
from cashplan.domain.cells import members_of, members_text
from cashplan.domain.control import Slot
from cashplan.domain.organisations import local_date
from cashplan.domain.systems import PlanningSystem
from cashplan.flows import forecasting
from cashplan.flows.forecasting import EntityForecast
from cashplan.repository import analysis as analysis_rows
from cashplan.repository import cells as cell_rows
from cashplan.repository.cells import DatedRecord
from cashplan.repository.codec import load_figures
from cashplan.workbooks import MEDIA_TYPE

router = Router(tags=["analysis"])

Format = Literal["json", "xlsx", "svg"]
FORMATS: Final[dict[int | str, dict[str, Any]]] = {200: {"content": {MEDIA_TYPE: {}, charts.SVG: {}}}}
RECORDS_MAX: Final = 200_000
ROUNDS_MAX: Final = 5_000


class DayView(BaseModel):
    day: date
    opening: str
    receipts: str
    payments: str
    closing: str
    unplanned_receipts: str
    unplanned_payments: str


class ForecastView(BaseModel):
    """Every flow once: actual before pre-occupied before open items before what is left of the plan."""

    entity: str
    currency: str
    today: date
    balance: str
    kept: str
    lowest_day: date
    lowest_balance: str
    first_day_below: date | None
    gap: str
    by_rung: dict[str, str]
    accounts: list[dict[str, Any]]
    days: list[DayView]


class StatisticsView(BaseModel):
    """A pivot table; amounts are decimal strings in the currency of their row."""

    rows: list[dict[str, Any]]
    columns: list[list[str]]
    measures: list[str]
    missing: list[str]


class ExecutionLine(BaseModel):
    """How far the plan of one cell is executed; the rate is empty where nothing was planned."""

    entity: str
    item: str
    period: str
    currency: str
    members: dict[str, str]
    filed: str
    effective: str
    adjusted: str
    pre_occupied: str
    actual: str
    available: str
    execution_rate: str | None
    indicators: dict[str, str | None]


class HolderView(BaseModel):
    source: str
    document_type: str
    document_id: str
    day: date
    pre_occupied: str
    actual: str


class DeviationView(BaseModel):
    entity: str
    item: str
    period: str
    currency: str
    members: dict[str, str]
    effective: str
    actual: str
    deviation: str
    percent: str | None
    reason_due: bool
    reason: str | None
    given_by: str | None


class ReasonBody(Body):
    """Why a period was executed otherwise than planned."""

    filing_type: Code
    entity: Id
    item: Id
    period: Annotated[str, StringConstraints(max_length=40)]
    currency: CurrencyCode
    members: dict[Code, Id] = Field(default_factory=dict)
    reason: Text
    measures: Text | None = None


class AccuracyView(BaseModel):
    """How near an entity's forecasts came, by how many rounds ahead they were made; 100 is exact."""

    entity: str
    rounds_ahead: int
    compared: int
    percent: str | None


class Slice:
    """Whose figures of which time are wanted."""

    def __init__(
        self,
        system_id: Id,
        filing_type: Annotated[Code, Query(examples=["month-plan"])],
        from_: Annotated[CalendarDate, Query(alias="from")],
        to: Annotated[CalendarDate, Query()],
        under: Annotated[Id | None, Query(description="Only this entity and those below it.")] = None,
    ) -> None:
        self.system_id = system_id
        self.filing_type = filing_type
        self.first_day = from_
        self.last_day = to
        self.under = under
        if to < from_ or (to - from_).days > 3 * 366:
            raise Problem.invalid(
                [FieldError(field="to", message="must be within three years from the first day")]
            )


Sliced = Annotated[Slice, Depends(Slice)]


async def _records(
    reader: AsyncConnection, principal: Any, wanted: Slice, *, binding_only: bool = True
) -> tuple[PlanningSystem, list[str], list[DatedRecord]]:
    system = await known_system(reader, wanted.system_id)
    if wanted.filing_type not in system.filing_type_by_id:
        raise Problem.not_found("The system has no filing type of this id.")
    entities = visible_entities(system, principal, wanted.under)
    if not entities:
        raise Problem.not_found()
    found = await cell_rows.records(
        reader,
        system.id,
        wanted.filing_type,
        entities,
        wanted.first_day,
        wanted.last_day,
        RECORDS_MAX + 1,
        binding_only=binding_only,
    )
    if len(found) > RECORDS_MAX:
        raise Problem.conflict("too-many-figures", "Ask for a shorter time or fewer entities.")
    return system, entities, found


@router.get(
    "/planning-systems/{system_id}/forecast",
    policy=Policy("forecast:read", roles=PLAN_READERS),
    summary="Cash position forecast",
    response_model=ForecastView,
    responses=FORMATS,
)
async def forecast(
    system_id: Id,
    reader: Reader,
    now: Now,
    principal: CurrentPrincipal,
    entity: Annotated[Id, Query()],
    filing_type: Annotated[Code | None, Query()] = None,
    currency: Annotated[CurrencyCode | None, Query()] = None,
    days: Annotated[int, Query(ge=1, le=forecasting.DAYS_MAX)] = forecasting.DAYS_DEFAULT,
    format_: Annotated[Format, Query(alias="format")] = "json",
) -> Any:
    """By day: today's balances of the enterprise's own accounts plus every flow once."""
    system = await known_system(reader, system_id)
    require_sight(system, principal, entity)
    if entity not in system.entity_by_id or not system.filing_types:
        raise Problem.not_found("The system has no such entity, or no filing type.")
    chosen = filing_type or system.filing_types[0].id
    money = currency or system.basics.plan_currency or system.basics.currencies[0]
    today = local_date(now, system.basics.time_zone)
    found = await forecasting.entity_forecast(reader, system, chosen, entity, money, today, days)
    title = f"{system.entity_by_id[entity].name}, {money}, from {today}"
    if format_ == "svg":
        return Response(charts.forecast_svg(title, found.forecast, money), media_type=charts.SVG)
    if format_ == "xlsx":
        body = charts.forecast_workbook(title, found.forecast, money)
        return Response(body, media_type=MEDIA_TYPE, headers=_named("forecast.xlsx"))
    return forecast_view(found)


def _named(name: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{name}"'}


@dataclass(frozen=True)
class Table:
    """What an analysis shows, for a workbook with a chart inside and for the chart alone."""

    name: str
    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[Any]]
    chart: charts.Chart

    def answer(self, format_: Format) -> Response:
        if format_ == "svg":
            body = charts.table_svg(self.title, self.headings, self.rows, self.chart)
            return Response(body, media_type=charts.SVG)
        body = charts.table_workbook(self.title, self.headings, self.rows, chart=self.chart)
        return Response(body, media_type=MEDIA_TYPE, headers=_named(f"{self.name}.xlsx"))


def forecast_view(found: EntityForecast) -> ForecastView:
    told, currency = found.forecast, found.currency

    def money(minor: int) -> str:
        return decimal_string(minor, currency)

    return ForecastView(
        entity=found.entity,
        currency=currency,
        today=found.today,
        balance=money(found.balance),
        kept=money(told.kept),
        lowest_day=told.lowest.day,
        lowest_balance=money(told.lowest.closing),
        first_day_below=told.first_day_below,
        gap=money(told.gap),
        by_rung={rung: money(minor) for rung, minor in told.by_rung.items()},
        accounts=[
            {
                "account_id": account.account_id,
                "bank": account.bank,
                "balance": None if account.balance_minor is None else money(account.balance_minor),
                "as_of": account.as_of,
            }
            for account in found.accounts
        ],
        days=[
            DayView(
                day=day.day,
                opening=money(day.opening),
                receipts=money(day.receipts),
                payments=money(day.payments),
                closing=money(day.closing),
                unplanned_receipts=money(day.unplanned_receipts),
                unplanned_payments=money(day.unplanned_payments),
            )
            for day in told.days
        ],
    )


@router.get(
    "/planning-systems/{system_id}/statistics",
    policy=Policy("statistics:read", roles=PLAN_READERS),
    summary="Plan statistics by any dimensions",
    response_model=StatisticsView,
    responses=FORMATS,
)
async def statistics(
    wanted: Sliced,
    reader: Reader,
    principal: CurrentPrincipal,
    rows: Annotated[list[Code] | None, Query(max_length=6)] = None,
    columns: Annotated[list[Code] | None, Query(max_length=4)] = None,
    measures: Annotated[list[Code] | None, Query(max_length=20)] = None,
    template: Annotated[
        Code | None, Query(description="A saved view instead of rows, columns, measures.")
    ] = None,
    format_: Annotated[Format, Query(alias="format")] = "json",
) -> Any:
    """Over the effective figures of what you may look at; entities whose plans are missing are listed."""
    system, entities, found = await _records(reader, principal, wanted)
    records = [each.record for each in found]
    saved = next((each for each in system.statistics_templates if each.id == template), None)
    if template is not None and saved is None:
        raise Problem.not_found("The system has no statistics template of this id.")
    if saved is not None:
        rows, columns, measures = saved.rows, saved.columns, saved.measures
        records = [each for each in records if _chosen(each, saved.where)]
    table = _pivot(system, records, rows or ["item"], columns or ["period"], measures or ["effective"])
    missing = await analysis_rows.missing_entities(
        reader, system.id, wanted.filing_type, entities, wanted.first_day, wanted.last_day
    )
    if format_ != "json":
        return _pivot_table(system, table).answer(format_)
    return StatisticsView(
        rows=[_pivot_row(row) for row in table.rows],
        columns=[list(column) for column in table.columns],
        measures=list(table.measures),
        missing=missing,
    )


def _chosen(record: Record, where: dict[str, list[str]]) -> bool:
    return all(record.member(dimension) in members for dimension, members in where.items())


def _pivot(
    system: PlanningSystem,
    records: Sequence[Record],
    rows: Sequence[str],
    columns: Sequence[str],
    measures: Sequence[str],
) -> Pivot:
    known = {each.id: each for each in system.measures}
    indicators = {each.id: each for each in system.indicators}
    unknown = [
        each for each in measures if each not in known and each not in indicators and each not in BASES
    ]
    if unknown:
        raise Problem.invalid(
            [FieldError(field="measures", message=f"{unknown[0]} is no measure or indicator")]
        )
    dimensions = {*system.members, "period", "filing-type"}
    wrong = [each for each in (*rows, *columns) if each not in dimensions]
    if wrong:
        raise Problem.invalid([FieldError(field="rows", message=f"{wrong[0]} is no dimension of the system")])
    with refusals():
        return analysis.pivot(records, rows, columns, measures, known, indicators, evaluation.amount)


def _pivot_row(row: analysis.PivotRow) -> dict[str, Any]:
    currency = next((member for member in row.members if len(member) == 3 and member.isupper()), "CNY")
    return {
        "members": list(row.members),
        "values": [
            {"column": list(column), **_shown(values, currency)} for column, values in row.values.items()
        ],
        "total": _shown(row.total, currency),
    }


def _shown(values: Any, currency: str) -> dict[str, str | None]:
    return {
        name: None if value is None else decimal_string(value, currency) if name in BASES else str(value)
        for name, value in values.items()
    }


def _pivot_table(system: PlanningSystem, table: Pivot) -> Table:
    heads = [
        f"{' '.join(column)} {measure}".strip() for column in table.columns for measure in table.measures
    ]
    width = len(table.rows[0].members) if table.rows else 1
    rows = []
    for row in table.rows:
        currency = next((member for member in row.members if len(member) == 3 and member.isupper()), "CNY")
        cells = [
            _number(row.values.get(column, {}).get(measure), measure, currency)
            for column in table.columns
            for measure in table.measures
        ]
        rows.append([*row.members, *cells])
    headings = [*[f"Dimension {number + 1}" for number in range(width)], *heads]
    chart = ("column", 0, list(range(width, min(width + len(heads), width + 8))))
    return Table("statistics", system.basics.name, headings, rows, chart)


def _number(value: int | Decimal | None, measure: str, currency: str) -> float | None:
    if value is None:
        return None
    return charts.units(int(value), currency) if measure in BASES else float(value)


@router.get(
    "/planning-systems/{system_id}/execution",
    policy=Policy("execution:read", roles=PLAN_READERS),
    summary="Plan execution",
    response_model=list[ExecutionLine],
    responses=FORMATS,
)
async def execution(
    wanted: Sliced,
    reader: Reader,
    principal: CurrentPrincipal,
    format_: Annotated[Format, Query(alias="format")] = "json",
) -> Any:
    """Effective, adjusted, pre-occupied, actual, available and the rate of execution, cell by cell."""
    system, _, found = await _records(reader, principal, wanted)
    lines = [_execution(system, each.record) for each in found]
    if format_ != "json":
        names = ["entity", "item", "period", "currency", "effective", "pre_occupied", "actual", "available"]
        rows = [
            [getattr(line, name) if name in names[:4] else float(getattr(line, name)) for name in names]
            for line in lines
        ]
        return Table("execution", system.basics.name, names, rows, ("column", 1, [4, 6])).answer(format_)
    return lines


def _execution(system: PlanningSystem, record: Record) -> ExecutionLine:
    def money(minor: int) -> str:
        return decimal_string(minor, record.currency)

    sums = {base: record.base(base) for base in BASES}
    indicators: dict[str, str | None] = {}
    for indicator in system.indicators:
        value = evaluation.amount(indicator.formula, {"measure": sums})
        indicators[indicator.id] = None if value is None else str(value)
    rate = analysis.execution_rate(record)
    return ExecutionLine(
        entity=record.entity,
        item=record.item,
        period=record.period,
        currency=record.currency,
        members=members_of(record.members),
        filed=money(record.filed),
        effective=money(record.effective),
        adjusted=money(record.adjusted),
        pre_occupied=money(record.pre_occupied),
        actual=money(record.actual),
        available=money(record.available),
        execution_rate=None if rate is None else str(rate),
        indicators=indicators,
    )


@router.get(
    "/planning-systems/{system_id}/execution/documents",
    policy=Policy("execution:read", roles=PLAN_READERS),
    summary="The documents behind a cell",
)
async def holders(
    system_id: Id,
    reader: Reader,
    principal: CurrentPrincipal,
    filing_type: Annotated[Code, Query()],
    entity: Annotated[Id, Query()],
    item: Annotated[Id, Query()],
    period: Annotated[str, Query(max_length=40)],
    currency: Annotated[CurrencyCode, Query()],
    members: Annotated[str, Query(max_length=1_000, description="Such as settlement=transfer.")] = "",
) -> list[HolderView]:
    """What each document holds of a cell; they add up to its figures."""
    system = await known_system(reader, system_id)
    require_sight(system, principal, entity)
    slot = Slot(system_id, filing_type, entity, item, period, currency, members_text(members_of(members)))
    found = await cell_rows.holders_of(reader, slot, 1_000)
    return [
        HolderView(
            source=each.source,
            document_type=each.document_type,
            document_id=each.document_id,
            day=each.day,
            pre_occupied=decimal_string(each.pre_occupied, currency),
            actual=decimal_string(each.actual, currency),
        )
        for each in found
    ]


@router.get(
    "/planning-systems/{system_id}/deviations",
    policy=Policy("deviation:read", roles=PLAN_READERS),
    summary="Deviation analysis",
    response_model=list[DeviationView],
    responses=FORMATS,
)
async def deviations(
    wanted: Sliced,
    reader: Reader,
    now: Now,
    principal: CurrentPrincipal,
    due_only: Annotated[bool, Query(description="Only where a reason is due and missing.")] = False,
    format_: Annotated[Format, Query(alias="format")] = "json",
) -> Any:
    """Actual against effective in periods that have ended; a reason is due above the system's threshold."""
    system, entities, found = await _records(reader, principal, wanted)
    today = local_date(now, system.basics.time_zone)
    records = [each.record for each in found if each.last_day < today]
    given = await analysis_rows.reasons(reader, system.id, wanted.filing_type, entities)
    views = [_deviation(each, given) for each in analysis.deviations(system, records)]
    shown = [view for view in views if not due_only or (view.reason_due and view.reason is None)]
    if format_ != "json":
        names = ["entity", "item", "period", "currency", "effective", "actual", "deviation", "reason"]
        rows = [
            [float(getattr(view, name)) if name in names[4:7] else getattr(view, name) for name in names]
            for view in shown
        ]
        return Table("deviations", system.basics.name, names, rows, ("column", 1, [4, 5])).answer(format_)
    return shown


def _deviation(each: analysis.Deviation, given: Any) -> DeviationView:
    record = each.record
    reason = given.get((record.entity, record.item, record.period, record.currency, record.members))
    return DeviationView(
        entity=record.entity,
        item=record.item,
        period=record.period,
        currency=record.currency,
        members=members_of(record.members),
        effective=decimal_string(record.effective, record.currency),
        actual=decimal_string(record.actual, record.currency),
        deviation=decimal_string(each.minor, record.currency),
        percent=None if each.percent is None else str(each.percent),
        reason_due=each.is_due,
        reason=reason.reason if reason else None,
        given_by=reason.given_by if reason else None,
    )


@router.put(
    "/planning-systems/{system_id}/deviations/reason",
    policy=Policy("deviation:explain", roles=PLAN_PEOPLE),
    summary="Give the reason of a deviation",
)
async def give_reason(system_id: Id, body: ReasonBody, work: Work, principal: CurrentPrincipal) -> ReasonBody:
    """Recorded after the fact by who prepares the entity's plan."""
    system = await known_system(work.connection, system_id)
    require(system, principal, ("preparer", "node-manager", "administrator"), body.entity)
    slot = Slot(
        system_id,
        body.filing_type,
        body.entity,
        body.item,
        body.period,
        body.currency,
        members_text(body.members),
    )
    if slot not in await cell_rows.cells_of(work.connection, {slot}):
        raise Problem.not_found("There is no such plan cell.")
    await analysis_rows.save_reason(
        work.connection, slot, body.reason, body.measures, principal.subject, work.now
    )
    return body


@router.get(
    "/planning-systems/{system_id}/forecast-accuracy",
    policy=Policy("statistics:read", roles=PLAN_READERS),
    summary="Accuracy of rolling forecasts",
    response_model=list[AccuracyView],
    responses=FORMATS,
)
async def forecast_accuracy(
    wanted: Sliced,
    reader: Reader,
    now: Now,
    principal: CurrentPrincipal,
    format_: Annotated[Format, Query(alias="format")] = "json",
) -> Any:
    """What each round said of later periods, against what became actual; for appraisal."""
    system, entities, found = await _records(reader, principal, wanted)
    today = local_date(now, system.basics.time_zone)
    actual: dict[tuple[str, str], int] = defaultdict(int)
    first_days: dict[str, date] = {}
    for each in found:
        if each.last_day < today:
            actual[each.record.entity, each.record.period] += _signed(each.record.actual, each.direction)
            first_days[each.record.period] = each.first_day
    filed = await analysis_rows.filed_rounds(
        reader,
        system.id,
        wanted.filing_type,
        entities,
        wanted.first_day - timedelta(days=400),
        wanted.last_day,
        ROUNDS_MAX,
    )
    compared = _compared(system, wanted.filing_type, filed, actual, first_days)
    views = [
        AccuracyView(
            entity=each.entity,
            rounds_ahead=each.rounds_ahead,
            compared=each.compared,
            percent=None if each.percent is None else str(each.percent),
        )
        for each in analysis.accuracy(compared)
    ]
    if format_ != "json":
        headings = ["Entity, rounds ahead", "Compared", "Percent"]
        rows = [
            [f"{view.entity}, {view.rounds_ahead}", view.compared, view.percent and float(view.percent)]
            for view in views
        ]
        return Table("accuracy", system.basics.name, headings, rows, ("column", 0, [2])).answer(format_)
    return views


def _signed(minor: int, direction: str) -> int:
    return -minor if direction == "out" else minor


def _compared(
    system: PlanningSystem, filing_type: str, filed: Sequence[Any], actual: Any, first_days: dict[str, date]
) -> list[Forecasted]:
    scheme = system.filing_type_by_id[filing_type].scheme
    compared: list[Forecasted] = []
    for row in filed:
        sums: dict[str, int] = defaultdict(int)
        for key, minor in load_figures(row.filed).items():
            if key.period in first_days and key.item in system.item_by_id:
                sums[key.period] += _signed(minor, system.item_by_id[key.item].direction or "in")
        for period, minor in sums.items():
            ahead = _rounds_between(scheme, row.first_day, first_days[period])
            compared.append(Forecasted(row.entity, ahead, minor, actual.get((row.entity, period), 0)))
    return compared


def _rounds_between(scheme: Any, first_day: date, later: date) -> int:
    """How many head periods lie between a round and the one that a day belongs to."""
    number, head = 0, scheme.head(first_day)
    while head.last_day < later and number < 60:
        head = scheme.following(head)
        number += 1
    return number
