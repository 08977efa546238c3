"""The receipts-and-payments pool: items under lock, items to look at, and their history."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from operator import eq, ge, le
from typing import Any, Final

from sqlalchemy import Column, Row, select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql import ColumnElement

from cashplan.domain.pool import ItemChange, ItemKey, PoolItem
from cashplan.tables import pool_item, pool_item_history

LOCKED_ITEMS: Final = text(
    """
    select i.document_type, i.source, i.document_id, i.version, i.direction, i.entity, i.currency,
           i.counterparty, i.account, i.due_date, i.document_minor, i.settled_minor
    from pool_item i
    join unnest(cast(:types as text[]), cast(:sources as text[]), cast(:ids as text[]))
         as k (document_type, source, document_id)
      on (i.document_type, i.source, i.document_id) = (k.document_type, k.source, k.document_id)
    order by i.document_type, i.source, i.document_id
    for update of i
    """
)

SAVE_CHANGES: Final = text(
    """
    with step as (
        select * from unnest(
            cast(:types as text[]), cast(:sources as text[]), cast(:ids as text[]), cast(:versions as int[]),
            cast(:directions as text[]), cast(:entities as text[]), cast(:currencies as text[]),
            cast(:counterparties as text[]), cast(:accounts as text[]), cast(:due_dates as date[]),
            cast(:documents as bigint[]), cast(:settled as bigint[]), cast(:operations as text[]),
            cast(:outcomes as text[]), cast(:events as text[]), cast(:decided as timestamptz[]),
            cast(:is_last as boolean[])
        ) as s (document_type, source, document_id, version, direction, entity, currency, counterparty,
                account, due_date, document_minor, settled_minor, operation, outcome, event_id, decided_at,
                is_last)
    ), item as (
        insert into pool_item (document_type, source, document_id, version, direction, entity, currency,
                               counterparty, account, due_date, document_minor, settled_minor, changed_at)
        select document_type, source, document_id, version, direction, entity, currency,
               counterparty, account, due_date, document_minor, settled_minor, :recorded_at
        from step
        where is_last
        order by document_type, source, document_id
        on conflict (document_type, source, document_id) do update
        set version = excluded.version, direction = excluded.direction, entity = excluded.entity,
            currency = excluded.currency, counterparty = excluded.counterparty, account = excluded.account,
            due_date = excluded.due_date, document_minor = excluded.document_minor,
            settled_minor = excluded.settled_minor, changed_at = excluded.changed_at
        where pool_item.version < excluded.version
        returning document_type, source, document_id
    )
    insert into pool_item_history (document_type, source, document_id, version, direction, entity, currency,
                                   counterparty, account, due_date, document_minor, settled_minor, operation,
                                   outcome, event_id, decided_at, recorded_at)
    select document_type, source, document_id, version, direction, entity, currency, counterparty, account,
           due_date, document_minor, settled_minor, operation, outcome, event_id, decided_at, :recorded_at
    from step
    join item using (document_type, source, document_id)
    """
)

ITEM_COLUMNS: Final = (
    pool_item.c.document_type,
    pool_item.c.source,
    pool_item.c.document_id,
    pool_item.c.version,
    pool_item.c.direction,
    pool_item.c.entity,
    pool_item.c.currency,
    pool_item.c.counterparty,
    pool_item.c.account,
    pool_item.c.due_date,
    pool_item.c.document_minor,
    pool_item.c.settled_minor,
)
PLACE: Final = (
    pool_item.c.entity,
    pool_item.c.currency,
    pool_item.c.is_closed,
    pool_item.c.due_date,
    pool_item.c.document_type,
    pool_item.c.source,
    pool_item.c.document_id,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemFilter:
    """Which items to show; None means any."""

    entity: str | None = None
    currency: str | None = None
    due_from: date | None = None
    due_to: date | None = None
    is_closed: bool | None = None
    counterparty: str | None = None


async def locked_items(connection: AsyncConnection, keys: Collection[ItemKey]) -> dict[ItemKey, PoolItem]:
    """The items of these documents, locked in key order.

    A document without an item has nothing to lock: `save_changes` settles who is first by the version.
    """
    rows = await connection.execute(LOCKED_ITEMS, _key_arrays(list(keys)))
    return {item.key: item for item in map(_item, rows)}


def _key_arrays(keys: Sequence[ItemKey]) -> dict[str, Any]:
    return {
        "types": [key.document_type for key in keys],
        "sources": [key.source for key in keys],
        "ids": [key.document_id for key in keys],
    }


async def save_changes(
    connection: AsyncConnection, changes: Sequence[ItemChange], recorded_at: datetime
) -> None:
    """Stores the last step of each item as its state and every step as history, in one statement.

    An item that another transaction has brought to an equal or higher version meanwhile is left alone.
    """
    if not changes:
        return
    items = [change.item for change in changes]
    last = {item.key: index for index, item in enumerate(items)}
    await connection.execute(
        SAVE_CHANGES,
        {
            **_key_arrays([item.key for item in items]),
            "versions": [item.version for item in items],
            "directions": [item.direction for item in items],
            "entities": [item.entity for item in items],
            "currencies": [item.currency for item in items],
            "counterparties": [item.counterparty for item in items],
            "accounts": [item.account for item in items],
            "due_dates": [item.due_date for item in items],
            "documents": [item.document_minor for item in items],
            "settled": [item.settled_minor for item in items],
            "operations": [change.operation for change in changes],
            "outcomes": [change.outcome for change in changes],
            "events": [change.event_id for change in changes],
            "decided": [change.decided_at for change in changes],
            "is_last": [last[item.key] == index for index, item in enumerate(items)],
            "recorded_at": recorded_at,
        },
    )


async def items_after(
    connection: AsyncConnection, chosen: ItemFilter, after: Sequence[Any] | None, rows_max: int
) -> list[PoolItem]:
    """The items of a filter behind a place, by entity, currency, open before closed, and due date."""
    query = select(*ITEM_COLUMNS).where(pool_item.c.entity.is_not(None), *_conditions(chosen))
    if after is not None:
        query = query.where(tuple_(*PLACE) > tuple_(*after, types=[column.type for column in PLACE]))
    rows = await connection.execute(query.order_by(*PLACE).limit(rows_max))
    return [_item(row) for row in rows]


def place(item: PoolItem) -> tuple[Any, ...]:
    """Where an item stands in the order of `items_after`."""
    return (item.entity, item.currency, item.amount_minor == 0, item.due_date, *item.key)


def _conditions(chosen: ItemFilter) -> list[ColumnElement[bool]]:
    columns = pool_item.c
    comparisons: list[tuple[Callable[[Any, Any], Any], Column[Any], object]] = [
        (eq, columns.entity, chosen.entity),
        (eq, columns.currency, chosen.currency),
        (ge, columns.due_date, chosen.due_from),
        (le, columns.due_date, chosen.due_to),
        (eq, columns.is_closed, chosen.is_closed),
        (eq, columns.counterparty, chosen.counterparty),
    ]
    return [compare(column, wanted) for compare, column, wanted in comparisons if wanted is not None]


async def history_after(
    connection: AsyncConnection, key: ItemKey, after_version: int, rows_max: int
) -> list[tuple[ItemChange, datetime]]:
    """The steps of one item behind a version, oldest first, each with when it was recorded."""
    history = pool_item_history.c
    rows = await connection.execute(
        select(pool_item_history)
        .where(
            history.document_type == key.document_type,
            history.source == key.source,
            history.document_id == key.document_id,
            history.version > after_version,
        )
        .order_by(history.version)
        .limit(rows_max)
    )
    return [(_change(row), row.recorded_at) for row in rows]


def _change(row: Row[*tuple[Any, ...]]) -> ItemChange:
    return ItemChange(
        item=_item(row),
        operation=row.operation,
        outcome=row.outcome,
        event_id=row.event_id,
        decided_at=row.decided_at,
    )


def _item(row: Row[*tuple[Any, ...]]) -> PoolItem:
    return PoolItem(
        key=ItemKey(row.document_type, row.source, row.document_id),
        version=row.version,
        direction=row.direction,
        entity=row.entity,
        currency=row.currency,
        counterparty=row.counterparty,
        account=row.account,
        due_date=row.due_date,
        document_minor=row.document_minor,
        settled_minor=row.settled_minor,
    )
