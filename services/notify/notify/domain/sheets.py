"""CSV that stays data: what a spreadsheet would take for a formula is written so that it does not."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

FORMULA_BEGINNINGS: Final = ("=", "+", "-", "@", "\t", "\r", "'", "＝", "＋", "－", "＠")
GUARD: Final = "'"


def guarded(value: str) -> str:
    """A cell that no spreadsheet calculates (OWASP, CSV injection): with an apostrophe in front where it might."""
    return GUARD + value if value.startswith(FORMULA_BEGINNINGS) else value


def unguarded(value: str) -> str:
    """The value of a cell that was guarded."""
    return value[1:] if value.startswith(GUARD) and value[1:].startswith(FORMULA_BEGINNINGS) else value


def written(columns: Sequence[str], rows: Iterable[Mapping[str, str]]) -> str:
    """A CSV document (RFC 4180) with a line of names."""
    target = io.StringIO()
    writer = csv.writer(target, lineterminator="\r\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([guarded(row.get(column, "")) for column in columns])
    return target.getvalue()


def read(document: str) -> list[dict[str, str]]:
    """The rows of a CSV document by the names of its first line; raises csv.Error."""
    reader = csv.DictReader(io.StringIO(document.removeprefix("\ufeff")), strict=True)
    return [
        {name: unguarded(value or "") for name, value in row.items() if name is not None} for row in reader
    ]
