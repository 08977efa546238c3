"""The receipts-and-payments pool: items under lock, items to look at, and their history."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from operator import eq, ge, le
from typing import Any, Final

import orjson
from sqlalchemy import Column, Row, select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql import ColumnElement

from cashplan.domain.cells import CellKey
from cashplan.domain.chains import ChainDocument, Link
from cashplan.domain.collection import RECURRING, PoolFact
from cashplan.domain.pool import ItemChange, ItemKey, PoolItem
from cashplan.repository.control import SLOT_NAMES
from cashplan.tables import pool_item, pool_item_history

LOCK_DOCUMENTS: Final = text(
    """
    insert into pool_document (document_type, source, document_id, revision, gross_minor, is_alive, is_closed,
                               is_linked, first_on, changed_at)
    select type, source, id, 0, 0, true, false, false, '2000-01-01', :now
    from unnest(cast(:types as text[]), cast(:sources as text[]), cast(:ids as text[])) as k (type, source, id)
    order by type, source, id
    on conflict (document_type, source, document_id) do update set revision = pool_document.revision
    returning document_type, source, document_id, is_linked
    """
)

LOCK_CHAINS: Final = text(
    """
    with recursive chain (document_type, source, document_id) as (
        select type, source, id
        from unnest(cast(:types as text[]), cast(:sources as text[]), cast(:ids as text[]))
             as k (type, source, id)
        union
        select n.document_type, n.source, n.document_id
        from chain c
        cross join lateral (
            select upstream_type, upstream_source, upstream_id from pool_link l
            where (l.document_type, l.source, l.document_id) = (c.document_type, c.source, c.document_id)
            union all
            select document_type, source, document_id from pool_link l
            where (l.upstream_type, l.upstream_source, l.upstream_id)
                = (c.document_type, c.source, c.document_id)
        ) as n (document_type, source, document_id)
    )
    select d.document_type, d.source, d.document_id
    from pool_document d join chain using (document_type, source, document_id)
    order by d.document_type, d.source, d.document_id
    limit :documents_max
    for update of d
    """
)

CHAINS: Final = text(
    """
    select d.document_type, d.source, d.document_id, d.revision, d.gross_minor, d.is_alive, d.is_closed,
           d.first_on,
           (select array_agg(upstream_type || E'\\t' || upstream_source || E'\\t' || upstream_id || E'\\t'
                             || amount_minor order by upstream_type, upstream_source, upstream_id)
            from pool_link l
            where (l.document_type, l.source, l.document_id)
                = (d.document_type, d.source, d.document_id)) as links,
           i.version, i.direction, i.entity, i.currency, i.counterparty, i.account, i.due_date,
           i.document_minor, i.settled_minor, i.covered_minor, i.item, i.attributes, i.step
    from unnest(cast(:types as text[]), cast(:sources as text[]), cast(:ids as text[])) as k (type, source, id)
    join pool_document d on (d.document_type, d.source, d.document_id) = (k.type, k.source, k.id)
    left join pool_item i on (i.document_type, i.source, i.document_id) = (k.type, k.source, k.id)
    """
)

SAVE_CHANGES: Final = text(
    """
    with document as (
        insert into pool_document (document_type, source, document_id, revision, gross_minor, is_alive,
                                   is_closed, is_linked, first_on, changed_at)
        select type, source, id, revision, gross, alive, closed, linked, first_on, :recorded_at
        from unnest(cast(:d_types as text[]), cast(:d_sources as text[]), cast(:d_ids as text[]),
                    cast(:d_revisions as int[]), cast(:d_gross as bigint[]), cast(:d_alive as boolean[]),
                    cast(:d_closed as boolean[]), cast(:d_linked as boolean[]), cast(:d_first as date[]))
             as d (type, source, id, revision, gross, alive, closed, linked, first_on)
        on conflict (document_type, source, document_id) do update
        set revision = excluded.revision, gross_minor = excluded.gross_minor, is_alive = excluded.is_alive,
            is_closed = excluded.is_closed, is_linked = pool_document.is_linked or excluded.is_linked,
            first_on = excluded.first_on, changed_at = excluded.changed_at
    ), link as (
        select * from unnest(
            cast(:l_types as text[]), cast(:l_sources as text[]), cast(:l_ids as text[]),
            cast(:l_up_types as text[]), cast(:l_up_sources as text[]), cast(:l_up_ids as text[]),
            cast(:l_amounts as bigint[])
        ) as l (document_type, source, document_id, upstream_type, upstream_source, upstream_id, amount_minor)
    ), unlinked as (
        delete from pool_link p
        using unnest(cast(:d_types as text[]), cast(:d_sources as text[]), cast(:d_ids as text[]))
              as d (type, source, id)
        where (p.document_type, p.source, p.document_id) = (d.type, d.source, d.id)
          and not exists (
              select from link l
              where (l.document_type, l.source, l.document_id, l.upstream_type, l.upstream_source,
                     l.upstream_id)
                  = (p.document_type, p.source, p.document_id, p.upstream_type, p.upstream_source,
                     p.upstream_id))
    ), linked as (
        insert into pool_link (document_type, source, document_id, upstream_type, upstream_source,
                               upstream_id, amount_minor)
        select * from link
        on conflict (document_type, source, document_id, upstream_type, upstream_source, upstream_id)
        do update set amount_minor = excluded.amount_minor
    ), step as (
        select * from unnest(
            cast(:types as text[]), cast(:sources as text[]), cast(:ids as text[]), cast(:versions as int[]),
            cast(:directions as text[]), cast(:entities as text[]), cast(:currencies as text[]),
            cast(:counterparties as text[]), cast(:accounts as text[]), cast(:due_dates as date[]),
            cast(:documents as bigint[]), cast(:settled as bigint[]), cast(:covered as bigint[]),
            cast(:items as text[]), cast(:attributes as bytea[]), cast(:steps as int[]),
            cast(:operations as text[]), cast(:outcomes as text[]), cast(:events as text[]),
            cast(:decided as timestamptz[]), cast(:is_last as boolean[])
        ) as s (document_type, source, document_id, version, direction, entity, currency, counterparty,
                account, due_date, document_minor, settled_minor, covered_minor, item, attributes, step,
                operation, outcome, event_id, decided_at, is_last)
    ), item as (
        insert into pool_item (document_type, source, document_id, version, direction, entity, currency,
                               counterparty, account, due_date, document_minor, settled_minor, covered_minor,
                               item, attributes, step, changed_at)
        select document_type, source, document_id, version, direction, entity, currency,
               counterparty, account, due_date, document_minor, settled_minor, covered_minor,
               item, attributes, step, :recorded_at
        from step
        where is_last
        order by document_type, source, document_id
        on conflict (document_type, source, document_id) do update
        set version = excluded.version, direction = excluded.direction, entity = excluded.entity,
            currency = excluded.currency, counterparty = excluded.counterparty, account = excluded.account,
            due_date = excluded.due_date, document_minor = excluded.document_minor,
            settled_minor = excluded.settled_minor, covered_minor = excluded.covered_minor,
            item = excluded.item, attributes = excluded.attributes, step = excluded.step,
            changed_at = excluded.changed_at
    )
    insert into pool_item_history (document_type, source, document_id, version, direction, entity, currency,
                                   counterparty, account, due_date, document_minor, settled_minor,
                                   covered_minor, step, operation, outcome, event_id, decided_at, recorded_at)
    select document_type, source, document_id, version, direction, entity, currency, counterparty, account,
           due_date, document_minor, settled_minor, covered_minor, step, operation, outcome, event_id,
           decided_at, :recorded_at
    from step
    """
)

MARK_LINKED: Final = text(
    """
    update pool_document d
    set is_linked = true
    from unnest(cast(:types as text[]), cast(:sources as text[]), cast(:ids as text[])) as k (type, source, id)
    where (d.document_type, d.source, d.document_id) = (k.type, k.source, k.id) and not d.is_linked
    """
)

KEEP_SOURCES: Final = text(
    f"""
    with cells as (
        select * from unnest(cast(:types as text[]), cast(:sources as text[]), cast(:ids as text[]),
                             cast(:items as text[]), cast(:periods as text[]), cast(:currencies as text[]),
                             cast(:members as text[]))
            as s (type, source, id, item, period, currency, members)
    ), gone as (
        delete from pool_source
        where system_id = :system_id and filing_type = :filing_type and entity = :entity
          and round_id = :round_id
          and (document_type, source, document_id, item, period, currency, members)
              not in (select type, source, id, item, period, currency, members from cells)
    )
    insert into pool_source (document_type, source, document_id, {SLOT_NAMES}, amount_minor, round_id)
    select c.type, c.source, c.id, :system_id, :filing_type, :entity, c.item, c.period, c.currency, c.members,
           '', p.amount_minor, :round_id
    from cells c
    join pool_item p on (p.document_type, p.source, p.document_id) = (c.type, c.source, c.id)
    on conflict (document_type, source, document_id, {SLOT_NAMES}) do update
    set amount_minor = excluded.amount_minor, round_id = excluded.round_id
    """
)

DUE_ITEMS: Final = text(
    """
    select i.*, b.approved_minor
    from pool_item i
    left join lateral (
        select a.approved_minor
        from approval_batch_item a join approval_batch b using (batch_id)
        where (a.document_type, a.source, a.document_id) = (i.document_type, i.source, i.document_id)
          and b.system_id = :system_id and b.state = 'approved'
        order by b.changed_at desc
        limit 1
    ) b on true
    where i.entity = any(cast(:entities as text[])) and not i.is_closed
      and i.due_date between :first_day and :last_day
    order by i.document_type, i.source, i.document_id
    limit :rows_max
    """
)

CHAIN_DOCUMENTS_MAX: Final = 20_000

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
    pool_item.c.covered_minor,
    pool_item.c.item,
    pool_item.c.attributes,
    pool_item.c.step,
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


@dataclass(frozen=True, slots=True)
class KnownItem:
    """A document as the pool knows it: its place in the chain, and its item where it was collected."""

    version: int
    chain: ChainDocument
    item: PoolItem | None


async def locked_chains(
    connection: AsyncConnection, keys: Collection[ItemKey], linking: bool, now: datetime
) -> dict[ItemKey, KnownItem]:
    """The documents of these keys and all that hang together with them, locked in key order.

    `linking` says that the batch links documents itself; where none is linked, each stands alone.
    """
    rows = await connection.execute(LOCK_DOCUMENTS, {**_key_arrays(sorted(keys)), "now": now})
    locked = {ItemKey(row.document_type, row.source, row.document_id): row.is_linked for row in rows}
    if linking or any(locked.values()):
        parameters = {**_key_arrays(sorted(keys)), "documents_max": CHAIN_DOCUMENTS_MAX}
        found = await connection.execute(LOCK_CHAINS, parameters)
        locked = {ItemKey(row.document_type, row.source, row.document_id): True for row in found}
    rows = await connection.execute(CHAINS, _key_arrays(sorted(locked)))
    return {known.chain.key: known for known in map(_known, rows)}


def _known(row: Row[*tuple[Any, ...]]) -> KnownItem:
    key = ItemKey(row.document_type, row.source, row.document_id)
    chain = ChainDocument(
        key=key,
        gross_minor=row.gross_minor,
        upstream=tuple(_link(text) for text in row.links or ()),
        is_alive=row.is_alive,
        is_closed=row.is_closed,
        sequence=(row.first_on, key.document_id),
    )
    return KnownItem(row.revision, chain, _item(row) if row.step is not None else None)


def _link(packed: str) -> Link:
    document_type, source, document_id, minor = packed.split("\t")
    return Link(ItemKey(document_type, source, document_id), int(minor))


def _key_arrays(keys: Sequence[ItemKey]) -> dict[str, Any]:
    return {
        "types": [key.document_type for key in keys],
        "sources": [key.source for key in keys],
        "ids": [key.document_id for key in keys],
    }


async def save_changes(
    connection: AsyncConnection,
    documents: Sequence[PoolFact],
    changes: Sequence[ItemChange],
    linked: Collection[ItemKey],
    recorded_at: datetime,
) -> None:
    """Stores documents with their links, the last step of each item as its state, every step as history.

    `linked` are documents that others of the batch come from, whatever else happens to them.
    """
    if not changes and not documents:
        return
    items = [change.item for change in changes]
    last = {item.key: index for index, item in enumerate(items)}
    await connection.execute(
        SAVE_CHANGES,
        {
            **_document_arrays(documents, linked),
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
            "covered": [item.covered_minor for item in items],
            "items": [item.item for item in items],
            "attributes": [orjson.dumps(dict(item.attributes)) for item in items],
            "steps": [item.step for item in items],
            "operations": [change.operation for change in changes],
            "outcomes": [change.outcome for change in changes],
            "events": [change.event_id for change in changes],
            "decided": [change.decided_at for change in changes],
            "is_last": [last[item.key] == index for index, item in enumerate(items)],
            "recorded_at": recorded_at,
        },
    )


def _document_arrays(facts: Sequence[PoolFact], linked: Collection[ItemKey]) -> dict[str, Any]:
    by_key = {fact.key: fact for fact in facts}
    keys = sorted(by_key)
    chains = [by_key[key].chain for key in keys]
    links = [(chain.key, link) for chain in chains for link in chain.upstream]
    return {
        **{f"d_{name}": values for name, values in _key_arrays(keys).items()},
        "d_revisions": [by_key[key].version for key in keys],
        "d_gross": [chain.gross_minor for chain in chains],
        "d_alive": [chain.is_alive for chain in chains],
        "d_closed": [chain.is_closed for chain in chains],
        "d_linked": [bool(chain.upstream) or chain.key in linked for chain in chains],
        "d_first": [chain.sequence[0] for chain in chains],
        **{f"l_{name}": values for name, values in _key_arrays([key for key, _ in links]).items()},
        **{f"l_up_{name}": values for name, values in _key_arrays([link.key for _, link in links]).items()},
        "l_amounts": [link.minor for _, link in links],
    }


async def mark_linked(connection: AsyncConnection, keys: Collection[ItemKey]) -> None:
    """Says of locked documents that others come from them."""
    if keys:
        await connection.execute(MARK_LINKED, _key_arrays(sorted(keys)))


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
    connection: AsyncConnection, key: ItemKey, after_step: int, rows_max: int
) -> list[tuple[ItemChange, datetime]]:
    """The steps of one item behind a step, oldest first, each with when it was recorded."""
    history = pool_item_history.c
    rows = await connection.execute(
        select(pool_item_history)
        .where(
            history.document_type == key.document_type,
            history.source == key.source,
            history.document_id == key.document_id,
            history.step > after_step,
        )
        .order_by(history.step)
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
        covered_minor=row.covered_minor,
        item=getattr(row, "item", None),
        attributes=orjson.loads(getattr(row, "attributes", None) or b"{}"),
        step=row.step,
    )


async def keep_sources(
    connection: AsyncConnection,
    system_id: str,
    filing_type: str,
    round_id: str,
    entity: str,
    sources: Collection[tuple[ItemKey, CellKey]],
) -> None:
    """Stores which open items a filing's cells hold, in place of those that it held before."""
    rows = sorted(sources)
    await connection.execute(
        KEEP_SOURCES,
        {
            **_key_arrays([key for key, _ in rows]),
            "items": [cell.item for _, cell in rows],
            "periods": [cell.period for _, cell in rows],
            "currencies": [cell.currency for _, cell in rows],
            "members": [cell.members for _, cell in rows],
            "system_id": system_id,
            "filing_type": filing_type,
            "round_id": round_id,
            "entity": entity,
        },
    )


