"""A filing from draft to effective: what people do with it, what it opens and closes, and what becomes of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Final, Literal

from chassis.work import CausedBy
from contracts.addressee import ADDRESSEES_MAX, Addressee
from sqlalchemy.ext.asyncio import AsyncConnection

from cashplan import evaluation
from cashplan.domain import approvals, checks, rounds
from cashplan.domain.cells import CellKey
from cashplan.domain.checks import Broken, Dated, Others
from cashplan.domain.effects import EffectiveCell, effective_cells
from cashplan.domain.filings import Content
from cashplan.domain.grids import Grid, computed, grid_of
from cashplan.domain.pool import item_of
from cashplan.domain.rounds import Round
from cashplan.domain.systems import PlanningSystem
from cashplan.flows import forecasting, tasks
from cashplan.repository import cells as cell_rows
from cashplan.repository import control as control_rows
from cashplan.repository import pool as pool_rows
from cashplan.repository import rounds as round_rows
from cashplan.repository import systems as system_rows
from cashplan.repository.rounds import Filing, FilingFigures
from cashplan.repository.tasks import Task
from chassis import UnitOfWork
from contracts import PlanDue

FILING_DUE: Final = "filing-due"
GRIDS_CACHED_MAX: Final = 2_000

DueKind = Literal["before-cut-off", "after-cut-off", "asked", "sent-back", "extended", "settled"]


class FilingGone(LookupError):
    """There is no such filing, or nothing left of what it belongs to."""


class NoTemplate(LookupError):
    """No template is assigned to the entity or handed down to it."""

    def __init__(self, entity: str) -> None:
        super().__init__(f"no template is assigned to {entity} or to an entity above it")


class RulesBroken(ValueError):
    """Check rules or caps that stop a submit."""

    def __init__(self, broken: Sequence[Broken]) -> None:
        self.broken = list(broken)
        super().__init__("; ".join(f"{each.message} ({each.where})" for each in broken[:3]))


@dataclass(frozen=True, kw_only=True)
class FilingDesk:
    """One filing with everything that it is judged by."""

    system: PlanningSystem
    round: Round
    filing: Filing
    grid: Grid
    content: Content

    @property
    def entity(self) -> str:
        return self.filing.entity

    def values(self) -> dict[tuple[str, CellKey], int]:
        """Every cell's amount, entered or computed."""
        return computed(self.system, self.grid, self.content.cells, self.content.details, evaluation.amount)


async def desk(connection: AsyncConnection, filing_id: str, *, locked: bool = False) -> FilingDesk:
    """Errors: FilingGone, NoTemplate."""
    filing = await round_rows.filing_of(connection, filing_id, locked=locked)
    if filing is None:
        raise FilingGone
    system = await system_rows.system_by_id(connection, filing.system_id)
    round_ = await round_rows.round_by_id(connection, system, filing.round_id) if system else None
    content = await round_rows.content_of(connection, filing_id, filing.version)
    if system is None or round_ is None or content is None:
        raise FilingGone
    grid = grid_for(system, round_, filing.entity)
    return FilingDesk(system=system, round=round_, filing=filing, grid=grid, content=content)


def grid_for(system: PlanningSystem, round_: Round, entity: str) -> Grid:
    """The grid of an entity in a round, made once per system version. Errors: NoTemplate."""
    template = system.template_for(round_.body.filing_type, entity)
    if template is None:
        raise NoTemplate(entity)
    key = template.id, entity, round_.round_id
    if key not in system.grids:
        if len(system.grids) > GRIDS_CACHED_MAX:
            system.grids.clear()
        system.grids[key] = grid_of(system, template, round_.columns, entity)
    found: Grid = system.grids[key]
    return found


async def broken_rules(
    connection: AsyncConnection, held: FilingDesk, values: Mapping[tuple[str, CellKey], int]
) -> list[Broken]:
    """What check rules and annual caps say of a filing as it stands."""
    counted = held.grid.counted(values)
    rules = [rule for rule in held.system.check_rules if rule.filing_type == held.filing.filing_type]
    figures = checks.figures_of(held.system.item_tree, held.grid.head_of, counted)
    others = await _others(connection, held, [rule.other_filing_type for rule in rules])
    broken = checks.broken_rules(rules, figures, others, evaluation.condition)
    return broken + await _over_caps(connection, held, counted)


