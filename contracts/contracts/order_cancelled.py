"""order-cancelled: an order system takes an order back; it applies at once and for good."""

from dataclasses import dataclass

from contracts.event import EXTERNAL, Event, event
from contracts.numbers import Revision
from contracts.text import Id, Text
from contracts.times import Moment


@event("order-cancelled", 1, key="paying_account", producers=(EXTERNAL,))
@dataclass(frozen=True, slots=True, kw_only=True)
class OrderCancelled(Event):
    """Applies also before its submission, which is then declined."""

    source: Id
    """The order system that submitted, or is about to submit, the order."""
    order_id: Id
    order_revision: Revision
    """One above the order's last revision; 2 for an order submitted once."""
    paying_account: Id
    """As in the order; also the Kafka key."""
    reason: Text
    cancelled_by: Id | None = None
    cancelled_at: Moment
