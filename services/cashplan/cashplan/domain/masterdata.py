"""Trees of systems that follow master data: what the ERP lists is added or renamed, what is the system's own stays.

Source: seed 003, section 4 (plan items: taken over from the system, from Excel, or added).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, TypeVar

from cashplan.domain.systems import Dimension, Direction, Entity, Item, Member

Kind = Literal["organisation", "plan-item", "dimension-member"]
RECORDS_MAX: Final = 20_000

N = TypeVar("N", Entity, Item, Member)


@dataclass(frozen=True, slots=True, kw_only=True)
class MasterRecord:
    """One organisation, plan item or member as the ERP holds it; a higher version replaces a lower one."""

    kind: Kind
    record_id: str
    version: int
    name: str
    parent: str | None = None
    direction: Direction | None = None
    dimension: str | None = None
    active: bool = True


def newest_records(told: Iterable[MasterRecord]) -> list[MasterRecord]:
    """One per kind and id, in that order: the highest version, the first of equal ones."""
    highest: dict[tuple[str, str], MasterRecord] = {}
    for record in told:
        known = highest.get((record.kind, record.record_id))
        if known is None or record.version > known.version:
            highest[record.kind, record.record_id] = record
    return [highest[place] for place in sorted(highest)]


def below(records: Sequence[MasterRecord], root: str | None) -> list[MasterRecord]:
    """The active records at or below a root, parents before children; all of them without one.

    Records whose parents go round in a circle are left out, because no root leads to them.
    """
    known = {record.record_id: record for record in records if record.active}
    children: dict[str | None, list[MasterRecord]] = {}
    for record in known.values():
        parent = record.parent if record.parent in known else None
        children.setdefault(parent, []).append(record)
    found: list[MasterRecord] = []
    waiting = [known[root]] if root in known else [] if root is not None else children.get(None, [])[::-1]
    while waiting:
        record = waiting.pop()
        found.append(record)
        waiting += children.get(record.record_id, [])[::-1]
    return found


def with_entities(entities: Sequence[Entity], told: Sequence[MasterRecord]) -> list[Entity]:
    """Organisations as entities of the same id that stand for them."""
    return _followed(entities, told, Entity, lambda record: {"organisation": record.record_id})


def with_items(items: Sequence[Item], told: Sequence[MasterRecord]) -> list[Item]:
    """Plan items; where a figure comes from stays the system's own to say."""
    return _followed(items, told, Item, lambda record: {"direction": record.direction})


def with_members(dimension: Dimension, told: Sequence[MasterRecord]) -> Dimension:
    own = [record for record in told if record.dimension == dimension.id]
    return replace(dimension, members=_followed(dimension.members, own, Member, lambda _: {}))


def _followed(
    nodes: Sequence[N],
    told: Sequence[MasterRecord],
    new: Callable[..., N],
    more: Callable[[MasterRecord], dict[str, Any]],
) -> list[N]:
    by_id: dict[str, N] = {node.id: node for node in nodes}
    ids = {*by_id, *(record.record_id for record in told)}
    for record in told:
        parent = record.parent if record.parent in ids else None
        known = by_id.get(record.record_id)
        if parent is None and known is not None:
            parent = known.parent
        values = {"name": record.name, "parent": parent, **more(record)}
        by_id[record.record_id] = replace(known, **values) if known else new(id=record.record_id, **values)
    return list(by_id.values())


def retired(nodes: Sequence[Any], records: Sequence[MasterRecord]) -> list[str]:
    """The nodes of a system whose record is active no more; they stay until somebody takes them out."""
    gone = {record.record_id for record in records if not record.active}
    return sorted(node.id for node in nodes if node.id in gone)
