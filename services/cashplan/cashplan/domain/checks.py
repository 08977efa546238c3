"""Check rules of plans: conditions over the items of each column, at submit and again at roll-up."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Final, Literal, NamedTuple, Protocol

from cashplan.domain.cells import CellKey
from cashplan.domain.formulas import Evaluate, FormulaError, constants_of, names_in, references_of
from cashplan.domain.systems import Cap, CheckRule, PlanningSystem
from cashplan.domain.trees import Tree

SAMPLES: Final = 200
TABLES: Final = ("item", "total", "other", "within")


class Broken(NamedTuple):
    """A rule that does not hold in one place."""

    rule: str
    severity: Literal["stop", "warn"]
    where: str
    message: str


class NotACondition(FormulaError):
    """A check rule must say yes or no."""

    def __init__(self, rule: str, value: object) -> None:
        self.rule = rule
        super().__init__(f"check rule {rule} gives {value!r}; it must give true or false")


@dataclass(frozen=True)
class Figures:
    """What the rules look at: amounts by head period, column and currency, with parent items summed."""

    columns: Mapping[tuple[str, str, str], Mapping[str, int]]
    heads: Mapping[tuple[str, str], Mapping[str, int]]


def figures_of(items: Tree, heads: Mapping[str, str], cells: Mapping[CellKey, int]) -> Figures:
    """Sums over all further dimensions, each item's amount also in the items above it."""
    paths = {item: items.path(item) for item in {key.item for key in cells}}
    columns: dict[tuple[str, str, str], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    totals: dict[tuple[str, str], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for key, amount in cells.items():
        head = heads.get(key.period, key.period)
        column, total = columns[head, key.period, key.currency], totals[head, key.currency]
        for item in paths[key.item]:
            column[item] += amount
            total[item] += amount
    return Figures(columns, totals)


ByHead = Mapping[tuple[str, str], Mapping[str, int]]
"""Amounts by item, for each head period and currency."""


@dataclass(frozen=True)
class Others:
    """What another filing type plans for the same time, and what this one plans beside in a longer period of it.

    A month rule compares with the weeks that begin in it; a week rule with its month (`other`) and with the other
    weeks of that month (`within`).
    """

    other: ByHead = field(default_factory=dict)
    within: ByHead = field(default_factory=dict)


class Dated(NamedTuple):
    """An effective amount with the days of its head period; a shorter one belongs to the longer it begins in."""

    item: str
    currency: str
    first_day: date
    last_day: date
    minor: int


def others_of(
    items: Tree, heads: Mapping[str, tuple[date, date]], other: Sequence[Dated], own: Sequence[Dated]
) -> Others:
    """Another filing type's figures by head period; `own` are this type's effective ones outside the round."""
    found: dict[tuple[str, str], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    within: dict[tuple[str, str], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for head, (first_day, last_day) in heads.items():
        longer: set[tuple[date, date]] = set()
        for each in other:
            covers = each.first_day <= first_day <= each.last_day
            if covers or first_day <= each.first_day <= last_day:
                _add(found[head, each.currency], items, each)
            if covers:
                longer.add((each.first_day, each.last_day))
        for each in own:
            if any(begin <= each.first_day <= end for begin, end in longer):
                _add(within[head, each.currency], items, each)
    return Others(found, within)


def _add(amounts: dict[str, int], items: Tree, dated: Dated) -> None:
    for item in items.path(dated.item):
        amounts[item] += dated.minor


def broken_rules(
    rules: Sequence[CheckRule],
    figures: Figures,
    others: Mapping[str, "Others"],
    evaluate: Evaluate,
) -> list[Broken]:
    """The rules that do not hold; `others` has the figures of other filing types.

    Errors: NotACondition.
    """
    found: list[Broken] = []
    for rule in rules:
        names = {table: names_in(rule.formula, table) for table in TABLES}
        other = others.get(rule.other_filing_type or "", Others())
        for where, head, items in _places(rule, figures):
            variables = {
                "item": _chosen(items, names["item"]),
                "total": _chosen(figures.heads.get(head, {}), names["total"]),
                "other": _chosen(other.other.get(head, {}), names["other"]),
                "within": _chosen(other.within.get(head, {}), names["within"]),
            }
            if not _holds(rule, evaluate, variables):
                found.append(Broken(rule.id, rule.severity, where, rule.message))
    return found


def _places(rule: CheckRule, figures: Figures) -> Sequence[tuple[str, tuple[str, str], Mapping[str, int]]]:
    if rule.per == "head":
        return [
            (f"{head} {currency}", (head, currency), items)
            for (head, currency), items in figures.heads.items()
        ]
    return [
        (f"{period} {currency}", (head, currency), items)
        for (head, period, currency), items in figures.columns.items()
    ]


def _chosen(amounts: Mapping[str, int], names: frozenset[str]) -> dict[str, int]:
    return {name: amounts.get(name, 0) for name in names}


def _holds(rule: CheckRule, evaluate: Evaluate, variables: Mapping[str, Mapping[str, int]]) -> bool:
    value = evaluate(rule.formula, variables)
    if value is None:
        return True
    if not isinstance(value, bool):
        raise NotACondition(rule.id, value)
    return value


class Chance(Protocol):
    """What picks figures to try; `random.Random` is one."""

    def choice(self, seq: Sequence[int], /) -> int: ...
    def randrange(self, start: int, /) -> int: ...


def never_holds(rule: CheckRule, evaluate: Evaluate, chance: Chance) -> bool:
    """Whether no set of figures was found for which the rule holds: zeros, the rule's own numbers, and chance."""
    constants = [0, 1, *(number + step for number in constants_of(rule.formula) for step in (-1, 0, 1))]
    references = sorted(references_of(rule.formula))
    for sample in range(SAMPLES):
        variables: dict[str, dict[str, int]] = {table: {} for table in TABLES}
        for table, name in references:
            variables.setdefault(table, {})[name] = _sampled(chance, sample, constants)
        if _holds(rule, evaluate, variables):
            return False
    return True


def _sampled(chance: Chance, sample: int, constants: Sequence[int]) -> int:
    if sample == 0:
        return 0
    if sample % 2:
        return max(0, chance.choice(constants))
    return chance.choice((0, 1, *(chance.randrange(10**digits) for digits in (3, 8, 12))))


def over_cap(
    system: PlanningSystem, caps: Sequence[Cap], planned: Mapping[tuple[str, str, int, str], int]
) -> list[Broken]:
    """Annual budgets that the plans exceed; `planned` by entity, leaf item, year and currency."""
    found = []
    for cap in caps:
        below = set(system.item_tree.subtree(cap.item))
        minor = sum(
            amount
            for (entity, item, year, currency), amount in planned.items()
            if entity == cap.entity and item in below and year == cap.year and currency == cap.amount.currency
        )
        if minor > cap.amount.minor:
            message = (
                f"{cap.item} plans {minor} minor units in {cap.year}; the annual budget is {cap.amount.minor}"
            )
            found.append(Broken(f"annual-cap-{cap.item}", "stop", str(cap.year), message))
    return found
