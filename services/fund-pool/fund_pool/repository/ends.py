"""What requests to end relationships are answered by."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import Final

from contracts.relationship_end_answered import ITEMS_MAX
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from fund_pool.domain.ends import Balance, MemberMoney

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
COUNT: Final = text(
    """
    update relationship r set version = n.version
    from unnest(cast(:relationships as text[]), cast(:versions as bigint[])) as n (relationship_id, version)
    where r.relationship_id = n.relationship_id and r.version = n.version - 1
    """
)


async def money_of(
    connection: AsyncConnection, accounts: Collection[str], trustees: Collection[str]
) -> Mapping[str, MemberMoney]:
    """The balances of these accounts, and the orders that wait of those among them that are trustees.

    No index leads from an account to its orders, because each would cost every order something; trusteeship
    ends seldom enough to look through them.
    """
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
    return found


async def count_requests(connection: AsyncConnection, versions: Mapping[str, int]) -> None:
    """A request to end is a version of its relationship."""
    if versions:
        await connection.execute(
            COUNT, {"relationships": list(versions), "versions": list(versions.values())}
        )
