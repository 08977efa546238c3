"""Plan cells: what is effective, what is occupied, adjustments of them, and what is read for analysis."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from sqlalchemy import Row, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from cashplan.domain.adjustments import AdjustmentLine
from cashplan.domain.analysis import Record
from cashplan.domain.approvals import Course
from cashplan.domain.control import Cell, Slot
from cashplan.domain.documents import DocumentKey
from cashplan.domain.effects import EffectiveCell
from cashplan.repository.codec import dump, load, load_any
from cashplan.repository.control import SLOT_ARRAYS, SLOT_NAMES, slot_arrays, slot_of
from cashplan.tables import adjustment, control_holding, occupancy_entry

DROP_INDICATIVE: Final = text(
    f"""
    with gone as (
        delete from plan_cell
        where system_id = :system_id and filing_type = :filing_type
          and entity = any(cast(:entities as text[])) and is_planned and not is_binding
          and pre_occupied_minor = 0 and actual_minor = 0
        returning {SLOT_NAMES}
    )
    update plan_cell
    set is_planned = false, filed_minor = 0, effective_minor = 0, adjusted_minor = 0
    where system_id = :system_id and filing_type = :filing_type
      and entity = any(cast(:entities as text[])) and is_planned and not is_binding
      and (pre_occupied_minor <> 0 or actual_minor <> 0)
    """
)

PUT_EFFECTIVE: Final = text(
    f"""
    insert into plan_cell ({SLOT_NAMES}, first_day, last_day, direction, is_planned, is_binding, round_id,
                           filed_minor, effective_minor, adjusted_minor, pre_occupied_minor, actual_minor)
    select {SLOT_NAMES}, first_day, last_day, direction, true, is_binding, :round_id, filed, effective,
           0, 0, 0
    from unnest({SLOT_ARRAYS}, cast(:first_days as date[]), cast(:last_days as date[]),
                cast(:directions as text[]), cast(:binding as boolean[]), cast(:filed as bigint[]),
                cast(:effective as bigint[]))
         as c ({SLOT_NAMES}, first_day, last_day, direction, is_binding, filed, effective)
    order by {SLOT_NAMES}
    on conflict ({SLOT_NAMES}) do update
    set first_day = excluded.first_day, last_day = excluded.last_day, direction = excluded.direction,
        is_planned = true, is_binding = excluded.is_binding, round_id = excluded.round_id,
        filed_minor = excluded.filed_minor, effective_minor = excluded.effective_minor, adjusted_minor = 0
    where not plan_cell.is_binding or excluded.is_binding
    """
)

ADJUST: Final = text(
    f"""
    update plan_cell p
    set effective_minor = p.effective_minor + c.minor, adjusted_minor = p.adjusted_minor + c.minor
    from unnest({SLOT_ARRAYS}, cast(:minor as bigint[])) as c ({SLOT_NAMES}, minor)
    where (p.system_id, p.filing_type, p.entity, p.item, p.period, p.currency, p.members, p.fields)
        = (c.system_id, c.filing_type, c.entity, c.item, c.period, c.currency, c.members, c.fields)
    """
)

RECORDS: Final = text(
    f"""
    select {SLOT_NAMES}, filed_minor, effective_minor, adjusted_minor, pre_occupied_minor, actual_minor,
           first_day, last_day, direction
    from plan_cell
    where system_id = :system_id and filing_type = :filing_type and fields = ''
      and entity = any(cast(:entities as text[]))
      and first_day <= :last_day and last_day >= :first_day
      and (is_binding or not :binding_only or not is_planned)
    order by {SLOT_NAMES}
    limit :rows_max
    """
)

LEFTOVERS: Final = text(
    """
    select h.source, h.document_type, h.document_id, h.system_id, h.filing_type, h.entity, h.item, h.period,
           h.currency, h.members, h.fields, h.pre_occupied_minor, c.last_day
    from control_holding h
    join plan_cell c using (system_id, filing_type, entity, item, period, currency, members, fields)
    where h.system_id = :system_id and h.pre_occupied_minor > 0 and h.fields = '' and c.last_day < :today
      and (h.source, h.document_type, h.document_id, h.filing_type, h.item)
        > (:after_source, :after_type, :after_id, :after_filing_type, :after_item)
    order by h.source, h.document_type, h.document_id, h.filing_type, h.item
    limit :rows_max
    """
)

HOLDERS: Final = text(
    f"""
    select source, document_type, document_id, {SLOT_NAMES}, day, pre_occupied_minor, actual_minor
    from control_holding
    where ({SLOT_NAMES}) = (:system_id, :filing_type, :entity, :item, :period, :currency, :members, :fields)
    order by source, document_type, document_id
    limit :rows_max
    """
)

ADJUSTED_BELOW: Final = text(
    """
    select item, period, currency, sum(adjusted_minor) as adjusted_minor
    from plan_cell
    where system_id = :system_id and filing_type = :filing_type and round_id = :round_id and fields = ''
      and entity = any(cast(:entities as text[])) and adjusted_minor <> 0
    group by item, period, currency
    order by item, period, currency
    """
)


@dataclass(frozen=True, kw_only=True)
class Adjustment:
    """A document that changes what is effective."""

    adjustment_id: str
    system_id: str
    filing_type: str
    entity: str
    kind: str
    reason: str
    course: Course
    lines: Sequence[AdjustmentLine]
    changed_at: datetime


async def put_effective(
    connection: AsyncConnection,
    system_id: str,
    filing_type: str,
    round_id: str,
    entities: Collection[str],
    cells: Sequence[EffectiveCell],
) -> None:
    """Makes a round's cells effective; what documents hold of them stays, older indicative cells go."""
    parameters = {"system_id": system_id, "filing_type": filing_type, "entities": sorted(entities)}
    await connection.execute(DROP_INDICATIVE, parameters)
    if not cells:
        return
    await connection.execute(
        PUT_EFFECTIVE,
        {
            "round_id": round_id,
            **slot_arrays([cell.slot for cell in cells]),
            "first_days": [cell.first_day for cell in cells],
            "last_days": [cell.last_day for cell in cells],
            "directions": [cell.direction for cell in cells],
            "binding": [cell.is_binding for cell in cells],
            "filed": [cell.filed for cell in cells],
            "effective": [cell.effective for cell in cells],
        },
    )


