"""Fund pools under lock, with everything that a decision about them needs."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from fund_pool.domain.account_types import OVERDRAFT, PRESETS, AccountType, with_own
from fund_pool.domain.deduction import BUILT_IN, DeductionOrder
from fund_pool.domain.pool import UTC, CommonLine, FundAccount, Pool
from fund_pool.domain.quota import Alert, Episode, Watch
from fund_pool.repository import extras as extra_rows

LOCK: Final = text(
    """
    select account from account
    where account = any(array(
        select unnest(cast(:accounts as text[]))
        union select management_account from common_line where member_account = any(cast(:accounts as text[]))))
    order by account
    for update
    """
)

# The planner does not see the array's length: it looks keys up, also in tables that have no statistics yet.
NAMED: Final = """any(array(
    select unnest(cast(:accounts as text[]))
    union select management_account from common_line where member_account = any(cast(:accounts as text[]))))"""

POOLS: Final = text(
    f"""
    with purse as (
        select account, array_agg(account_type) as types, array_agg(currency) as currencies,
               array_agg(balance) as balances, array_agg(line) as lines,
               array_agg(valid_from) as valid_from, array_agg(valid_until) as valid_until,
               array_agg(line_source) as line_sources
        from fund_account
        where account = {NAMED}
        group by account),
    watch as (
        select q.account, array_agg(q.currency) as currencies, array_agg(q.threshold) as thresholds,
               array_agg(q.enabled) as enabled, array_agg(q.margin) as margins,
               array_agg(q.margin_basis_points) as basis_points, array_agg(e.episode_id) as episodes,
               array_agg(e.opened_at) as opened_at, array_agg(e.reminder_number) as reminders
        from quota_alert q
        left join quota_episode e on e.account = q.account and e.currency = q.currency and e.ended_at is null
        where q.account = {NAMED}
        group by q.account),
    shared as (
        select c.member_account, array_agg(c.currency) as currencies, array_agg(c.management_account) as owners,
               array_agg(exists (
                   select from relationship r
                   where r.management_account = c.management_account and r.member_account = c.member_account
                     and r.kind = 'trusteeship' and r.frozen_by is not null)) as ending
        from common_line c
        where c.member_account = any(cast(:accounts as text[]))
        group by c.member_account),
    leaving as (
        select r.management_account, array_agg(m.customer) as customers
        from relationship r join account m on m.account = r.member_account
        where r.frozen_by is not null and r.kind = 'trusteeship' and r.management_account = {NAMED}
        group by r.management_account),
    own as (
        select settlement_organisation,
               json_agg(json_build_array(code, pays_orders, takes_online_top_ups, opens_on_first_use, false,
                                         cash_like)) as own_types
        from account_type
        group by settlement_organisation),
    entitled as (
        select account, array_agg(user_id) as users
        from user_right
        where active and right_name = 'use-balance'
          and account = {NAMED} and user_id = any(cast(:users as text[]))
        group by account)
    select a.account, a.customer, a.settlement_organisation, a.active, a.last_entry_number, a.last_posted_at,
           a.chain_head, a.extras, s.closed_through, s.spending_order, s.account_payment, y.own_types, o.time_zone,
           coalesce(c.version, d.version) as policy, coalesce(c.account_types, d.account_types) as walk,
           p.types, p.currencies, p.balances, p.lines, p.valid_from, p.valid_until, p.line_sources,
           w.currencies as watched, w.thresholds, w.enabled, w.margins, w.basis_points,
           w.episodes, w.opened_at, w.reminders, u.users,
           h.currencies as shared_currencies, h.owners, h.ending, l.customers as leaving
    from account a
    left join organisation o on o.organisation = a.settlement_organisation
    left join organisation_setting s on s.settlement_organisation = a.settlement_organisation
    left join own y on y.settlement_organisation = a.settlement_organisation
    left join deduction_order c on c.settlement_organisation = a.settlement_organisation
        and c.customer = a.customer and c.account_types is not null
    left join deduction_order d on d.settlement_organisation = a.settlement_organisation
        and d.customer = '' and d.account_types is not null
    left join purse p on p.account = a.account
    left join watch w on w.account = a.account
    left join entitled u on u.account = a.account
    left join shared h on h.member_account = a.account
    left join leaving l on l.management_account = a.account
    where a.account = {NAMED}
    """
)


async def lock(connection: AsyncConnection, accounts: Collection[str]) -> None:
    """Locks accounts, always in one order; whoever changes a fund pool holds its account's lock."""
    await connection.execute(LOCK, {"accounts": list(accounts)})


