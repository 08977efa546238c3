"""What a profile grants on one day: coefficient, temporary credit, ratio, validity, and the overdue metrics."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Final, Literal

from credit.domain.rules import Enforcement, Metric

UNLIMITED: Final = "unlimited"
Limit = int | Literal["unlimited"] | None
"""Minor units, "unlimited" in words, or None = this metric is not controlled; 0 = no credit."""

COEFFICIENT_ONE: Final = 10_000
PERCENT_WHOLE: Final = 100


@dataclass(frozen=True, slots=True)
class Temporary:
    """Credit for a while, both days included: added to the limit, or in its place."""

    amount: int
    valid_from: date
    valid_to: date
    mode: Literal["add", "replace"] = "add"

    def holds_on(self, day: date) -> bool:
        return self.valid_from <= day <= self.valid_to


@dataclass(frozen=True, slots=True)
class Coefficient:
    """Multiplies the limit, in ten-thousandths (12000 = 1.2), in a period or always."""

    ten_thousandths: int = COEFFICIENT_ONE
    valid_from: date | None = None
    valid_to: date | None = None

    def on(self, day: date) -> int:
        return self.ten_thousandths if _within(day, self.valid_from, self.valid_to) else COEFFICIENT_ONE


@dataclass(frozen=True, slots=True)
class Terms:
    """What a profile says beside its two limits; `enforcement` overrides the check rule's, per metric."""

    valid_from: date | None = None
    valid_to: date | None = None
    coefficient: Coefficient = Coefficient()
    ratio_percent: int = PERCENT_WHOLE
    temporary: tuple[Temporary, ...] = ()
    overdue_limit: Limit = None
    overdue_ratio_percent: int | None = None
    overdue_days: int | None = None
    enforcement: Mapping[Metric, Enforcement] = field(default_factory=dict)

    @property
    def looks_at_receivables(self) -> bool:
        return (self.overdue_limit, self.overdue_ratio_percent, self.overdue_days) != (None, None, None)

    def temporary_on(self, day: date) -> list[Temporary]:
        """The temporary credit that is in force."""
        return [temporary for temporary in self.temporary if temporary.holds_on(day)]

    def credit_limit(self, limit: Limit, day: date) -> Limit:
        """(limit x coefficient + temporary credit in force) x ratio, rounded down; nothing outside the period.

        Temporary credit that replaces takes the place of limit x coefficient; of several the one that began last does.
        """
        if limit is None:
            return None
        if not _within(day, self.valid_from, self.valid_to):
            return 0
        if limit == UNLIMITED:
            return UNLIMITED
        in_force = self.temporary_on(day)
        replacing = [temporary for temporary in in_force if temporary.mode == "replace"]
        base = limit * self.coefficient.on(day)
        if replacing:
            last = max(replacing, key=lambda temporary: (temporary.valid_from, temporary.amount))
            base = last.amount * COEFFICIENT_ONE
        base += sum(temporary.amount for temporary in in_force if temporary.mode == "add") * COEFFICIENT_ONE
        return base * self.ratio_percent // (COEFFICIENT_ONE * PERCENT_WHOLE)


PLAIN: Final = Terms()


def _within(day: date, first: date | None, last: date | None) -> bool:
    return (first is None or first <= day) and (last is None or day <= last)
