"""Execution control to look at and to decide by hand: checks, special approvals, leftovers, records."""

from datetime import datetime
from typing import Annotated, Any, Final, Literal

import orjson
from chassis.http import CurrentPrincipal, CursorPage, Now, Page, Policy, Problem, Reader, Router, Work
from contracts.money import decimal_string
from contracts.text import Code, Id, Text
from contracts.times import CalendarDate
from fastapi import Query
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncConnection

from cashplan.api.common import (
    PLAN_PEOPLE,
    PLAN_READERS,
    Body,
    known_system,
    refusals,
    require,
    sees,
    visible_entities,
)
from cashplan.domain.cells import members_of
from cashplan.domain.documents import DocumentKey
from cashplan.domain.organisations import local_date
from cashplan.domain.systems import PlanningSystem
from cashplan.flows import leftovers as leftover_flow
from cashplan.flows import special
from cashplan.repository import approvals as approval_rows
from cashplan.repository import cells as cell_rows
from cashplan.repository import checks as check_rows
from cashplan.repository import systems as system_rows
from cashplan.repository.approvals import SpecialApproval

router = Router(tags=["execution control"])

MANAGERS: Final = ("node-manager", "administrator")


class CheckView(BaseModel):
    """One decision with the numbers of every policy, as the ERP was told."""

    check_id: str
    source: str
    document_type: str
    document_id: str
    revision: int
    operation: str
    stance: str
    entity: str
    outcome: str
    checked_at: datetime
    answer: dict[str, Any]


class SpecialApprovalView(BaseModel):
    approval_id: str
    source: str
    document_type: str
    document_id: str
    revision: int
    entity: str
    amount: str
    currency: str
    state: str
    policies: list[str]
    requested_at: datetime
    expires_at: datetime
    decided_by: str | None
    note: str | None


class NoteBody(Body):
    note: Text | None = None


class RejectBody(Body):
    note: Text


class LeftoverView(BaseModel):
    """What a document still has pre-occupied in a period that has ended."""

    source: str
    document_type: str
    document_id: str
    filing_type: str
    entity: str
    item: str
    period: str
    currency: str
    pre_occupied: str


class LeftoverBody(Body):
    """Move it to the period of a day, which is checked, or release it."""

    source: Id
    document_type: Code
    document_id: Id
    filing_type: Code
    action: Literal["move", "release"]
    day: CalendarDate | None = None


class LeftoverDone(BaseModel):
    action: str
    changes: list[dict[str, str]]


class RecordView(BaseModel):
    """One entry of the execution record: what an operation changed in one cell."""

    entry_id: int
    recorded_at: datetime
    source: str
    document_type: str
    document_id: str
    revision: int
    operation: str
    stance: str
    filing_type: str
    entity: str
    item: str
    period: str
    currency: str
    members: dict[str, str]
    fields: dict[str, str]
    pre_occupied: str
    actual: str


class UnmappedView(BaseModel):
    source: str
    document_type: str
    document_id: str
    line_id: str
    dimension: str
    tried: str
    seen_at: datetime


async def _seen_entities(connection: AsyncConnection, principal: Any) -> set[str] | None:
    """The entities of all systems that a person may look at; None for who sees everything."""
    listed = await system_rows.systems(connection)
    if any(sees(system, principal, None) for system in listed) or not listed:
        return None
    return {entity for system in listed for entity in visible_entities(system, principal)}


@router.get(
    "/plan-checks",
    policy=Policy("plan-check:read", roles=PLAN_READERS | {"document-maker"}),
    summary="Checks",
)
async def plan_checks(
    page: Page,
    reader: Reader,
    principal: CurrentPrincipal,
    entity: Annotated[Id | None, Query()] = None,
    document_id: Annotated[Id | None, Query()] = None,
    outcome: Annotated[Code | None, Query()] = None,
) -> CursorPage[CheckView]:
    """The newest first; who makes documents sees outcome and numbers of a document by its id."""
    if "document-maker" in principal.roles and document_id is None:
        raise Problem.forbidden("Name the document whose outcome you want to see.")
    seen = None if "document-maker" in principal.roles else await _seen_entities(reader, principal)
    after = page.after(datetime, str)
    found = await check_rows.checks_after(
        reader, entity, document_id, outcome, (after[0], after[1]) if after else None, page.rows
    )
    shown, following = page.page(found, lambda row: (row.checked_at, row.check_id))
    return CursorPage(
        items=[_check(row) for row in shown if seen is None or row.entity in seen], next=following
    )


