"""Filing rounds: opening them, seeing how far they are, reminding, sending back, extending."""

from collections import Counter
from datetime import date, datetime
from typing import Annotated, Final

from chassis.http import (
    CurrentPrincipal,
    CursorPage,
    FieldError,
    Now,
    Page,
    Policy,
    Problem,
    Reader,
    Router,
    Work,
)
from contracts.text import Id, Text
from contracts.times import Moment
from fastapi import Query
from pydantic import BaseModel, ConfigDict
from sqlalchemy.ext.asyncio import AsyncConnection

from cashplan.api.common import (
    PLAN_PEOPLE,
    PLAN_READERS,
    Body,
    known_system,
    own_id,
    refusals,
    require,
    visible_entities,
)
from cashplan.domain import approvals
from cashplan.domain import rounds as domain
from cashplan.domain.rounds import RoundBody
from cashplan.domain.systems import PlanningSystem
from cashplan.flows import filings, rollups
from cashplan.repository import rounds as round_rows
from cashplan.repository.rounds import Filing

router = Router(tags=["filing rounds"])

MANAGERS: Final = ("node-manager", "administrator")


class ColumnView(BaseModel):
    period: str
    head: str
    first_day: date
    last_day: date
    is_binding: bool


class RoundView(BaseModel):
    """A round with its periods; the binding ones become effective, the others are indicative."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "round_id": "R-1",
                    "filing_type": "month-plan",
                    "period": "2026-11",
                    "first_day": "2026-11-01",
                    "last_day": "2026-11-30",
                    "starts_at": "2026-10-20T00:00:00Z",
                    "cut_off": "2026-10-28T10:00:00Z",
                    "columns": [],
                }
            ]
        }
    )

    round_id: str
    filing_type: str
    period: str
    first_day: date
    last_day: date
    starts_at: datetime
    cut_off: datetime
    columns: list[ColumnView]


class ProgressLine(BaseModel):
    """How far one entity is."""

    entity: str
    entity_name: str
    filing_id: str
    state: str
    is_overdue: bool
    cut_off: datetime
    waits_for: list[str]


class Progress(BaseModel):
    """The entities that you may look at, and how many are in each state."""

    states: dict[str, int]
    lines: list[ProgressLine]


class ReminderBody(Body):
    message: Text | None = None


class SendBackBody(Body):
    reason: Text


class ExtensionBody(Body):
    until: Moment
    reason: Text


class FilingState(BaseModel):
    """Where a filing stands after what was done."""

    filing_id: str
    entity: str
    state: str
    version: int
    warnings: list[str] = []


@router.post(
    "/planning-systems/{system_id}/rounds",
    policy=Policy("round:open", roles=PLAN_PEOPLE),
    summary="Open a round",
    status_code=201,
)
async def open_round(system_id: Id, body: RoundBody, work: Work, principal: CurrentPrincipal) -> RoundView:
    """Opens filings for all entities, with cut-offs, tasks and reminders."""
    system = await known_system(work.connection, system_id)
    require(system, principal, ("administrator",), None)
    if body.filing_type not in system.filing_type_by_id:
        raise Problem.invalid([FieldError(field="filing_type", message="is not a filing type of the system")])
    assert work.cause is not None
    with refusals():
        round_ = domain.opened(
            system.id, own_id(work.cause.id, "round"), system.filing_type_by_id[body.filing_type], body
        )
        entities = domain.filing_entities(system, body)
        for entity in entities:
            filings.grid_for(system, round_, entity)
    if not entities:
        raise Problem.conflict("no-entity", "No active entity has a template of this filing type.")
    if not await round_rows.add_round(work.connection, round_, principal.subject, work.now):
        raise Problem.conflict("round-exists", "The filing type has a round of this period already.")
    ids = {entity: own_id(work.cause.id, "filing", number) for number, entity in enumerate(entities)}
    await filings.open_round(work, system, round_, ids, principal.subject)
    await rollups.open_roll_ups(work, system, round_, entities)
    return round_view(round_)


@router.get(
    "/planning-systems/{system_id}/rounds",
    policy=Policy("round:read", roles=PLAN_READERS),
    summary="Rounds of a system",
)
async def rounds(
    system_id: Id, page: Page, reader: Reader, principal: CurrentPrincipal
) -> CursorPage[RoundView]:
    """By first day."""
    system = await known_system(reader, system_id)
    after = page.after(date, str) or (date(1900, 1, 1), "")
    found = await round_rows.rounds_after(reader, system, (after[0], after[1]), page.rows)
    shown, following = page.page(found, lambda each: (each.binding.first_day, each.round_id))
    return CursorPage(items=[round_view(each) for each in shown], next=following)


def round_view(round_: domain.Round) -> RoundView:
    return RoundView(
        round_id=round_.round_id,
        filing_type=round_.body.filing_type,
        period=round_.binding.code,
        first_day=round_.binding.first_day,
        last_day=round_.binding.last_day,
        starts_at=round_.body.starts_at,
        cut_off=round_.body.cut_off,
        columns=[
            ColumnView(
                period=column.period.code,
                head=column.head,
                first_day=column.period.first_day,
                last_day=column.period.last_day,
                is_binding=column.is_binding,
            )
            for column in round_.columns
        ],
    )


@router.get(
    "/planning-systems/{system_id}/rounds/{round_id}/progress",
    policy=Policy("round:read", roles=PLAN_READERS),
    summary="How far a round is",
)
async def progress(
    system_id: Id,
    round_id: Id,
    reader: Reader,
    now: Now,
    principal: CurrentPrincipal,
    under: Annotated[Id | None, Query(description="Only this entity and those below it.")] = None,
) -> Progress:
    """Every entity's state, its cut-off, and whom it waits for."""
    system, round_ = await known_round(reader, system_id, round_id)
    seen = set(visible_entities(system, principal, under))
    listed = await round_rows.filings_of_round(reader, system_id, round_id)
    lines = [_line(system, round_, filing, now) for filing in listed if filing.entity in seen]
    return Progress(states=dict(Counter(line.state for line in lines)), lines=lines)


