"""Master records as the ERP tells them."""

from collections.abc import Sequence
from typing import Final

from chassis.arrays import Columns
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from cashplan.domain.masterdata import RECORDS_MAX, Kind, MasterRecord
from cashplan.tables import master_record

RECORDS: Final = Columns(
    kinds="text",
    ids="text",
    versions="int",
    names="text",
    parents="text",
    directions="text",
    dimensions="text",
    active="boolean",
)

SAVE_NEWER: Final = text(
    f"""
    insert into master_record (kind, record_id, version, name, parent, direction, dimension, active)
    select * from unnest({RECORDS.sql})
    on conflict (kind, record_id) do update
    set version = excluded.version, name = excluded.name, parent = excluded.parent,
        direction = excluded.direction, dimension = excluded.dimension, active = excluded.active
    where master_record.version < excluded.version
    """
)


async def save_newer(connection: AsyncConnection, records: Sequence[MasterRecord]) -> None:
    """Stores those whose version is above the known one; they are unique and sorted by kind and id."""
    if records:
        rows = [
            (
                each.kind,
                each.record_id,
                each.version,
                each.name,
                each.parent,
                each.direction,
                each.dimension,
                each.active,
            )
            for each in records
        ]
        await connection.execute(SAVE_NEWER, RECORDS.parameters(rows))


async def records(
    connection: AsyncConnection, kind: Kind, after: str = "", rows_max: int = RECORDS_MAX
) -> list[MasterRecord]:
    """The records of a kind behind an id, by id."""
    columns = master_record.c
    query = select(master_record).where(columns.kind == kind, columns.record_id > after)
    rows = await connection.execute(query.order_by(columns.record_id).limit(rows_max))
    return [
        MasterRecord(
            kind=row.kind,
            record_id=row.record_id,
            version=row.version,
            name=row.name,
            parent=row.parent,
            direction=row.direction,
            dimension=row.dimension,
            active=row.active,
        )
        for row in rows
    ]
