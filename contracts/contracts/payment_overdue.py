"""payment-overdue: an account's available quota has fallen below zero, or is back at zero or above."""

from dataclasses import dataclass
from typing import Literal

from contracts.event import Event, event
from contracts.money import Amount, SignedAmount
from contracts.quota_low import QuotaTerms
from contracts.text import Code, CurrencyCode, DocumentId, Id
from contracts.times import Moment


@event("payment-overdue", 1, key="account", producers=("fund-pool",))
@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentOverdue(Event):
    """The two notices of one overdue spell; service suspension follows them.

    They may overtake the quota-low of the same (account, currency), which comes on another topic.
    """

    account: Id
    currency: CurrencyCode
    kind: Literal["opened", "cleared"]
    episode_id: Id
    """Holds the two notices of one spell together."""
    quota: SignedAmount
    """The available quota: below zero when opened, at least zero when cleared."""
    overdue: Amount
    """How far the quota is below zero; 0 when cleared."""
    terms: QuotaTerms
    supersedes_episode_id: Id | None = None
    """The quota-low episode that ended because the account became overdue."""
    document_type: Code | None = None
    """What made it overdue or cleared it, such as `bill`."""
    document_id: DocumentId | None = None
    opened_at: Moment
    """When the spell began."""
    occurred_at: Moment
