"""What notify keeps of master data and relationships."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

SAVE_ACCOUNTS: Final = text(
    """
    insert into account (account, name, version)
    select account, name, version
    from unnest(cast(:accounts as text[]), cast(:names as text[]), cast(:versions as int[]))
        as a (account, name, version)
    order by account
    on conflict (account) do update set name = excluded.name, version = excluded.version
    where account.version < excluded.version
    """
)

LOCK_ACCOUNT: Final = text(
    """
    insert into account (account, version) values (:account, 0)
    on conflict (account) do update set version = account.version
    """
)

SAVE_RELATIONSHIPS: Final = text(
    """
    insert into relationship (relationship_id, relationship_version, kind, management_account, member_account, state,
                              may_view_finances, changed_at)
    select * from unnest(
        cast(:ids as text[]), cast(:versions as int[]), cast(:kinds as text[]), cast(:managements as text[]),
        cast(:members as text[]), cast(:states as text[]), cast(:views as boolean[]), cast(:changed as timestamptz[])
    ) as r (relationship_id, relationship_version, kind, management_account, member_account, state,
            may_view_finances, changed_at)
    order by relationship_id
    on conflict (relationship_id) do update
    set relationship_version = excluded.relationship_version, kind = excluded.kind,
        management_account = excluded.management_account, member_account = excluded.member_account,
        state = excluded.state, may_view_finances = excluded.may_view_finances, changed_at = excluded.changed_at
    where relationship.relationship_version < excluded.relationship_version
    """
)

MANAGERS: Final = text(
    """
    select distinct member_account, management_account from relationship
    where member_account = any(cast(:accounts as text[])) and state = 'active' and may_view_finances
    order by member_account, management_account
    """
)

NAMES: Final = text("select account, name from account where account = any(cast(:accounts as text[]))")


@dataclass(frozen=True, slots=True, kw_only=True)
class Relationship:
    """A member account's relationship with its management account, as last told."""

    relationship_id: str
    relationship_version: int
    kind: str
    management_account: str
    member_account: str
    state: str
    may_view_finances: bool
    changed_at: datetime


async def save_newer_names(connection: AsyncConnection, names: Mapping[str, tuple[int, str]]) -> None:
    """Keeps the name of each account (version, name) unless a newer one is known."""
    if not names:
        return
    parameters = {
        "accounts": list(names),
        "versions": [version for version, _ in names.values()],
        "names": [name for _, name in names.values()],
    }
    await connection.execute(SAVE_ACCOUNTS, parameters)


async def lock_account(connection: AsyncConnection, account: str) -> None:
    """Locks the account's row, making it when master data has not told of the account yet."""
    await connection.execute(LOCK_ACCOUNT, {"account": account})


async def save_newer_relationships(connection: AsyncConnection, told: Sequence[Relationship]) -> None:
    """Keeps each relationship unless a newer version is known; one row per relationship."""
    if not told:
        return
    await connection.execute(
        SAVE_RELATIONSHIPS,
        {
            "ids": [r.relationship_id for r in told],
            "versions": [r.relationship_version for r in told],
            "kinds": [r.kind for r in told],
            "managements": [r.management_account for r in told],
            "members": [r.member_account for r in told],
            "states": [r.state for r in told],
            "views": [r.may_view_finances for r in told],
            "changed": [r.changed_at for r in told],
        },
    )


async def account_name(connection: AsyncConnection, account: str) -> tuple[int, str | None]:
    """Version and name of an account that is known."""
    statement = text("select version, name from account where account = :account")
    row = (await connection.execute(statement, {"account": account})).one()
    return row.version, row.name


async def managers(connection: AsyncConnection, accounts: Collection[str]) -> dict[str, list[str]]:
    """The accounts that manage each account and may see its finances."""
    found: dict[str, list[str]] = {}
    for row in await connection.execute(MANAGERS, {"accounts": sorted(accounts)}):
        found.setdefault(row.member_account, []).append(row.management_account)
    return found


async def names(connection: AsyncConnection, accounts: Collection[str]) -> dict[str, str]:
    """The names of accounts, as far as they are known."""
    rows = await connection.execute(NAMES, {"accounts": sorted(accounts)})
    return {row.account: row.name for row in rows if row.name}
