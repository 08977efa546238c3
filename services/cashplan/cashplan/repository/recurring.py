"""Recurring items as people set them up."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Final

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from cashplan.domain.recurring import RecurringItem
from cashplan.repository.codec import dump, load
from cashplan.tables import recurring_item

ITEMS_MAX: Final = 5_000

SAVE: Final = text(
    """
    insert into recurring_item (recurring_id, body, generated_to, changed_by, changed_at)
    values (:recurring_id, :body, :today, :changed_by, :now)
    on conflict (recurring_id) do update
    set body = excluded.body, changed_by = excluded.changed_by, changed_at = excluded.changed_at
    """
)
MARK: Final = text(
    "update recurring_item set generated_to = :day where recurring_id = any(cast(:ids as text[]))"
)


async def save(
    connection: AsyncConnection, recurring_id: str, item: RecurringItem, changed_by: str, now: datetime
) -> None:
    values = {
        "recurring_id": recurring_id,
        "body": dump(RecurringItem, item),
        "today": now.date(),
        "changed_by": changed_by,
        "now": now,
    }
    await connection.execute(SAVE, values)


async def active(connection: AsyncConnection) -> list[tuple[str, RecurringItem]]:
    """Every item that is set up and active."""
    rows = await connection.execute(
        select(recurring_item).order_by(recurring_item.c.recurring_id).limit(ITEMS_MAX)
    )
    found = [(row.recurring_id, load(RecurringItem, row.body)) for row in rows]
    return [(recurring_id, item) for recurring_id, item in found if item.active]


async def after(
    connection: AsyncConnection, after_id: str, rows_max: int
) -> list[tuple[str, RecurringItem, date]]:
    """Items behind an id, each with the day up to which its occurrences stand in the pool."""
    columns = recurring_item.c
    query = select(recurring_item).where(columns.recurring_id > after_id)
    rows = await connection.execute(query.order_by(columns.recurring_id).limit(rows_max))
    return [(row.recurring_id, load(RecurringItem, row.body), row.generated_to) for row in rows]


async def mark_generated(connection: AsyncConnection, recurring_ids: Sequence[str], day: date) -> None:
    await connection.execute(MARK, {"ids": list(recurring_ids), "day": day})
