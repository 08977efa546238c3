"""Approval batches: open items whose amounts are approved before they reach a plan."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from cashplan.domain.approvals import Course
from cashplan.domain.pool import ItemKey
from cashplan.repository.codec import dump, load
from cashplan.tables import approval_batch

ITEMS_MAX: Final = 10_000

SAVE: Final = text(
    """
    insert into approval_batch (batch_id, system_id, entity, state, course, changed_at)
    values (:batch_id, :system_id, :entity, :state, :course, :now)
    on conflict (batch_id) do update
    set state = excluded.state, course = excluded.course, changed_at = excluded.changed_at
    """
)

SAVE_ITEMS: Final = text(
    """
    insert into approval_batch_item (batch_id, document_type, source, document_id, requested_minor,
                                     approved_minor)
    select :batch_id, * from unnest(cast(:types as text[]), cast(:sources as text[]), cast(:ids as text[]),
                                    cast(:requested as bigint[]), cast(:approved as bigint[]))
    on conflict (batch_id, document_type, source, document_id) do update
    set approved_minor = excluded.approved_minor
    """
)


@dataclass(frozen=True, kw_only=True)
class BatchItem:
    key: ItemKey
    requested: int
    approved: int
    currency: str = ""


@dataclass(frozen=True, kw_only=True)
class ApprovalBatch:
    batch_id: str
    system_id: str
    entity: str
    course: Course
    items: Sequence[BatchItem]
    changed_at: datetime


async def save(connection: AsyncConnection, batch: ApprovalBatch, now: datetime) -> None:
    """Stores a batch with its items' approved amounts."""
    values = {
        "batch_id": batch.batch_id,
        "system_id": batch.system_id,
        "entity": batch.entity,
        "state": batch.course.state,
        "course": dump(Course, batch.course),
        "now": now,
    }
    await connection.execute(SAVE, values)
    parameters = {
        "batch_id": batch.batch_id,
        "types": [item.key.document_type for item in batch.items],
        "sources": [item.key.source for item in batch.items],
        "ids": [item.key.document_id for item in batch.items],
        "requested": [item.requested for item in batch.items],
        "approved": [item.approved for item in batch.items],
    }
    await connection.execute(SAVE_ITEMS, parameters)


async def by_id(connection: AsyncConnection, batch_id: str, *, locked: bool = False) -> ApprovalBatch | None:
    query = select(approval_batch).where(approval_batch.c.batch_id == batch_id)
    row = (await connection.execute(query.with_for_update() if locked else query)).first()
    if row is None:
        return None
    return ApprovalBatch(
        batch_id=row.batch_id,
        system_id=row.system_id,
        entity=row.entity,
        course=load(Course, row.course),
        items=await _items(connection, batch_id),
        changed_at=row.changed_at,
    )


async def _items(connection: AsyncConnection, batch_id: str) -> list[BatchItem]:
    rows = await connection.execute(
        text(
            """
            select b.*, i.currency
            from approval_batch_item b
            join pool_item i using (document_type, source, document_id)
            where b.batch_id = :batch_id
            order by b.document_type, b.source, b.document_id
            """
        ),
        {"batch_id": batch_id},
    )
    return [
        BatchItem(
            key=ItemKey(row.document_type, row.source, row.document_id),
            requested=row.requested_minor,
            approved=row.approved_minor,
            currency=row.currency or "",
        )
        for row in rows
    ]


async def after(
    connection: AsyncConnection, system_id: str, entity: str | None, after_id: str, rows_max: int
) -> list[Any]:
    """The heads of batches behind an id."""
    columns = approval_batch.c
    query = select(approval_batch).where(columns.system_id == system_id, columns.batch_id > after_id)
    if entity is not None:
        query = query.where(columns.entity == entity)
    return list(await connection.execute(query.order_by(columns.batch_id).limit(rows_max)))
