"""Requests to end a relationship: asked of the services that may stand against it, answered by each once."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from contracts import RelationshipEndAnswered, RelationshipEndRequested
from sharing.domain.relationships import Relationship, Side

Purpose = Literal["preview", "end"]
RequestOutcome = Literal["answered", "ended", "refused", "withdrawn", "timed-out"]
ANSWERERS: Final = frozenset({"fund-pool", "credit"})
ANSWER_WITHIN: Final = timedelta(hours=24)


@dataclass(frozen=True, slots=True, kw_only=True)
class EndRequest:
    """A question put to fund-pool and credit; without an outcome it is under way."""

    request_id: str
    relationship_id: str
    purpose: Purpose
    relationship_version: int
    side: Side
    requested_by: str
    requested_at: datetime
    answer_by: datetime
    outcome: RequestOutcome | None = None
    decided_at: datetime | None = None


def ask(
    relationship: Relationship,
    request_id: str,
    purpose: Purpose,
    side: Side,
    requested_by: str,
    now: datetime,
) -> EndRequest:
    """A new request about a relationship, which already counts it where it is to end."""
    return EndRequest(
        request_id=request_id,
        relationship_id=relationship.relationship_id,
        purpose=purpose,
        relationship_version=relationship.version,
        side=side,
        requested_by=requested_by,
        requested_at=now,
        answer_by=now + ANSWER_WITHIN,
    )


def end_requested(request: EndRequest, relationship: Relationship) -> RelationshipEndRequested:
    """The event that asks."""
    return RelationshipEndRequested(
        request_id=request.request_id,
        purpose=request.purpose,
        relationship_id=request.relationship_id,
        relationship_version=request.relationship_version,
        kind=relationship.kind,
        management_account=relationship.management_account,
        member_account=relationship.member_account,
        requested_by=request.side,
        requested_at=request.requested_at,
        answer_by=request.answer_by,
    )


def outcome_of(request: EndRequest, answers: Iterable[RelationshipEndAnswered]) -> RequestOutcome | None:
    """What the answers so far come to: one refusal refuses, every service's agreement ends."""
    given = {answer.answered_by: answer.outcome for answer in answers}
    everybody = given.keys() >= ANSWERERS
    if request.purpose == "preview":
        return "answered" if everybody else None
    if "refused" in given.values():
        return "refused"
    return "ended" if everybody else None
