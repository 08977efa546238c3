"""relationship-end-answered: whether a relationship may end as far as one service is concerned, and why not."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

from contracts.event import Event, event
from contracts.money import Amount
from contracts.numbers import Version
from contracts.text import Code, DocumentId, Id, Text
from contracts.times import Moment

ITEMS_MAX = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Obstacle:
    """What stands against the end, and what has to be done first."""

    code: Code
    """Such as allocated-credit-limit, past-due-bill or pending-order."""
    text: Text
    reference: DocumentId | None = None
    """The bill, order or limit."""
    amount: Amount | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Staying:
    """Money that stays with the member account when the relationship ends."""

    account_type: Code
    amount: Amount
    text: Text


@event("relationship-end-answered", 1, key="member_account", producers=("fund-pool", "credit"))
@dataclass(frozen=True, slots=True, kw_only=True)
class RelationshipEndAnswered(Event):
    """The answer of the service in `answered_by` to a request; the first one counts.

    `obstacles` say why it is refused, the first hundred of `obstacles_count`; `staying` is for the preview.
    """

    request_id: Id
    relationship_id: Id
    relationship_version: Version
    """That of the request."""
    management_account: Id
    member_account: Id
    answered_by: Literal["fund-pool", "credit"]
    outcome: Literal["agreed", "refused"]
    obstacles: Annotated[list[Obstacle], Field(max_length=ITEMS_MAX)] = field(default_factory=list)
    obstacles_count: Annotated[int, Field(ge=0, le=2**53 - 1, strict=True)] = 0
    staying: Annotated[list[Staying], Field(max_length=ITEMS_MAX)] = field(default_factory=list)
    answered_at: Moment
