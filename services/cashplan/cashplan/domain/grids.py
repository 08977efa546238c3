"""The grid of a filing: its sheets with rows, columns and cells, what is entered and what is computed.

A linked cell is the sum of its sub-sheet or detail sheet over the shared dimensions; an extended one the sum of
the rows below it; a parent item the sum of its items in the sheet. Computed cells are read-only. Source: seed 003,
1.3 (1) and 3.2.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, Literal, NamedTuple

from cashplan.domain.cells import CellKey, members_of, members_text
from cashplan.domain.formulas import Evaluate, amount_of, computing_order, names_in
from cashplan.domain.periods import Column
from cashplan.domain.systems import Extension, Line, PlanningSystem, Sheet, Template
from cashplan.domain.trees import Tree

CELLS_MAX: Final = 60_000
DETAIL_ROWS_MAX: Final = 100_000

CellSource = Literal["entered", "fetched", "formula", "counted-formula", "linked", "sum"]


class GridError(ValueError):
    """Base of the reasons why a template makes no grid."""


class CellTwice(GridError):
    """Two lines of a sheet stand for the same cell."""

    def __init__(self, sheet: str, row: str, key: CellKey) -> None:
        self.sheet = sheet
        super().__init__(
            f"row {row} of sheet {sheet} stands for a cell that another row has: {' '.join(key)}"
        )


class CellIncomplete(GridError):
    """Neither row nor column says which item, period or currency a cell has."""

    def __init__(self, sheet: str, row: str, missing: str) -> None:
        self.sheet = sheet
        super().__init__(f"row {row} of sheet {sheet} has no {missing}; put it on rows, columns or the sheet")


class GridTooLarge(GridError):
    """More cells than a sheet can have."""

    def __init__(self, sheet: str, cells: int) -> None:
        super().__init__(f"sheet {sheet} would have {cells} cells; at most {CELLS_MAX} are possible")


@dataclass(frozen=True, slots=True)
class GridLine:
    """A row or column after `*` was spelled out."""

    id: str
    title: str
    members: Mapping[str, str]
    link: str | None = None
    extends: str | None = None


class GridCell(NamedTuple):
    key: CellKey
    source: CellSource


@dataclass(frozen=True)
class GridSheet:
    """A fixed sheet: `cells[row][column]`."""

    sheet: Sheet
    rows: Sequence[GridLine]
    columns: Sequence[GridLine]
    cells: Sequence[Sequence[GridCell]]

    @cached_property
    def by_key(self) -> Mapping[CellKey, GridCell]:
        return {cell.key: cell for line in self.cells for cell in line}

    @cached_property
    def place(self) -> Mapping[CellKey, tuple[int, int]]:
        return {
            cell.key: (row, column) for row, line in enumerate(self.cells) for column, cell in enumerate(line)
        }

    @cached_property
    def counted(self) -> Sequence[CellKey]:
        """The cells that count in totals: nothing that is a sum or a formula of others."""
        extended = {row.extends for row in self.rows if row.extends}
        return [
            cell.key
            for row, line in zip(self.rows, self.cells, strict=True)
            if row.id not in extended
            for cell in line
            if cell.source in ("entered", "fetched", "linked", "counted-formula")
        ]


@dataclass(frozen=True, kw_only=True)
class DetailRow:
    """One row of a detail sheet: an amount in a period, with the sheet's dimensions and fields."""

    row_id: str
    item: str
    period: str
    currency: str
    minor: int
    members: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)
    sources: Sequence[str] = ()

    @property
    def key(self) -> CellKey:
        return CellKey(self.item, self.period, self.currency, self.members)


@dataclass(frozen=True)
class Grid:
    """All sheets of one entity's filing in one round."""

    template: Template
    columns: Sequence[Column]
    sheets: Mapping[str, GridSheet]
    details: Mapping[str, Sheet]
    items: Tree

    @cached_property
    def main(self) -> GridSheet:
        return next(sheet for sheet in self.sheets.values() if sheet.sheet.type == "main")

    @cached_property
    def periods(self) -> frozenset[str]:
        return frozenset(column.period.code for column in self.columns)

    @cached_property
    def head_of(self) -> Mapping[str, str]:
        return {column.period.code: column.head for column in self.columns}

    def counted(self, values: "Values") -> dict[CellKey, int]:
        """What the filing plans, each amount once: sub-sheets stand for the main cells that are linked to them."""
        figures: dict[CellKey, int] = {}
        for sheet_id, sheet in self.sheets.items():
            replaced = self._linked_to_fixed(sheet)
            for key in sheet.counted:
                if key not in replaced and (amount := values.get((sheet_id, key))) is not None:
                    figures[key] = figures.get(key, 0) + amount
        return figures

    def _linked_to_fixed(self, sheet: GridSheet) -> set[CellKey]:
        return {
            cell.key
            for row, line in zip(sheet.rows, sheet.cells, strict=True)
            if row.link in self.sheets
            for cell in line
        }


Values = Mapping[tuple[str, CellKey], int]