async def _others(
    connection: AsyncConnection, held: FilingDesk, filing_types: Sequence[str | None]
) -> dict[str, Others]:
    """The effective figures of other filing types, and of this one outside the round, by head period."""
    wanted = {each for each in filing_types if each is not None}
    if not wanted:
        return {}
    heads: dict[str, tuple[date, date]] = {}
    for column in held.round.columns:
        first, last = heads.get(column.head, (column.period.first_day, column.period.last_day))
        heads[column.head] = min(first, column.period.first_day), max(last, column.period.last_day)
    in_round = {column.period.code for column in held.round.columns}
    own = await _dated(connection, held, held.filing.filing_type, in_round)
    return {
        filing_type: checks.others_of(
            held.system.item_tree, heads, await _dated(connection, held, filing_type, set()), own
        )
        for filing_type in sorted(wanted)
    }


async def _dated(
    connection: AsyncConnection, held: FilingDesk, filing_type: str, without: set[str]
) -> list[Dated]:
    """Effective amounts of a filing type around the round, but for some periods, by head period."""
    scheme = held.system.filing_type_by_id[filing_type].scheme
    first_day, last_day = rounds.horizon_days(held.round.columns)
    around = timedelta(days=100)
    records = await cell_rows.records(
        connection,
        held.system.id,
        filing_type,
        [held.entity],
        first_day - around,
        last_day + around,
        100_000,
    )
    return [
        Dated(each.record.item, each.record.currency, head.first_day, head.last_day, each.record.effective)
        for each in records
        if each.record.period not in without and (head := scheme.head(each.first_day))
    ]


async def _over_caps(
    connection: AsyncConnection, held: FilingDesk, counted: Mapping[CellKey, int]
) -> list[Broken]:
    """Annual budgets: what is effective in the year outside this round's own periods, and what this round plans."""
    caps = [cap for cap in held.system.caps if cap.entity == held.entity]
    if not caps:
        return []
    planned: dict[tuple[str, str, int, str], int] = {}
    years = {column.period.code: column.period.first_day.year for column in held.round.columns}
    for key, minor in counted.items():
        place = held.entity, key.item, years[key.period], key.currency
        planned[place] = planned.get(place, 0) + minor
    for year in {cap.year for cap in caps}:
        records = await cell_rows.records(
            connection,
            held.system.id,
            held.filing.filing_type,
            [held.entity],
            datetime(year, 1, 1).date(),
            datetime(year, 12, 31).date(),
            100_000,
        )
        for dated in records:
            if dated.record.period not in years and dated.first_day.year == year:
                place = held.entity, dated.record.item, year, dated.record.currency
                planned[place] = planned.get(place, 0) + dated.record.effective
    return checks.over_cap(held.system, caps, planned)


async def submit(work: UnitOfWork, held: FilingDesk, subject: str) -> tuple[Filing, list[Broken]]:
    """Hands a filing in; returns it with the warnings.

    Errors: CutOffPassed, RoundNotOpen, WrongState, RulesBroken.
    """
    rounds.admit_submit(held.round, held.system, held.entity, held.filing.extended_to, work.now)
    course = approvals.submitted(held.filing.course, subject, work.now)
    broken = await broken_rules(work.connection, held, held.values())
    stops = [each for each in broken if each.severity == "stop"]
    if stops:
        raise RulesBroken(stops)
    filing = replace(held.filing, course=course)
    await round_rows.mark_submitted(work.connection, filing.filing_id, filing.version)
    await _store(work, filing, "submitted", subject, None)
    await tasks.close(work, [("filing", filing.filing_id)], "done", by=subject)
    await _ask_approvers(work, held.system, filing)
    for kind in ("reminder", "overdue"):
        work.cancel_timer(FILING_DUE, f"{filing.filing_id}/{kind}")
    if filing.notices:
        work.emit(due_notice(held, filing, "settled", work.now, number=0))
    return filing, broken


async def _ask_approvers(work: UnitOfWork, system: PlanningSystem, filing: Filing) -> None:
    steps = system.filing_type_by_id[filing.filing_type].steps("filing")
    people = approvals.approvers(system, steps, filing.course, filing.entity)
    task = filing_task(system, filing, "approve-filing")
    await tasks.open_for(work, people, task)


