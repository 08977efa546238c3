"""order-changed: an order system hands in what an accepted order is to be from now on."""

from dataclasses import dataclass

from contracts.event import EXTERNAL, Event, event
from contracts.order import Order
from contracts.text import Id, Text
from contracts.times import Moment


@event("order-changed", 1, key="paying_account", producers=(EXTERNAL,))
@dataclass(frozen=True, slots=True, kw_only=True)
class OrderChanged(Order, Event):
    """The whole order after the change, under its next revision.

    Another paying account is refused: cancel the order and submit it anew.
    """

    change_reason: Text | None = None
    changed_by: Id | None = None
    changed_at: Moment | None = None
