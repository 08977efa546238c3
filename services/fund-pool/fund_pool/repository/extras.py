"""What some accounts have besides fund accounts: holds, open items, transfer books and vouchers.

Only accounts that are marked are asked for it, so that a batch of plain orders pays nothing for it.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from fund_pool.domain.bills import watch_all
from fund_pool.domain.books import Book
from fund_pool.domain.holds import Hold
from fund_pool.domain.items import OpenItem
from fund_pool.domain.pool import Pool
from fund_pool.domain.quota import Spell
from fund_pool.domain.vouchers import Voucher
from fund_pool.repository.arrays import columns

CLOCK: Final = text("select clock_timestamp()")

EXTRAS: Final = text(
    """
    select n.account, h.holds, i.items, b.books, o.spells,
           array(select distinct currency from common_line where management_account = n.account) as lends
    from unnest(cast(:accounts as text[])) as n (account)
    left join lateral (
        select json_agg(json_build_array(hold_id, kind, account_type, currency, placed, placed_at, expires_at,
                                         voucher_id, captured, released) order by hold_id) as holds
        from hold where hold.account = n.account and captured + released < placed) h on true
    left join lateral (
        select json_agg(json_build_array(item_id, kind, currency, amount, issued_on, due_on, settled,
                                         overdraft_billed, overdraft_settled) order by due_on, item_id) as items
        from open_item where open_item.account = n.account and settled < amount) i on true
    left join lateral (
        select json_agg(json_build_array(giver, currency, opened_at, given, taken_back, spent)
                        order by opened_at, giver) as books
        from transfer_book where transfer_book.account = n.account) b on true
    left join lateral (
        select json_agg(json_build_array(currency, episode_id, opened_at, supersedes)) as spells
        from overdue_spell where overdue_spell.account = n.account and cleared_at is null) o on true
    """
)

WANTED: Final = """
    v.voucher_id = any(cast(:named as text[]))
    or (v.remaining > 0 and (v.valid_until is null or v.valid_until >= cast(:now as timestamptz) - interval '2 days')
        and v.voucher_id = any(array(
            select m.voucher_id from voucher_member m where m.account = any(cast(:accounts as text[])))))
