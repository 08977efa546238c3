"""Adjustments of what is effective: up, down, or moved, with a reason and an approval."""

from collections import defaultdict
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from chassis.http import CurrentPrincipal, CursorPage, FieldError, Page, Policy, Problem, Reader, Router, Work
from contracts.bounds import of_length
from contracts.money import SIGNED_DECIMAL, decimal_string, minor_units
from contracts.text import Code, CurrencyCode, Id, Text
from fastapi import Query
from pydantic import BaseModel, Field, StringConstraints

from cashplan.api.common import (
    PLAN_PEOPLE,
    PLAN_READERS,
    Body,
    known_system,
    own_id,
    refusals,
    require,
    require_sight,
    sees,
)
from cashplan.domain import approvals
from cashplan.domain.adjustments import AdjustmentLine, Kind, admit, affected
from cashplan.domain.approvals import Course
from cashplan.domain.cells import members_of, members_text
from cashplan.domain.control import Slot
from cashplan.domain.systems import PlanningSystem
from cashplan.flows import tasks
from cashplan.repository import cells as cell_rows
from cashplan.repository import control as control_rows
from cashplan.repository.cells import Adjustment
from cashplan.repository.tasks import Task

router = Router(tags=["adjustments"])

PREPARERS: Final = ("preparer", "administrator")


class LineBody(Body):
    """By how much a cell's effective figure changes; below zero for less. `fields` names a detail group too."""

    item: Id
    period: Annotated[str, StringConstraints(max_length=40)]
    currency: CurrencyCode
    members: dict[Code, Id] = Field(default_factory=dict)
    fields: dict[Code, Text] = Field(default_factory=dict)
    change: Annotated[str, StringConstraints(pattern=SIGNED_DECIMAL)]


class AdjustmentBody(Body):
    filing_type: Code
    entity: Id
    kind: Literal["up", "down", "move"]
    reason: Text
    lines: Annotated[list[LineBody], of_length(1, 500)]


class LineView(BaseModel):
    item: str
    period: str
    currency: str
    members: dict[str, str]
    fields: dict[str, str]
    change: str


class AdjustmentView(BaseModel):
    adjustment_id: str
    filing_type: str
    entity: str
    kind: str
    reason: str
    state: str
    maker: str | None
    lines: list[LineView]
    changed_at: datetime


@router.post(
    "/planning-systems/{system_id}/adjustments",
    policy=Policy("adjustment:submit", roles=PLAN_PEOPLE),
    summary="Ask for an adjustment",
    status_code=201,
)
async def submit(
    system_id: Id, body: AdjustmentBody, work: Work, principal: CurrentPrincipal
) -> AdjustmentView:
    """Checked now and again when it is approved: never below what is pre-occupied and actual."""
    system = await known_system(work.connection, system_id)
    require(system, principal, PREPARERS, body.entity)
    if body.filing_type not in system.filing_type_by_id:
        raise Problem.invalid([FieldError(field="filing_type", message="is not a filing type of the system")])
    assert work.cause is not None
    course = approvals.submitted(Course(), principal.subject, work.now)
    made = Adjustment(
        adjustment_id=own_id(work.cause.id, "adjustment"),
        system_id=system_id,
        filing_type=body.filing_type,
        entity=body.entity,
        kind=body.kind,
        reason=body.reason,
        course=course,
        lines=[_line(system_id, body, line) for line in body.lines],
        changed_at=work.now,
    )
    await _admit(work, made)
    await cell_rows.save_adjustment(work.connection, made)
    await _ask_approvers(work, system, made)
    return view(made)


def _line(system_id: str, body: AdjustmentBody, line: LineBody) -> AdjustmentLine:
    slot = Slot(
        system_id,
        body.filing_type,
        body.entity,
        line.item,
        line.period,
        line.currency,
        members_text(line.members),
        members_text({name: value.replace(" ", "_") for name, value in line.fields.items()}),
    )
    return AdjustmentLine(slot=slot, minor=minor_units(line.change, line.currency))


async def _admit(work: Any, adjustment: Adjustment) -> None:
    """Locks the entity's plan and checks the lines against it."""
    await control_rows.lock_entities(work.connection, {(adjustment.system_id, adjustment.entity)})
    slots = {slot for line in adjustment.lines for slot in affected(line.slot)}
    cells = await cell_rows.cells_of(work.connection, slots)
    kind: Kind = "up" if adjustment.kind == "up" else "down" if adjustment.kind == "down" else "move"
    with refusals():
        admit(kind, adjustment.lines, cells)