def grid_of(system: PlanningSystem, template: Template, columns: Sequence[Column], entity: str) -> Grid:
    """The grid of an entity with the rows that it and those above it have added.

    Errors: CellTwice, CellIncomplete, GridTooLarge.
    """
    path = system.entity_tree.path(entity)
    extensions = [each for each in system.extensions if each.template == template.id and each.entity in path]
    fixed = [sheet for sheet in template.sheets if sheet.type != "detail"]
    return Grid(
        template=template,
        columns=columns,
        sheets={sheet.id: _grid_sheet(system, sheet, columns, extensions) for sheet in fixed},
        details={sheet.id: sheet for sheet in template.sheets if sheet.type == "detail"},
        items=system.item_tree,
    )


def _grid_sheet(
    system: PlanningSystem, sheet: Sheet, columns: Sequence[Column], extensions: Sequence[Extension]
) -> GridSheet:
    spell = _Speller(system, [column.period.code for column in columns])
    listed = sheet.columns or [Line(id="period", members={"period": "*"})]
    rows = _with_extensions(spell, sheet, extensions)
    heads = [line for column in listed for line in spell.lines(column)]
    if len(rows) * len(heads) > CELLS_MAX:
        raise GridTooLarge(sheet.id, len(rows) * len(heads))
    return GridSheet(sheet, rows, heads, _cells(system, sheet, rows, heads))


def _with_extensions(spell: "_Speller", sheet: Sheet, extensions: Sequence[Extension]) -> list[GridLine]:
    rows: list[GridLine] = []
    for line in sheet.rows:
        rows.extend(spell.lines(line))
        for extension in extensions:
            if (extension.sheet, extension.row) == (sheet.id, line.id):
                for added in extension.rows:
                    merged = {**line.members, **added.members}
                    rows.extend(
                        spell.lines(
                            Line(id=added.id, members=merged, title=added.title, link=added.link), line.id
                        )
                    )
    return rows


@dataclass(frozen=True)
class _Speller:
    """Replaces `*` by each period of the round or each leaf member of a dimension."""

    system: PlanningSystem
    periods: Sequence[str]

    def lines(self, line: Line, extends: str | None = None) -> list[GridLine]:
        spelled: list[dict[str, str]] = [{}]
        for dimension, member in line.members.items():
            members = self._members(dimension) if member == "*" else [member]
            spelled = [{**known, dimension: each} for known in spelled for each in members]
        many = len(spelled) > 1
        return [
            GridLine(
                id=f"{line.id}/{'/'.join(members[name] for name, value in line.members.items() if value == '*')}"
                if many
                else line.id,
                title=line.title if line.title and not many else self._title(members, line),
                members=members,
                link=line.link,
                extends=extends,
            )
            for members in spelled
        ]

    def _members(self, dimension: str) -> Sequence[str]:
        if dimension == "period":
            return self.periods
        if dimension == "item":
            return [item for item in self.system.item_tree if self.system.item_tree.is_leaf(item)]
        if dimension == "currency":
            return self.system.basics.currencies
        return [member.id for member in self.system.dimension_by_id[dimension].members]

    def _title(self, members: Mapping[str, str], line: Line) -> str:
        names = [self._name(dimension, member) for dimension, member in members.items()]
        return " / ".join(names) or line.id

    def _name(self, dimension: str, member: str) -> str:
        if dimension == "item" and member in self.system.item_by_id:
            return self.system.item_by_id[member].name
        if dimension in self.system.dimension_by_id:
            for known in self.system.dimension_by_id[dimension].members:
                if known.id == member:
                    return known.name
        return member


def _cells(
    system: PlanningSystem, sheet: Sheet, rows: Sequence[GridLine], columns: Sequence[GridLine]
) -> list[list[GridCell]]:
    seen: set[CellKey] = set()
    extended = {row.extends for row in rows if row.extends}
    currency = system.basics.plan_currency or (
        system.basics.currencies[0] if len(system.basics.currencies) == 1 else None
    )
    cells = []
    for row in rows:
        line = []
        for column in columns:
            key = _key(sheet, row, column, currency)
            if key in seen:
                raise CellTwice(sheet.id, row.id, key)
            seen.add(key)
            line.append(GridCell(key, _source(system, sheet, row, rows, key, row.id in extended)))
        cells.append(line)
    return cells


def _key(sheet: Sheet, row: GridLine, column: GridLine, currency: str | None) -> CellKey:
    members = {**sheet.fixed, **row.members, **column.members}
    item, period = members.pop("item", None), members.pop("period", None)
    money = members.pop("currency", currency)
    if item is None or period is None or money is None:
        missing = "item" if item is None else "period" if period is None else "currency"
        raise CellIncomplete(sheet.id, row.id, missing)
    return CellKey(item, period, money, members_text(members))