"""
LOCK_VOUCHERS: Final = text(
    f"select v.voucher_id from voucher v where {WANTED} order by v.voucher_id for update"
)
VOUCHERS: Final = text(
    f"""
    select v.voucher_id, v.kind, v.owner, v.currency, v.amount, v.remaining, v.valid_from, v.valid_until,
           v.issued_on, v.materials, v.material_groups, v.minimum_order, v.pool_id,
           array(select m.account from voucher_member m where m.voucher_id = v.voucher_id) as members,
           coalesce((select sum(h.placed - h.captured - h.released) from hold h
                     where h.voucher_id = v.voucher_id and h.captured + h.released < h.placed
                       and (h.expires_at is null or h.expires_at > cast(:now as timestamptz))), 0) as held
    from voucher v
    where {WANTED}
    """
)

SAVE: Final = text(
    """
    with marked as (
        update account a set extras = true
        where a.account = any(cast(:marked as text[])) and not a.extras),
    holds as (
        insert into hold (account, hold_id, kind, account_type, currency, voucher_id, placed, captured, released,
                          placed_at, expires_at)
        select * from unnest(
            cast(:hold_accounts as text[]), cast(:hold_ids as text[]), cast(:hold_kinds as text[]),
            cast(:hold_types as text[]), cast(:hold_currencies as text[]), cast(:hold_vouchers as text[]),
            cast(:hold_placed as bigint[]), cast(:hold_captured as bigint[]), cast(:hold_released as bigint[]),
            cast(:hold_times as timestamptz[]), cast(:hold_expiries as timestamptz[]))
        on conflict (account, hold_id) do update
        set captured = excluded.captured, released = excluded.released, expires_at = excluded.expires_at),
    hold_events as (
        insert into hold_event (account, hold_id, at, number, change, amount, entry_number)
        select account, hold_id, cast(:written_at as timestamptz), number, change, amount, entry_number
        from unnest(
            cast(:event_accounts as text[]), cast(:event_holds as text[]), cast(:event_numbers as bigint[]),
            cast(:event_changes as text[]), cast(:event_amounts as bigint[]), cast(:event_entries as bigint[]))
            as n (account, hold_id, number, change, amount, entry_number)),
    items as (
        insert into open_item (account, item_id, kind, currency, amount, settled, overdraft_billed,
                               overdraft_settled, issued_on, due_on, recorded_at)
        select n.*, cast(:written_at as timestamptz) from unnest(
            cast(:item_accounts as text[]), cast(:item_ids as text[]), cast(:item_kinds as text[]),
            cast(:item_currencies as text[]), cast(:item_amounts as bigint[]), cast(:item_settled as bigint[]),
            cast(:item_billed as bigint[]), cast(:item_repaid as bigint[]), cast(:item_issued as date[]),
            cast(:item_due as date[])) as n
        on conflict (account, item_id) do update
        set amount = excluded.amount, settled = excluded.settled, overdraft_billed = excluded.overdraft_billed,
            overdraft_settled = excluded.overdraft_settled),
    books as (
        insert into transfer_book (account, currency, giver, given, taken_back, spent, opened_at)
        select * from unnest(
            cast(:book_accounts as text[]), cast(:book_currencies as text[]), cast(:book_givers as text[]),
            cast(:book_given as bigint[]), cast(:book_taken as bigint[]), cast(:book_spent as bigint[]),
            cast(:book_opened as timestamptz[]))
        on conflict (account, currency, giver) do update
        set given = excluded.given, taken_back = excluded.taken_back, spent = excluded.spent),
    spells as (
        insert into overdue_spell (account, currency, episode_id, opened_at, cleared_at, supersedes)
        select * from unnest(
            cast(:spell_accounts as text[]), cast(:spell_currencies as text[]), cast(:spell_ids as uuid[]),
            cast(:spell_opened as timestamptz[]), cast(:spell_cleared as timestamptz[]),
            cast(:spell_superseded as uuid[]))
        on conflict (account, currency, episode_id) do update set cleared_at = excluded.cleared_at),
    lapsed as (
        update voucher_pool v set expired = v.expired + n.amount
        from unnest(cast(:lapsed_pools as text[]), cast(:lapsed_amounts as bigint[])) as n (pool_id, amount)
        where v.pool_id = n.pool_id)
    update voucher v set remaining = n.remaining
    from unnest(cast(:voucher_ids as text[]), cast(:voucher_remaining as bigint[])) as n (voucher_id, remaining)
    where v.voucher_id = n.voucher_id
    """
)


async def add(
    connection: AsyncConnection,
    pools: Mapping[str, Pool],
    now: datetime | None,
    vouchers: Collection[str],
    *,
    for_update: bool,
) -> None:
    """Completes the marked ones among loaded pools; a voucher is one object in all of them."""
    marked = sorted(account for account, pool in pools.items() if pool.extras)
    if not marked and not vouchers:
        return
    moment = now or (await connection.execute(CLOCK)).scalar_one()
    wanted = {"accounts": marked, "named": sorted(vouchers), "now": moment}
    if for_update:
        await connection.execute(LOCK_VOUCHERS, wanted)
    for row in await connection.execute(EXTRAS, {"accounts": marked}):
        _add(pools[row.account], row, moment)
    shared = {row.voucher_id: _voucher(row) for row in await connection.execute(VOUCHERS, wanted)}
    for pool in pools.values():
        pool.vouchers = shared


async def save(connection: AsyncConnection, pools: Sequence[Pool], now: datetime) -> None:
    """Writes what was set aside, owed, allocated or drawn; does nothing where there was none of it."""
    touched = [pool for pool in pools if _is_touched(pool)]
    if touched:
        await connection.execute(SAVE, parameters(touched, now))


def parameters(pools: Sequence[Pool], now: datetime) -> dict[str, Any]:
    """The values for SAVE."""
    return {
        "written_at": now,
        "marked": [pool.account for pool in pools if pool.extras],
        **_holds(pools),
        **_events(pools),
        **_items(pools),
        **_books(pools),
        **_vouchers(pools),
        **_lapsed(pools),
        **_spells(pools),
    }


def _is_touched(pool: Pool) -> bool:
    touched = pool.touched_holds or pool.touched_items or pool.touched_books or pool.touched_vouchers
    return bool(touched or pool.lapsed or any(watch.spells for watch in pool.watches.values()))


def _add(pool: Pool, row: Row[Any], now: datetime) -> None:
    today = pool.today(now)
    pool.holds = {hold.hold_id: hold for hold in map(_hold, row.holds or [])}
    for hold in pool.holds.values():
        if hold.voucher_id is None and hold.is_live(now):
            pool.fund_accounts[hold.account_type, hold.currency].held += hold.amount
    items = (_item(packed, today) for packed in row.items or [])
    pool.items = {item.item_id: item for item in items}
    for currency in {item.currency for item in pool.items.values()}:
        watch_all(pool, currency)
    for currency, episode_id, opened_at, supersedes in row.spells or []:
        watch_all(pool, currency)
        pool.watches[currency].spell = Spell(
            UUID(episode_id),
            datetime.fromisoformat(opened_at),
            None if supersedes is None else UUID(supersedes),
        )
    pool.lends = frozenset(row.lends)
    books = map(_book, row.books or [])
    pool.books = {(book.giver, book.currency): book for book in books}


def _hold(packed: list[Any]) -> Hold:
    hold_id, kind, code, currency, placed, placed_at, expires_at, voucher_id, captured, released = packed
    return Hold(
        hold_id,
        kind,
        code,
        currency,
        placed,
        datetime.fromisoformat(placed_at),
        None if expires_at is None else datetime.fromisoformat(expires_at),
        voucher_id,
        captured,
        released,
    )


def _item(packed: list[Any], today: date) -> OpenItem:
    item_id, kind, currency, amount, issued_on, due_on, settled, billed, repaid = packed
    due = date.fromisoformat(due_on)
    item = OpenItem(
        item_id, kind, currency, amount, date.fromisoformat(issued_on), due, settled, billed, repaid
    )
    return replace(item, past_due=today > due)


def _book(packed: list[Any]) -> Book:
    giver, currency, opened_at, given, taken_back, spent = packed
    return Book(giver, currency, datetime.fromisoformat(opened_at), given, taken_back, spent)


def _voucher(row: Row[Any]) -> Voucher:
    return Voucher(
        row.voucher_id,
        row.kind,
        row.owner,
        row.currency,
        row.amount,
        row.remaining,
        int(row.held),
        row.valid_from,
        row.valid_until,
        row.issued_on,
        frozenset(row.materials),
        frozenset(row.material_groups),
        row.minimum_order,
        row.pool_id,
        frozenset(row.members),
    )


def _holds(pools: Sequence[Pool]) -> dict[str, list[Any]]:
    names = (
        "hold_accounts",
        "hold_ids",
        "hold_kinds",
        "hold_types",
        "hold_currencies",
        "hold_vouchers",
        "hold_placed",
        "hold_captured",
        "hold_released",
        "hold_times",
        "hold_expiries",
    )
    return columns(
        names,
        (
            (
                pool.account,
                hold.hold_id,
                hold.kind,
                hold.account_type,
                hold.currency,
                hold.voucher_id,
                hold.placed,
                hold.captured,
                hold.released,
                hold.placed_at,
                hold.expires_at,
            )
            for pool in pools
            for hold in pool.touched_holds.values()
        ),
    )


def _events(pools: Sequence[Pool]) -> dict[str, list[Any]]:
    names = (
        "event_accounts",
        "event_holds",
        "event_numbers",
        "event_changes",
        "event_amounts",
        "event_entries",
    )
    return columns(
        names,
        (
            (pool.account, event.hold_id, event.number, event.change, event.amount, event.entry_number)
            for pool in pools
            for event in pool.hold_events
        ),
    )


def _items(pools: Sequence[Pool]) -> dict[str, list[Any]]:
    names = (
        "item_accounts",
        "item_ids",
        "item_kinds",
        "item_currencies",
        "item_amounts",
        "item_settled",
        "item_billed",
        "item_repaid",
        "item_issued",
        "item_due",
    )
    return columns(
        names,
        (
            (
                pool.account,
                item.item_id,
                item.kind,
                item.currency,
                item.amount,
                item.settled,
                item.overdraft_billed,
                item.overdraft_settled,
                item.issued_on,
                item.due_on,
            )
            for pool in pools
            for item in pool.touched_items.values()
        ),
    )


def _books(pools: Sequence[Pool]) -> dict[str, list[Any]]:
    names = (
        "book_accounts",
        "book_currencies",
        "book_givers",
        "book_given",
        "book_taken",
        "book_spent",
        "book_opened",
    )
    return columns(
        names,
        (
            (
                pool.account,
                book.currency,
                book.giver,
                book.given,
                book.taken_back,
                book.spent,
                book.opened_at,
            )
            for pool in pools
            for book in pool.touched_books.values()
        ),
    )


def _vouchers(pools: Sequence[Pool]) -> dict[str, list[Any]]:
    touched = {voucher.voucher_id: voucher for pool in pools for voucher in pool.touched_vouchers.values()}
    ordered = [touched[voucher_id] for voucher_id in sorted(touched)]
    return columns(
        ("voucher_ids", "voucher_remaining"), ((voucher.voucher_id, voucher.remaining) for voucher in ordered)
    )


def _lapsed(pools: Sequence[Pool]) -> dict[str, list[Any]]:
    sums: dict[str, int] = {}
    for pool in pools:
        for pool_id, amount in pool.lapsed.items():
            sums[pool_id] = sums.get(pool_id, 0) + amount
    return columns(("lapsed_pools", "lapsed_amounts"), sorted(sums.items()))


def _spells(pools: Sequence[Pool]) -> dict[str, list[Any]]:
    names = (
        "spell_accounts",
        "spell_currencies",
        "spell_ids",
        "spell_opened",
        "spell_cleared",
        "spell_superseded",
    )
    return columns(
        names,
        (
            (
                pool.account,
                watch.currency,
                spell.episode_id,
                spell.opened_at,
                spell.cleared_at,
                spell.supersedes,
            )
            for pool in pools
            for watch in pool.watches.values()
            for spell in watch.spells
        ),
    )
