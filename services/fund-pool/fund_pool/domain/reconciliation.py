"""Matches the lines of a bank or dealer statement with the movements of a fund account."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import combinations
from typing import Final, Literal

Kind = Literal["one-to-one", "one-to-many", "many-to-one"]
PARTS_MAX: Final = 4
CANDIDATES_MAX: Final = 16


@dataclass(frozen=True, slots=True)
class Item:
    """A line of the statement, or a movement; `amount` in minor units, above zero for what came in."""

    item_id: str
    day: date
    amount: int
    reference: str = ""


@dataclass(frozen=True, slots=True)
class Rule:
    """How a match is found: which sides are one or many, by equal reference or not, within so many days."""

    kind: Kind
    by_reference: bool
    days: int


@dataclass(frozen=True, slots=True)
class Match:
    """What belongs together, and by which rule."""

    rule: Rule
    lines: tuple[Item, ...]
    movements: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Reconciled:
    """The matches, and what is left on either side."""

    matches: list[Match]
    lines: list[Item]
    movements: list[Item]


def standard_rules(days: int) -> list[Rule]:
    """References before amounts, pairs before groups."""
    kinds: tuple[Kind, ...] = ("one-to-one", "one-to-many", "many-to-one")
    return [Rule(kind, by_reference, days) for by_reference in (True, False) for kind in kinds]


def reconcile(lines: Sequence[Item], movements: Sequence[Item], rules: Iterable[Rule]) -> Reconciled:
    """Applies each rule in turn to what the rules before have left."""
    left, moved = list(lines), list(movements)
    matches: list[Match] = []
    for rule in rules:
        found = _matches(rule, left, moved)
        matches += found
        taken = {id(item) for match in found for item in (*match.lines, *match.movements)}
        left = [line for line in left if id(line) not in taken]
        moved = [movement for movement in moved if id(movement) not in taken]
    return Reconciled(matches, left, moved)


def _matches(rule: Rule, lines: Sequence[Item], movements: Sequence[Item]) -> list[Match]:
    if rule.kind == "many-to-one":
        turned = _one_to_many(rule, movements, lines)
        return [Match(rule, match.movements, match.lines) for match in turned]
    if rule.kind == "one-to-many":
        return _one_to_many(rule, lines, movements)
    return _pairs(rule, lines, movements)


def _pairs(rule: Rule, lines: Sequence[Item], movements: Sequence[Item]) -> list[Match]:
    """Each line with the nearest movement of its amount."""
    by_amount: dict[int, list[Item]] = {}
    for movement in movements:
        by_amount.setdefault(movement.amount, []).append(movement)
    found = []
    for line in sorted(lines, key=_order):
        candidates = [one for one in by_amount.get(line.amount, ()) if _fits(rule, line, one)]
        if candidates:
            nearest = min(candidates, key=lambda one: (abs(one.day - line.day), _order(one)))
            by_amount[line.amount].remove(nearest)
            found.append(Match(rule, (line,), (nearest,)))
    return found


def _one_to_many(rule: Rule, ones: Sequence[Item], many: Sequence[Item]) -> list[Match]:
    """Each single item with the first group of others that sums to it."""
    left = sorted(many, key=_order)
    found = []
    for one in sorted(ones, key=_order):
        candidates = [other for other in left if other.amount * one.amount > 0 and _fits(rule, one, other)]
        group = _group(rule, one, candidates)
        if group:
            taken = {id(item) for item in group}
            left = [other for other in left if id(other) not in taken]
            found.append(Match(rule, (one,), group))
    return found


def _group(rule: Rule, one: Item, candidates: Sequence[Item]) -> tuple[Item, ...]:
    """All candidates of a reference, or the smallest group of a few that sums up."""
    if rule.by_reference and len(candidates) > 1 and sum(other.amount for other in candidates) == one.amount:
        return tuple(candidates)
    for size in range(2, PARTS_MAX + 1):
        for group in combinations(candidates[:CANDIDATES_MAX], size):
            if sum(other.amount for other in group) == one.amount:
                return group
    return ()


def _fits(rule: Rule, one: Item, other: Item) -> bool:
    if abs((one.day - other.day).days) > rule.days:
        return False
    return not rule.by_reference or bool(one.reference and one.reference == other.reference)


def _order(item: Item) -> tuple[date, str]:
    return (item.day, item.item_id)
