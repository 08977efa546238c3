"""Credit profiles: the limits of one object in one scope and currency, and what is used of them."""

from dataclasses import dataclass
from typing import Final, Literal

Limit = int | Literal["unlimited"] | None
"""Minor units, "unlimited" in words, or None = this metric is not controlled; 0 = no credit."""

Metric = Literal["credit-limit", "single-document-limit"]
Enforcement = Literal["warn", "special-approval", "reject"]
"""A metric's enforcement when it fails; freeze is not accepted yet, because nothing could unfreeze."""

METRICS: Final[tuple[Metric, ...]] = ("credit-limit", "single-document-limit")
UNLIMITED: Final = "unlimited"
GROUP_SCOPE: Final = "group"
WHOLE_GROUP: Final = "*"
CUSTOMER: Final = "customer"

ProfileKey = tuple[str, str, str]
"""Object type, object id, currency."""


@dataclass(slots=True)
class Rule:
    """One metric of a profile: its limit and what happens when it fails."""

    metric: Metric
    limit: Limit
    enforcement: Enforcement


@dataclass(slots=True)
class Profile:
    """A profile under lock; `used` = settled + undecided occupancy, in minor units; `entries` numbers its history."""

    profile_id: str
    scope: str
    scope_id: str
    object_type: str
    object_id: str
    currency: str
    rules: tuple[Rule, ...]
    used: int
    settled: int
    entries: int

    @property
    def key(self) -> ProfileKey:
        return self.object_type, self.object_id, self.currency

    def limit(self, metric: Metric) -> Limit:
        return next((rule.limit for rule in self.rules if rule.metric == metric), None)


@dataclass(slots=True)
class Entry:
    """One change of a profile's `used`, never changed afterwards.

    `permit` says what allowed it: within-limit, not-controlled, unlimited, warned or waived; released for
    what lowers. `limit` is the credit limit that it was measured by, None when there was none.
    """

    profile_id: str
    entry_number: int
    source: str
    order_id: str
    check_number: int
    change: int
    used_after: int
    permit: str
    limit: int | None