async def approve(work: UnitOfWork, held: FilingDesk, subject: str) -> Filing:
    """One step further; the last step fixes the figures and, without roll-up, makes them effective.

    Errors: WrongState, MakerApproves, NotTheApprover.
    """
    filing_type = held.system.filing_type_by_id[held.filing.filing_type]
    course = approvals.approved(
        held.filing.course, held.system, filing_type.filing_steps, held.entity, subject, work.now
    )
    filing = replace(held.filing, course=course)
    await tasks.close(work, [("filing", filing.filing_id)], "done", by=subject)
    if course.state != "approved":
        await _store(work, filing, "approved", subject, f"step {course.step}")
        await _ask_approvers(work, held.system, filing)
        return filing
    figures = figures_of(held)
    await round_rows.save_figures(work.connection, {filing.filing_id: figures})
    await _store(work, filing, "approved", subject, None)
    if filing_type.roll_up:
        return filing
    made = await make_effective(work, held.system, held.round, [(filing, figures)], subject)
    return made[0]


def figures_of(held: FilingDesk) -> FilingFigures:
    counted = held.grid.counted(held.values())
    return FilingFigures(filed=counted, approved=counted, details=held.content.details)


async def make_effective(
    work: UnitOfWork,
    system: PlanningSystem,
    round_: Round,
    filings: Sequence[tuple[Filing, FilingFigures]],
    subject: str,
) -> list[Filing]:
    """From here on control, statistics and forecast read these figures."""
    entities = [filing.entity for filing, _ in filings]
    await control_rows.lock_entities(work.connection, {(system.id, entity) for entity in entities})
    cells: list[EffectiveCell] = []
    for filing, figures in filings:
        cells += effective_cells(
            system, round_, filing.entity, figures.filed, figures.approved, figures.details
        )
    filing_type = round_.body.filing_type
    await cell_rows.put_effective(work.connection, system.id, filing_type, round_.round_id, entities, cells)
    made = [replace(filing, course=approvals.effective(filing.course, work.now)) for filing, _ in filings]
    await round_rows.save_filings(work.connection, made, work.now)
    await round_rows.add_steps(work.connection, made, "effective", subject, None, work.now)
    forecasting.look_again(work, system.id)
    for filing in made:
        work.count("filing", "effective")
        await _keep_sources(work, system, filing)
    return made


async def _keep_sources(work: UnitOfWork, system: PlanningSystem, filing: Filing) -> None:
    """Remembers which pool items a plan holds, so that the forecast counts them once."""
    content = await round_rows.content_of(work.connection, filing.filing_id, filing.version)
    if content is None:
        return
    sources = {(item_of(item), key) for (_, key), items in content.sources.items() for item in items}
    sources |= {
        (item_of(item), row.key) for rows in content.details.values() for row in rows for item in row.sources
    }
    if sources:
        await pool_rows.keep_sources(
            work.connection, system.id, filing.filing_type, filing.round_id, filing.entity, sources
        )


async def send_back(work: UnitOfWork, held: FilingDesk, subject: str, reason: str) -> Filing:
    """Back to the preparer. Errors: WrongState."""
    course = approvals.sent_back(held.filing.course, reason, work.now)
    filing = replace(
        held.filing, course=course, version=held.filing.version + 1, notices=held.filing.notices + 1
    )
    await round_rows.save_content(
        work.connection, filing.filing_id, filing.version, held.content, subject, work.now
    )
    await _store(work, filing, "sent-back", subject, reason)
    await tasks.close(work, [("filing", filing.filing_id)], "withdrawn", by=subject, message=reason)
    task = replace(filing_task(held.system, filing, "revise-filing"), message=reason)
    await tasks.open_for(work, held.system.holders("preparer", filing.entity), task)
    work.emit(due_notice(held, filing, "sent-back", work.now, by=subject, message=reason))
    return filing


async def remind(work: UnitOfWork, held: FilingDesk, subject: str, message: str | None) -> Filing:
    """Asks the preparer for a filing that is not handed in. Errors: WrongState."""
    if held.filing.course.state not in ("draft", "sent-back"):
        raise approvals.WrongState("reminded of", held.filing.course.state, ("draft", "sent-back"))
    filing = replace(held.filing, notices=held.filing.notices + 1)
    await _store(work, filing, "reminded", subject, message)
    work.emit(due_notice(held, filing, "asked", work.now, by=subject, message=message))
    return filing


