"""credit-limit-proposed: credit wants to lower a member's limit and asks whether the member can do without."""

from dataclasses import dataclass

from contracts.event import Event, event
from contracts.money import Amount
from contracts.numbers import Version
from contracts.text import Id, Text
from contracts.times import Moment


@event("credit-limit-proposed", 1, key="account", producers=("credit",))
@dataclass(frozen=True, slots=True, kw_only=True)
class CreditLimitProposed(Event):
    """Answered by credit-limit-answered with the same `limit_version`; nothing changes before."""

    account: Id
    """The member; also the Kafka key."""
    limit_version: Version
    """Counts the credit-limit events of (account, currency) without a gap, changes and proposals alike."""
    current_limit: Amount
    proposed_limit: Amount
    """Own and allocated limit together, as they would be."""
    reason: Text | None = None
    proposed_by: Id | None = None
    proposed_at: Moment
