"""Trees of entities and items."""

from dataclasses import dataclass
from random import Random

import pytest
from cashplan.domain.trees import NodeTwice, ParentUnknown, TreeCycle, TreeTooDeep, tree_of
from hypothesis import given
from hypothesis import strategies as st


@dataclass(frozen=True)
class Plain:
    id: str
    parent: str | None = None


def nodes(*pairs: tuple[str, str | None]) -> list[Plain]:
    return [Plain(*pair) for pair in pairs]


GROUP = nodes(("G", None), ("D1", "G"), ("D2", "G"), ("A", "D1"), ("B", "D1"), ("C", "D2"))


def test_questions_to_a_tree() -> None:
    tree = tree_of(GROUP)
    assert tree.subtree("G") == ["G", "D1", "A", "B", "D2", "C"]
    assert tree.leaves("D1") == ["A", "B"]
    assert tree.path("A") == ["A", "D1", "G"]
    assert tree.common_ancestor("A", "B") == "D1"
    assert tree.common_ancestor("A", "C") == "G"
    assert tree.common_ancestor("A", "D1") == "D1"
    assert tree.depth("C") == 3
    assert not tree.is_within("G", "D1")


def test_what_makes_no_tree_is_named() -> None:
    with pytest.raises(TreeCycle, match="A -> B -> C -> A"):
        tree_of(nodes(("A", "B"), ("B", "C"), ("C", "A")))
    with pytest.raises(TreeCycle, match="A -> A"):
        tree_of(nodes(("A", "A")))
    with pytest.raises(ParentUnknown, match="names the parent X"):
        tree_of(nodes(("A", "X")))
    with pytest.raises(NodeTwice):
        tree_of(nodes(("A", None), ("A", None)))
    with pytest.raises(TreeTooDeep):
        tree_of([Plain("0"), *(Plain(str(n), str(n - 1)) for n in range(1, 30))])


@given(st.integers(0, 10_000), st.integers(1, 40))
def test_the_common_ancestor_is_the_deepest_node_above_both(seed: int, number: int) -> None:
    random = Random(seed)
    listed = [Plain("0")] + [
        Plain(str(n), str(random.randrange(max(0, n - 4), n))) for n in range(1, min(number, 15))
    ]
    tree = tree_of(listed)
    for first in tree:
        for second in tree:
            both = [node for node in tree if tree.is_within(first, node) and tree.is_within(second, node)]
            assert tree.common_ancestor(first, second) == max(both, key=tree.depth)
