"""credit-limit-answered: fund-pool's answer to a proposed lowering of a member's limit."""

from dataclasses import dataclass
from typing import Literal

from contracts.event import Event, event
from contracts.money import Amount, SignedAmount
from contracts.numbers import Version
from contracts.order import Reasons
from contracts.text import Id
from contracts.times import Moment


@event("credit-limit-answered", 1, key="account", producers=("fund-pool",))
@dataclass(frozen=True, slots=True, kw_only=True)
class CreditLimitAnswered(Event):
    """Accepted: the line was lowered in the same transaction. A repeated proposal is answered alike."""

    account: Id
    limit_version: Version
    """Of the proposal."""
    outcome: Literal["accepted", "refused"]
    proposed_limit: Amount
    limit: Amount
    """In force after this answer."""
    smallest_limit: Amount | None = None
    """When refused: the smallest limit that would have passed."""
    available_quota: SignedAmount
    """Of the account after this answer."""
    reasons: Reasons
    answered_at: Moment
