"""Credit profiles: the limits of one object in one scope and currency, and what is used of them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

from credit.domain.matching import CUSTOMER, GROUP_SCOPE, WHOLE_GROUP, ObjectKey
from credit.domain.rules import PRESET, CheckRule, Enforcement, Metric
from credit.domain.terms import PLAIN, UNLIMITED, Limit, Terms

__all__ = ["CUSTOMER", "GROUP_SCOPE", "UNLIMITED", "WHOLE_GROUP", "Enforcement", "Limit", "Metric"]

DEFAULT_ENFORCEMENT: Final[Enforcement] = "reject"
"""Of a metric that a profile controls and neither it nor its rule says more about."""

ProfileKey = tuple[str, str, str]
"""Object type, object id, currency."""


@dataclass(slots=True)
class Rule:
    """One metric of a profile: its limit and what happens when it fails; None = as the check rule says."""

    metric: Metric
    limit: Limit
    enforcement: Enforcement | None


@dataclass(frozen=True, slots=True)
class Overdue:
    """The open receivables of a profile at one date, in minor units, and how many days the oldest is past due."""

    overdue: int
    open: int
    days: int


NOTHING_OVERDUE: Final = Overdue(0, 0, 0)


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
    terms: Terms = PLAIN
    check_rule: CheckRule = PRESET
    frozen: bool = False
    overdue: Overdue = NOTHING_OVERDUE

    @property
    def object_key(self) -> ObjectKey:
        return self.object_type, self.object_id

    def limit(self, metric: Metric) -> Limit:
        return next((rule.limit for rule in self.rules if rule.metric == metric), None)

    def credit_limit_on(self, day: date) -> Limit:
        """The credit limit with coefficient, temporary credit, ratio and validity of a day."""
        limit = self.limit("credit-limit")
        return limit if self.terms is PLAIN else self.terms.credit_limit(limit, day)

    def controlled(self, document_type: str, sub_type: str | None, day: date) -> Iterator[Rule]:
        """Every metric with its limit of the day and its enforcement for a type of document."""
        said = self.check_rule.of(document_type, sub_type)
        if not said.checked:
            return
        for rule in self.rules:
            limit = rule.limit
            if self.terms is not PLAIN and rule.metric == "credit-limit":
                limit = self.terms.credit_limit(limit, day)
            enforcement = rule.enforcement or said.enforcement.get(rule.metric, DEFAULT_ENFORCEMENT)
            yield Rule(rule.metric, limit, enforcement)
        if self.terms is not PLAIN:
            yield from self._overdue_rules(said.enforcement)

    def _overdue_rules(self, said: Mapping[Metric, Enforcement]) -> Iterator[Rule]:
        terms = self.terms
        limits: tuple[tuple[Metric, Limit], ...] = (
            ("overdue-limit", terms.overdue_limit),
            ("overdue-ratio", terms.overdue_ratio_percent),
            ("overdue-days", terms.overdue_days),
        )
        for metric, limit in limits:
            if limit is not None:
                yield Rule(
                    metric,
                    limit,
                    terms.enforcement.get(metric) or said.get(metric, DEFAULT_ENFORCEMENT),
                )


@dataclass(slots=True)
class Entry:
    """One change of a profile's `used`, never changed afterwards.

    `permit` says what allowed it: within-limit, not-controlled, unlimited, warned, waived or fact; released for
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
    document_type: str = "sales-order"
