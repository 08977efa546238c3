"""What requests to end relationships are answered by."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Final

from contracts.relationship_end_answered import ITEMS_MAX
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from fund_pool.domain.ends import Balance, MemberMoney, PastDue

PENDING: Final = text(
    """
    select account, order_id, orders from (
        select account, order_id, count(*) over (partition by account) as orders,
            row_number() over (partition by account order by order_id, source) as place
        from order_state
        where account = any(cast(:accounts as text[])) and status = 'pending-approval') numbered
    where place <= :orders_max
    order by account, place
    """
)
BALANCES: Final = text(
    """
    select account, account_type, currency, balance from fund_account
    where account = any(cast(:accounts as text[])) and balance > 0
    order by account, account_type, currency
    """
)
PAST_DUE: Final = text(
    """
    select i.account, i.item_id, i.currency, i.amount - i.settled as minor, i.due_on
    from open_item i
    join account a on a.account = i.account
    left join organisation o on o.organisation = a.settlement_organisation
    where i.account = any(cast(:accounts as text[])) and i.settled < i.amount
      and i.kind in ('bill', 'reversal-debt')
      and i.due_on < cast(cast(:now as timestamptz) at time zone coalesce(o.time_zone, 'UTC') as date)
    order by i.account, i.due_on, i.item_id
    limit :items_max
    """
)
FREEZE: Final = text(
    """
    update relationship r set frozen_by = n.request_id
    from unnest(cast(:relationships as text[]), cast(:requests as text[])) as n (relationship_id, request_id)
    where r.relationship_id = n.relationship_id
    """
)
COUNT: Final = text(
    """
    update relationship r set version = n.version
    from unnest(cast(:relationships as text[]), cast(:versions as bigint[])) as n (relationship_id, version)
    where r.relationship_id = n.relationship_id and r.version = n.version - 1
    """
)


async def money_of(
    connection: AsyncConnection, accounts: Collection[str], trustees: Collection[str], now: datetime
) -> Mapping[str, MemberMoney]:
    """The balances of these accounts, what is past due, and the orders that wait of the trustees among them."""
    found: dict[str, MemberMoney] = defaultdict(MemberMoney)
    if trustees:
        named = {"accounts": sorted(trustees), "orders_max": ITEMS_MAX}
        for row in await connection.execute(PENDING, named):
            found[row.account].pending_count = row.orders
            found[row.account].pending.append(row.order_id)
    balances: dict[str, list[Balance]] = defaultdict(list)
    for row in await connection.execute(BALANCES, {"accounts": sorted(accounts)}):
        balances[row.account].append(Balance(row.account_type, row.currency, row.balance))
    for account, held in balances.items():
        found[account].balances = held
    late: dict[str, list[PastDue]] = defaultdict(list)
    wanted = {"accounts": sorted(accounts), "now": now, "items_max": ITEMS_MAX}
    for row in await connection.execute(PAST_DUE, wanted):
        late[row.account].append(PastDue(row.item_id, row.currency, row.minor, row.due_on))
    for account, items in late.items():
        found[account].past_due = items
    return found


async def freeze(connection: AsyncConnection, requests: Mapping[str, str]) -> None:
    """Lets nothing new be allocated within these relationships until the request's outcome is told."""
    if requests:
        await connection.execute(
            FREEZE, {"relationships": list(requests), "requests": list(requests.values())}
        )


async def count_requests(connection: AsyncConnection, versions: Mapping[str, int]) -> None:
    """A request to end is a version of its relationship."""
    if versions:
        await connection.execute(
            COUNT, {"relationships": list(versions), "versions": list(versions.values())}
        )