async def _ask_approvers(work: Any, system: PlanningSystem, adjustment: Adjustment) -> None:
    steps = system.filing_type_by_id[adjustment.filing_type].steps("adjustment")
    people = approvals.approvers(system, steps, adjustment.course, adjustment.entity)
    task = Task(
        task_id="",
        kind="approve-adjustment",
        assignee="",
        entity=adjustment.entity,
        document_type="adjustment",
        document_id=adjustment.adjustment_id,
        subject=f"{system.basics.name}, {system.entity_by_id[adjustment.entity].name}",
        message=adjustment.reason,
    )
    await tasks.open_for(work, people, task)


@router.post(
    "/adjustments/{adjustment_id}/approve",
    policy=Policy("adjustment:approve", roles=PLAN_PEOPLE),
    summary="Approve an adjustment",
)
async def approve(adjustment_id: Id, work: Work, principal: CurrentPrincipal) -> AdjustmentView:
    """The last step changes the effective figures; roll-up figures follow."""
    found, system = await _locked(work, adjustment_id, principal)
    steps = system.filing_type_by_id[found.filing_type].adjustment_steps
    with refusals():
        course = approvals.approved(found.course, system, steps, found.entity, principal.subject, work.now)
    if course.state == "approved":
        await _admit(work, found)
        changes: dict[Slot, int] = defaultdict(int)
        for line in found.lines:
            for slot in affected(line.slot):
                changes[slot] += line.minor
        await cell_rows.adjust(work.connection, changes)
        course = approvals.effective(course, work.now)
        work.count("adjustment", found.kind)
    saved = replace(found, course=course, changed_at=work.now)
    await cell_rows.save_adjustment(work.connection, saved)
    await tasks.close(work, [("adjustment", adjustment_id)], "done", by=principal.subject)
    await _ask_approvers(work, system, saved)
    return view(saved)


@router.post(
    "/adjustments/{adjustment_id}/withdraw",
    policy=Policy("adjustment:submit", roles=PLAN_PEOPLE),
    summary="Withdraw or refuse an adjustment",
)
async def withdraw(adjustment_id: Id, work: Work, principal: CurrentPrincipal) -> AdjustmentView:
    """By its maker, or by who would have to approve it."""
    found, system = await _locked(work, adjustment_id, principal)
    require(system, principal, ("preparer", "node-manager", "administrator"), found.entity)
    with refusals():
        saved = replace(found, course=approvals.withdrawn(found.course, work.now), changed_at=work.now)
    await cell_rows.save_adjustment(work.connection, saved)
    await tasks.close(work, [("adjustment", adjustment_id)], "withdrawn", by=principal.subject)
    return view(saved)


async def _locked(work: Any, adjustment_id: str, principal: Any) -> tuple[Adjustment, PlanningSystem]:
    found = await cell_rows.adjustment_by_id(work.connection, adjustment_id, locked=True)
    if found is None:
        raise Problem.not_found()
    system = await known_system(work.connection, found.system_id)
    require_sight(system, principal, found.entity)
    return found, system


@router.get(
    "/planning-systems/{system_id}/adjustments",
    policy=Policy("adjustment:read", roles=PLAN_READERS),
    summary="Adjustments of a system",
)
async def adjustments(
    system_id: Id,
    page: Page,
    reader: Reader,
    principal: CurrentPrincipal,
    entity: Annotated[Id | None, Query()] = None,
) -> CursorPage[AdjustmentView]:
    """Those of the entities that you may look at."""
    system = await known_system(reader, system_id)
    after = page.after(str)
    found = await cell_rows.adjustments_after(reader, system_id, entity, after[0] if after else "", page.rows)
    shown, following = page.page(found, lambda each: (each.adjustment_id,))
    return CursorPage(
        items=[view(each) for each in shown if sees(system, principal, each.entity)], next=following
    )


def view(adjustment: Adjustment) -> AdjustmentView:
    return AdjustmentView(
        adjustment_id=adjustment.adjustment_id,
        filing_type=adjustment.filing_type,
        entity=adjustment.entity,
        kind=adjustment.kind,
        reason=adjustment.reason,
        state=adjustment.course.state,
        maker=adjustment.course.maker,
        lines=[
            LineView(
                item=line.slot.item,
                period=line.slot.period,
                currency=line.slot.currency,
                members=members_of(line.slot.members),
                fields=members_of(line.slot.fields),
                change=decimal_string(line.minor, line.slot.currency),
            )
            for line in adjustment.lines
        ],
        changed_at=adjustment.changed_at,
    )
