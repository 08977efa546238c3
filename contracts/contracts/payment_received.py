"""payment-received: a bank or payment gateway saw money arrive."""

from dataclasses import dataclass
from typing import Literal

from contracts.event import EXTERNAL, Event, event
from contracts.money import Amount
from contracts.text import Code, Id, Text
from contracts.times import CalendarDate


@event("payment-received", 1, key="payer", producers=(EXTERNAL,))
@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentReceived(Event):
    """`payer` is the account that the money is for.

    When that is unknown, it is the payer's bank account, and `account` is absent.
    """

    payment_id: Id
    """The bank's or gateway's own id; the same payment is credited once."""
    payer: Id
    """Also the Kafka key."""
    account: Id | None = None
    account_type: Code = "cash"
    """The purse that the money goes to: cash, deposit or a type of your own."""
    amount: Amount
    """What arrived."""
    instrument: Literal["bank-transfer", "card", "cash", "bankers-acceptance"] = "bank-transfer"
    received_on: CalendarDate
    """Value date at the bank."""
    reference: Text | None = None
    """The payer's own words."""
    top_up_id: Id | None = None
    """The top-up that was opened for this payment, which it settles."""
    cashes: Id | None = None
    """The payment whose banker's acceptance this money comes from."""
