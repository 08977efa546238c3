"""Roll-up: what a node sums of the filings and roll-ups below it, and the amounts that it approves.

Filed figures are kept; the approved ones become effective with the last node's approval. Detail sheets stay out.
Source: seed 003, 3.3 and section 4 (roll-up handling).
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from cashplan.domain.cells import CellKey
from cashplan.domain.rates import Rates
from cashplan.domain.systems import FilingType, PlanningSystem
from cashplan.domain.trees import Tree

Figures = Mapping[CellKey, int]


class RollUpError(ValueError):
    """Base of the reasons why a roll-up does not move on."""


class NotDistributed(RollUpError):
    """A cut of a node's amount that was not passed on to the entities below it."""

    def __init__(self, node: str, cell: CellKey, wanted: int, found: int) -> None:
        self.node = node
        self.cell = cell
        super().__init__(
            f"{node} is approved {wanted} of {' '.join(cell).strip()}, but the entities below it have {found}; "
            "distribute the difference first"
        )


class LowerNodeOpen(RollUpError):
    """A roll-up below is not approved yet."""

    def __init__(self, nodes: Sequence[str]) -> None:
        self.nodes = list(nodes)
        super().__init__(f"the roll-ups of {', '.join(nodes)} are not approved yet")


class Line(NamedTuple):
    """A child line of a node: an entity's own filing, or the roll-up of a lower node."""

    kind: Literal["entity", "node"]
    id: str


@dataclass(frozen=True)
class Outline:
    """Which node sums what, and which node stands above which."""

    lines: Mapping[str, Sequence[Line]]
    parents: Mapping[str, str | None]

    @property
    def roots(self) -> list[str]:
        return [node for node, parent in self.parents.items() if parent is None]

    def below(self, node: str) -> list[str]:
        """The node and all nodes below it, deepest last."""
        found = [node]
        for each in found:
            found.extend(line.id for line in self.lines[each] if line.kind == "node")
        return found

    def entities(self, node: str) -> list[str]:
        """The filing entities that a node sums, directly or through lower nodes."""
        return [line.id for each in self.below(node) for line in self.lines[each] if line.kind == "entity"]


def outline_of(tree: Tree, nodes: Sequence[str], entities: Sequence[str]) -> Outline:
    """Every filing entity belongs to the nearest node at or above it, every node to the nearest above it."""
    chosen = set(nodes)
    parents = {node: _nearest(tree, tree.parents[node], chosen) for node in tree if node in chosen}
    lines: dict[str, list[Line]] = {node: [] for node in parents}
    for entity in entities:
        node = _nearest(tree, entity, chosen)
        if node is not None:
            lines[node].append(Line("entity", entity))
    for node, parent in parents.items():
        if parent is not None:
            lines[parent].append(Line("node", node))
    return Outline(lines, parents)


def _nearest(tree: Tree, start: str | None, chosen: set[str]) -> str | None:
    path = tree.path(start) if start is not None else []
    return next((node for node in path if node in chosen), None)


def node_currency(system: PlanningSystem, node: str) -> str | None:
    """The currency that a node sums in: the system's, the node's own, or None for each its own."""
    return system.basics.plan_currency or system.entity_by_id[node].currency


def converted_figures(figures: Figures, rates: Rates, target: str | None) -> Figures:
    """Figures in one currency, each cell rounded by itself. Errors: RateMissing."""
    if target is None or all(key.currency == target for key in figures):
        return figures
    sums: dict[CellKey, int] = defaultdict(int)
    for key, minor in figures.items():
        sums[key._replace(currency=target)] += rates.converted(minor, key.currency, target)
    return sums


@dataclass(frozen=True)
class NodeSum:
    """What a node sees: its lines, their total, and who is missing."""

    node: str
    currency: str | None
    lines: Mapping[Line, Figures]
    total: Figures
    missing: Sequence[str] = field(default_factory=list)


def node_sum(
    system: PlanningSystem, outline: Outline, node: str, approved: Mapping[str, Figures], rates: Rates
) -> NodeSum:
    """Sums the approved figures below a node; an entity without any is missing, not zero. Errors: RateMissing."""
    currency = node_currency(system, node)
    lines: dict[Line, Figures] = {}
    for line in outline.lines[node]:
        entities = [line.id] if line.kind == "entity" else outline.entities(line.id)
        parts = [
            converted_figures(approved[entity], rates, currency) for entity in entities if entity in approved
        ]
        if parts or line.kind == "node":
            lines[line] = added(parts)
    missing = [entity for entity in outline.entities(node) if entity not in approved]
    return NodeSum(node, currency, lines, added(list(lines.values())), missing)


def added(parts: Sequence[Figures]) -> Figures:
    if len(parts) == 1:
        return parts[0]
    sums: dict[CellKey, int] = {}
    get = sums.get
    for part in parts:
        for key, minor in part.items():
            sums[key] = get(key, 0) + minor
    return sums


def require_distributed(
    system: PlanningSystem,
    outline: Outline,
    node: str,
    demands: Mapping[str, Figures],
    approved: Mapping[str, Figures],
    rates: Rates,
) -> None:
    """Every amount that was approved for a lower node must be what its entities have. Errors: NotDistributed."""
    for lower in outline.below(node):
        wanted = demands.get(lower)
        if not wanted:
            continue
        found = node_sum(system, outline, lower, approved, rates).total
        for cell, minor in wanted.items():
            if found.get(cell, 0) != minor:
                raise NotDistributed(lower, cell, minor, found.get(cell, 0))


def distributed(total: int, weights: Mapping[str, int]) -> dict[str, int]:
    """Shares of a total in proportion to the weights, by largest remainder; they add up to the total exactly."""
    whole = sum(weights.values())
    if whole == 0:
        return _evenly(total, list(weights))
    shares = {name: total * weight // whole for name, weight in weights.items()}
    rest = total - sum(shares.values())
    by_remainder = sorted(weights, key=lambda name: (-(total * weights[name] % whole), name))
    for name in by_remainder[:rest]:
        shares[name] += 1
    return shares


def _evenly(total: int, names: Sequence[str]) -> dict[str, int]:
    if not names:
        return {}
    share, rest = divmod(total, len(names))
    return {name: share + (index < rest) for index, name in enumerate(names)}


def roll_up_nodes(filing_type: FilingType) -> Sequence[str]:
    return filing_type.roll_up_nodes if filing_type.roll_up else ()