async def adjust(connection: AsyncConnection, changes: Mapping[Slot, int]) -> None:
    slots = sorted(changes)
    await connection.execute(ADJUST, {**slot_arrays(slots), "minor": [changes[slot] for slot in slots]})


async def cells_of(connection: AsyncConnection, slots: Collection[Slot]) -> dict[Slot, Cell]:
    """The cells of these slots, as they stand."""
    query = text(
        f"""
        select {SLOT_NAMES}, effective_minor, pre_occupied_minor, actual_minor, is_planned and is_binding as planned,
               first_day
        from plan_cell join unnest({SLOT_ARRAYS}) as k ({SLOT_NAMES}) using ({SLOT_NAMES})
        """
    )
    rows = await connection.execute(query, slot_arrays(sorted(slots)))
    return {
        slot_of(row): Cell(
            effective=row.effective_minor,
            pre_occupied=row.pre_occupied_minor,
            actual=row.actual_minor,
            is_planned=row.planned,
            first_day=row.first_day,
        )
        for row in rows
    }


@dataclass(frozen=True, slots=True)
class DatedRecord:
    """A record with its period's days and its direction."""

    record: Record
    first_day: date
    last_day: date
    direction: str


async def records(
    connection: AsyncConnection,
    system_id: str,
    filing_type: str,
    entities: Sequence[str],
    first_day: date,
    last_day: date,
    rows_max: int,
    *,
    binding_only: bool = True,
) -> list[DatedRecord]:
    """The figures of entities whose periods touch a range; the main layer only."""
    parameters = {
        "system_id": system_id,
        "filing_type": filing_type,
        "entities": list(entities),
        "first_day": first_day,
        "last_day": last_day,
        "rows_max": rows_max,
        "binding_only": binding_only,
    }
    return [_record(row) for row in await connection.execute(RECORDS, parameters)]


def _record(row: Row[*tuple[Any, ...]]) -> DatedRecord:
    record = Record(
        entity=row.entity,
        filing_type=row.filing_type,
        item=row.item,
        period=row.period,
        currency=row.currency,
        members=row.members,
        filed=row.filed_minor,
        effective=row.effective_minor,
        adjusted=row.adjusted_minor,
        pre_occupied=row.pre_occupied_minor,
        actual=row.actual_minor,
    )
    return DatedRecord(record, row.first_day, row.last_day, row.direction)


@dataclass(frozen=True, kw_only=True)
class HolderRow:
    """What one document holds of a slot."""

    source: str
    document_type: str
    document_id: str
    slot: Slot
    day: date
    pre_occupied: int
    actual: int


async def holders_of(connection: AsyncConnection, slot: Slot, rows_max: int) -> list[HolderRow]:
    """The documents behind a cell's figures."""
    rows = await connection.execute(
        HOLDERS, {**dict(zip(_SLOT_PARAMETERS, slot, strict=True)), "rows_max": rows_max}
    )
    return [
        HolderRow(
            source=row.source,
            document_type=row.document_type,
            document_id=row.document_id,
            slot=slot_of(row),
            day=row.day,
            pre_occupied=row.pre_occupied_minor,
            actual=row.actual_minor,
        )
        for row in rows
    ]


