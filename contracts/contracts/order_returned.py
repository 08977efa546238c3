"""order-returned: goods of an order came back, and a return document was posted for them."""

from dataclasses import dataclass

from contracts.event import EXTERNAL, Event, event
from contracts.numbers import Revision
from contracts.order import ReturnDocument
from contracts.text import Id, Text
from contracts.times import Moment


@event("order-returned", 1, key="paying_account", producers=(EXTERNAL,))
@dataclass(frozen=True, slots=True, kw_only=True)
class OrderReturned(Event):
    """Moves money only; credit exposure follows the return document itself."""

    source: Id
    order_id: Id
    order_revision: Revision
    """One above the order's last revision."""
    paying_account: Id
    """As in the order; also the Kafka key."""
    document: ReturnDocument
    reason: Text | None = None
    returned_at: Moment