def _check(row: Any) -> CheckView:
    return CheckView(
        check_id=row.check_id,
        source=row.source,
        document_type=row.document_type,
        document_id=row.document_id,
        revision=row.revision,
        operation=row.operation,
        stance=row.stance,
        entity=row.entity,
        outcome=row.outcome,
        checked_at=row.checked_at,
        answer=orjson.loads(row.body),
    )


@router.get(
    "/special-approvals",
    policy=Policy("special-approval:read", roles=PLAN_READERS),
    summary="Documents that are held",
)
async def special_approvals(
    page: Page,
    reader: Reader,
    principal: CurrentPrincipal,
    state: Annotated[
        Literal["waiting", "approved", "rejected", "expired", "withdrawn"] | None, Query()
    ] = "waiting",
) -> CursorPage[SpecialApprovalView]:
    """By id; those that wait, unless told otherwise."""
    seen = await _seen_entities(reader, principal)
    after = page.after(str)
    found = await approval_rows.after(reader, state, after[0] if after else "", page.rows)
    shown, following = page.page(found, lambda each: (each.approval_id,))
    return CursorPage(
        items=[_approval(each) for each in shown if seen is None or each.entity in seen], next=following
    )


def _approval(each: SpecialApproval) -> SpecialApprovalView:
    posted = each.posted
    return SpecialApprovalView(
        approval_id=each.approval_id,
        source=posted.key.source,
        document_type=posted.key.document_type,
        document_id=posted.key.document_id,
        revision=posted.revision,
        entity=each.entity,
        amount=decimal_string(posted.total_minor, posted.currency),
        currency=posted.currency,
        state=each.state,
        policies=list(each.policies),
        requested_at=each.requested_at,
        expires_at=each.expires_at,
        decided_by=each.decided_by,
        note=each.note,
    )


@router.post(
    "/special-approvals/{approval_id}/approve",
    policy=Policy("special-approval:decide", roles=PLAN_PEOPLE),
    summary="Approve a held document",
)
async def approve(
    approval_id: Id, body: NoteBody, work: Work, principal: CurrentPrincipal
) -> SpecialApprovalView:
    """Checks everything again at this moment; another policy that blocks refuses the approval."""
    await _require_approver(work, approval_id, principal)
    with refusals():
        return _approval(await special.approve(work, approval_id, principal.subject, body.note))


@router.post(
    "/special-approvals/{approval_id}/reject",
    policy=Policy("special-approval:decide", roles=PLAN_PEOPLE),
    summary="Reject a held document",
)
async def reject(
    approval_id: Id, body: RejectBody, work: Work, principal: CurrentPrincipal
) -> SpecialApprovalView:
    """Declines the document; it has occupied nothing."""
    await _require_approver(work, approval_id, principal)
    with refusals():
        return _approval(await special.reject(work, approval_id, principal.subject, body.note))


async def _require_approver(work: Any, approval_id: str, principal: Any) -> None:
    found = await approval_rows.locked(work.connection, approval_id)
    if found is None:
        raise Problem.not_found()
    for system_id in found.systems:
        require(await known_system(work.connection, system_id), principal, MANAGERS, found.entity)


@router.get(
    "/planning-systems/{system_id}/leftovers",
    policy=Policy("leftover:read", roles=PLAN_READERS),
    summary="What is left pre-occupied in periods that have ended",
)
async def leftovers(
    system_id: Id, page: Page, reader: Reader, now: Now, principal: CurrentPrincipal
) -> CursorPage[LeftoverView]:
    """It never lapses: it is moved or released by hand."""
    system = await known_system(reader, system_id)
    after = page.after(str, str, str, str, str) or ("", "", "", "", "")
    today = local_date(now, system.basics.time_zone)
    found = await cell_rows.leftovers(
        reader, system_id, today, (after[0], after[1], after[2], after[3], after[4]), page.rows
    )
    shown, following = page.page(
        found, lambda row: (row.source, row.document_type, row.document_id, row.filing_type, row.item)
    )
    return CursorPage(
        items=[_leftover(row) for row in shown if sees(system, principal, row.entity)], next=following
    )


def _leftover(row: Any) -> LeftoverView:
    return LeftoverView(
        source=row.source,
        document_type=row.document_type,
        document_id=row.document_id,
        filing_type=row.filing_type,
        entity=row.entity,
        item=row.item,
        period=row.period,
        currency=row.currency,
        pre_occupied=decimal_string(row.pre_occupied_minor, row.currency),
    )


