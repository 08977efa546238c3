"""Silences: for a while, nobody is told; each has an end."""

from datetime import datetime
from typing import Annotated, Any, Final
from uuid import UUID, uuid4

from chassis.http import CurrentPrincipal, CursorPage, Now, Policy, Problem, Reader, Router, Work
from contracts.text import Id
from fastapi import Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints
from pydantic.config import JsonDict

from notify.api.common import OPERATORS, Body, PersonId
from notify.api.contact_bodies import Family
from notify.domain.noise import SILENCE_MAX, Silence
from notify.domain.places import entity_place
from notify.repository import rules as rule_rows
from notify.repository.rules import NewSilence

router = Router(tags=["silences"])

READ: Final = Policy("silence:read", roles=OPERATORS)
WRITE: Final = Policy("silence:write", roles=OPERATORS)
EXAMPLE: Final[JsonDict] = {
    "account": "A-1001",
    "family": "quota-low",
    "recipient": None,
    "ends": "2026-11-08T08:00:00+08:00",
    "reason": "Migration of the account, agreed with its owner",
}


class SilenceBody(Body):
    """What is not told, until when, and why; what is left out means any. Overdue payments must be named."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [EXAMPLE]})

    account: Id | None = None
    entity: Id | None = None
    family: Family | None = None
    recipient: PersonId | None = None
    begins: AwareDatetime | None = None
    ends: AwareDatetime
    reason: Annotated[str, StringConstraints(min_length=3, max_length=500)]


class SilenceView(BaseModel):
    """A silence; `place` is an account, or a reporting entity with the word entity in front."""

    id: UUID
    place: str | None
    family: str | None
    recipient: str | None
    begins: datetime
    ends: datetime
    reason: str
    made_by: str
    made_at: datetime = Field(description="When it was entered.")


@router.get("/silences", policy=READ, summary="Silences that are not over")
async def silences(reader: Reader, now: Now) -> CursorPage[SilenceView]:
    return CursorPage(items=[_view(row) for row in await rule_rows.silences(reader, now)], next=None)


@router.post("/silences", policy=WRITE, status_code=201, summary="Begin a silence")
async def begin_silence(body: SilenceBody, work: Work, principal: CurrentPrincipal) -> SilenceView:
    """At most 90 days; notices that it keeps back are suppressed, and the feed says why."""
    begins = body.begins or work.now
    if not begins < body.ends <= begins + SILENCE_MAX or body.ends <= work.now:
        message = f"must lie ahead, behind the beginning, and within {SILENCE_MAX.days} days of it"
        raise Problem.invalid([{"field": "ends", "message": message}])
    if body.account and body.entity:
        raise Problem.invalid([{"field": "entity", "message": "cannot be given beside an account"}])
    silence = Silence(
        id=uuid4(),
        place=entity_place(body.entity) if body.entity else body.account,
        family=body.family,
        recipient=body.recipient,
        begins=begins,
        ends=body.ends,
    )
    await rule_rows.insert_silence(
        work.connection, NewSilence(silence=silence, reason=body.reason, made_by=principal.subject), work.now
    )
    return SilenceView(
        id=silence.id,
        place=silence.place,
        family=silence.family,
        recipient=silence.recipient,
        begins=begins,
        ends=silence.ends,
        reason=body.reason,
        made_by=principal.subject,
        made_at=work.now,
    )


@router.delete("/silences/{silence}", policy=WRITE, status_code=204, summary="End a silence now")
async def end_silence(silence: UUID, work: Work) -> Response:
    if not await rule_rows.end_silence(work.connection, silence, work.now):
        raise Problem.not_found()
    return Response(status_code=204)


def _view(row: Any) -> SilenceView:
    return SilenceView.model_validate(dict(row._mapping))
