"""bank-balance-changed: what a bank shows on one of the enterprise's own accounts."""

from dataclasses import dataclass

from contracts.event import EXTERNAL, Event, event
from contracts.money import SignedAmount
from contracts.text import Id
from contracts.times import CalendarDate, Moment


@event("bank-balance-changed", 1, key="account", producers=(EXTERNAL,))
@dataclass(frozen=True, slots=True, kw_only=True)
class BankBalanceChanged(Event):
    """The balance at the end of a day, or during it; of several for one day the one told last counts."""

    account: Id
    """The position account; also the Kafka key."""
    as_of: CalendarDate
    """The day that the balance holds for, local to the account's entity."""
    balance: SignedAmount
    """Below zero where the account is overdrawn."""
    told_at: Moment
    """When the bank showed it."""
