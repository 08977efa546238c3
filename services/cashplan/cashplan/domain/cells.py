"""Where a figure stands: item, period, currency and the members of further dimensions."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

Members = Mapping[str, str]


class MalformedCell(ValueError):
    """Text that names no cell."""

    def __init__(self, text: str) -> None:
        super().__init__(f"{text!r} names no cell")


class CellKey(NamedTuple):
    """A cell of a plan; `members` is the canonical text of its further dimensions, sorted by dimension."""

    item: str
    period: str
    currency: str
    members: str = ""

    def text(self) -> str:
        return "\t".join(self)

    def dimensions(self) -> dict[str, str]:
        return members_of(self.members)


def cell_of(text: str) -> CellKey:
    """The cell that `CellKey.text` wrote. Errors: MalformedCell."""
    parts = text.split("\t")
    if len(parts) != 4:
        raise MalformedCell(text[:100])
    return CellKey(*parts)


def members_text(members: Members) -> str:
    """`project=P1 settlement=transfer`: ids hold no blanks, dimension names no equals sign."""
    return " ".join(f"{dimension}={member}" for dimension, member in sorted(members.items()))


def members_of(text: str) -> dict[str, str]:
    members = {}
    for part in text.split():
        dimension, _, member = part.partition("=")
        members[dimension] = member
    return members


def reduced(members: str, dimensions: Iterable[str]) -> str:
    """The same members, of these dimensions only."""
    known = members_of(members)
    return members_text({name: known[name] for name in dimensions if name in known})
