"""Ending a relationship: asked by either side, previewed first, settled when fund-pool and credit have answered."""

import asyncio
import os
from datetime import datetime
from typing import Final, Literal

from chassis.http import LOADED, CurrentAccess, CursorPage, NotFound, Page, Policy, Reader, Router, Work
from contracts.relationship_end_answered import Obstacle, Staying
from contracts.text import Id
from pydantic import BaseModel, ConfigDict
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis import UnitOfWork
from contracts import RelationshipEndAnswered
from sharing.api.models import Relationship, RelationshipId, view
from sharing.api.parties import acting_side
from sharing.api.sharing_models import GainView, gain_view
from sharing.api.steps import decided, standing_for, stored
from sharing.domain import ids
from sharing.domain import relationships as domain
from sharing.domain.changes import end_trusteeship
from sharing.domain.ending import EndRequest, Purpose, RequestOutcome, ask, end_requested
from sharing.domain.relationships import Change, Side
from sharing.domain.views import preview
from sharing.following import DEADLINE, settle_request
from sharing.repository import ending as ending_rows
from sharing.repository import relationships as relationship_rows
from sharing.repository import sharing as sharing_rows

router = Router(tags=["relationships"])

END: Final = Policy("relationship:end", roles=(), account=LOADED)
READ: Final = Policy("relationship:read", roles=(), account=LOADED)
SIDES: Final[tuple[Side, ...]] = ("management", "member")
LOSSES_MAX: Final = 100


class AnswerView(BaseModel):
    """What one service says: what stands against the end, and the money that would stay with the member."""

    answered_by: Literal["fund-pool", "credit"]
    outcome: Literal["agreed", "refused"]
    obstacles: list[Obstacle]
    obstacles_count: int
    staying: list[Staying]
    answered_at: datetime


