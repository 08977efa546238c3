"""credit-limit-changed: the limit of a member as it is from now on."""

from dataclasses import dataclass

from contracts.event import Event, event
from contracts.money import Amount
from contracts.numbers import Version
from contracts.text import Id
from contracts.times import Moment


@event("credit-limit-changed", 1, key="account", producers=("credit",))
@dataclass(frozen=True, slots=True, kw_only=True)
class CreditLimitChanged(Event):
    """The line of an overdraft account that is set to follow the member's limit; never lower than before."""

    account: Id
    """The member; also the Kafka key."""
    limit_version: Version
    """Counts the credit-limit events of (account, currency) without a gap, changes and proposals alike."""
    limit: Amount
    """Own and allocated limit together."""
    changed_at: Moment