async def pools(
    connection: AsyncConnection,
    accounts: Collection[str],
    users: Collection[str] = (),
    *,
    now: datetime | None = None,
    vouchers: Collection[str] = (),
    for_update: bool = False,
) -> dict[str, Pool]:
    """The pools of the known ones among these accounts; of the users, those with a right to use the balance.

    Holds and open items are those of the moment `now`, by default the database's clock. `vouchers` are loaded
    besides those that the accounts may draw on; `for_update` locks vouchers, in one order, after the accounts.
    Read it after the lock, in a statement of its own: a statement sees nothing newer than its beginning.
    """
    rows = await connection.execute(POOLS, {"accounts": list(accounts), "users": list(users)})
    loaded = [(row, _pool(row)) for row in rows]
    found = {pool.account: pool for _, pool in loaded}
    for row, pool in loaded:
        if row.owners:
            _share_lines(pool, row, found)
    await extra_rows.add(connection, found, now, vouchers, for_update=for_update)
    return found


async def locked_pools(
    connection: AsyncConnection, accounts: Collection[str], *, now: datetime | None = None
) -> dict[str, Pool]:
    """Locks and loads the pools of the known ones among these accounts."""
    await lock(connection, accounts)
    return await pools(connection, accounts, now=now, for_update=True)


def _share_lines(pool: Pool, row: Row[Any], pools: Mapping[str, Pool]) -> None:
    """Lets a member draw on the common line of its management account, which is loaded with it."""
    for currency, owner, ending in zip(row.shared_currencies, row.owners, row.ending, strict=True):
        purse = pools[owner].find(OVERDRAFT.code, currency) if owner in pools else None
        if purse is not None:
            pool.commons[currency] = CommonLine(owner, purse, ending)


def _pool(row: Row[Any]) -> Pool:
    types = PRESETS if row.own_types is None else with_own(AccountType(*own) for own in row.own_types)
    return Pool(
        account=row.account,
        customer=row.customer,
        settlement_organisation=row.settlement_organisation,
        active=row.active,
        time_zone=ZoneInfo(row.time_zone) if row.time_zone else UTC,
        last_entry_number=row.last_entry_number,
        last_posted_at=row.last_posted_at,
        deduction=BUILT_IN if row.policy is None else DeductionOrder(row.policy, tuple(row.walk)),
        fund_accounts=_fund_accounts(row, types) if row.types else {},
        watches=_watches(row) if row.watched else {},
        users=frozenset(row.users or ()),
        types=types,
        closed_through=row.closed_through,
        chain_head=row.chain_head,
        extras=row.extras,
        spending_order=row.spending_order or "transferred-first",
        account_payment=row.account_payment is not False,
        leaving_customers=frozenset(row.leaving or ()),
    )


def _fund_accounts(row: Row[Any], types: Mapping[str, AccountType]) -> dict[tuple[str, str], FundAccount]:
    columns = (
        row.types,
        row.currencies,
        row.balances,
        row.lines,
        row.valid_from,
        row.valid_until,
        row.line_sources,
    )
    return {
        (code, currency): FundAccount(
            types[code], currency, balance, line, valid_from, valid_until, line_source=line_source
        )
        for code, currency, balance, line, valid_from, valid_until, line_source in zip(*columns, strict=True)
    }


def _watches(row: Row[Any]) -> dict[str, Watch]:
    alerts = zip(row.watched, row.thresholds, row.enabled, row.margins, row.basis_points, strict=True)
    episodes = zip(row.episodes, row.opened_at, row.reminders, strict=True)
    return {
        currency: Watch(
            currency,
            Alert(threshold, enabled, margin, basis_points),
            None if episode_id is None else Episode(episode_id, opened_at, reminder_number),
        )
        for (currency, threshold, enabled, margin, basis_points), (
            episode_id,
            opened_at,
            reminder_number,
        ) in zip(alerts, episodes, strict=True)
    }
