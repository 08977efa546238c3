"""quota-low: an available quota has fallen below its alert threshold, or the episode goes on or ends."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from contracts.event import Event, event
from contracts.money import Amount, SignedAmount
from contracts.text import CurrencyCode, Id
from contracts.times import Moment


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaTerms:
    """Every term of the available quota.

    quota = cash_balance + bankers_acceptance + credit_limit + credit_refund - unsettled
            - (outstanding_fees - negative_bill)
    """

    cash_balance: SignedAmount
    bankers_acceptance: Amount
    credit_limit: Amount
    credit_refund: Amount
    unsettled: Amount
    outstanding_fees: Amount
    negative_bill: Amount


@event("quota-low", 1, key="account", producers=("fund-pool",))
@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaLow(Event):
    """One notice of an episode: opened (reminder_number 0), reminder 1 to 5, resolved or superseded."""

    account: Id
    currency: CurrencyCode
    kind: Literal["opened", "reminder", "resolved", "superseded"]
    episode_id: Id
    """Holds the notices of one low spell together."""
    reminder_number: Annotated[int, Field(ge=0, le=5, strict=True)]
    """0 for all but reminders."""
    quota: SignedAmount
    """The available quota when the notice was raised."""
    threshold: Amount
    terms: QuotaTerms
    occurred_at: Moment
