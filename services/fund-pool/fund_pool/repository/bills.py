"""Open items by id, and settlements under lock."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from fund_pool.domain.items import OpenItem, Settlement
from fund_pool.repository.arrays import columns

ITEMS: Final = text(
    """
    select account, item_id, kind, currency, amount, issued_on, due_on, settled, overdraft_billed, overdraft_settled
    from open_item
    where (account, item_id) in (select * from unnest(cast(:accounts as text[]), cast(:items as text[])))
    """
)

OPEN_ITEMS: Final = text(
    """
    select account, item_id, kind, currency, amount, issued_on, due_on, settled, overdraft_billed, overdraft_settled
    from open_item
    where account = :account and (not :open or settled < amount) and item_id > :after
    order by item_id
    limit :rows
    """
)

KEPT: Final = text(
    """
    insert into bill_settlement (settlement_id, account, item_id, currency, asked, paid_from, settled_on, status,
                                 recorded_at)
    select n.*, 'waiting', cast(:recorded_at as timestamptz) from unnest(
        cast(:ids as text[]), cast(:accounts as text[]), cast(:items as text[]), cast(:currencies as text[]),
        cast(:asked as bigint[]), cast(:sources as text[]), cast(:days as date[])) as n
    on conflict (settlement_id) do update set status = bill_settlement.status
    returning settlement_id, account, item_id, currency, asked, paid_from, settled_on, status, settled, entry_number
    """
)

WAITING: Final = text(
    """
    select settlement_id, account, item_id, currency, asked, paid_from, settled_on, status, settled, entry_number
    from bill_settlement
    where status = 'waiting'
      and (account, item_id) in (select * from unnest(cast(:accounts as text[]), cast(:items as text[])))
    order by settlement_id
    """
)

SAVE: Final = text(
    """
    update bill_settlement s set status = n.status, settled = n.settled, entry_number = n.entry_number
    from unnest(cast(:ids as text[]), cast(:statuses as text[]), cast(:settled as bigint[]),
                cast(:entries as bigint[])) as n (settlement_id, status, settled, entry_number)
    where s.settlement_id = n.settlement_id
    """
)

ItemKey = tuple[str, str]


async def items(connection: AsyncConnection, keys: Collection[ItemKey]) -> dict[ItemKey, OpenItem]:
    """The known ones among these items, settled ones as well; their accounts are locked."""
    found = await connection.execute(ITEMS, columns(("accounts", "items"), sorted(keys)))
    return {(row.account, row.item_id): _item(row) for row in found}


async def items_of(
    connection: AsyncConnection, account: str, after: str, rows: int, *, only_open: bool
) -> list[OpenItem]:
    """The items of an account by id."""
    parameters = {"account": account, "open": only_open, "after": after, "rows": rows}
    return [_item(row) for row in await connection.execute(OPEN_ITEMS, parameters)]


async def kept_settlements(
    connection: AsyncConnection, told: Sequence[Settlement], now: datetime
) -> dict[str, Settlement]:
    """The first telling of each settlement, under lock; one that is new is kept."""
    names = ("ids", "accounts", "items", "currencies", "asked", "sources", "days")
    first: dict[str, Settlement] = {}
    for one in told:
        first.setdefault(one.settlement_id, one)
    rows = (
        (one.settlement_id, one.account, one.item_id, one.currency, one.asked, one.paid_from, one.settled_on)
        for one in sorted(first.values(), key=lambda one: one.settlement_id)
    )
    found = await connection.execute(KEPT, {**columns(names, rows), "recorded_at": now})
    return {row.settlement_id: Settlement(*row) for row in found}


async def waiting(connection: AsyncConnection, keys: Collection[ItemKey]) -> list[Settlement]:
    """Settlements that came before these items."""
    found = await connection.execute(WAITING, columns(("accounts", "items"), sorted(keys)))
    return [Settlement(*row) for row in found]


async def save_settlements(connection: AsyncConnection, settlements: Collection[Settlement]) -> None:
    """Writes what became of settlements."""
    names = ("ids", "statuses", "settled", "entries")
    rows = ((one.settlement_id, one.status, one.settled, one.entry_number) for one in settlements)
    await connection.execute(SAVE, columns(names, rows))


def _item(row: Row[Any]) -> OpenItem:
    return OpenItem(
        row.item_id,
        row.kind,
        row.currency,
        row.amount,
        row.issued_on,
        row.due_on,
        row.settled,
        row.overdraft_billed,
        row.overdraft_settled,
    )
