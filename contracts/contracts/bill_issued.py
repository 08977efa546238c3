"""bill-issued: billing charged an account for a period, or owes it something."""

from dataclasses import dataclass
from typing import Literal

from contracts.event import EXTERNAL, Event, event
from contracts.money import Amount
from contracts.text import Id, Text
from contracts.times import CalendarDate

BillKind = Literal["bill", "negative-bill", "credit-refund"]


@event("bill-issued", 1, key="account", producers=(EXTERNAL,))
@dataclass(frozen=True, slots=True, kw_only=True)
class BillIssued(Event):
    """A bill is owed by the account; a negative bill and a credit refund are owed to it, written positive."""

    bill_id: Id
    account: Id
    """Who is billed; also the Kafka key."""
    kind: BillKind = "bill"
    amount: Amount
    overdraft_billed: Amount | None = None
    """The part of the amount that is overdraft used and not yet billed; it moves into the bill."""
    issued_on: CalendarDate
    due_on: CalendarDate
    """The last day on which the bill is not past due, in the settlement organisation's time zone."""
    description: Text | None = None
