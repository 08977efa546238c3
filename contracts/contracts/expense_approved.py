"""expense-approved: a claim for expenses was approved and is to be credited to an account."""

from dataclasses import dataclass

from contracts.event import EXTERNAL, Event, event
from contracts.money import Amount
from contracts.numbers import Revision
from contracts.text import Code, Id, Text
from contracts.times import CalendarDate


@event("expense-approved", 1, key="account", producers=(EXTERNAL,))
@dataclass(frozen=True, slots=True, kw_only=True)
class ExpenseApproved(Event):
    """A claim is credited once per (claim, revision); a later revision replaces the amount of the one before."""

    claim_id: Id
    document_revision: Revision = 1
    account: Id
    """Whose expenses they were; also the Kafka key."""
    account_type: Code = "cash"
    """The fund account that the claim names."""
    amount: Amount
    """What the claim is worth in all."""
    approved_on: CalendarDate
    approved_by: Id | None = None
    description: Text | None = None
