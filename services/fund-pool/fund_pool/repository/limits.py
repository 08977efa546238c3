"""Members' credit limits under their accounts' locks, and which lines follow them."""

from collections.abc import Collection, Sequence
from typing import Any, Final

import orjson
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from fund_pool.domain.limits import MemberLimit
from fund_pool.repository.arrays import columns

LIMITS: Final = text(
    """
    select account, currency, limit_version, amount, answer, waiting from member_limit
    where account = any(cast(:accounts as text[]))
    """
)

SAVE: Final = text(
    """
    insert into member_limit (account, currency, limit_version, amount, answer, waiting)
    select * from unnest(
        cast(:accounts as text[]), cast(:currencies as text[]), cast(:versions as int[]), cast(:amounts as bigint[]),
        cast(:answers as bytea[]), cast(:waiting as bytea[]))
    on conflict (account, currency) do update
    set limit_version = excluded.limit_version, amount = excluded.amount, answer = excluded.answer,
        waiting = excluded.waiting
    """
)

FOLLOW: Final = text(
    """
    update fund_account set line_source = :source
    where account = :account and account_type = 'overdraft' and currency = :currency
    """
)


async def limits(
    connection: AsyncConnection, accounts: Collection[str]
) -> dict[tuple[str, str], MemberLimit]:
    """The limits of these accounts; the accounts are locked."""
    found = await connection.execute(LIMITS, {"accounts": list(accounts)})
    return {(row.account, row.currency): _limit(row) for row in found}


async def save(connection: AsyncConnection, kept: Sequence[MemberLimit]) -> None:
    """Writes limits as they were applied last, with what waits for its turn."""
    names = ("accounts", "currencies", "versions", "amounts", "answers", "waiting")
    rows = (
        (
            limit.account,
            limit.currency,
            limit.version,
            limit.amount,
            limit.answer,
            _packed(limit) if limit.waiting else None,
        )
        for limit in sorted(kept, key=lambda one: (one.account, one.currency))
    )
    await connection.execute(SAVE, columns(names, rows))


async def follow(connection: AsyncConnection, account: str, currency: str, source: str) -> None:
    """Sets where the line of an overdraft comes from."""
    await connection.execute(FOLLOW, {"account": account, "currency": currency, "source": source})


def _limit(row: Row[Any]) -> MemberLimit:
    waiting = {} if row.waiting is None else {n: body.encode() for n, body in orjson.loads(row.waiting)}
    return MemberLimit(row.account, row.currency, row.limit_version, row.amount, row.answer, waiting)


def _packed(limit: MemberLimit) -> bytes:
    return orjson.dumps([[version, body.decode()] for version, body in sorted(limit.waiting.items())])
