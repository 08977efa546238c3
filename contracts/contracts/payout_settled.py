"""payout-settled: a bank gateway paid a withdrawal out, or could not."""

from dataclasses import dataclass
from typing import Literal

from contracts.event import EXTERNAL, Event, event
from contracts.text import Id, Text
from contracts.times import CalendarDate


@event("payout-settled", 1, key="account", producers=(EXTERNAL,))
@dataclass(frozen=True, slots=True, kw_only=True)
class PayoutSettled(Event):
    """Answers payout-requested once: paid takes the held money, failed gives it back."""

    payout_id: Id
    account: Id
    """As in the request; also the Kafka key."""
    outcome: Literal["paid", "failed"]
    settled_on: CalendarDate
    reference: Text | None = None
    """The bank's own."""
    reason: Text | None = None
    """Why it failed."""
