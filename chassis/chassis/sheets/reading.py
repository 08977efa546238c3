"""Tables in: the rows of a CSV or Excel file as text by heading, bounded, with a sentence for what is wrong."""

import csv
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from io import BytesIO, StringIO
from typing import Any, Final

from chassis.errors import ChassisError
from chassis.sheets.columns import unguarded

ROWS_MAX: Final = 10_000
CELL_CHARACTERS_MAX: Final = 2_000
COLUMNS_MAX: Final = 100
UNPACKED_BYTES_MAX: Final = 64 * 1024 * 1024
DELIMITERS: Final = (",", ";", "\t")
XLSX_MAGIC: Final = b"PK\x03\x04"


class UnreadableTable(ChassisError):
    """A file that is no table of the kind asked for; `row` counts from 1 with the headings as row 1."""

    def __init__(self, detail: str, row: int | None = None) -> None:
        self.detail = detail
        self.row = row
        super().__init__(detail if row is None else f"row {row}: {detail}")


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row with its place in the file, its cells by heading; an empty cell is an empty text."""

    number: int
    cells: dict[str, str]


def read_table(
    body: bytes, required: Sequence[str], optional: Sequence[str] = (), *, rows_max: int = ROWS_MAX
) -> list[TableRow]:
    """The rows below the headings, in any order of columns; empty rows are left out.

    Errors: UnreadableTable.
    """
    return list(table_rows(body, required, optional, rows_max=rows_max))


def table_rows(
    body: bytes, required: Sequence[str], optional: Sequence[str] = (), *, rows_max: int = ROWS_MAX
) -> Iterator[TableRow]:
    """The same rows one by one, for tables that are too long to be held at once; errors come where they are met."""
    lines = _xlsx_lines(body) if body.startswith(XLSX_MAGIC) else _csv_lines(body, {*required, *optional})
    headings = _headings(next(lines, []), required, optional)
    for count, (number, line) in enumerate(enumerate(lines, start=2)):
        if count >= rows_max:
            raise UnreadableTable(f"the table has more than {rows_max} rows")
        if any(line):
            yield _row(number, headings, line)


def _headings(line: Sequence[str], required: Sequence[str], optional: Sequence[str]) -> list[str]:
    found = [heading.strip() for heading in line]
    while found and not found[-1]:
        found.pop()
    known = [*required, *optional]
    missing = [heading for heading in required if heading not in found]
    unknown = [heading for heading in found if heading not in known]
    if missing or unknown or len(set(found)) < len(found):
        wrong = f"lacks {', '.join(missing)}" if missing else f"has {', '.join(unknown[:5])}"
        if not missing and not unknown:
            wrong = "names a column twice"
        raise UnreadableTable(f"the heading {wrong}; the columns are {', '.join(known)}", 1)
    return found


def _row(number: int, headings: Sequence[str], line: Sequence[str]) -> TableRow:
    if any(line[len(headings) :]):
        raise UnreadableTable(f"has more than the {len(headings)} cells that have a heading", number)
    if any(len(cell) > CELL_CHARACTERS_MAX for cell in line):
        raise UnreadableTable(f"has a cell of more than {CELL_CHARACTERS_MAX} characters", number)
    cells = dict.fromkeys(headings, "") | dict(zip(headings, map(str.strip, line), strict=False))
    return TableRow(number, cells)


def _csv_lines(body: bytes, headings: set[str]) -> Iterator[list[str]]:
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = body[: error.start].count(b"\n") + 1
        raise UnreadableTable(
            "is not UTF-8 text; save it as CSV UTF-8, or send an .xlsx file", line
        ) from None
    if "\x00" in text:
        raise UnreadableTable("the file contains the character NUL")
    first = text.partition("\n")[0]
    delimiter = max(
        DELIMITERS, key=lambda each: len(headings & {cell.strip(' "\r') for cell in first.split(each)})
    )
    reader = csv.reader(StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        for cells in reader:
            yield [unguarded(cell) for cell in cells]
    except csv.Error as error:
        raise UnreadableTable(f"cannot be read as CSV: {error}", reader.line_num) from None


def _xlsx_lines(body: bytes) -> Iterator[list[str]]:
    """The first sheet; formulas count with the values that were saved with them."""
    import openpyxl  # costs memory and time that only files need

    _refuse_bombs(body)
    try:
        book = openpyxl.load_workbook(BytesIO(body), read_only=True, data_only=True)
        sheet = book.worksheets[0]
        sheet.reset_dimensions()
        yield from _texts(sheet.iter_rows(max_col=COLUMNS_MAX, values_only=True))
    except UnreadableTable:
        raise
    except Exception as error:  # openpyxl lets whatever its parsers meet escape
        raise UnreadableTable(f"the file cannot be read as .xlsx: {error}"[:300]) from error


def _texts(rows: Iterable[Sequence[Any]]) -> Iterator[list[str]]:
    for row in rows:
        yield [_text(cell) for cell in row]


def _refuse_bombs(body: bytes) -> None:
    try:
        with zipfile.ZipFile(BytesIO(body)) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
    except zipfile.BadZipFile:
        raise UnreadableTable("the file is neither CSV text nor a whole .xlsx file") from None
    if size > UNPACKED_BYTES_MAX:
        raise UnreadableTable(f"the file unpacks to more than {UNPACKED_BYTES_MAX // 1024 // 1024} MiB")


def _text(value: object) -> str:
    """A cell as people would type it; a number keeps every digit it has."""
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case float():
            return format(Decimal(repr(value)).normalize(), "f")
        case datetime() | date():
            return value.isoformat()
        case _:
            return str(value)
