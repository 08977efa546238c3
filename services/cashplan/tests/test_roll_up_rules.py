"""Roll-up and elimination on random trees, against brute force; adjustments; distribution."""

from collections import defaultdict
from dataclasses import replace
from decimal import Decimal
from random import Random

import pytest
from cashplan.domain.adjustments import (
    AdjustmentLine,
    BelowOccupied,
    MoveUnbalanced,
    NotEffective,
    WrongDirection,
    admit,
)
from cashplan.domain.cells import CellKey
from cashplan.domain.control import Cell, Slot
from cashplan.domain.eliminations import Elimination, InternalRow, eliminated_figures, eliminations
from cashplan.domain.rates import Rate, RateMissing, Rates
from cashplan.domain.rollups import (
    Line,
    NotDistributed,
    Outline,
    distributed,
    node_sum,
    outline_of,
    require_distributed,
)
from cashplan.domain.samples import monthly_with_weeks
from cashplan.domain.systems import Entity, PlanningSystem
from hypothesis import given, settings
from hypothesis import strategies as st

RATES = Rates.of(
    [Rate(currency="USD", target="CNY", rate="7.1234"), Rate(currency="JPY", target="CNY", rate="0.0483")]
)
CURRENCIES = ("CNY", "USD", "JPY")
PERIODS = ("2026-03-W10", "2026-03-W11")


def system(*entities: Entity) -> PlanningSystem:
    made = monthly_with_weeks("S", "G")
    return replace(
        made,
        basics=replace(made.basics, currencies=list(CURRENCIES)),
        entities=(Entity(id="G", name="G"), *entities),
    )


def random_system(random: Random) -> tuple[PlanningSystem, list[str], list[str]]:
    """Up to 4 levels below the root, some of its inner entities roll-up nodes."""
    entities = [Entity(id="G", name="G")]
    levels = [["G"]]
    for depth in range(1, random.randint(2, 5)):
        level = []
        for number in range(random.randint(1, 5)):
            entity = Entity(id=f"E{depth}{number}", name="E", parent=random.choice(levels[-1]))
            entities.append(entity)
            level.append(entity.id)
        levels.append(level)
    made = system(*entities[1:])
    inner = [each.id for each in entities if not made.entity_tree.is_leaf(each.id)]
    nodes = sorted({"G", *random.sample(inner, random.randint(0, len(inner)))})
    filing = [each.id for each in entities if made.entity_tree.is_leaf(each.id) or random.random() < 0.3]
    return made, nodes, filing


def random_figures(random: Random) -> dict[CellKey, int]:
    return {
        CellKey(item, period, random.choice(CURRENCIES)): random.randrange(10**7)
        for item in ("wages", "taxes", "sales")
        for period in PERIODS
        if random.random() < 0.8
    }


def random_rows(random: Random, filing: list[str]) -> list[InternalRow]:
    return [
        InternalRow(
            entity=random.choice(filing),
            item=random.choice(["internal-payments", "internal-receipts"]),
            period=random.choice(PERIODS),
            currency="CNY",
            members="",
            fields={"counterparty": random.choice([*filing, "a stranger"])},
            minor=random.randrange(1, 10_000),
        )
        for _ in range(random.randint(0, 40))
    ]


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 10**9))
def test_totals_equal_a_brute_force_sum_and_the_leaves_are_untouched(seed: int) -> None:
    random = Random(seed)
    made, nodes, filing = random_system(random)
    outline = outline_of(made.entity_tree, nodes, filing)
    approved = {entity: random_figures(random) for entity in filing if random.random() < 0.8}
    before = {entity: dict(figures) for entity, figures in approved.items()}
    for node in nodes:
        found = node_sum(made, outline, node, approved, RATES)
        below = [entity for entity in filing if made.entity_tree.is_within(entity, node)]
        expected: dict[CellKey, int] = defaultdict(int)
        for entity in below:
            for key, minor in approved.get(entity, {}).items():
                expected[key._replace(currency="CNY")] += RATES.converted(minor, key.currency, "CNY")
        assert dict(found.total) == dict(expected)
        assert sorted(found.missing) == sorted(entity for entity in below if entity not in approved)
        assert node_sum(made, outline, node, approved, RATES) == found
    assert approved == before


def brute_force(made: PlanningSystem, nodes: list[str], rows: list[InternalRow]) -> dict[str, int]:
    """What each node eliminates at itself, worked out pair by pair from the rows."""
    planned: dict[tuple[str, str, str], list[int]] = defaultdict(lambda: [0, 0])
    for row in rows:
        other = row.fields["counterparty"]
        if other not in made.entity_tree or other == row.entity:
            continue
        if row.item == "internal-payments":
            planned[row.entity, other, row.period][0] += row.minor
        else:
            planned[other, row.entity, row.period][1] += row.minor
    taken: dict[str, int] = defaultdict(int)
    for (payer, receiver, _), (out, into) in planned.items():
        above = [
            node
            for node in nodes
            if made.entity_tree.is_within(payer, node) and made.entity_tree.is_within(receiver, node)
        ]
        taken[max(above, key=made.entity_tree.depth)] += min(out, into)
    return {node: minor for node, minor in taken.items() if minor}


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 10**9))
def test_pairs_are_eliminated_once_at_the_lowest_node_above_both(seed: int) -> None:
    random = Random(seed)
    made, nodes, filing = random_system(random)
    outline = outline_of(made.entity_tree, nodes, filing)
    rows = random_rows(random, filing)
    pairs = eliminations(made, outline, rows, RATES)
    shuffled = rows[:]
    random.shuffle(shuffled)
    assert eliminations(made, outline, shuffled, RATES) == pairs
    by_node: dict[str, int] = defaultdict(int)
    for pair in pairs:
        assert pair.node is not None
        by_node[pair.node] += pair.eliminated
        assert pair.eliminated + pair.unmatched_out == pair.out_minor
        assert pair.eliminated + pair.unmatched_in == pair.in_minor
        assert 0 in (pair.unmatched_out, pair.unmatched_in)
    assert {node: minor for node, minor in by_node.items() if minor} == brute_force(made, nodes, rows)
    whole = eliminated_figures(pairs, outline, "G", RATES, "CNY")
    assert -sum(whole.values()) == 2 * sum(by_node.values())


