"""payment-reversed: a bank or gateway took a payment back."""

from dataclasses import dataclass

from contracts.event import EXTERNAL, Event, event
from contracts.money import Amount
from contracts.text import Id, Text
from contracts.times import CalendarDate


@event("payment-reversed", 1, key="payer", producers=(EXTERNAL,))
@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentReversed(Event):
    """A fact: it always posts, and what the account's cash cannot cover stays as a debt."""

    reversal_id: Id
    payment_id: Id
    """The payment that was taken back."""
    payer: Id
    """As in the payment; also the Kafka key."""
    amount: Amount
    """At most what the payment brought."""
    reversed_on: CalendarDate
    reason: Text | None = None
