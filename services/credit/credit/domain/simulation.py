"""What a changed rule would have decided over stored decisions, from the numbers that each was decided by.

Each decision is looked at by itself: what is used stays as it was recorded, also where an earlier decision of
the same profile would have gone otherwise.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from contracts.money import minor_units

from credit.domain.profiles import UNLIMITED, Enforcement, Limit

Recorded = Mapping[str, Any]
"""A metric as credit-checked carries it."""

BY_AMOUNT: Final = frozenset({"credit-limit", "single-document-limit"})
SEVERITY: Final = {"passed": 0, "waived": 1, "warned": 2, "held": 3, "rejected": 4}
OUTCOMES: Final = ("approved", "approved", "warned", "pending-approval", "declined")
RESULT_OF: Final = {"warn": "warned", "special-approval": "held", "reject": "rejected", "freeze": "rejected"}
CHANGED_MAX: Final = 100


@dataclass(frozen=True, slots=True)
class Changed:
    """How a metric would be: another limit, or a percent of the recorded one, and another enforcement."""

    limit: Limit = None
    sets_limit: bool = False
    percent: int | None = None
    enforcement: Enforcement | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """The changed rule: by metric, for profiles of an object type, of one object, in a currency, or of all."""

    metrics: Mapping[str, Changed]
    object_type: str | None = None
    object_id: str | None = None
    currency: str | None = None

    def of(self, recorded: Recorded) -> Changed | None:
        """What changes for a recorded metric, if anything."""
        changed = self.metrics.get(recorded["metric"])
        if changed is None:
            return None
        wanted = (
            (self.object_type, recorded["object_type"]),
            (self.object_id, recorded["object_id"]),
            (self.currency, recorded["used"]["currency"]),
        )
        return changed if all(mine is None or mine == its for mine, its in wanted) else None


@dataclass(frozen=True, slots=True)
class Decided:
    """A stored decision."""

    source: str
    order_id: str
    check_number: int
    outcome: str
    metrics: Sequence[Recorded]


@dataclass(frozen=True, slots=True)
class Otherwise:
    """A decision that would have been another one, and the metrics that would have failed."""

    decided: Decided
    outcome: str
    failed: list[str]


@dataclass(slots=True)
class Report:
    """How many decisions went from which outcome to which, and the first of those that differ."""

    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    changed: list[Otherwise] = field(default_factory=list)

    @property
    def decisions(self) -> int:
        return self.outcomes.total()

    @property
    def different(self) -> int:
        return sum(number for (before, after), number in self.outcomes.items() if before != after)

    def take(self, rule: Rule, decisions: Iterable[Decided]) -> None:
        """Adds decisions to the report."""
        for decided in decisions:
            outcome, failed = redecide(rule, decided)
            self.outcomes[decided.outcome, outcome] += 1
            if outcome != decided.outcome and len(self.changed) < CHANGED_MAX:
                self.changed.append(Otherwise(decided, outcome, failed))


def redecide(rule: Rule, decided: Decided) -> tuple[str, list[str]]:
    """The outcome under a changed rule; a decision that the rule does not touch stays as it was."""
    results: list[tuple[str, str]] = []
    touched = False
    for recorded in decided.metrics:
        changed = rule.of(recorded)
        touched = touched or changed is not None
        results.append(
            (recorded["metric"], recorded["result"] if changed is None else result(recorded, changed))
        )
    if not touched:
        return decided.outcome, []
    worst = max(SEVERITY[each] for _, each in results)
    return OUTCOMES[worst], [metric for metric, each in results if each != "passed"]


def result(recorded: Recorded, changed: Changed) -> str:
    """The result of one metric under its change."""
    failed = (
        _exceeds(recorded, changed) if recorded["metric"] in BY_AMOUNT else recorded["result"] != "passed"
    )
    if not failed:
        return "passed"
    return RESULT_OF[changed.enforcement or recorded["enforcement"]]


def _exceeds(recorded: Recorded, changed: Changed) -> bool:
    limit = _limit(recorded, changed)
    if limit is None or limit == UNLIMITED:
        return False
    used, delta = _minor(recorded["used"]), _minor(recorded["delta"])
    if recorded["metric"] == "credit-limit" and delta <= 0:
        return False
    return used + delta > int(limit)


def _limit(recorded: Recorded, changed: Changed) -> Limit:
    if changed.sets_limit:
        return changed.limit
    kept = recorded.get("limit")
    if not isinstance(kept, Mapping):
        return UNLIMITED if kept == UNLIMITED else None
    minor = _minor(kept)
    return minor if changed.percent is None else minor * changed.percent // 100


def _minor(money: Mapping[str, str]) -> int:
    return minor_units(money["amount"], money["currency"])
