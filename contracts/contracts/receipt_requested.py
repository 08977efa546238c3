"""receipt-requested: fund-pool asks the ERP for the receipt of a top-up that was posted."""

from dataclasses import dataclass
from typing import Literal

from contracts.event import Event, event
from contracts.money import Amount
from contracts.numbers import Counter
from contracts.text import Code, DocumentId, Id
from contracts.times import CalendarDate, Moment


@event("receipt-requested", 1, key="account", producers=("fund-pool",))
@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptRequested(Event):
    """Asked once per top-up, when it is posted."""

    account: Id
    customer: Id
    settlement_organisation: Id
    account_type: Code
    channel: Literal["online", "offline"]
    document_id: DocumentId
    """The top-up."""
    payment_id: Id | None = None
    """The payment that settled an online top-up."""
    entry_id: Id
    entry_number: Counter
    amount: Amount
    effective_date: CalendarDate
    requested_at: Moment
