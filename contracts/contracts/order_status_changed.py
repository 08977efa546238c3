"""order-status-changed: an order is audited, recalled, closed, terminated, or one of these is taken back."""

from dataclasses import dataclass
from typing import Literal

from contracts.event import EXTERNAL, Event, event
from contracts.numbers import Revision
from contracts.order import Stance
from contracts.text import Id, Text
from contracts.times import Moment

StatusOperation = Literal["audit", "un-audit", "recall", "close", "reopen", "terminate", "un-terminate"]


@event("order-status-changed", 1, key="paying_account", producers=(EXTERNAL,))
@dataclass(frozen=True, slots=True, kw_only=True)
class OrderStatusChanged(Event):
    """One operation on an order that was handed in; the order's lines stay as they are."""

    source: Id
    order_id: Id
    order_revision: Revision
    """One above the order's last revision."""
    paying_account: Id
    """As in the order; also the Kafka key."""
    operation: StatusOperation
    stance: Stance = "fact"
    """audit, reopen and un-terminate may be asked for first; the others only ever tell what happened."""
    reason: Text | None = None
    changed_by: Id | None = None
    changed_at: Moment
