"""A node's total laid out by a roll-up template: the same rows and columns, sums and formulas as in a filing."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from cashplan.domain.cells import CellKey
from cashplan.domain.formulas import Evaluate
from cashplan.domain.grids import Grid, computed, grid_of
from cashplan.domain.periods import Column
from cashplan.domain.systems import PlanningSystem, Template


def laid_out(
    system: PlanningSystem,
    template: Template,
    columns: Sequence[Column],
    node: str,
    total: Mapping[CellKey, int],
    evaluate: Evaluate,
) -> tuple[Grid, dict[tuple[str, CellKey], int]]:
    """The grid of a roll-up template and every cell's amount; a cell sums all members that its row leaves open.

    Errors: CellTwice, CellIncomplete, GridTooLarge, FormulaError.
    """
    sheets = [
        replace(sheet, rows=[replace(row, link=None) for row in sheet.rows])
        for sheet in template.sheets
        if sheet.type != "detail"
    ]
    grid = grid_of(system, replace(template, sheets=sheets), columns, node)
    entered = {
        (sheet_id, cell.key): _of_cell(cell.key, total)
        for sheet_id, sheet in grid.sheets.items()
        for line in sheet.cells
        for cell in line
        if cell.source in ("entered", "fetched")
    }
    return grid, computed(system, grid, entered, {}, evaluate)


def _of_cell(key: CellKey, total: Mapping[CellKey, int]) -> int:
    if key in total:
        return total[key]
    wanted = key.dimensions().items()
    return sum(
        minor
        for other, minor in total.items()
        if other[:3] == key[:3] and wanted <= other.dimensions().items()
    )