class EndRequestView(BaseModel):
    """A request to end, or a preview of one; without an outcome it is under way."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "request_id": "019a1b2c-7d3e-7f40-8a51-b2c3d4e5f607",
                    "purpose": "preview",
                    "requested_by": "wang.hz",
                    "side": "management",
                    "requested_at": "2026-03-10T08:05:00Z",
                    "answer_by": "2026-03-11T08:05:00Z",
                    "outcome": None,
                    "decided_at": None,
                    "answers": [],
                    "losses": [],
                    "losses_complete": True,
                }
            ]
        }
    )

    request_id: str
    purpose: Purpose
    side: Side
    requested_by: str
    requested_at: datetime
    answer_by: datetime
    outcome: RequestOutcome | None
    decided_at: datetime | None
    answers: list[AnswerView]
    losses: list[GainView]
    losses_complete: bool


@router.post(
    "/relationships/{relationship_id}/end", policy=END, summary="End the relationship, or ask for its end"
)
async def end(relationship_id: RelationshipId, work: Work, access: CurrentAccess) -> Relationship:
    """For either side. An invitation is over at once; an accepted relationship ends when fund-pool and credit
    agree within 24 hours, and until then `ending` names the request. Asking again changes nothing."""
    standing, side = await standing_for(work, access, relationship_id, SIDES)
    if standing.ending is not None or standing.state == "ended":
        return view(standing)
    if standing.state != "active":
        return view(await _end_now(work, standing, side, access.principal.subject))
    request_id = ids.uuid7(work.now, os.urandom(ids.RANDOM_BYTES))
    after = decided(lambda each: domain.request_end(each, request_id, work.now), standing)
    change = Change(relationship=after, step="end-requested", side=side, changed_by=access.principal.subject)
    await relationship_rows.update(work.connection, change)
    await _ask(work, after, ask(after, request_id, "end", side, access.principal.subject, work.now))
    return view(after)


async def _end_now(
    work: UnitOfWork, standing: domain.Relationship, side: Side, by: str
) -> domain.Relationship:
    after = decided(lambda each: domain.end(each, work.now), standing)
    await stored(work, standing, Change(relationship=after, step="ended", side=side, changed_by=by))
    return after


async def _ask(work: UnitOfWork, relationship: domain.Relationship, request: EndRequest) -> None:
    await ending_rows.insert(work.connection, request)
    work.set_timer(DEADLINE, request.request_id, request.answer_by)
    work.emit(end_requested(request, relationship))
    work.count("end-request", request.purpose)


@router.post("/relationships/{relationship_id}/end/withdraw", policy=END, summary="Withdraw a request to end")
async def withdraw(relationship_id: RelationshipId, work: Work, access: CurrentAccess) -> Relationship:
    """For the side that asked."""
    standing, _ = await standing_for(work, access, relationship_id, SIDES)
    request = await ending_rows.open_request(work.connection, relationship_id, "end")
    if request is None:
        return view(decided(lambda each: domain.settle_end(each, "withdrawn", work.now), standing))
    asked_by: tuple[Side, ...] = SIDES if request.side == "administrator" else (request.side,)
    side = acting_side(access, standing, asked_by)
    after = await settle_request(work, standing, request, "withdrawn", side, access.principal.subject)
    return view(after)


@router.post(
    "/relationships/{relationship_id}/end-previews",
    policy=END,
    status_code=201,
    summary="Ask what stands against an end, and what it would bring",
)
async def preview_end(relationship_id: RelationshipId, work: Work, access: CurrentAccess) -> EndRequestView:
    """Changes nothing. The answers of fund-pool and credit arrive shortly; read the request again for them."""
    standing, side = await standing_for(work, access, relationship_id, SIDES)
    if standing.state != "active":
        raise NotFound
    request = await ending_rows.open_request(work.connection, relationship_id, "preview")
    if request is None:
        request_id = ids.uuid7(work.now, os.urandom(ids.RANDOM_BYTES))
        request = ask(standing, request_id, "preview", side, access.principal.subject, work.now)
        await _ask(work, standing, request)
    return await _request_view(work.connection, standing, request, work.now)


@router.get(
    "/relationships/{relationship_id}/end-requests/{request_id}",
    policy=READ,
    summary="One request to end, with its answers",
)
async def end_request(
    relationship_id: RelationshipId, request_id: Id, reader: Reader, access: CurrentAccess
) -> EndRequestView:
    """Who would lose what is told as long as the relationship is active."""
    standing = await relationship_rows.by_id(reader, relationship_id, None)
    if standing is None:
        raise NotFound
    acting_side(access, standing, SIDES)
    found = (await ending_rows.by_id(reader, [request_id])).get(request_id)
    if found is None or found.relationship_id != relationship_id:
        raise NotFound
    return await _request_view(reader, standing, found, found.decided_at or found.requested_at)


@router.get(
    "/relationships/{relationship_id}/end-requests", policy=READ, summary="Requests to end a relationship"
)
async def end_requests(
    relationship_id: RelationshipId, page: Page, reader: Reader, access: CurrentAccess
) -> CursorPage[EndRequestView]:
    """Newest first, with their answers."""
    standing = await relationship_rows.by_id(reader, relationship_id, None)
    if standing is None:
        raise NotFound
    acting_side(access, standing, SIDES)
    after = page.after(str)
    found = await ending_rows.of_relationship(reader, relationship_id, after[0] if after else None, page.rows)
    kept, following = page.page(found, lambda each: (each.request_id,))
    answers = await ending_rows.answers(reader, {each.request_id for each in kept})
    items = [_view(each, answers.get(each.request_id, []), [], False) for each in kept]
    return CursorPage(items=items, next=following)


async def _request_view(
    connection: AsyncConnection, standing: domain.Relationship, request: EndRequest, at: datetime
) -> EndRequestView:
    answers = (await ending_rows.answers(connection, [request.request_id])).get(request.request_id, [])
    losses, complete = await _losses(connection, standing, at)
    return _view(request, answers, losses, complete)


async def _losses(
    connection: AsyncConnection, standing: domain.Relationship, at: datetime
) -> tuple[list[GainView], bool]:
    """What the member could not use any more."""
    if standing.kind != "trusteeship" or standing.state != "active":
        return [], True
    before = await sharing_rows.sharing(connection, standing.management_account, at)
    after = end_trusteeship(before, standing.member_account, at)
    seen = await asyncio.to_thread(preview, before, after, at, LOSSES_MAX)
    return [gain_view(each) for each in seen.listed], seen.is_complete


def _view(
    request: EndRequest, answers: list[RelationshipEndAnswered], losses: list[GainView], complete: bool
) -> EndRequestView:
    return EndRequestView(
        request_id=request.request_id,
        purpose=request.purpose,
        side=request.side,
        requested_by=request.requested_by,
        requested_at=request.requested_at,
        answer_by=request.answer_by,
        outcome=request.outcome,
        decided_at=request.decided_at,
        answers=[AnswerView.model_validate(each, from_attributes=True) for each in answers],
        losses=losses,
        losses_complete=complete,
    )