async def extend(work: UnitOfWork, held: FilingDesk, subject: str, until: datetime, reason: str) -> Filing:
    """A later cut-off for one entity."""
    filing = replace(held.filing, extended_to=until, notices=held.filing.notices + 1)
    await _store(work, filing, "extended", subject, reason)
    set_due_timers(work, held.system, held.round, filing)
    work.emit(
        due_notice(replace_filing(held, filing), filing, "extended", work.now, by=subject, message=reason)
    )
    return filing


def replace_filing(held: FilingDesk, filing: Filing) -> FilingDesk:
    return replace(held, filing=filing)


def set_due_timers(work: UnitOfWork, system: PlanningSystem, round_: Round, filing: Filing) -> None:
    """Before and after the cut-off the preparer is told; a time that has passed already is not waited for."""
    depth = system.entity_tree.depth(filing.entity)
    days = system.filing_type_by_id[filing.filing_type].reminder_days
    for kind, due_at in rounds.due_times(round_, depth, days, filing.extended_to).items():
        if due_at > work.now:
            work.set_timer(FILING_DUE, f"{filing.filing_id}/{kind}", due_at)


async def _store(work: UnitOfWork, filing: Filing, action: str, subject: str, note: str | None) -> None:
    await round_rows.save_filings(work.connection, [filing], work.now)
    await round_rows.add_steps(work.connection, [filing], action, subject, note, work.now)
    work.count("filing", action)


def filing_task(system: PlanningSystem, filing: Filing, kind: str, due_at: datetime | None = None) -> Task:
    name = system.entity_by_id[filing.entity].name
    return Task(
        task_id="",
        kind=kind,
        assignee="",
        entity=filing.entity,
        document_type="filing",
        document_id=filing.filing_id,
        subject=f"{system.basics.name}, {name}",
        due_at=due_at,
    )


def due_notice(
    held: FilingDesk,
    filing: Filing,
    kind: DueKind,
    now: datetime,
    *,
    number: int | None = None,
    by: str | None = None,
    message: str | None = None,
) -> PlanDue:
    preparers = held.system.holders("preparer", filing.entity)
    depth = held.system.entity_tree.depth(filing.entity)
    return PlanDue(
        system_id=held.system.id,
        system_name=held.system.basics.name,
        round_id=filing.round_id,
        filing_id=filing.filing_id,
        entity=filing.entity,
        entity_name=held.system.entity_by_id[filing.entity].name,
        period=held.round.binding.code,
        kind=kind,
        reminder_number=filing.notices if number is None else number,
        cut_off=held.round.cut_off(depth, filing.extended_to),
        addressees=[Addressee(kind="person", id=person) for person in preparers[:ADDRESSEES_MAX]],
        asked_by=by,
        message=message,
        occurred_at=now,
    )


async def tell_due(work: UnitOfWork, filing_id: str, kind: str, cause: CausedBy) -> None:
    """A reminder before the cut-off, or a notice after it; nothing once the filing is handed in."""
    try:
        held = await desk(work.connection, filing_id, locked=True)
    except FilingGone:
        return
    if held.filing.course.state not in ("draft", "sent-back"):
        return
    filing = replace(held.filing, notices=held.filing.notices + 1)
    await round_rows.save_filings(work.connection, [filing], work.now)
    told: DueKind = "before-cut-off" if kind == "reminder" else "after-cut-off"
    work.emit(due_notice(held, filing, told, work.now), cause)
    if kind == "overdue":
        task = filing_task(held.system, filing, "overdue-filing")
        await tasks.open_for(work, held.system.holders("preparer", filing.entity), task, cause)


async def open_round(
    work: UnitOfWork,
    system: PlanningSystem,
    round_: Round,
    filing_ids: Mapping[str, str],
    opened_by: str,
) -> list[Filing]:
    """A draft for every entity, with tasks and timers; figures come when people fetch or enter them."""
    contents = {entity: (filing_ids[entity], Content()) for entity in filing_ids}
    await round_rows.add_filings(work.connection, round_, contents, opened_by, work.now)
    filings = await round_rows.filings_of_round(work.connection, system.id, round_.round_id)
    opened: list[Task] = []
    for filing in filings:
        set_due_timers(work, system, round_, filing)
        cut_off = round_.cut_off(system.entity_tree.depth(filing.entity))
        task = filing_task(system, filing, "fill-in-filing", cut_off)
        opened += [tasks.for_person(task, person) for person in system.holders("preparer", filing.entity)]
    await tasks.open_all(work, opened)
    return filings
