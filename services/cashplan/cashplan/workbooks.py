"""A filing as a workbook: the same sheets out and in, with formulas kept and computed cells locked.

Row ids stand in a hidden first column and column ids in a hidden first row, so that a moved row or a renamed sheet
is seen. What people typed as formula into an open cell is kept as they wrote it. Amounts are written in whole
currency units with their decimals.
"""

import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from io import BytesIO
from typing import Any, Final

import openpyxl
from contracts.money import decimals
from openpyxl.styles import Font, PatternFill, Protection
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.worksheet import Worksheet

from cashplan.domain.cells import CellKey, members_of, members_text
from cashplan.domain.filings import AMOUNT_MAX, Content
from cashplan.domain.formulas import REFERENCE, Reference
from cashplan.domain.grids import DETAIL_ROWS_MAX, DetailRow, Grid, GridSheet
from cashplan.domain.systems import PlanningSystem, Sheet

MEDIA_TYPE: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
BODY_BYTES_MAX: Final = 24 * 1024 * 1024
UNPACKED_BYTES_MAX: Final = 256 * 1024 * 1024
PACKED_RATIO_MAX: Final = 200
ENTRIES_MAX: Final = 500
ROWS_MAX: Final = DETAIL_ROWS_MAX + 10
ERRORS_MAX: Final = 100
FIRST_ROW: Final = 3
FIRST_COLUMN: Final = 3
MARK: Final = "_coffer"
SAFE_FORMULA: Final = re.compile(
    r"=(?:(?:SUM|ROUND|AVERAGE|MIN|MAX)\(|[A-Z]{1,3}[0-9]{1,7}|[0-9.+\-*/():, ])+"
)
ARITHMETIC: Final = re.compile(r"[0-9+\-*() ]*")
MACROS: Final = ("vbaproject.bin", "vbaprojectsignature.bin", "macrosheets/", "activex/")
LOCKED: Final = PatternFill("solid", fgColor="EEEEEE")
BLOCK_BYTES: Final = 256 * 1024


class UnreadableWorkbook(ValueError):
    """A file that is no workbook of this filing, with the reason in a sentence."""


@dataclass(frozen=True, slots=True)
class WrongCell:
    """A cell that cannot be taken: its sheet and address as people see them, and what would be right."""

    sheet: str
    address: str
    message: str


@dataclass
class Imported:
    """What a workbook holds for a filing."""

    cells: dict[tuple[str, CellKey], int | None] = field(default_factory=dict)
    formulas: dict[tuple[str, CellKey], str] = field(default_factory=dict)
    details: dict[str, list[DetailRow]] = field(default_factory=dict)
    remarks: dict[tuple[str, str, str], str] = field(default_factory=dict)
    wrong: list[WrongCell] = field(default_factory=list)

    def refuse(self, sheet: str, address: str, message: str) -> None:
        if len(self.wrong) < ERRORS_MAX:
            self.wrong.append(WrongCell(sheet, address, message))


def exported(
    system: PlanningSystem,
    grid: Grid,
    content: Content,
    values: Mapping[tuple[str, CellKey], int],
    identity: str,
) -> bytes:
    """The workbook of a filing; `identity` names the filing it belongs to."""
    book = openpyxl.Workbook()
    book.remove(book.active)  # type: ignore[arg-type]  # a new workbook has one sheet
    for sheet in grid.template.sheets:
        page = book.create_sheet(title_of(sheet))
        if sheet.type == "detail":
            _write_details(system, page, sheet, content.details.get(sheet.id, ()))
        else:
            _Writer(system, grid, content, values, grid.sheets[sheet.id], page).write()
    mark = book.create_sheet(MARK)
    mark["A1"] = identity
    mark.sheet_state = "veryHidden"
    file = BytesIO()
    book.save(file)
    return file.getvalue()


def title_of(sheet: Sheet) -> str:
    """A sheet's name as Excel takes it."""
    return re.sub(r"[\[\]:*?/\\]", " ", sheet.name)[:31]


