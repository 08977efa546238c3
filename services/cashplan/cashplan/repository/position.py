"""Position accounts with their dated balances, and what the cash position is computed from."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from sqlalchemy import Row, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from cashplan.domain.accounts import BalanceEntry, PositionAccount
from cashplan.domain.position import AccountBalance, Flow, Place
from cashplan.tables import position_account, position_balance

SAVE_ACCOUNT: Final = text(
    """
    insert into position_account (account_id, entity, currency, bank, name, minimum_minor, active, entries,
                                  changed_by, changed_at)
    values (:account_id, :entity, :currency, :bank, :name, :minimum_minor, :active, 0,
            :changed_by, :changed_at)
    on conflict (account_id) do update
    set bank = excluded.bank, name = excluded.name, minimum_minor = excluded.minimum_minor,
        active = excluded.active, changed_by = excluded.changed_by, changed_at = excluded.changed_at
    where (position_account.entity, position_account.currency) = (excluded.entity, excluded.currency)
    returning account_id
    """
)

LOCKED_ACCOUNT: Final = text("select * from position_account where account_id = :account_id for update")

STANDING_BALANCE: Final = text(
    """
    select entry_number, as_of, balance_minor, entered_by, entered_at
    from position_balance
    where account_id = :account_id and as_of = :as_of
    order by told_at desc, entry_number desc
    limit 1
    """
)

ADD_BALANCE: Final = text(
    """
    with account as (
        update position_account set entries = entries + 1 where account_id = :account_id returning entries
    )
    insert into position_balance (account_id, entry_number, as_of, balance_minor, told_at, entered_by,
                                  entered_at)
    select :account_id, entries, :as_of, :balance_minor, :entered_at, :entered_by, :entered_at from account
    returning entry_number, as_of, balance_minor, entered_by, entered_at
    """
)

PLACES_AFTER: Final = text(
    """
    select entity, currency
    from (
        select entity, currency from position_account where active
        union
        select entity, currency from pool_item where not is_closed
    ) as place
    where (cast(:entity as text) is null or entity = :entity)
      and (cast(:currency as text) is null or currency = :currency)
      and (entity, currency) > (:after_entity, :after_currency)
    order by entity, currency
    limit :rows_max
    """
)

FLOWS: Final = text(
    """
    select i.entity, i.currency, i.due_date,
           coalesce(sum(i.amount_minor) filter (where i.direction = 'in'), 0) as receipts_minor,
           coalesce(sum(i.amount_minor) filter (where i.direction = 'out'), 0) as payments_minor
    from unnest(cast(:entities as text[]), cast(:currencies as text[]), cast(:last_days as date[]))
         as p (entity, currency, last_day)
    join pool_item i
      on i.entity = p.entity and i.currency = p.currency and not i.is_closed and i.due_date <= p.last_day
    group by i.entity, i.currency, i.due_date
    """
)

BALANCES: Final = text(
    """
    select a.entity, a.currency, a.account_id, a.bank, a.minimum_minor, b.balance_minor, b.as_of
    from unnest(cast(:entities as text[]), cast(:currencies as text[]), cast(:todays as date[]))
         as p (entity, currency, today)
    join position_account a on a.entity = p.entity and a.currency = p.currency and a.active
    left join lateral (
        select balance_minor, as_of
        from position_balance
        where account_id = a.account_id and as_of <= p.today
        order by as_of desc, told_at desc, entry_number desc
        limit 1
    ) b on true
    order by a.account_id
    """
)


ADD_TOLD: Final = text(
    """
    with told as (
        select * from unnest(cast(:accounts as text[]), cast(:days as date[]), cast(:balances as bigint[]),
                             cast(:currencies as text[]), cast(:told as timestamptz[]),
                             cast(:sources as text[]), cast(:ordinals as int[]))
            as t (account_id, as_of, balance_minor, currency, told_at, source, ordinal)
    ), known as (
        select a.account_id, a.currency, a.entries
        from position_account a where a.account_id in (select account_id from told)
        order by a.account_id
        for update
    ), fresh as (
        select t.*, k.entries + row_number() over (partition by t.account_id order by t.ordinal) as entry_number
        from told t join known k using (account_id)
        where t.currency = k.currency
          and not exists (select from position_balance b
                          where (b.account_id, b.as_of, b.told_at) = (t.account_id, t.as_of, t.told_at))
    ), counted as (
        update position_account a
        set entries = a.entries + n.number
        from (select account_id, count(*) as number from fresh group by account_id) n
        where a.account_id = n.account_id
    ), added as (
        insert into position_balance (account_id, entry_number, as_of, balance_minor, told_at, entered_by,
                                      entered_at)
        select account_id, entry_number, as_of, balance_minor, told_at, source, :now from fresh
    )
    select t.ordinal, k.currency from told t left join known k using (account_id)
    """
)


@dataclass(frozen=True, kw_only=True)
class ToldBalance:
    """A balance as a bank told it."""

    account_id: str
    as_of: date
    balance_minor: int
    currency: str
    told_at: datetime
    source: str


async def add_told(
    connection: AsyncConnection, told: Sequence[ToldBalance], now: datetime
) -> list[str | None]:
    """Appends balances that are new; answers for each the currency of its account, None where it is unknown."""
    parameters = {
        "accounts": [each.account_id for each in told],
        "days": [each.as_of for each in told],
        "balances": [each.balance_minor for each in told],
        "currencies": [each.currency for each in told],
        "told": [each.told_at for each in told],
        "sources": [each.source for each in told],
        "ordinals": list(range(len(told))),
        "now": now,
    }
    rows = await connection.execute(ADD_TOLD, parameters)
    found = {row.ordinal: row.currency for row in rows}
    return [found[number] for number in range(len(told))]


async def save_account(
    connection: AsyncConnection, account: PositionAccount, changed_by: str, changed_at: datetime
) -> bool:
    """Stores an account; False when one of this id belongs to another entity or currency."""
    values = {
        "account_id": account.account_id,
        "entity": account.entity,
        "currency": account.currency,
        "bank": account.bank,
        "name": account.name,
        "minimum_minor": account.minimum_minor,
        "active": account.active,
        "changed_by": changed_by,
        "changed_at": changed_at,
    }
    return (await connection.execute(SAVE_ACCOUNT, values)).first() is not None


async def account_by_id(connection: AsyncConnection, account_id: str) -> PositionAccount | None:
    query = select(position_account).where(position_account.c.account_id == account_id)
    row = (await connection.execute(query)).first()
    return _account(row) if row else None


async def locked_account(connection: AsyncConnection, account_id: str) -> PositionAccount | None:
    """The account, locked so that its entries are numbered without a gap."""
    row = (await connection.execute(LOCKED_ACCOUNT, {"account_id": account_id})).first()
    return _account(row) if row else None


async def accounts_after(
    connection: AsyncConnection, entity: str | None, currency: str | None, after: str, rows_max: int
) -> list[PositionAccount]:
    """The accounts of an entity and currency, where given, behind an account id."""
    query = select(position_account).where(position_account.c.account_id > after)
    if entity is not None:
        query = query.where(position_account.c.entity == entity)
    if currency is not None:
        query = query.where(position_account.c.currency == currency)
    rows = await connection.execute(query.order_by(position_account.c.account_id).limit(rows_max))
    return [_account(row) for row in rows]


async def standing_balance(connection: AsyncConnection, account_id: str, as_of: date) -> BalanceEntry | None:
    """The last entry for a date: the one that counts."""
    row = (await connection.execute(STANDING_BALANCE, {"account_id": account_id, "as_of": as_of})).first()
    return _entry(row) if row else None


async def add_balance(
    connection: AsyncConnection,
    account_id: str,
    as_of: date,
    balance_minor: int,
    *,
    entered_by: str,
    entered_at: datetime,
) -> BalanceEntry:
    """Appends an entry to the history of a locked account."""
    values = {
        "account_id": account_id,
        "as_of": as_of,
        "balance_minor": balance_minor,
        "entered_by": entered_by,
        "entered_at": entered_at,
    }
    return _entry((await connection.execute(ADD_BALANCE, values)).one())


async def balances_after(
    connection: AsyncConnection, account_id: str, after_number: int, rows_max: int
) -> list[BalanceEntry]:
    """The entries of an account behind an entry number, in the order in which they were made."""
    columns = position_balance.c
    rows = await connection.execute(
        select(position_balance)
        .where(columns.account_id == account_id, columns.entry_number > after_number)
        .order_by(columns.entry_number)
        .limit(rows_max)
    )
    return [_entry(row) for row in rows]


async def places_after(
    connection: AsyncConnection, entity: str | None, currency: str | None, after: Place, rows_max: int
) -> list[Place]:
    """Where there is a position to tell: places with an account or with an open item."""
    values = {
        "entity": entity,
        "currency": currency,
        "after_entity": after.entity,
        "after_currency": after.currency,
        "rows_max": rows_max,
    }
    rows = await connection.execute(PLACES_AFTER, values)
    return [Place(row.entity, row.currency) for row in rows]


async def flows_by_place(
    connection: AsyncConnection, last_days: Mapping[Place, date]
) -> dict[Place, list[Flow]]:
    """What is open and due until the last day of each place, summed by due date."""
    rows = await connection.execute(
        FLOWS, {**_place_arrays(last_days), "last_days": list(last_days.values())}
    )
    flows: dict[Place, list[Flow]] = defaultdict(list)
    for row in rows:
        flow = Flow(row.due_date, int(row.receipts_minor), int(row.payments_minor))
        flows[Place(row.entity, row.currency)].append(flow)
    return flows


async def balances_by_place(
    connection: AsyncConnection, todays: Mapping[Place, date]
) -> dict[Place, list[AccountBalance]]:
    """The active accounts of each place with the newest balance that is not dated after its today."""
    rows = await connection.execute(BALANCES, {**_place_arrays(todays), "todays": list(todays.values())})
    balances: dict[Place, list[AccountBalance]] = defaultdict(list)
    for row in rows:
        balance = AccountBalance(row.account_id, row.bank, row.minimum_minor, row.balance_minor, row.as_of)
        balances[Place(row.entity, row.currency)].append(balance)
    return balances


def _place_arrays(places: Mapping[Place, date]) -> dict[str, Any]:
    return {
        "entities": [place.entity for place in places],
        "currencies": [place.currency for place in places],
    }


def _account(row: Row[*tuple[Any, ...]]) -> PositionAccount:
    return PositionAccount(
        account_id=row.account_id,
        entity=row.entity,
        currency=row.currency,
        bank=row.bank,
        name=row.name,
        minimum_minor=row.minimum_minor,
        active=row.active,
    )


def _entry(row: Row[*tuple[Any, ...]]) -> BalanceEntry:
    return BalanceEntry(
        entry_number=row.entry_number,
        as_of=row.as_of,
        balance_minor=row.balance_minor,
        entered_by=row.entered_by,
        entered_at=row.entered_at,
    )


async def places_with_accounts(connection: AsyncConnection, entities: Sequence[str]) -> list[Place]:
    """Where these entities have active accounts of their own."""
    query = text(
        "select distinct entity, currency from position_account "
        "where active and entity = any(cast(:entities as text[])) order by entity, currency"
    )
    rows = await connection.execute(query, {"entities": list(entities)})
    return [Place(row.entity, row.currency) for row in rows]
