"""Columns of a table and how their values look in a cell."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Generic, Literal, TypeVar

Row = TypeVar("Row")
ColumnKind = Literal["text", "whole", "decimal", "moment", "date", "flag"]

DANGEROUS: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""What a spreadsheet program takes for the beginning of a formula (OWASP, CSV injection)."""
GUARD: Final = "'"


@dataclass(frozen=True, slots=True)
class Column(Generic[Row]):
    """One column: its heading, its type, and where a row has its value; None leaves the cell empty.

    `whole` takes an int; `decimal` a decimal string or a Decimal, exact to the last digit; `moment` a datetime
    with offset; `flag` a bool. A `summed` column has its sum in the last row; where a column says `sums_apart`,
    such as the currency, there is one such row for each of its values.
    """

    heading: str
    value: Callable[[Row], Any]
    kind: ColumnKind = "text"
    width: int = 20
    summed: bool = False
    sums_apart: bool = False


def guarded(text: str) -> str:
    """Text that no program that opens a CSV file takes for a formula."""
    return GUARD + text if text.startswith(DANGEROUS) else text


def unguarded(text: str) -> str:
    """The text that `guarded` was given."""
    return text[1:] if text.startswith(GUARD) and text[1:].startswith(DANGEROUS) else text