def _source(
    system: PlanningSystem,
    sheet: Sheet,
    row: GridLine,
    rows: Sequence[GridLine],
    key: CellKey,
    extended: bool,
) -> CellSource:
    item = system.item_by_id.get(key.item)
    if extended:
        return "sum"
    if row.link is not None:
        return "linked"
    if item is not None and item.source == "fetched":
        return "fetched"
    if item is not None and item.source == "formula":
        return "formula" if item.direction is None else "counted-formula"
    if not system.item_tree.is_leaf(key.item) and _has_items_below(system, rows, key.item):
        return "sum"
    return "entered"


def _has_items_below(system: PlanningSystem, rows: Sequence[GridLine], item: str) -> bool:
    below = set(system.item_tree.subtree(item)) - {item}
    return any(row.members.get("item") in below for row in rows)


def computed(
    system: PlanningSystem,
    grid: Grid,
    entered: Values,
    details: Mapping[str, Sequence[DetailRow]],
    evaluate: Evaluate,
) -> dict[tuple[str, CellKey], int]:
    """Every cell's amount: what was entered and fetched, with links, sums and formulas worked out."""
    values: dict[tuple[str, CellKey], int] = {}
    below: dict[str, dict[CellKey, int]] = {
        sheet_id: _summed_rows(rows) for sheet_id, rows in details.items()
    }
    ordered = sorted(grid.sheets.values(), key=lambda sheet: sheet.sheet.type == "main")
    for sheet in ordered:
        figures = _sheet_values(system, grid, sheet, entered, below, evaluate)
        below[sheet.sheet.id] = {key: figures[key] for key in sheet.counted if key in figures}
        values.update({(sheet.sheet.id, key): amount for key, amount in figures.items()})
    return values


def _summed_rows(rows: Sequence[DetailRow]) -> dict[CellKey, int]:
    sums: dict[CellKey, int] = defaultdict(int)
    for row in rows:
        sums[row.key] += row.minor
    return sums


def _sheet_values(
    system: PlanningSystem,
    grid: Grid,
    sheet: GridSheet,
    entered: Values,
    below: Mapping[str, Mapping[CellKey, int]],
    evaluate: Evaluate,
) -> dict[CellKey, int]:
    sheet_id = sheet.sheet.id
    figures: dict[CellKey, int] = {}
    for row, line in zip(sheet.rows, sheet.cells, strict=True):
        linked = _linked_sums(grid.items, line, below.get(row.link, {})) if row.link else {}
        for cell in line:
            if cell.source in ("entered", "fetched"):
                amount = entered.get((sheet_id, cell.key))
                if amount is not None:
                    figures[cell.key] = amount
            elif cell.source == "linked":
                figures[cell.key] = linked.get(cell.key, 0)
    _add_computed(system, grid.items, sheet, figures, evaluate)
    return figures


def _linked_sums(items: Tree, line: Sequence[GridCell], below: Mapping[CellKey, int]) -> dict[CellKey, int]:
    """For each cell of a row the sum of the sheet below it over the dimensions that both have."""
    if not below:
        return {}
    sums: dict[CellKey, int] = {}
    by_place: dict[tuple[str, str], list[tuple[CellKey, int]]] = defaultdict(list)
    for key, amount in below.items():
        by_place[key.period, key.currency].append((key, amount))
    for cell in line:
        wanted = cell.key.dimensions()
        sums[cell.key] = sum(
            amount
            for key, amount in by_place.get((cell.key.period, cell.key.currency), ())
            if items.is_within(key.item, cell.key.item) and wanted.items() <= key.dimensions().items()
        )
    return sums


def _add_computed(
    system: PlanningSystem,
    items: Tree,
    sheet: GridSheet,
    figures: dict[CellKey, int],
    evaluate: Evaluate,
) -> None:
    """Parent items, extended rows and formulas, each behind what it needs."""
    cells: dict[str, list[GridCell]] = defaultdict(list)
    for line in sheet.cells:
        for cell in line:
            if cell.source in ("sum", "formula", "counted-formula"):
                cells[cell.key.item].append(cell)
    if not cells:
        return
    formulas = system.item_formulas
    sums = {item: items.children.get(item, ()) for item in cells if item not in formulas}
    counted = set(sheet.counted)
    for item in computing_order(formulas, items, sums):
        below = set(items.subtree(item))
        for cell in cells.get(item, ()):
            if cell.source == "sum":
                figures[cell.key] = _sum_of(cell.key, below, counted, figures)
            else:
                figures[cell.key] = _formula_of(formulas[item], cell.key, figures, evaluate)


def _sum_of(key: CellKey, below: set[str], counted: set[CellKey], figures: Mapping[CellKey, int]) -> int:
    wanted = key.dimensions().items()
    return sum(
        amount
        for other, amount in figures.items()
        if other.item in below
        and (other.period, other.currency) == (key.period, key.currency)
        and other in counted
        and (not wanted or wanted <= members_of(other.members).items())
    )


def _formula_of(formula: str, key: CellKey, figures: Mapping[CellKey, int], evaluate: Evaluate) -> int:
    amounts = {name: figures.get(key._replace(item=name), 0) for name in names_in(formula, "item")}
    return amount_of(key.item, evaluate(formula, {"item": amounts}))