def row(entity: str, item: str, other: str, minor: int, period: str = PERIODS[0]) -> InternalRow:
    return InternalRow(entity, item, period, "CNY", "", {"counterparty": other}, minor)


def pair_up(*rows: InternalRow) -> list[Elimination]:
    made = system(*(Entity(id=each, name=each, parent="G") for each in "ABC"))
    return eliminations(made, outline_of(made.entity_tree, ["G"], ["A", "B", "C"]), rows, RATES)


def test_the_smaller_amount_is_eliminated_and_the_rest_reported_to_both() -> None:
    """A plans 100 to B, B plans 80 from A: 80 eliminated, 20 unmatched."""
    (pair,) = pair_up(row("A", "internal-payments", "B", 100), row("B", "internal-receipts", "A", 80))
    assert (pair.eliminated, pair.unmatched_out, pair.unmatched_in, pair.node) == (80, 20, 0, "G")


def test_totals_are_never_netted() -> None:
    """A pays B 100 that B does not expect; C expects 100 from A that A does not plan: nothing is eliminated."""
    pairs = pair_up(row("A", "internal-payments", "B", 100), row("C", "internal-receipts", "A", 100))
    assert [pair.eliminated for pair in pairs] == [0, 0]
    assert sum(pair.unmatched_out for pair in pairs) == sum(pair.unmatched_in for pair in pairs) == 100


def test_another_period_does_not_agree() -> None:
    pairs = pair_up(
        row("A", "internal-payments", "B", 100), row("B", "internal-receipts", "A", 100, period=PERIODS[1])
    )
    assert [pair.eliminated for pair in pairs] == [0, 0]


def test_a_cut_of_a_lower_node_must_be_distributed() -> None:
    made = system(
        Entity(id="D", name="D", parent="G"), *(Entity(id=each, name=each, parent="D") for each in "AB")
    )
    outline = outline_of(made.entity_tree, ["G", "D"], ["A", "B"])
    cell = CellKey("wages", PERIODS[0], "CNY")
    approved = {"A": {cell: 60}, "B": {cell: 40}}
    assert node_sum(made, outline, "G", approved, RATES).lines == {Line("node", "D"): {cell: 100}}
    with pytest.raises(NotDistributed, match="D is approved 90"):
        require_distributed(made, outline, "G", {"D": {cell: 90}}, approved, RATES)
    approved["A"] = {cell: 50}
    require_distributed(made, outline, "G", {"D": {cell: 90}}, approved, RATES)


def test_an_entity_belongs_to_the_nearest_node() -> None:
    made = system(Entity(id="D", name="D", parent="G"), Entity(id="A", name="A", parent="D"))
    outline: Outline = outline_of(made.entity_tree, ["G", "D"], ["D", "A"])
    assert outline.lines == {"G": [Line("node", "D")], "D": [Line("entity", "D"), Line("entity", "A")]}
    assert outline.roots == ["G"]


def test_a_missing_rate_is_named() -> None:
    with pytest.raises(RateMissing, match="from EUR to CNY"):
        RATES.converted(1, "EUR", "CNY")
    assert RATES.converted(100_00, "USD", "CNY") == 712_34
    assert RATES.converted(1, "JPY", "CNY") == 5
    assert RATES.rate("CNY", "USD") == 1 / Decimal("7.1234")


@given(
    st.integers(0, 10**12), st.dictionaries(st.text("abcdef", min_size=1), st.integers(0, 10**9), min_size=1)
)
def test_shares_add_up_and_follow_the_weights(total: int, weights: dict[str, int]) -> None:
    shares = distributed(total, weights)
    assert sum(shares.values()) == total
    whole = sum(weights.values())
    for name, share in shares.items():
        if whole:
            assert abs(share * whole - total * weights[name]) < whole


def slot(item: str, period: str = "2026-03") -> Slot:
    return Slot("S", "month-plan", "A", item, period, "CNY")


def planned(effective: int, occupied: int = 0) -> Cell:
    return Cell(effective=effective, pre_occupied=occupied, is_planned=True)


CELLS = {slot("wages"): planned(100, 70), slot("taxes"): planned(50)}


def line(item: str, minor: int) -> AdjustmentLine:
    return AdjustmentLine(slot=slot(item), minor=minor)


def test_adjustments_never_go_below_what_is_occupied() -> None:
    admit("down", [line("wages", -30)], CELLS)
    with pytest.raises(BelowOccupied, match="would have 69, but 70"):
        admit("down", [line("wages", -31)], CELLS)
    admit("move", [line("wages", -30), line("taxes", 30)], CELLS)
    with pytest.raises(MoveUnbalanced):
        admit("move", [line("wages", -30), line("taxes", 20)], CELLS)
    with pytest.raises(NotEffective):
        admit("up", [line("sales", 1)], CELLS)
    with pytest.raises(WrongDirection):
        admit("up", [line("wages", -1)], CELLS)
