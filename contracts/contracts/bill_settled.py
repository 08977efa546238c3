"""bill-settled: a bill was paid, in whole or in part."""

from dataclasses import dataclass
from typing import Literal

from contracts.event import EXTERNAL, Event, event
from contracts.money import Amount
from contracts.text import Id, Text
from contracts.times import CalendarDate


@event("bill-settled", 1, key="account", producers=(EXTERNAL,))
@dataclass(frozen=True, slots=True, kw_only=True)
class BillSettled(Event):
    """From the account: its cash is taken, as far as it is free. From outside: the debt alone falls."""

    settlement_id: Id
    bill_id: Id
    account: Id
    """As in the bill; also the Kafka key."""
    amount: Amount
    paid_from: Literal["account", "outside"]
    settled_on: CalendarDate
    reference: Text | None = None