@router.post(
    "/planning-systems/{system_id}/leftovers",
    policy=Policy("leftover:settle", roles=PLAN_PEOPLE),
    summary="Move or release what is left",
)
async def settle_leftover(
    system_id: Id, body: LeftoverBody, work: Work, principal: CurrentPrincipal
) -> LeftoverDone:
    """Moving is checked in the new period; releasing gives the plan back."""
    system = await known_system(work.connection, system_id)
    await _require_leftover(work, system, body, principal)
    key = DocumentKey(body.source, body.document_type, body.document_id)
    place = f"{system_id}/{body.filing_type}"
    try:
        if body.action == "release":
            decision = await leftover_flow.release(work, key, place)
        else:
            day = body.day or local_date(work.now, system.basics.time_zone)
            decision = await leftover_flow.move(work, key, place, day)
    except leftover_flow.NothingLeft:
        raise Problem.not_found("The document has nothing pre-occupied.") from None
    except leftover_flow.MoveRefused as refused:
        raise Problem.conflict("move-refused", f"{refused}.") from None
    changes = [
        {
            "item": slot.item,
            "period": slot.period,
            "pre_occupied": decimal_string(change.pre_occupied, slot.currency),
        }
        for slot, change in sorted(decision.changes.items())
    ]
    return LeftoverDone(action=body.action, changes=changes)


async def _require_leftover(work: Any, system: PlanningSystem, body: LeftoverBody, principal: Any) -> None:
    """Who manages the entities that the document holds something of."""
    key = DocumentKey(body.source, body.document_type, body.document_id)
    entities = await cell_rows.entities_of(work.connection, system.id, key)
    if not entities:
        raise Problem.not_found("The document has nothing pre-occupied.")
    for entity in entities:
        require(system, principal, MANAGERS, entity)


@router.get(
    "/planning-systems/{system_id}/execution-records",
    policy=Policy("execution:read", roles=PLAN_READERS),
    summary="Execution records",
)
async def execution_records(
    system_id: Id,
    page: Page,
    reader: Reader,
    principal: CurrentPrincipal,
    entity: Annotated[Id | None, Query()] = None,
    item: Annotated[Id | None, Query()] = None,
    document_id: Annotated[Id | None, Query()] = None,
) -> CursorPage[RecordView]:
    """Every change of what is pre-occupied and actual, in the order in which it was recorded."""
    system = await known_system(reader, system_id)
    after = page.after(int)
    found = await cell_rows.entries_after(
        reader, system_id, entity, item, document_id, after[0] if after else 0, page.rows
    )
    shown, following = page.page(found, lambda row: (row.entry_id,))
    return CursorPage(
        items=[_record(row) for row in shown if sees(system, principal, row.entity)], next=following
    )


def _record(row: Any) -> RecordView:
    return RecordView(
        entry_id=row.entry_id,
        recorded_at=row.recorded_at,
        source=row.source,
        document_type=row.document_type,
        document_id=row.document_id,
        revision=row.revision,
        operation=row.operation,
        stance=row.stance,
        filing_type=row.filing_type,
        entity=row.entity,
        item=row.item,
        period=row.period,
        currency=row.currency,
        members=members_of(row.members),
        fields=members_of(row.fields),
        pre_occupied=decimal_string(row.pre_occupied_minor, row.currency),
        actual=decimal_string(row.actual_minor, row.currency),
    )


@router.get(
    "/planning-systems/{system_id}/unmapped",
    policy=Policy("unmapped:read", roles=PLAN_READERS),
    summary="What maps to nothing",
)
async def unmapped(
    system_id: Id, page: Page, reader: Reader, principal: CurrentPrincipal
) -> CursorPage[UnmappedView]:
    """Document lines for which the mapping found no entity or item, or an unknown member."""
    system = await known_system(reader, system_id)
    if not sees(system, principal, None):
        raise Problem.not_found()
    after = page.after(str, str, str, str, str) or ("", "", "", "", "")
    found = await check_rows.unmapped_after(reader, system_id, after, page.rows)
    shown, following = page.page(
        found, lambda row: (row.source, row.document_type, row.document_id, row.line_id, row.dimension)
    )
    views = [
        UnmappedView(
            source=row.source,
            document_type=row.document_type,
            document_id=row.document_id,
            line_id=row.line_id,
            dimension=row.dimension,
            tried=row.tried,
            seen_at=row.seen_at,
        )
        for row in shown
    ]
    return CursorPage(items=views, next=following)
