"""Filings: what is entered, whether it fits, its versions and their differences."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Final, Literal, NamedTuple

from cashplan.domain.cells import CellKey
from cashplan.domain.grids import DETAIL_ROWS_MAX, DetailRow, Grid, Values
from cashplan.domain.systems import PlanningSystem

AMOUNT_MAX: Final = 10**15

FindingCode = Literal[
    "unknown-sheet",
    "unknown-cell",
    "read-only-cell",
    "negative-amount",
    "amount-too-large",
    "unknown-remark",
    "row-twice",
    "unknown-item",
    "unknown-period",
    "unknown-currency",
    "unknown-member",
    "unknown-field",
    "field-missing",
    "field-malformed",
    "too-many-rows",
]


class Finding(NamedTuple):
    """What is wrong with one cell or row, where, and what would be right."""

    sheet: str
    place: str
    code: FindingCode
    message: str


@dataclass(frozen=True, kw_only=True)
class Content:
    """What people entered in a filing; everything else is computed from it.

    `sources` names the pool items behind a cell that was filled from the pool; `formulas` are those that people
    wrote into a cell of the exported workbook, kept for the next export while its amount stays.
    """

    cells: Values = field(default_factory=dict)
    details: Mapping[str, Sequence[DetailRow]] = field(default_factory=dict)
    remarks: Mapping[tuple[str, str, str], str] = field(default_factory=dict)
    sources: Mapping[tuple[str, CellKey], Sequence[str]] = field(default_factory=dict)
    formulas: Mapping[tuple[str, CellKey], str] = field(default_factory=dict)

    def with_cells(self, changed: Mapping[tuple[str, CellKey], int | None]) -> "Content":
        """Amounts set, or taken away where None."""
        cells = {place: amount for place, amount in self.cells.items() if place not in changed}
        cells.update({place: amount for place, amount in changed.items() if amount is not None})
        gone = {place for place in changed if self.cells.get(place) != cells.get(place)}
        kept = {place: text for place, text in self.formulas.items() if place not in gone}
        sources = {place: keys for place, keys in self.sources.items() if place not in gone}
        return replace(self, cells=cells, formulas=kept, sources=sources)


def cell_findings(grid: Grid, changed: Mapping[tuple[str, CellKey], int | None]) -> list[Finding]:
    """Why cells cannot be set; empty when all of them can."""
    return [finding for place, amount in changed.items() if (finding := _cell_finding(grid, *place, amount))]


def _cell_finding(grid: Grid, sheet_id: str, key: CellKey, amount: int | None) -> Finding | None:
    sheet = grid.sheets.get(sheet_id)
    place = " ".join(part for part in key if part)
    if sheet is None:
        return Finding(
            sheet_id, place, "unknown-sheet", f"is not a sheet; the sheets are {', '.join(grid.sheets)}"
        )
    cell = sheet.by_key.get(key)
    if cell is None:
        return Finding(sheet_id, place, "unknown-cell", "is not a cell of this sheet")
    if cell.source != "entered":
        return Finding(sheet_id, place, "read-only-cell", f"is {cell.source}; it cannot be entered")
    return _amount_finding(sheet_id, place, amount)


def remark_findings(grid: Grid, places: Iterable[tuple[str, str, str]]) -> list[Finding]:
    """Why remarks cannot be taken: by sheet, row and remark column."""
    found: list[Finding] = []
    for sheet_id, row, column in places:
        sheet = grid.sheets.get(sheet_id)
        if sheet is None or row not in {line.id for line in sheet.rows}:
            found.append(Finding(sheet_id, row, "unknown-remark", "is not a row of a sheet of this filing"))
        elif column not in sheet.sheet.remark_columns:
            right = ", ".join(sheet.sheet.remark_columns) or "none"
            message = f"{column} is not a remark column of this sheet; there are {right}"
            found.append(Finding(sheet_id, row, "unknown-remark", message))
    return found


def with_hidden_fields(
    system: PlanningSystem, rows: Sequence[DetailRow], before: Sequence[DetailRow]
) -> list[DetailRow]:
    """Rows as people saved them, with what they cannot see kept as it was."""
    hidden = {each.id for each in system.detail_fields if not each.visible}
    known = {row.row_id: row for row in before}
    kept: list[DetailRow] = []
    for row in rows:
        earlier = known[row.row_id].fields if row.row_id in known else {}
        own = {name: value for name, value in earlier.items() if name in hidden}
        kept.append(replace(row, fields={**own, **row.fields}) if own else row)
    return kept


def _amount_finding(sheet_id: str, place: str, amount: int | None) -> Finding | None:
    if amount is not None and amount < 0:
        return Finding(sheet_id, place, "negative-amount", "must not be below 0; the item says the direction")
    if amount is not None and amount > AMOUNT_MAX:
        return Finding(sheet_id, place, "amount-too-large", f"must be at most {AMOUNT_MAX} minor units")
    return None


def detail_findings(
    system: PlanningSystem, grid: Grid, sheet_id: str, rows: Sequence[DetailRow]
) -> list[Finding]:
    """Why detail rows cannot be taken."""
    sheet = grid.details.get(sheet_id)
    if sheet is None:
        return [
            Finding(
                sheet_id, "", "unknown-sheet", f"the detail sheets are {', '.join(grid.details) or 'none'}"
            )
        ]
    if len(rows) > DETAIL_ROWS_MAX:
        return [Finding(sheet_id, "", "too-many-rows", f"has {len(rows)} rows; at most {DETAIL_ROWS_MAX}")]
    seen: set[str] = set()
    found: list[Finding] = []
    fields = {each.id: each for each in system.detail_fields if each.id in sheet.fields}
    for row in rows:
        if row.row_id in seen:
            found.append(Finding(sheet_id, row.row_id, "row-twice", "is the id of another row too"))
        seen.add(row.row_id)
        found.extend(_row_findings(system, grid, sheet_id, row))
        found.extend(
            Finding(sheet_id, row.row_id, "unknown-field", f"{name} is not a column of this sheet")
            for name in sorted(row.fields.keys() - fields.keys())
        )
        for name, known in fields.items():
            found.extend(_field_findings(sheet_id, row, name, known.type, known.required, known.choices))
    return found


def _row_findings(system: PlanningSystem, grid: Grid, sheet_id: str, row: DetailRow) -> Iterable[Finding]:
    if row.item not in system.item_tree:
        yield Finding(sheet_id, row.row_id, "unknown-item", f"{row.item} is not a plan item")
    if row.period not in grid.periods:
        yield Finding(sheet_id, row.row_id, "unknown-period", f"{row.period} is not a period of this round")
    if row.currency not in system.basics.currencies:
        allowed = ", ".join(system.basics.currencies)
        yield Finding(sheet_id, row.row_id, "unknown-currency", f"{row.currency}: must be {allowed}")
    for dimension, member in row.key.dimensions().items():
        if member not in system.members.get(dimension, frozenset()):
            yield Finding(sheet_id, row.row_id, "unknown-member", f"{member} is not a member of {dimension}")
    finding = _amount_finding(sheet_id, row.row_id, row.minor)
    if finding is not None:
        yield finding


def _field_findings(
    sheet_id: str, row: DetailRow, name: str, type_: str, required: bool, choices: Sequence[str]
) -> Iterable[Finding]:
    value = row.fields.get(name, "")
    if required and not value:
        yield Finding(sheet_id, row.row_id, "field-missing", f"{name} is required")
    elif value and not _fits(value, type_, choices):
        right = {"date": "a date such as 2026-03-31", "number": "a number", "choice": ", ".join(choices)}[
            type_
        ]
        yield Finding(sheet_id, row.row_id, "field-malformed", f"{name}: must be {right}")


def _fits(value: str, type_: str, choices: Sequence[str]) -> bool:
    if type_ == "date":
        try:
            date.fromisoformat(value)
        except ValueError:
            return False
        return True
    if type_ == "number":
        return (
            value.removeprefix("-").replace(".", "", 1).isascii()
            and value.removeprefix("-").replace(".", "", 1).isdigit()
        )
    return type_ != "choice" or value in choices


class Difference(NamedTuple):
    """A cell whose amount two versions disagree about; None where a version has none."""

    sheet: str
    key: CellKey
    before: int | None
    after: int | None


def differences(before: Values, after: Values) -> list[Difference]:
    """What changed from one version to another, in the order of sheets and cells."""
    places = sorted(before.keys() | after.keys())
    return [
        Difference(sheet, key, before.get((sheet, key)), after.get((sheet, key)))
        for sheet, key in places
        if before.get((sheet, key)) != after.get((sheet, key))
    ]
