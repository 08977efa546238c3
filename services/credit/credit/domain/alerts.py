"""Alert plans: what they find, once per episode, from the moment it holds to the moment it no longer does."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Final, Literal, NamedTuple

ProfileKind = Literal[
    "usage-high", "overdue-amount", "overdue-days", "temporary-credit-ending", "profile-ending"
]
Action = Literal["dunning-task", "new-score", "freeze"]
AddresseeKind = Literal["person", "role"]

USAGE: Final = "usage-high"
OVERDUE_AMOUNT: Final = "overdue-amount"
OVERDUE_DAYS: Final = "overdue-days"
TEMPORARY_ENDING: Final = "temporary-credit-ending"
PROFILE_ENDING: Final = "profile-ending"
FREEZE: Final = "freeze"
CHECK_FAILED: Final = "check-failed"
ORDER_HELD: Final = "order-held"
TASK_OF: Final[dict[Action, str]] = {"dunning-task": "dun-customer", "new-score": "score-customer"}
PERCENT_SHOWN_MAX: Final = Decimal(999_999)


class Person(NamedTuple):
    """Whom a plan tells: a person by id, or the holders of a role."""

    kind: AddresseeKind
    id: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What is watched of which objects; without `objects` all of the type. Thresholds in percent of the limit."""

    plan_id: str
    name: str
    object_type: str
    objects: list[str]
    usage_percent: Decimal | None
    failed_checks: bool
    people: list[Person]
    actions: list[Action] = field(default_factory=list)
    overdue_minor: int | None = None
    overdue_currency: str | None = None
    overdue_days: int | None = None
    ending_days: int | None = None

    @property
    def watches_profiles(self) -> bool:
        return self.usage_percent is not None or self.watches_days

    @property
    def watches_days(self) -> bool:
        """Whether it can begin to hold because a day has passed."""
        return (self.overdue_minor, self.overdue_days, self.ending_days) != (None, None, None)

    def watches(self, object_type: str, object_id: str) -> bool:
        return object_type == self.object_type and (not self.objects or object_id in self.objects)


@dataclass(frozen=True, slots=True)
class Reading:
    """A profile's figures at this moment; a limit of None is not controlled, or unlimited."""

    profile_id: str
    scope: str
    scope_id: str
    object_type: str
    object_id: str
    currency: str
    limit: int | None
    used: int
    overdue: int = 0
    overdue_days: int = 0
    temporary_until: date | None = None
    valid_until: date | None = None

    @property
    def usage_percent(self) -> Decimal | None:
        """Two decimals; a limit of 0 of which something is used counts as used beyond any threshold."""
        if self.limit is None or self.used <= 0:
            return None
        if self.limit == 0:
            return PERCENT_SHOWN_MAX
        percent = Decimal(self.used) * 100 / Decimal(self.limit)
        return min(percent.quantize(Decimal("0.01"), ROUND_HALF_UP), PERCENT_SHOWN_MAX)

    def passes(self, threshold: Decimal) -> bool:
        """Whether more than the threshold is used; 80.00 of 100.00 does not pass 80 %, 80.01 does."""
        if self.limit is None:
            return False
        return Decimal(self.used) * 100 > threshold * self.limit and self.used > 0


def found_in(plan: Plan, reading: Reading, today: date) -> Iterator[ProfileKind]:
    """What of a plan holds for a profile today; amounts and days above the threshold, ends within the days."""
    if not plan.watches(reading.object_type, reading.object_id):
        return
    if plan.usage_percent is not None and reading.passes(plan.usage_percent):
        yield USAGE
    is_money = plan.overdue_minor is not None and plan.overdue_currency == reading.currency
    if is_money and reading.overdue > (plan.overdue_minor or 0):
        yield OVERDUE_AMOUNT
    if plan.overdue_days is not None and reading.overdue_days > plan.overdue_days:
        yield OVERDUE_DAYS
    if plan.ending_days is not None:
        last = today + timedelta(days=plan.ending_days)
        if reading.temporary_until is not None and today <= reading.temporary_until <= last:
            yield TEMPORARY_ENDING
        if reading.valid_until is not None and today <= reading.valid_until <= last:
            yield PROFILE_ENDING


class Open(NamedTuple):
    """An open episode of a plan on a profile."""

    plan_id: str
    profile_id: str
    kind: ProfileKind = USAGE


class Step(NamedTuple):
    """An episode begins or ends; a plan that is switched off ends its own without a plan to name."""

    state: Literal["opened", "resolved"]
    plan_id: str
    reading: Reading
    kind: ProfileKind = USAGE


def steps(
    plans: Collection[Plan], readings: Iterable[Reading], opened: Collection[Open], today: date = date.min
) -> Iterator[Step]:
    """What changes for profiles that were read: each plan opens once, and resolves what no longer holds."""
    known_of: dict[str, set[tuple[str, ProfileKind]]] = {}
    for each in opened:
        known_of.setdefault(each.profile_id, set()).add((each.plan_id, each.kind))
    for reading in readings:
        holding = {(plan.plan_id, kind) for plan in plans for kind in found_in(plan, reading, today)}
        known = known_of.get(reading.profile_id, set())
        for plan_id, kind in sorted(holding - known):
            yield Step("opened", plan_id, reading, kind)
        for plan_id, kind in sorted(known - holding):
            yield Step("resolved", plan_id, reading, kind)