@dataclass
class _Writer:
    """Writes one fixed sheet."""

    system: PlanningSystem
    grid: Grid
    content: Content
    values: Mapping[tuple[str, CellKey], int]
    sheet: GridSheet
    page: Worksheet

    def write(self) -> None:
        self.page.cell(1, 1, self.sheet.sheet.id)
        for number, column in enumerate(self.sheet.columns):
            self.page.cell(1, FIRST_COLUMN + number, column.id)
            self.page.cell(2, FIRST_COLUMN + number, column.title).font = Font(bold=True)
        remarks = self._remark_columns()
        for name, number in remarks.items():
            self.page.cell(1, number, f"remark:{name}")
            title = next((each.name for each in self.system.remark_columns if each.id == name), name)
            self.page.cell(2, number, title).font = Font(bold=True)
        for row, line in enumerate(self.sheet.rows):
            self._write_row(FIRST_ROW + row, row, line.id, line.title, remarks)
        self._protect()

    def _remark_columns(self) -> dict[str, int]:
        first = FIRST_COLUMN + len(self.sheet.columns)
        return {name: first + number for number, name in enumerate(self.sheet.sheet.remark_columns)}

    def _write_row(self, at: int, row: int, row_id: str, title: str, remarks: Mapping[str, int]) -> None:
        self.page.cell(at, 1, row_id)
        self.page.cell(at, 2, title)
        for column, cell in enumerate(self.sheet.cells[row]):
            written = self.page.cell(at, FIRST_COLUMN + column, self._value(cell.key, cell.source))
            written.number_format = (
                "#,##0." + "0" * decimals(cell.key.currency) if decimals(cell.key.currency) else "#,##0"
            )
            if cell.source == "entered":
                written.protection = Protection(locked=False)
            else:
                written.fill = LOCKED
        for name, number in remarks.items():
            text = self.content.remarks.get((self.sheet.sheet.id, row_id, name))
            written = self.page.cell(at, number, text)
            written.protection = Protection(locked=False)

    def _value(self, key: CellKey, source: str) -> Any:
        place = self.sheet.sheet.id, key
        kept = self.content.formulas.get(place)
        if source == "entered" and kept is not None:
            return kept
        if source in ("sum", "formula", "counted-formula"):
            formula = self._sum(key) if source == "sum" else self._formula(key)
            if formula is not None:
                return formula
        minor = self.values.get(place)
        return None if minor is None else _units(minor, key.currency)

    def _sum(self, key: CellKey) -> str | None:
        """The sum of the counted cells below, as people would write it."""
        below = set(self.grid.items.subtree(key.item))
        wanted = key.dimensions().items()
        cells = [
            self.address(each)
            for each in self.sheet.counted
            if (each.period, each.currency) == (key.period, key.currency)
            and each.item in below
            and wanted <= each.dimensions().items()
        ]
        return f"=SUM({','.join(cells)})" if 0 < len(cells) <= 200 else None

    def _formula(self, key: CellKey) -> str | None:
        """A formula that Excel understands alike: sums, differences and products of other cells."""
        source = self.system.item_by_id[key.item].formula or ""
        if not ARITHMETIC.fullmatch(REFERENCE.sub("", source)):
            return None
        replaced = REFERENCE.sub(
            lambda found: self._reference(key, Reference(found[1], found[2] or found[3])), source
        )
        return None if "?" in replaced else f"={replaced}"

    def _reference(self, key: CellKey, reference: Reference) -> str:
        other = key._replace(item=reference.name)
        return self.address(other) if other in self.sheet.place else "?"

    def address(self, key: CellKey) -> str:
        row, column = self.sheet.place[key]
        return f"{get_column_letter(FIRST_COLUMN + column)}{FIRST_ROW + row}"

    def _protect(self) -> None:
        self.page.row_dimensions[1].hidden = True
        self.page.column_dimensions["A"].hidden = True
        self.page.column_dimensions["B"].width = 36
        self.page.freeze_panes = "C3"
        self.page.protection.sheet = True


def _units(minor: int, currency: str) -> int | float | Decimal:
    places = decimals(currency)
    return minor if places == 0 else Decimal(minor).scaleb(-places)


