"""order-submitted: an order system hands in an order and expects order-decided."""

from dataclasses import dataclass

from contracts.event import EXTERNAL, Event, event
from contracts.order import Order


@event("order-submitted", 1, key="paying_account", producers=(EXTERNAL,))
@dataclass(frozen=True, slots=True, kw_only=True)
class OrderSubmitted(Order, Event):
    """Revision 1 hands an order in; a later revision hands in anew an order that was declined."""
