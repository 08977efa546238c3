"""Internal elimination: what two entities of the group plan to pay one another counts once, not twice.

Pair by pair, at the lowest roll-up node at or above both, for the smaller of the two amounts, never by netting
totals: A plans 100 to B and B plans 80 from A, so 80 are eliminated and 20 reported to both. It reads approved
detail rows or cells and touches nobody's own figures. Source: seed 003, section 4 (elimination rules).
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from cashplan.domain.cells import CellKey, members_of
from cashplan.domain.rates import Rates
from cashplan.domain.rollups import Outline, node_currency
from cashplan.domain.systems import EliminationRule, PlanningSystem


class InternalRow(NamedTuple):
    """A cell or detail row that may be an internal one; `fields` as in detail rows, empty for cells."""

    entity: str
    item: str
    period: str
    currency: str
    members: str
    fields: Mapping[str, str]
    minor: int


class PairKey(NamedTuple):
    """Who pays whom, and everything that must agree."""

    rule: str
    payer: str
    receiver: str
    agreed: tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class Elimination:
    """One pair: what each side plans, what is eliminated at which node, and what is left unmatched on each side.

    Amounts are minor units of `currency`; `node` is None where no roll-up node stands above both.
    """

    key: PairKey
    node: str | None
    period: str
    currency: str
    out_item: str
    in_item: str
    out_minor: int
    in_minor: int

    @property
    def eliminated(self) -> int:
        return min(self.out_minor, self.in_minor) if self.node is not None else 0

    @property
    def unmatched_out(self) -> int:
        return self.out_minor - self.eliminated

    @property
    def unmatched_in(self) -> int:
        return self.in_minor - self.eliminated


def eliminations(
    system: PlanningSystem, outline: Outline, rows: Iterable[InternalRow], rates: Rates
) -> list[Elimination]:
    """All pairs of a round, sorted; the same rows always give the same pairs. Errors: RateMissing."""
    listed = list(rows)
    found: list[Elimination] = []
    for rule in system.elimination_rules:
        found += _of_rule(system, outline, rule, listed, rates)
    return sorted(found, key=lambda pair: pair.key)


def _of_rule(
    system: PlanningSystem,
    outline: Outline,
    rule: EliminationRule,
    rows: Sequence[InternalRow],
    rates: Rates,
) -> list[Elimination]:
    out_items, in_items = (set(system.item_tree.subtree(item)) for item in (rule.out_item, rule.in_item))
    sums: dict[PairKey, list[int]] = defaultdict(lambda: [0, 0])
    currencies: dict[PairKey, str] = {}
    nodes: dict[tuple[str, str], str | None] = {}
    for row in rows:
        if row.item not in out_items and row.item not in in_items:
            continue
        other = _counterparty(system, rule, row)
        if other is None or other == row.entity:
            continue
        is_out = row.item in out_items
        payer, receiver = (row.entity, other) if is_out else (other, row.entity)
        if (payer, receiver) not in nodes:
            nodes[payer, receiver] = _node(system, outline, payer, receiver)
        currency = _currency(system, rule, row, nodes[payer, receiver])
        key = PairKey(rule.id, payer, receiver, _agreed(rule, row))
        currencies[key] = currency
        sums[key][0 if is_out else 1] += rates.converted(row.minor, row.currency, currency)
    return [
        Elimination(
            key=key,
            node=nodes[key.payer, key.receiver],
            period=dict(key.agreed).get("period", ""),
            currency=currencies[key],
            out_item=rule.out_item,
            in_item=rule.in_item,
            out_minor=out_minor,
            in_minor=in_minor,
        )
        for key, (out_minor, in_minor) in sums.items()
        if out_minor or in_minor
    ]


def _counterparty(system: PlanningSystem, rule: EliminationRule, row: InternalRow) -> str | None:
    """The entity that a row names as its other side; None where it names nobody inside the group."""
    known = row.fields if rule.counterparty_in == "field" else members_of(row.members)
    value = known.get(rule.counterparty)
    if value is None:
        return None
    entity = rule.entities.get(value, value)
    return entity if entity in system.entity_tree else None


def _node(system: PlanningSystem, outline: Outline, payer: str, receiver: str) -> str | None:
    ancestor = system.entity_tree.common_ancestor(payer, receiver)
    path = system.entity_tree.path(ancestor) if ancestor is not None else []
    return next((node for node in path if node in outline.parents), None)


def _currency(system: PlanningSystem, rule: EliminationRule, row: InternalRow, node: str | None) -> str:
    if "currency" in rule.agree or node is None:
        return row.currency
    return node_currency(system, node) or system.basics.currencies[0]


def _agreed(rule: EliminationRule, row: InternalRow) -> tuple[tuple[str, str], ...]:
    known = {**row.fields, **members_of(row.members), "period": row.period, "currency": row.currency}
    return tuple((name, known.get(name, "")) for name in sorted(rule.agree))


def eliminated_figures(
    pairs: Sequence[Elimination], outline: Outline, node: str, rates: Rates, currency: str | None
) -> dict[CellKey, int]:
    """What a node takes off its totals: the pairs eliminated at it and below it, by item and period, negative."""
    below = set(outline.below(node))
    sums: dict[CellKey, int] = defaultdict(int)
    for pair in pairs:
        if pair.node in below and pair.eliminated:
            target = currency or pair.currency
            minor = rates.converted(pair.eliminated, pair.currency, target)
            for item in (pair.out_item, pair.in_item):
                sums[CellKey(item, pair.period, target)] -= minor
    return dict(sums)
