"""notification-status: how one delivery to one recipient ended. It carries no address."""

from dataclasses import dataclass
from typing import Literal

from contracts.event import Event, event
from contracts.numbers import Count
from contracts.text import Code, Id
from contracts.times import Moment


@event("notification-status", 1, key="recipient", producers=("notify",))
@dataclass(frozen=True, slots=True, kw_only=True)
class NotificationStatus(Event):
    """The end of one delivery; `reason` says why when it is not delivered."""

    delivery_id: Id
    recipient: Id
    channel: Code
    event_source: Id
    event_id: Id
    event_type: Id
    state: Literal["sent", "delivered", "undelivered", "failed", "expired", "suppressed", "unknown"]
    reason: Code | None = None
    attempts: Count
    ended_at: Moment