async def known_round(
    connection: AsyncConnection, system_id: str, round_id: str
) -> tuple[PlanningSystem, domain.Round]:
    system = await known_system(connection, system_id)
    round_ = await round_rows.round_by_id(connection, system, round_id)
    if round_ is None:
        raise Problem.not_found("The system has no round of this id.")
    return system, round_


def _line(system: PlanningSystem, round_: domain.Round, filing: Filing, now: datetime) -> ProgressLine:
    cut_off = round_.cut_off(system.entity_tree.depth(filing.entity), filing.extended_to)
    open_ = filing.course.state in ("draft", "sent-back")
    steps = system.filing_type_by_id[filing.filing_type].steps("filing")
    waits = (
        system.holders("preparer", filing.entity)
        if open_
        else approvals.approvers(system, steps, filing.course, filing.entity)
    )
    return ProgressLine(
        entity=filing.entity,
        entity_name=system.entity_by_id[filing.entity].name,
        filing_id=filing.filing_id,
        state=filing.course.state,
        is_overdue=open_ and now > cut_off,
        cut_off=cut_off,
        waits_for=waits,
    )


@router.post(
    "/filings/{filing_id}/remind",
    policy=Policy("filing:remind", roles=PLAN_PEOPLE),
    summary="Remind a preparer",
)
async def remind(filing_id: Id, body: ReminderBody, work: Work, principal: CurrentPrincipal) -> FilingState:
    """Tells the preparer that the filing is waited for."""
    with refusals():
        held = await filings.desk(work.connection, filing_id, locked=True)
        require(held.system, principal, MANAGERS, held.entity)
        return filing_state(await filings.remind(work, held, principal.subject, body.message))


@router.post(
    "/filings/{filing_id}/send-back",
    policy=Policy("filing:send-back", roles=PLAN_PEOPLE),
    summary="Send a filing back",
)
async def send_back(
    filing_id: Id, body: SendBackBody, work: Work, principal: CurrentPrincipal
) -> FilingState:
    """A submitted or approved filing goes back to its preparer; an effective one does not."""
    with refusals():
        held = await filings.desk(work.connection, filing_id, locked=True)
        require(held.system, principal, MANAGERS, held.entity)
        return filing_state(await filings.send_back(work, held, principal.subject, body.reason))


@router.post(
    "/filings/{filing_id}/extend",
    policy=Policy("filing:extend", roles=PLAN_PEOPLE),
    summary="Extend the cut-off for one entity",
)
async def extend(filing_id: Id, body: ExtensionBody, work: Work, principal: CurrentPrincipal) -> FilingState:
    """Lets one entity submit until a later time."""
    with refusals():
        held = await filings.desk(work.connection, filing_id, locked=True)
        require(held.system, principal, MANAGERS, held.entity)
        if body.until <= work.now:
            raise Problem.invalid([FieldError(field="until", message="must be later than now")])
        return filing_state(await filings.extend(work, held, principal.subject, body.until, body.reason))


def filing_state(filing: Filing, warnings: list[str] | None = None) -> FilingState:
    return FilingState(
        filing_id=filing.filing_id,
        entity=filing.entity,
        state=filing.course.state,
        version=filing.version,
        warnings=warnings or [],
    )
