"""Balances and movements of fund accounts, now and as of any moment."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

BALANCES: Final = text(
    """
    select f.account_type, f.currency, f.balance, f.line, f.valid_from, f.valid_until, f.opened_at
    from fund_account f
    where f.account = :account
    order by f.currency, f.account_type
    """
)

BALANCES_AS_OF: Final = text(
    """
    select f.account_type, f.currency, coalesce(b.after, 0) as balance, coalesce(l.after, 0) as line,
           f.valid_from, f.valid_until, f.opened_at
    from fund_account f
    left join lateral (
        select after from posting p
        where p.account = f.account and p.account_type = f.account_type and p.currency = f.currency
          and p.bucket = 'balance' and p.posted_at <= :as_of
        order by p.posted_at desc, p.entry_number desc
        limit 1) b on true
    left join lateral (
        select after from posting p
        where p.account = f.account and p.account_type = f.account_type and p.currency = f.currency
          and p.bucket = 'line' and p.posted_at <= :as_of
        order by p.posted_at desc, p.entry_number desc
        limit 1) l on true
    where f.account = :account and f.opened_at <= :as_of
    order by f.currency, f.account_type
    """
)

BALANCES_EFFECTIVE_ON: Final = text(
    """
    select f.account_type, f.currency, coalesce(s.balance, 0) as balance, coalesce(s.line, 0) as line,
           f.valid_from, f.valid_until, f.opened_at
    from fund_account f
    left join (
        select p.account_type, p.currency,
               cast(coalesce(sum(p.amount) filter (where p.bucket = 'balance'), 0) as bigint) as balance,
               cast(coalesce(sum(p.amount) filter (where p.bucket = 'line'), 0) as bigint) as line
        from posting p
        join journal_entry e on e.account = p.account and e.entry_number = p.entry_number
            and e.posted_at = p.posted_at
        where p.account = :account and p.bucket in ('balance', 'line') and e.effective_date <= :effective_on
        group by p.account_type, p.currency) s
        on s.account_type = f.account_type and s.currency = f.currency
    where f.account = :account
    order by f.currency, f.account_type
    """
)

BALANCE_BEFORE: Final = text(
    """
    select after from posting
    where account = :account and account_type = :account_type and currency = :currency and bucket = 'balance'
      and posted_at < :moment
    order by posted_at desc, entry_number desc
    limit 1
    """
)


@dataclass(frozen=True, slots=True)
class FundAccountBalance:
    """A fund account at a moment, in minor units."""

    account_type: str
    currency: str
    balance: int
    line: int
    valid_from: date | None
    valid_until: date | None
    opened_at: datetime


@dataclass(frozen=True, slots=True)
class Period:
    """One fund account and a span of posting times, its end left out."""

    account: str
    account_type: str
    currency: str
    since: datetime
    until: datetime

    @property
    def parameters(self) -> dict[str, Any]:
        return {
            "account": self.account,
            "account_type": self.account_type,
            "currency": self.currency,
            "since": self.since,
            "until": self.until,
        }


async def balances(
    connection: AsyncConnection, account: str, as_of: datetime | None
) -> list[FundAccountBalance]:
    """The fund accounts of an account now, or as of a moment by posting time."""
    query = BALANCES if as_of is None else BALANCES_AS_OF
    parameters = {"account": account} if as_of is None else {"account": account, "as_of": as_of}
    return [FundAccountBalance(*row) for row in await connection.execute(query, parameters)]


async def balances_effective_on(
    connection: AsyncConnection, account: str, effective_on: date
) -> list[FundAccountBalance]:
    """The fund accounts of an account by what counts up to a day, whenever it was posted."""
    parameters = {"account": account, "effective_on": effective_on}
    found = await connection.execute(BALANCES_EFFECTIVE_ON, parameters)
    return [FundAccountBalance(*row) for row in found]


async def balance_before(connection: AsyncConnection, period: Period, moment: datetime) -> int:
    """The balance just before a moment."""
    parameters = {
        "account": period.account,
        "account_type": period.account_type,
        "currency": period.currency,
        "moment": moment,
    }
    return (await connection.execute(BALANCE_BEFORE, parameters)).scalar_one_or_none() or 0
