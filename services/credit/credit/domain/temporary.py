"""Temporary credit: an amount from a day to a day, added to a limit or in its place; both days are included."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Literal, NamedTuple

Mode = Literal["add", "replace"]


@dataclass(frozen=True, slots=True)
class TemporaryCredit:
    """One grant in minor units; a later one that replaces wins over an earlier one."""

    amount: int
    valid_from: date
    valid_to: date
    mode: Mode

    def in_force(self, today: date) -> bool:
        return self.valid_from <= today <= self.valid_to


class Temporary(NamedTuple):
    """What is in force on a day: `replacing` stands in place of the adjusted limit, `added` comes on top."""

    added: int
    replacing: int | None

    def limit(self, adjusted: int) -> int:
        """The limit of the day: 100 + 20 = 120; replaced by 150: 150 + 20 = 170."""
        return (adjusted if self.replacing is None else self.replacing) + self.added


NONE = Temporary(0, None)


def temporary_in_force(rows: Iterable[TemporaryCredit], today: date) -> Temporary:
    """What a profile's temporary credit comes to on a day; of several that replace, the one that began last."""
    live = [row for row in rows if row.in_force(today)]
    replacing = [row for row in live if row.mode == "replace"]
    return Temporary(
        sum(row.amount for row in live if row.mode == "add"),
        max(replacing, key=lambda row: (row.valid_from, row.amount)).amount if replacing else None,
    )
