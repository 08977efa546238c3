"""plan-due: a filing of a cash plan must be submitted, before its cut-off and after it."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from contracts.addressee import Addressees
from contracts.event import Event, event
from contracts.text import Id, Name, Text
from contracts.times import Moment

REMINDERS_MAX = 365


@event("plan-due", 1, key="entity", producers=("cashplan",))
@dataclass(frozen=True, slots=True, kw_only=True)
class PlanDue(Event):
    """One notice about one filing of one round: it is the episode, from the first notice to its end.

    `asked` is a node manager's own reminder; `settled` ends it: submitted, or no longer wanted.
    """

    system_id: Id
    system_name: Name | None = None
    round_id: Id
    filing_id: Id
    entity: Id
    entity_name: Name | None = None
    period: Name
    """As people write it, such as `2026-11` or `2026-W48`."""
    kind: Literal["before-cut-off", "after-cut-off", "asked", "sent-back", "extended", "settled"]
    reminder_number: Annotated[int, Field(ge=0, le=REMINDERS_MAX, strict=True)]
    """Counts this filing's notices from 1; 0 for `settled`."""
    cut_off: Moment
    """After it a submit is refused; `extended` tells the new one."""
    addressees: Addressees
    """Who hears of it; empty, the entity's preparers."""
    asked_by: Id | None = None
    """Who reminds, extends or sends back."""
    message: Text | None = None
    """In that person's own words."""
    occurred_at: Moment
