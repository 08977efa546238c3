"""Accounts as this service knows them."""

from collections.abc import Collection, Sequence
from typing import Final

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from sharing.domain.accounts import Account
from sharing.tables import account

SAVE_NEWER: Final = text(
    """
    insert into account (account_id, version, name, active)
    select * from unnest(cast(:ids as text[]), cast(:versions as int[]), cast(:names as text[]),
                         cast(:active as boolean[]))
    on conflict (account_id) do update
    set version = excluded.version, name = excluded.name, active = excluded.active
    where account.version < excluded.version
    """
)


async def save_newer(connection: AsyncConnection, accounts: Sequence[Account]) -> None:
    """Stores those whose version is above the known one; ids are unique and sorted."""
    if not accounts:
        return
    await connection.execute(
        SAVE_NEWER,
        {
            "ids": [known.account_id for known in accounts],
            "versions": [known.version for known in accounts],
            "names": [known.name for known in accounts],
            "active": [known.active for known in accounts],
        },
    )


async def accounts_by_id(connection: AsyncConnection, ids: Collection[str]) -> dict[str, Account]:
    """The known ones among these accounts."""
    wanted = text("account_id = any(cast(:ids as text[]))")
    rows = await connection.execute(select(account).where(wanted), {"ids": list(ids)})
    return {
        row.account_id: Account(
            account_id=row.account_id, version=row.version, name=row.name, active=row.active
        )
        for row in rows
    }
