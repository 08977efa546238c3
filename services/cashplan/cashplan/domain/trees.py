"""Trees of entities and plan items: checked once, then asked for parents, children and common ancestors."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

DEPTH_MAX: Final = 20
NODES_MAX: Final = 20_000


class TreeError(ValueError):
    """Base of the reasons why nodes make no tree."""

    def __init__(self, node_id: str, message: str) -> None:
        self.node_id = node_id
        super().__init__(message)


class NodeTwice(TreeError):
    """Two nodes have the same id."""

    def __init__(self, node_id: str) -> None:
        super().__init__(node_id, f"{node_id} is listed twice; an id names one node")


class ParentUnknown(TreeError):
    """A node names a parent that is not listed."""

    def __init__(self, node_id: str, parent: str) -> None:
        self.parent = parent
        super().__init__(node_id, f"{node_id} names the parent {parent}, which is not listed")


class TreeCycle(TreeError):
    """Parents lead back to where they began."""

    def __init__(self, path: Sequence[str]) -> None:
        self.path = tuple(path)
        super().__init__(path[0], f"the parents go round in a circle: {' -> '.join(path)}")


class TreeTooDeep(TreeError):
    """A node lies deeper than any tree may be."""

    def __init__(self, node_id: str) -> None:
        super().__init__(node_id, f"{node_id} lies deeper than {DEPTH_MAX} levels")


class TooManyNodes(TreeError):
    """A tree has more nodes than can be kept."""

    def __init__(self, number: int) -> None:
        super().__init__("", f"there are {number} nodes; a tree has at most {NODES_MAX}")


class Node(Protocol):
    """What a tree needs of its nodes."""

    @property
    def id(self) -> str: ...
    @property
    def parent(self) -> str | None: ...


@dataclass(frozen=True)
class Tree:
    """Nodes by id in the order in which they were listed; several roots are possible.

    Errors when made by `tree_of`: NodeTwice, ParentUnknown, TreeCycle, TreeTooDeep, TooManyNodes.
    """

    parents: Mapping[str, str | None]
    children: Mapping[str | None, Sequence[str]] = field(repr=False)
    depths: Mapping[str, int] = field(repr=False)

    def __contains__(self, node_id: object) -> bool:
        return node_id in self.parents

    def __iter__(self) -> Iterator[str]:
        return iter(self.parents)

    @property
    def roots(self) -> Sequence[str]:
        return self.children.get(None, ())

    def is_leaf(self, node_id: str) -> bool:
        return node_id in self.parents and not self.children.get(node_id)

    def path(self, node_id: str) -> list[str]:
        """The node, its parent, and so on to its root; empty for an unknown node."""
        path = []
        current: str | None = node_id if node_id in self.parents else None
        while current is not None:
            path.append(current)
            current = self.parents[current]
        return path

    def is_within(self, node_id: str, root: str) -> bool:
        """Whether a node is `root` or lies below it."""
        return root in self.path(node_id)

    def subtree(self, root: str) -> list[str]:
        """The root and all below it, parents before children, in listed order."""
        if root not in self.parents:
            return []
        found, waiting = [], [root]
        while waiting:
            node = waiting.pop()
            found.append(node)
            waiting.extend(reversed(self.children.get(node, ())))
        return found

    def leaves(self, root: str) -> list[str]:
        return [node for node in self.subtree(root) if self.is_leaf(node)]

    def depth(self, node_id: str) -> int:
        """1 for a root."""
        return self.depths[node_id]

    def common_ancestor(self, first: str, second: str) -> str | None:
        """The lowest node at or above both, or None in different trees."""
        above = set(self.path(first))
        return next((node for node in self.path(second) if node in above), None)


def tree_of(nodes: Iterable[Node]) -> Tree:
    """The tree of these nodes, in their order."""
    parents = _parents(list(nodes))
    children: dict[str | None, list[str]] = defaultdict(list)
    for node_id, parent in parents.items():
        children[parent].append(node_id)
    return Tree(parents, dict(children), _depths(parents))


def _parents(nodes: Sequence[Node]) -> dict[str, str | None]:
    if len(nodes) > NODES_MAX:
        raise TooManyNodes(len(nodes))
    parents: dict[str, str | None] = {}
    for node in nodes:
        if node.id in parents:
            raise NodeTwice(node.id)
        parents[node.id] = node.parent
    for node_id, parent in parents.items():
        if parent is not None and parent not in parents:
            raise ParentUnknown(node_id, parent)
    return parents


def _depths(parents: Mapping[str, str | None]) -> dict[str, int]:
    depths: dict[str, int] = {}
    for start in parents:
        path: list[str] = []
        current: str | None = start
        while current is not None and current not in depths:
            if current in path:
                raise TreeCycle([*path[path.index(current) :], current])
            path.append(current)
            current = parents[current]
        depth = depths[current] if current is not None else 0
        for node in reversed(path):
            depth += 1
            if depth > DEPTH_MAX:
                raise TreeTooDeep(node)
            depths[node] = depth
    return depths
