"""Adjustments of what is effective: up, down, or a move between cells, with a reason and an approval.

They change the effective figure and never the filed one, and never go below what is occupied.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from cashplan.domain.control import Cell, Slot

Kind = Literal["up", "down", "move"]


class AdjustmentError(ValueError):
    """Base of the reasons why an adjustment is not possible."""

    def __init__(self, line: int, message: str) -> None:
        self.line = line
        super().__init__(message)


class BelowOccupied(AdjustmentError):
    """The effective figure would fall below pre-occupied and actual."""

    def __init__(self, line: int, slot: Slot, effective: int, occupied: int) -> None:
        self.slot = slot
        super().__init__(
            line,
            f"{slot.item} in {slot.period} would have {effective}, but {occupied} are pre-occupied or actual",
        )


class NotEffective(AdjustmentError):
    """There is no effective figure to adjust."""

    def __init__(self, line: int, slot: Slot) -> None:
        super().__init__(line, f"{slot.item} in {slot.period} has no effective plan; file it first")


class MoveUnbalanced(AdjustmentError):
    """A move that gives more or less than it takes."""

    def __init__(self, currency: str, difference: int) -> None:
        super().__init__(
            0, f"a move gives as much as it takes; {currency} differs by {difference} minor units"
        )


class WrongDirection(AdjustmentError):
    """A line that goes against the kind of its adjustment."""

    def __init__(self, line: int, kind: Kind, minor: int) -> None:
        super().__init__(line, f"changes by {minor}, which is not {kind}")


@dataclass(frozen=True, kw_only=True)
class AdjustmentLine:
    """By how many minor units the effective figure of a cell changes, of a detail group with its main cell."""

    slot: Slot
    minor: int


def admit(kind: Kind, lines: Sequence[AdjustmentLine], cells: Mapping[Slot, Cell]) -> None:
    """Errors: WrongDirection, MoveUnbalanced, NotEffective, BelowOccupied."""
    _admit_kind(kind, lines)
    changes: dict[Slot, int] = defaultdict(int)
    for number, line in enumerate(lines):
        for slot in affected(line.slot):
            cell = cells.get(slot)
            if cell is None or not cell.is_planned:
                raise NotEffective(number, slot)
            changes[slot] += line.minor
    for number, line in enumerate(lines):
        for slot in affected(line.slot):
            effective = cells[slot].effective + changes[slot]
            if (changes[slot] < 0 and effective < cells[slot].occupied) or effective < 0:
                raise BelowOccupied(number, slot, effective, cells[slot].occupied)


def _admit_kind(kind: Kind, lines: Sequence[AdjustmentLine]) -> None:
    sums: dict[str, int] = defaultdict(int)
    for number, line in enumerate(lines):
        sums[line.slot.currency] += line.minor
        if (kind == "up" and line.minor <= 0) or (kind == "down" and line.minor >= 0) or line.minor == 0:
            raise WrongDirection(number, kind, line.minor)
    if kind == "move":
        for currency, difference in sums.items():
            if difference:
                raise MoveUnbalanced(currency, difference)


def affected(slot: Slot) -> list[Slot]:
    """A detail group changes with the main cell that it is linked to."""
    return [slot, slot._replace(fields="")] if slot.fields else [slot]
