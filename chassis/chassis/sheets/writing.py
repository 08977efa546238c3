"""Tables out: CSV in chunks and Excel row by row, in memory that does not grow with the rows."""

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from io import StringIO
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal
from zoneinfo import ZoneInfo

from chassis.sheets.columns import Column, ColumnKind, Row, guarded

if TYPE_CHECKING:
    from xlsxwriter import Workbook
    from xlsxwriter.format import Format
    from xlsxwriter.worksheet import Worksheet

SheetFormat = Literal["csv", "xlsx"]
CSV: Final = "text/csv; charset=utf-8"
XLSX: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

CHUNK_ROWS: Final = 1_000
SHEET_ROWS_MAX: Final = 1_048_576
CELL_CHARACTERS_MAX: Final = 32_767
EXACT_DIGITS_MAX: Final = 15
"""Excel keeps numbers as binary floats; longer ones stay exact as text."""
BYTE_ORDER_MARK: Final = "\ufeff"


def csv_chunks(columns: Sequence[Column[Row]], rows: Iterable[Row], zone: ZoneInfo) -> Iterator[bytes]:
    """The table as CSV (RFC 4180, UTF-8 with the mark by which Excel knows it), a thousand rows at a time."""
    cells = [_csv_cell(column.kind, zone) for column in columns]
    values = [column.value for column in columns]
    lines = ([cell(value(row)) for cell, value in zip(cells, values, strict=True)] for row in rows)
    table = chain([[guarded(column.heading) for column in columns]], lines)
    mark = BYTE_ORDER_MARK
    while chunk := list(islice(table, CHUNK_ROWS)):
        text = StringIO(newline="")
        csv.writer(text).writerows(chunk)
        yield (mark + text.getvalue()).encode()
        mark = ""


def _csv_cell(kind: ColumnKind, zone: ZoneInfo) -> Callable[[Any], str]:
    match kind:
        case "text":
            return lambda value: "" if value is None else guarded(str(value))
        case "moment":
            return lambda value: "" if value is None else value.astimezone(zone).isoformat()
        case "flag":
            return lambda value: "" if value is None else str(value).lower()
        case _:
            return lambda value: "" if value is None else str(value)


def write_xlsx(
    path: Path, name: str, columns: Sequence[Column[Row]], rows: Iterable[Row], zone: ZoneInfo
) -> int:
    """Writes the table as an Excel file; returns the number of rows.

    What does not fit on one sheet goes on on the next. Moments are told in `zone`, which their heading names,
    because a cell has no offset.
    """
    from xlsxwriter import Workbook  # costs memory and time that only files need

    options = {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    with Workbook(str(path), options) as book:
        return _Sheets(book, name, zone).write(columns, rows)


class _Sheets:
    """The sheets of one workbook, one after the other."""

    def __init__(self, book: "Workbook", name: str, zone: ZoneInfo) -> None:
        self.book = book
        self.name = name
        self.zone = zone
        self.bold = book.add_format({"bold": True, "bottom": 1})
        self.moment = book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"})
        self.date = book.add_format({"num_format": "yyyy-mm-dd"})
        self.decimals: dict[int, Format] = {}
        self.sheets = 0

    def write(self, columns: Sequence[Column[Row]], rows: Iterable[Row]) -> int:
        total = 0
        waiting = iter(rows)
        while True:
            sheet = self._sheet(columns)
            written = self._rows(sheet, columns, islice(waiting, SHEET_ROWS_MAX - 1))
            total += written
            following = next(waiting, None) if written == SHEET_ROWS_MAX - 1 else None
            if following is None:
                return total
            waiting = chain([following], waiting)

    def _sheet(self, columns: Sequence[Column[Row]]) -> "Worksheet":
        self.sheets += 1
        name = self.name if self.sheets == 1 else f"{self.name} {self.sheets}"
        sheet = self.book.add_worksheet(name[:31])
        sheet.freeze_panes(1, 0)
        for at, column in enumerate(columns):
            sheet.set_column(at, at, column.width)
            zoned = f"{column.heading} ({self.zone.key})" if column.kind == "moment" else column.heading
            sheet.write_string(0, at, zoned, self.bold)
        return sheet

    def _rows(self, sheet: "Worksheet", columns: Sequence[Column[Row]], rows: Iterable[Row]) -> int:
        writers = [self._writer(column.kind, sheet) for column in columns]
        values = [column.value for column in columns]
        number = 0
        for number, row in enumerate(rows, start=1):
            for at, (write, value) in enumerate(zip(writers, values, strict=True)):
                found = value(row)
                if found is not None:
                    write(number, at, found)
        sheet.autofilter(0, 0, number, len(columns) - 1)
        return number

    def _writer(self, kind: ColumnKind, sheet: "Worksheet") -> Callable[[int, int, Any], object]:
        match kind:
            case "text":
                return lambda row, at, value: sheet.write_string(row, at, str(value)[:CELL_CHARACTERS_MAX])
            case "moment":
                return lambda row, at, value: sheet.write_datetime(row, at, self._local(value), self.moment)
            case "date":
                return lambda row, at, value: sheet.write_datetime(row, at, value, self.date)
            case "flag":
                write_flag: Callable[[int, int, Any], object] = sheet.write_boolean
                return write_flag
            case _:
                return lambda row, at, value: self._number(sheet, row, at, str(value))

    def _local(self, moment: datetime) -> datetime:
        return moment.astimezone(self.zone).replace(tzinfo=None)

    def _number(self, sheet: "Worksheet", row: int, at: int, text: str) -> None:
        if sum(character.isdecimal() for character in text) > EXACT_DIGITS_MAX:
            sheet.write_string(row, at, text)
        else:
            sheet.write_number(row, at, float(text), self._decimals(len(text.partition(".")[2])))

    def _decimals(self, places: int) -> "Format":
        if places not in self.decimals:
            pattern = "#,##0" + ("." + "0" * places if places else "")
            self.decimals[places] = self.book.add_format({"num_format": pattern})
        return self.decimals[places]