def detail_columns(system: PlanningSystem, sheet: Sheet) -> list[str]:
    """The columns of a detail sheet: its id, what it is about, the amount, and its fields."""
    about = [name for name in ("item", "period", "currency") if name not in sheet.fixed]
    if system.basics.plan_currency is not None and "currency" in about:
        about.remove("currency")
    return ["row", *about, *[name for name in sheet.dimensions if name != "item"], "amount", *sheet.fields]


def _write_details(system: PlanningSystem, page: Worksheet, sheet: Sheet, rows: Sequence[DetailRow]) -> None:
    columns = detail_columns(system, sheet)
    titles = {each.id: each.name for each in system.detail_fields}
    page.append(columns)
    page.append([titles.get(name, name.capitalize()) for name in columns])
    for row in rows:
        known = {
            "row": row.row_id,
            "item": row.item,
            "period": row.period,
            "currency": row.currency,
            "amount": _units(row.minor, row.currency),
            **members_of(row.members),
            **row.fields,
        }
        page.append([known.get(name) for name in columns])
    page.row_dimensions[1].hidden = True
    hidden = {each.id for each in system.detail_fields if not each.visible}
    for number, name in enumerate(columns, start=1):
        if name in hidden:
            page.column_dimensions[get_column_letter(number)].hidden = True
    page.freeze_panes = "A3"


def imported(system: PlanningSystem, grid: Grid, body: bytes, identity: str, currency: str) -> Imported:
    """What a workbook holds for the filing that it was exported from.

    `currency` is meant where a detail row names none. Errors: UnreadableWorkbook.
    """
    refuse_dangers(body)
    found = Imported()
    values = _open(body, data_only=True)
    _require_identity(values, identity)
    sheets = {title_of(sheet): sheet for sheet in grid.template.sheets}
    _require_sheets(values, sheets)
    formulas = _open(body, data_only=False)
    for title, sheet in sheets.items():
        if sheet.type == "detail":
            found.details[sheet.id] = _read_details(system, found, title, sheet, values[title], currency)
        else:
            _Reader(found, title, grid.sheets[sheet.id], values[title], formulas[title]).read()
    values.close()
    formulas.close()
    return found


def _open(body: bytes, *, data_only: bool) -> Any:
    try:
        book = openpyxl.load_workbook(BytesIO(body), read_only=True, data_only=data_only, keep_links=False)
    except Exception as error:  # openpyxl lets whatever its parsers meet escape
        raise UnreadableWorkbook(f"the file cannot be read as .xlsx: {str(error)[:200]}") from error
    for sheet in book.worksheets:
        sheet.reset_dimensions()
    return book


def refuse_dangers(body: bytes) -> None:
    """Refuses what is no plain workbook: bombs, macros, merged cells. Errors: UnreadableWorkbook."""
    try:
        with zipfile.ZipFile(BytesIO(body)) as archive:
            entries = archive.infolist()
            _refuse_bombs(entries, len(body))
            _refuse_macros(entries)
            for entry in entries:
                if entry.filename.startswith("xl/worksheets/"):
                    _refuse_merged(archive, entry)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise UnreadableWorkbook("the file is no whole .xlsx workbook") from error


def _refuse_bombs(entries: Sequence[zipfile.ZipInfo], packed: int) -> None:
    unpacked = sum(entry.file_size for entry in entries)
    if len(entries) > ENTRIES_MAX or unpacked > UNPACKED_BYTES_MAX:
        raise UnreadableWorkbook(
            f"the file unpacks to more than {UNPACKED_BYTES_MAX // 2**20} MiB or {ENTRIES_MAX} parts"
        )
    if unpacked > 2**20 and unpacked > packed * PACKED_RATIO_MAX:
        raise UnreadableWorkbook(f"the file unpacks to more than {PACKED_RATIO_MAX} times its size")


def _refuse_macros(entries: Sequence[zipfile.ZipInfo]) -> None:
    for entry in entries:
        if any(mark in entry.filename.lower() for mark in MACROS):
            raise UnreadableWorkbook("the file has macros; save it as .xlsx without them")