async def due_items(
    connection: AsyncConnection,
    system_id: str,
    entities: Sequence[str],
    first_day: date,
    last_day: date,
    rows_max: int,
) -> list[tuple[PoolItem, int | None]]:
    """Open items due in a range, each with the amount that an approval batch of the system gave it, if any."""
    parameters = {
        "system_id": system_id,
        "entities": list(entities),
        "first_day": first_day,
        "last_day": last_day,
        "rows_max": rows_max,
    }
    return [(_item(row), row.approved_minor) for row in await connection.execute(DUE_ITEMS, parameters)]


async def recurring_keys(
    connection: AsyncConnection, recurring_ids: Sequence[str], today: date
) -> list[ItemKey]:
    """The occurrences of recurring items that are open and not due before today."""
    columns = pool_item.c
    query = select(columns.document_type, columns.source, columns.document_id).where(
        columns.document_type == RECURRING,
        columns.source.in_(list(recurring_ids)),
        columns.due_date >= today,
        columns.is_closed.is_(False),
    )
    rows = await connection.execute(query)
    return [ItemKey(row.document_type, row.source, row.document_id) for row in rows]


async def items_by_key(connection: AsyncConnection, keys: Sequence[ItemKey]) -> list[PoolItem]:
    wanted = tuple_(pool_item.c.document_type, pool_item.c.source, pool_item.c.document_id).in_(
        [tuple(key) for key in keys]
    )
    return [_item(row) for row in await connection.execute(select(*ITEM_COLUMNS).where(wanted))]
