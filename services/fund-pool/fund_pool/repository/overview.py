"""What the overview of assets shows beside the pools: names, relationships, numbers of vouchers."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

MEMBERS: Final = text(
    """
    select member_account, display_name, invoice_status from relationship
    where management_account = :account and state = 'active'
      and 'view-financial-information' = any(permissions)
    order by member_account
    limit :rows
    """
)

NAMES: Final = text("select account, name from account where account = any(cast(:accounts as text[]))")

COUNTS: Final = text(
    """
    select m.account, v.kind, count(*) as number
    from voucher_member m
    join voucher v on v.voucher_id = m.voucher_id
    join account a on a.account = m.account
    left join organisation o on o.organisation = a.settlement_organisation
    where m.account = any(cast(:accounts as text[])) and v.remaining > 0
      and (v.kind <> 'coupon' or v.remaining = v.amount)
      and (v.valid_from is null or v.valid_from <= cast(cast(:now as timestamptz)
                                                        at time zone coalesce(o.time_zone, 'UTC') as date))
      and (v.valid_until is null or v.valid_until >= cast(cast(:now as timestamptz)
                                                          at time zone coalesce(o.time_zone, 'UTC') as date))
    group by m.account, v.kind
    """
)


@dataclass(frozen=True, slots=True)
class Member:
    """A member account as its relationship tells it."""

    account: str
    display_name: str
    invoice_status: str


async def members(connection: AsyncConnection, account: str, rows: int) -> list[Member]:
    """The members whose finances this account may see, by id; one that it manages twice stands once."""
    found = await connection.execute(MEMBERS, {"account": account, "rows": rows})
    told = {row.member_account: Member(*row) for row in found}
    return list(told.values())


async def names(connection: AsyncConnection, accounts: Collection[str]) -> dict[str, str]:
    """The names of accounts as master data tells them."""
    found = await connection.execute(NAMES, {"accounts": list(accounts)})
    return {row.account: row.name for row in found}


async def voucher_counts(
    connection: AsyncConnection, accounts: Collection[str], now: datetime
) -> dict[tuple[str, str], int]:
    """How many vouchers, coupons and cards each account can still use today, by (account, kind)."""
    found = await connection.execute(COUNTS, {"accounts": list(accounts), "now": now})
    return {(row.account, row.kind): row.number for row in found}