def _refuse_merged(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> None:
    """Reads a sheet in blocks, at most as many bytes as it declared."""
    before = b""
    read = 0
    with archive.open(entry) as part:
        while block := part.read(BLOCK_BYTES):
            read += len(block)
            window = before + block
            if read > UNPACKED_BYTES_MAX or b"<!DOCTYPE" in window:
                raise UnreadableWorkbook(f"{entry.filename} is no plain sheet")
            found = re.search(rb'<mergeCell ref="([A-Z0-9:]+)"', window)
            if found:
                raise UnreadableWorkbook(
                    f"cells {found[1].decode()} are merged; a filing has no merged cells"
                )
            before = block[-100:]


def _require_identity(book: Any, identity: str) -> None:
    found = book[MARK]["A1"].value if MARK in book.sheetnames else None
    if found != identity:
        raise UnreadableWorkbook(
            "the workbook belongs to another filing" if found else "the workbook was not exported from here"
        )


def _require_sheets(book: Any, sheets: Mapping[str, Sheet]) -> None:
    there = [name for name in book.sheetnames if name != MARK]
    missing = [title for title in sheets if title not in there]
    if missing:
        others = [name for name in there if name not in sheets]
        found = f"; there is {', '.join(others)}" if others else ""
        raise UnreadableWorkbook(f"the sheet {missing[0]} is missing{found}; sheets keep their names")


@dataclass
class _Reader:
    """Reads one fixed sheet, row by row."""

    found: Imported
    title: str
    sheet: GridSheet
    values: Any
    formulas: Any

    def read(self) -> None:
        last = FIRST_ROW + len(self.sheet.rows) - 1
        columns = FIRST_COLUMN - 1 + len(self.sheet.columns) + len(self.sheet.sheet.remark_columns)
        rows = zip(self._bounded(self.values, columns), self._bounded(self.formulas, columns), strict=False)
        seen = 0
        for at, (shown, written) in enumerate(rows, start=1):
            seen = at
            if at == 1:
                self._require_columns(shown)
            elif FIRST_ROW <= at <= last:
                self._read_row(at, shown, written)
            elif at > last and any(value is not None for value in shown):
                self.found.refuse(
                    self.title, f"A{at}", f"is below the last row, {last}; rows are not added here"
                )
        if seen < last:
            self.found.refuse(self.title, f"A{seen + 1}", f"rows are missing; the sheet has {last} rows")

    def _bounded(self, page: Any, columns: int) -> Iterator[Sequence[Any]]:
        limit = FIRST_ROW + len(self.sheet.rows) + 100
        for number, row in enumerate(page.iter_rows(max_col=columns, values_only=True), start=1):
            if number > limit:
                raise UnreadableWorkbook(f"the sheet {self.title} has more than {limit} rows")
            yield (*row, *[None] * (columns - len(row)))

    def _require_columns(self, shown: Sequence[Any]) -> None:
        expected = [column.id for column in self.sheet.columns]
        expected += [f"remark:{name}" for name in self.sheet.sheet.remark_columns]
        for number, wanted in enumerate(expected):
            if shown[FIRST_COLUMN - 1 + number] != wanted:
                address = f"{get_column_letter(FIRST_COLUMN + number)}1"
                raise UnreadableWorkbook(f"{self.title}!{address}: columns were moved; {wanted} belongs here")

    def _read_row(self, at: int, shown: Sequence[Any], written: Sequence[Any]) -> None:
        row = self.sheet.rows[at - FIRST_ROW]
        if shown[0] != row.id:
            self.found.refuse(self.title, f"A{at}", f"rows were moved; the row {row.title} belongs here")
            return
        for number, cell in enumerate(self.sheet.cells[at - FIRST_ROW]):
            place = FIRST_COLUMN - 1 + number
            if cell.source == "entered":
                self._read_cell(at, place, cell.key, shown[place], written[place])
        first = FIRST_COLUMN - 1 + len(self.sheet.columns)
        for number, name in enumerate(self.sheet.sheet.remark_columns):
            if shown[first + number] is not None:
                self.found.remarks[self.sheet.sheet.id, row.id, name] = str(shown[first + number])[:2_000]

    def _read_cell(self, at: int, place: int, key: CellKey, shown: Any, written: Any) -> None:
        address = f"{get_column_letter(place + 1)}{at}"
        where = self.sheet.sheet.id, key
        is_formula = isinstance(written, str) and written.startswith("=")
        if is_formula and shown is None:
            self.found.refuse(self.title, address, "has a formula without a result; calculate and save again")
            return
        minor, fault = minor_of(shown, key.currency)
        if fault is not None:
            self.found.refuse(self.title, address, fault)
            return
        self.found.cells[where] = minor
        if is_formula and len(written) <= 300 and SAFE_FORMULA.fullmatch(written):
            self.found.formulas[where] = written


def minor_of(value: Any, currency: str) -> tuple[int | None, str | None]:
    """Minor units of a cell's value, or what is wrong with it; an empty cell has no amount."""
    if value is None or value == "":
        return None, None
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None, f"is {str(value)[:40]!r}, must be a number"
    try:
        scaled = Decimal(repr(value)).scaleb(decimals(currency))
    except (InvalidOperation, ValueError):
        return None, "is no finite number"
    if not scaled.is_finite():
        return None, "is no finite number"
    nearest = scaled.to_integral_value()
    if isinstance(value, float) and abs(scaled - nearest) < Decimal("0.000001"):
        scaled = nearest
    if scaled != nearest:
        return None, f"has more than the {decimals(currency)} decimals of {currency}"
    if not 0 <= scaled <= AMOUNT_MAX:
        return None, "must be 0 or more, and not above the largest amount"
    return int(scaled), None


def _read_details(
    system: PlanningSystem, found: Imported, title: str, sheet: Sheet, page: Any, currency: str
) -> list[DetailRow]:
    columns = detail_columns(system, sheet)
    rows: list[DetailRow] = []
    for at, values in enumerate(page.iter_rows(max_col=len(columns), values_only=True), start=1):
        if at == 1 and list(values[: len(columns)]) != columns:
            raise UnreadableWorkbook(f"{title}!A1: columns were moved; they are {', '.join(columns)}")
        if at < FIRST_ROW or all(value is None for value in values):
            continue
        if len(rows) >= DETAIL_ROWS_MAX:
            raise UnreadableWorkbook(f"the sheet {title} has more than {DETAIL_ROWS_MAX} rows")
        row = _detail(found, title, sheet, columns, at, values, currency)
        if row is not None:
            rows.append(row)
    return rows


def _detail(
    found: Imported,
    title: str,
    sheet: Sheet,
    columns: Sequence[str],
    at: int,
    values: Sequence[Any],
    currency: str,
) -> DetailRow | None:
    known = dict(zip(columns, values, strict=False))
    own_currency = _text(known.get("currency")) or sheet.fixed.get("currency") or currency
    address = f"{get_column_letter(columns.index('amount') + 1)}{at}"
    try:
        minor, fault = minor_of(known.get("amount"), own_currency)
    except ValueError:
        found.refuse(title, f"A{at}", f"{own_currency} is not a currency")
        return None
    if fault is not None or minor is None:
        found.refuse(title, address, fault or "has no amount")
        return None
    dimensions = {name: _text(known.get(name)) for name in sheet.dimensions if name != "item"}
    members = {
        **{name: value for name, value in sheet.fixed.items() if name not in ("item", "currency")},
        **dimensions,
    }
    return DetailRow(
        row_id=_text(known.get("row")) or f"line-{at}",
        item=_text(known.get("item")) or sheet.fixed.get("item", ""),
        period=_text(known.get("period")),
        currency=own_currency,
        minor=minor,
        members=members_text({name: value for name, value in members.items() if value}),
        fields={name: _text(known[name]) for name in sheet.fields if known.get(name) is not None},
    )


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.date().isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()[:2_000]