_SLOT_PARAMETERS: Final = (
    "system_id",
    "filing_type",
    "entity",
    "item",
    "period",
    "currency",
    "members",
    "fields",
)


async def leftovers(
    connection: AsyncConnection,
    system_id: str,
    today: date,
    after: tuple[str, str, str, str, str],
    rows_max: int,
) -> list[Row[*tuple[Any, ...]]]:
    """What is still pre-occupied in periods that have ended."""
    names = ("after_source", "after_type", "after_id", "after_filing_type", "after_item")
    parameters = {
        "system_id": system_id,
        "today": today,
        "rows_max": rows_max,
        **dict(zip(names, after, strict=True)),
    }
    return list(await connection.execute(LEFTOVERS, parameters))


async def entries_after(
    connection: AsyncConnection,
    system_id: str,
    entity: str | None,
    item: str | None,
    document_id: str | None,
    after: int,
    rows_max: int,
) -> list[Row[*tuple[Any, ...]]]:
    """The execution record behind an entry id, oldest first."""
    columns = occupancy_entry.c
    query = select(occupancy_entry).where(columns.system_id == system_id, columns.entry_id > after)
    for column, wanted in (
        (columns.entity, entity),
        (columns.item, item),
        (columns.document_id, document_id),
    ):
        if wanted is not None:
            query = query.where(column == wanted)
    return list(await connection.execute(query.order_by(columns.entry_id).limit(rows_max)))


async def save_adjustment(connection: AsyncConnection, saved: Adjustment) -> None:
    values = {
        "adjustment_id": saved.adjustment_id,
        "system_id": saved.system_id,
        "filing_type": saved.filing_type,
        "entity": saved.entity,
        "kind": saved.kind,
        "reason": saved.reason,
        "state": saved.course.state,
        "course": dump(Course, saved.course),
        "lines": dump(list[AdjustmentLine], list(saved.lines)),
        "changed_at": saved.changed_at,
    }
    await connection.execute(SAVE_ADJUSTMENT, values)


SAVE_ADJUSTMENT: Final = text(
    """
    insert into adjustment (adjustment_id, system_id, filing_type, entity, kind, reason, state, course, lines,
                            changed_at)
    values (:adjustment_id, :system_id, :filing_type, :entity, :kind, :reason, :state, :course, :lines,
            :changed_at)
    on conflict (adjustment_id) do update
    set state = excluded.state, course = excluded.course, changed_at = excluded.changed_at
    """
)


async def adjustment_by_id(
    connection: AsyncConnection, adjustment_id: str, *, locked: bool = False
) -> Adjustment | None:
    query = select(adjustment).where(adjustment.c.adjustment_id == adjustment_id)
    row = (await connection.execute(query.with_for_update() if locked else query)).first()
    return _adjustment(row) if row else None


async def adjustments_after(
    connection: AsyncConnection, system_id: str, entity: str | None, after: str, rows_max: int
) -> list[Adjustment]:
    columns = adjustment.c
    query = select(adjustment).where(columns.system_id == system_id, columns.adjustment_id > after)
    if entity is not None:
        query = query.where(columns.entity == entity)
    rows = await connection.execute(query.order_by(columns.adjustment_id).limit(rows_max))
    return [_adjustment(row) for row in rows]


def _adjustment(row: Row[*tuple[Any, ...]]) -> Adjustment:
    return Adjustment(
        adjustment_id=row.adjustment_id,
        system_id=row.system_id,
        filing_type=row.filing_type,
        entity=row.entity,
        kind=row.kind,
        reason=row.reason,
        course=load(Course, row.course),
        lines=load_any(list[AdjustmentLine], row.lines),
        changed_at=row.changed_at,
    )


async def adjusted_below(
    connection: AsyncConnection, system_id: str, filing_type: str, round_id: str, entities: Sequence[str]
) -> list[Row[*tuple[Any, ...]]]:
    """By how much a round's effective figures were adjusted since, over these entities."""
    parameters = {
        "system_id": system_id,
        "filing_type": filing_type,
        "round_id": round_id,
        "entities": list(entities),
    }
    return list(await connection.execute(ADJUSTED_BELOW, parameters))


async def entities_of(connection: AsyncConnection, system_id: str, key: DocumentKey) -> list[str]:
    """The entities whose plan a document has pre-occupied."""
    columns = control_holding.c
    query = (
        select(columns.entity)
        .distinct()
        .where(
            columns.system_id == system_id,
            columns.source == key.source,
            columns.document_type == key.document_type,
            columns.document_id == key.document_id,
            columns.pre_occupied_minor > 0,
        )
    )
    return [row.entity for row in await connection.execute(query)]
