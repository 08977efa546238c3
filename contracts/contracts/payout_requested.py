"""payout-requested: fund-pool asks a bank gateway to pay a withdrawal out; the money is held meanwhile."""

from dataclasses import dataclass

from contracts.event import Event, event
from contracts.money import Amount
from contracts.text import Code, Id, Name
from contracts.times import Moment


@event("payout-requested", 1, key="account", producers=("fund-pool",))
@dataclass(frozen=True, slots=True, kw_only=True)
class PayoutRequested(Event):
    """Asked once per payout; payout-settled answers it."""

    payout_id: Id
    account: Id
    customer: Id
    settlement_organisation: Id
    account_type: Code
    amount: Amount
    payee: Name | None = None
    """Names the receiving bank account to the gateway; absent: the one that the customer has there."""
    requested_at: Moment
