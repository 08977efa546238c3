"""Sums of columns, kept while the rows go by."""

from collections.abc import Iterator, Sequence
from decimal import Context, Decimal
from typing import Any, Final

from chassis.sheets.columns import Column

TOTAL: Final = "total"
_EXACT: Final = Context(prec=60)


class Totals:
    """The last rows of a table: the sums of its summed columns, exact, apart by what must not be added up."""

    def __init__(self, columns: Sequence[Column[Any]]) -> None:
        self._summed = [at for at, column in enumerate(columns) if column.summed]
        self._apart = next((at for at, column in enumerate(columns) if column.sums_apart), None)
        self._width = len(columns)
        self._sums: dict[Any, list[Decimal]] = {}

    def add(self, values: Sequence[Any]) -> None:
        """Takes one row, a value per column."""
        if not self._summed:
            return
        apart = None if self._apart is None else values[self._apart]
        sums = self._sums.get(apart)
        if sums is None:
            sums = self._sums[apart] = [Decimal(0)] * len(self._summed)
        for number, at in enumerate(self._summed):
            if values[at] is not None:
                sums[number] = _EXACT.add(sums[number], Decimal(values[at]))

    def rows(self) -> Iterator[list[Any]]:
        """A row of values per sum, its first cell saying that it is one."""
        for apart, sums in sorted(self._sums.items(), key=lambda item: str(item[0])):
            row: list[Any] = [None] * self._width
            for at, total in zip(self._summed, sums, strict=True):
                row[at] = format(total, "f")
            if self._apart is not None:
                row[self._apart] = apart
            if row[0] is None:
                row[0] = TOTAL
            yield row
