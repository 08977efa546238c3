"""What a filing that becomes effective means for control: one figure per cell, and per group of detail rows."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

from cashplan.domain.cells import CellKey, members_of, members_text
from cashplan.domain.control import Slot
from cashplan.domain.grids import DetailRow, Grid
from cashplan.domain.rollups import distributed
from cashplan.domain.rounds import Round
from cashplan.domain.systems import PlanningSystem

Details = Mapping[str, Sequence[DetailRow]]


@dataclass(frozen=True, kw_only=True)
class EffectiveCell:
    """A cell that becomes effective: what was filed, what was approved, and whether its period binds."""

    slot: Slot
    first_day: date
    last_day: date
    direction: str
    is_binding: bool
    filed: int
    effective: int


def effective_cells(
    system: PlanningSystem,
    round_: Round,
    entity: str,
    filed: Mapping[CellKey, int],
    approved: Mapping[CellKey, int],
    details: Details,
) -> list[EffectiveCell]:
    """The main layer from the counted cells, the detail layer from the rows by the fields that control reads."""
    columns = {column.period.code: column for column in round_.columns}
    grouped = detail_groups(system, round_.body.filing_type, entity, details)
    places = [(key, "", filed.get(key, 0), approved.get(key, 0)) for key in filed.keys() | approved.keys()]
    places += [(key, fields, minor, minor) for (key, fields), minor in grouped.items()]
    return [
        EffectiveCell(
            slot=slot_of(system, round_.body.filing_type, entity, key, fields),
            first_day=columns[key.period].period.first_day,
            last_day=columns[key.period].period.last_day,
            direction=system.item_by_id[key.item].direction or "none",
            is_binding=columns[key.period].is_binding,
            filed=before,
            effective=after,
        )
        for key, fields, before, after in places
    ]


def slot_of(system: PlanningSystem, filing_type: str, entity: str, key: CellKey, fields: str = "") -> Slot:
    return Slot(system.id, filing_type, entity, key.item, key.period, key.currency, key.members, fields)


def detail_groups(
    system: PlanningSystem, filing_type: str, entity: str, details: Details
) -> dict[tuple[CellKey, str], int]:
    """Detail rows summed by cell and by the fields that any policy controls on; none where no policy does."""
    sums: dict[tuple[CellKey, str], int] = defaultdict(int)
    for rows in details.values():
        for row in rows:
            names = system.control_fields(filing_type, row.item)
            if not names:
                continue
            dimensions = system.plan_dimensions(filing_type, entity, row.item)
            known = members_of(row.members)
            members = members_text({name: known[name] for name in dimensions if name in known})
            fields = {name: row.fields[name].replace(" ", "_") for name in names if row.fields.get(name)}
            sums[CellKey(row.item, row.period, row.currency, members), members_text(fields) or "-"] += (
                row.minor
            )
    return sums


def cut_details(
    grid: Grid, details: Details, filed: Mapping[CellKey, int], approved: Mapping[CellKey, int]
) -> dict[str, list[DetailRow]]:
    """Detail rows follow their main cell where it was approved at another amount, in proportion."""
    cut: dict[str, list[DetailRow]] = {}
    for sheet_id, rows in details.items():
        kept = {row.row_id: row for row in rows}
        for line in grid.main.rows:
            if line.link == sheet_id:
                kept |= _cut_rows(grid, line.members.get("item", ""), rows, filed, approved)
        cut[sheet_id] = [kept[row.row_id] for row in rows]
    return cut


def _cut_rows(
    grid: Grid,
    item: str,
    rows: Sequence[DetailRow],
    filed: Mapping[CellKey, int],
    approved: Mapping[CellKey, int],
) -> dict[str, DetailRow]:
    changed: dict[str, DetailRow] = {}
    for key, minor in approved.items():
        if key.item != item or filed.get(key, 0) == minor:
            continue
        wanted = key.dimensions().items()
        own = [
            row
            for row in rows
            if (row.period, row.currency) == (key.period, key.currency)
            and grid.items.is_within(row.item, item)
            and wanted <= row.key.dimensions().items()
        ]
        shares = distributed(minor, {row.row_id: row.minor for row in own})
        changed |= {row.row_id: replace(row, minor=shares[row.row_id]) for row in own}
    return changed
