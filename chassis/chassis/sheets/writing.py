"""Tables out: CSV in chunks and Excel row by row, in memory that does not grow with the rows."""

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from io import StringIO
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, Self
from zoneinfo import ZoneInfo

from chassis.sheets.columns import Column, ColumnKind, Row, guarded
from chassis.sheets.totals import Totals

if TYPE_CHECKING:
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
    table = CsvTable(columns, zone)
    waiting = iter(rows)
    while chunk := list(islice(waiting, CHUNK_ROWS)):
        yield table.add(chunk)
    if rest := table.end():
        yield rest


class CsvTable(Generic[Row]):
    """A CSV file in the making; each call returns the bytes that follow."""

    def __init__(self, columns: Sequence[Column[Row]], zone: ZoneInfo) -> None:
        self._cells = [_csv_cell(column.kind, zone) for column in columns]
        self._values = [column.value for column in columns]
        self._totals = Totals(columns)
        self._begun = False
        self._heading = [guarded(column.heading) for column in columns]

    def add(self, rows: Iterable[Row]) -> bytes:
        """These rows, behind the heading when they are the first."""
        return self._written([self._line(row) for row in rows])

    def end(self) -> bytes:
        """What closes the file: its sums."""
        return self._written([self._sum(row) for row in self._totals.rows()])

    def _written(self, lines: list[list[str]]) -> bytes:
        text = StringIO(newline="")
        if not self._begun:
            self._begun = True
            text.write(BYTE_ORDER_MARK)
            lines.insert(0, self._heading)
        csv.writer(text).writerows(lines)
        return text.getvalue().encode()

    def _line(self, row: Row) -> list[str]:
        values = [value(row) for value in self._values]
        self._totals.add(values)
        return [cell(value) for cell, value in zip(self._cells, values, strict=True)]

    def _sum(self, values: list[Any]) -> list[str]:
        return ["" if value is None else str(value) for value in values]


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
    with ExcelTable(path, name, columns, zone) as table:
        table.add(rows)
    return table.total


class ExcelTable(Generic[Row]):
    """An Excel file in the making, whole once its block has ended; rows go to the disk as they come."""

    def __init__(self, path: Path, name: str, columns: Sequence[Column[Row]], zone: ZoneInfo) -> None:
        from xlsxwriter import Workbook  # costs memory and time that only files need

        options = {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
        self.total = 0
        self._book = Workbook(str(path), options)
        self._name = name
        self._columns = columns
        self._values = [column.value for column in columns]
        self._totals = Totals(columns)
        self._zone = zone
        self._bold = self._book.add_format({"bold": True, "bottom": 1})
        self._summed = self._book.add_format({"bold": True, "top": 1})
        self._moment = self._book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"})
        self._date = self._book.add_format({"num_format": "yyyy-mm-dd"})
        self._decimals: dict[tuple[int, bool], Format] = {}
        self._sheets = 0
        self._number = 0
        self._begin_sheet()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Writes the sums and makes the file whole."""
        self._end_sheet()
        for values in self._totals.rows():
            self._write_sum(values)
        self._book.close()

    def add(self, rows: Iterable[Row]) -> None:
        """Writes these rows below those before."""
        for row in rows:
            if self._number == SHEET_ROWS_MAX - 1:
                self._end_sheet()
                self._begin_sheet()
            self._write_row(row)

    def _write_row(self, row: Row) -> None:
        self._number += 1
        self.total += 1
        values = [value(row) for value in self._values]
        self._totals.add(values)
        for at, found in enumerate(values):
            if found is not None:
                self._writers[at](self._number, at, found)

    def _begin_sheet(self) -> None:
        self._sheets += 1
        self._number = 0
        name = self._name if self._sheets == 1 else f"{self._name} {self._sheets}"
        sheet = self._sheet = self._book.add_worksheet(name[:31])
        sheet.freeze_panes(1, 0)
        for at, column in enumerate(self._columns):
            sheet.set_column(at, at, column.width)
            zoned = f"{column.heading} ({self._zone.key})" if column.kind == "moment" else column.heading
            sheet.write_string(0, at, zoned, self._bold)
        self._writers = [self._writer(column.kind, sheet) for column in self._columns]

    def _end_sheet(self) -> None:
        self._sheet.autofilter(0, 0, self._number, len(self._columns) - 1)

    def _write_sum(self, values: Sequence[Any]) -> None:
        """Below the rows and outside their filter; on a sheet of its own where the last one is full."""
        if self._number == SHEET_ROWS_MAX - 1:
            self._begin_sheet()
        self._number += 1
        for at, value in enumerate(values):
            if value is not None and self._columns[at].summed:
                self._write_number(self._sheet, self._number, at, value, summed=True)
            elif value is not None:
                self._sheet.write_string(self._number, at, str(value), self._summed)

    def _writer(self, kind: ColumnKind, sheet: "Worksheet") -> Callable[[int, int, Any], object]:
        match kind:
            case "text":
                return lambda row, at, value: sheet.write_string(row, at, str(value)[:CELL_CHARACTERS_MAX])
            case "moment":
                return lambda row, at, value: sheet.write_datetime(row, at, self._local(value), self._moment)
            case "date":
                return lambda row, at, value: sheet.write_datetime(row, at, value, self._date)
            case "flag":
                write_flag: Callable[[int, int, Any], object] = sheet.write_boolean
                return write_flag
            case _:
                return lambda row, at, value: self._write_number(sheet, row, at, str(value))

    def _local(self, moment: datetime) -> datetime:
        return moment.astimezone(self._zone).replace(tzinfo=None)

    def _write_number(
        self, sheet: "Worksheet", row: int, at: int, text: str, *, summed: bool = False
    ) -> None:
        if sum(character.isdecimal() for character in text) > EXACT_DIGITS_MAX:
            sheet.write_string(row, at, text)
        else:
            sheet.write_number(
                row, at, float(text), self._decimal_format(len(text.partition(".")[2]), summed)
            )

    def _decimal_format(self, places: int, summed: bool) -> "Format":
        if (places, summed) not in self._decimals:
            pattern = "#,##0" + ("." + "0" * places if places else "")
            look = {"bold": True, "top": 1} if summed else {}
            self._decimals[places, summed] = self._book.add_format({"num_format": pattern, **look})
        return self._decimals[places, summed]
