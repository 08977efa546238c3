"""Invoicing of accounts: its own values, the live copies, and every version."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from pydantic import TypeAdapter
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from sharing.domain.invoicing import Invoicing, StandingInvoicing

BODY: Final = TypeAdapter(Invoicing)

STANDING: Final = """
    select a.account, coalesce(i.version, 0) as version, i.copied_from,
        cast(case when i.copied_from is null then i.body else m.body end as text) as body
    from unnest(cast(:accounts as text[])) as a (account)
    left join invoicing i on i.account = a.account
    left join invoicing m on m.account = i.copied_from
"""


async def standing(connection: AsyncConnection, accounts: Collection[str]) -> dict[str, StandingInvoicing]:
    """What counts for each of these accounts; a copy shows the management account's values of now."""
    rows = await connection.execute(text(STANDING), {"accounts": sorted(accounts)})
    return {
        row.account: StandingInvoicing(
            account=row.account,
            version=row.version,
            invoicing=BODY.validate_json(row.body) if row.body else Invoicing(),
            copied_from=row.copied_from,
        )
        for row in rows
    }


async def lock(connection: AsyncConnection, accounts: Collection[str]) -> None:
    """Makes and locks a row for each of these accounts, in the order of their ids."""
    await connection.execute(
        text(
            """
            insert into invoicing (account, version, body)
            select account, 0, '{}' from unnest(cast(:accounts as text[])) as a (account) order by account
            on conflict (account) do update set version = invoicing.version
            """
        ),
        {"accounts": sorted(accounts)},
    )


SAVE: Final = """
    with changed as (
        update invoicing i set version = i.version + 1, body = cast(n.body as jsonb), copied_from = n.copied_from,
            relationship_id = n.relationship_id
        from unnest(cast(:accounts as text[]), cast(:bodies as text[]), cast(:copied as text[]),
                    cast(:relationships as text[])) as n (account, body, copied_from, relationship_id)
        where i.account = n.account
        returning i.*)
    insert into invoicing_history (account, version, body, copied_from, changed_at, changed_by)
    select account, version, body, copied_from, :at, :by from changed
"""


async def save(
    connection: AsyncConnection,
    values: Mapping[str, Invoicing],
    at: datetime,
    by: str,
    copies: Mapping[str, tuple[str, str]] | None = None,
) -> None:
    """The next version of locked accounts' invoicing; `copies` names whom an account copies, and by which
    relationship."""
    links = copies or {}
    await connection.execute(
        text(SAVE),
        {
            "accounts": list(values),
            "bodies": [BODY.dump_json(each).decode() for each in values.values()],
            "copied": [links.get(account, (None, None))[0] for account in values],
            "relationships": [links.get(account, (None, None))[1] for account in values],
            "at": at,
            "by": by,
        },
    )


async def end_copies(connection: AsyncConnection, accounts: Collection[str], at: datetime, by: str) -> None:
    """The copied values stay as the accounts' own."""
    await lock(connection, accounts)
    found = await standing(connection, accounts)
    await save(
        connection, {account: each.invoicing for account, each in found.items() if each.copied_from}, at, by
    )


async def copiers(connection: AsyncConnection, accounts: Collection[str]) -> set[str]:
    """Those of these accounts whose invoicing others copy."""
    rows = await connection.execute(
        text("select distinct copied_from from invoicing where copied_from = any(cast(:accounts as text[]))"),
        {"accounts": list(accounts)},
    )
    return set(rows.scalars())


async def managed_members(
    connection: AsyncConnection, management_account: str, after: str, rows_max: int, chosen: Sequence[str]
) -> list[str]:
    """The members behind an id whose invoices an account manages; of all, or of those chosen."""
    rows = await connection.execute(
        text(
            """
            select member_account from relationship
            where management_account = :management and kind = 'financial' and state = 'active'
                and 'manage-invoices' = any(accepted) and member_account > :after
                and (cardinality(cast(:chosen as text[])) = 0 or member_account = any(:chosen))
            order by member_account limit :rows_max
            """
        ),
        {
            "management": management_account,
            "after": after,
            "rows_max": rows_max,
            "chosen": list(chosen),
        },
    )
    return list(rows.scalars())


async def history_before(
    connection: AsyncConnection, account: str, before: int | None, rows_max: int
) -> list[dict[str, Any]]:
    """The versions of an account's invoicing below a number, newest first."""
    rows = await connection.execute(
        text(
            """
            select version, cast(body as text) as body, copied_from, changed_at, changed_by from invoicing_history
            where account = :account and (cast(:before as int) is null or version < :before)
            order by version desc limit :rows_max
            """
        ),
        {"account": account, "before": before, "rows_max": rows_max},
    )
    return [{**row, "invoicing": BODY.validate_json(row["body"])} for row in rows.mappings()]
