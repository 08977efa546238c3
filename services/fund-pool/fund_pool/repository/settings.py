"""What organisations have set: account payment, top-ups, spending, closed periods, own account types."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from fund_pool.domain.account_types import AccountType
from fund_pool.tables import account_type, organisation_setting

CLOSE: Final = text(
    """
    with closed as (
        insert into period_close (settlement_organisation, closed_through, closed_by, closed_at)
        values (:organisation, :closed_through, :closed_by, :closed_at)
        on conflict do nothing)
    insert into organisation_setting (settlement_organisation, closed_through, changed_by, changed_at)
    values (:organisation, :closed_through, :closed_by, :closed_at)
    on conflict (settlement_organisation) do update set closed_through = excluded.closed_through
    """
)

LOCK_ACCOUNTS: Final = text(
    """
    select account from account where settlement_organisation = :organisation
    order by account for update
    """
)


@dataclass(frozen=True, slots=True)
class Setting:
    """The settings of an organisation."""

    account_payment: bool = True
    online_top_ups_approved: bool = False
    spending_order: str = "transferred-first"
    closed_through: date | None = None


@dataclass(frozen=True, slots=True)
class OwnType:
    """An account type that an organisation added."""

    type: AccountType
    name: str
    changed_by: str
    changed_at: datetime


async def with_approved_top_ups(connection: AsyncConnection, organisations: Collection[str]) -> set[str]:
    """Those of the organisations whose online top-ups finance approves."""
    wanted = select(organisation_setting.c.settlement_organisation).where(
        organisation_setting.c.settlement_organisation.in_(sorted(organisations)),
        organisation_setting.c.online_top_ups_approved,
    )
    return set((await connection.execute(wanted)).scalars())


async def setting(connection: AsyncConnection, organisation: str) -> Setting:
    """The settings of an organisation, the defaults where it has set none."""
    columns = organisation_setting.c
    wanted = select(
        columns.account_payment,
        columns.online_top_ups_approved,
        columns.spending_order,
        columns.closed_through,
    ).where(columns.settlement_organisation == organisation)
    row = (await connection.execute(wanted)).one_or_none()
    return Setting() if row is None else Setting(*row)


async def save_setting(
    connection: AsyncConnection, organisation: str, changed: Setting, changed_by: str, now: datetime
) -> None:
    values: dict[str, Any] = {
        "account_payment": changed.account_payment,
        "online_top_ups_approved": changed.online_top_ups_approved,
        "spending_order": changed.spending_order,
        "changed_by": changed_by,
        "changed_at": now,
    }
    await connection.execute(
        insert(organisation_setting)
        .values(settlement_organisation=organisation, **values)
        .on_conflict_do_update(index_elements=["settlement_organisation"], set_=values)
    )


async def close_period(
    connection: AsyncConnection, organisation: str, closed_through: date, closed_by: str, now: datetime
) -> None:
    """Closes everything up to a day, once nobody is posting to the organisation's accounts any more."""
    await connection.execute(LOCK_ACCOUNTS, {"organisation": organisation})
    await connection.execute(
        CLOSE,
        {
            "organisation": organisation,
            "closed_through": closed_through,
            "closed_by": closed_by,
            "closed_at": now,
        },
    )


async def own_types(connection: AsyncConnection, organisation: str) -> list[OwnType]:
    """The account types that an organisation added."""
    columns = account_type.c
    wanted = (
        select(account_type).where(columns.settlement_organisation == organisation).order_by(columns.code)
    )
    return [
        OwnType(
            AccountType(
                row.code,
                row.pays_orders,
                row.takes_online_top_ups,
                row.opens_on_first_use,
                has_line=False,
                cash_like=row.cash_like,
            ),
            row.name,
            row.changed_by,
            row.changed_at,
        )
        for row in await connection.execute(wanted)
    ]


async def save_type(
    connection: AsyncConnection,
    organisation: str,
    kind: AccountType,
    name: str,
    changed_by: str,
    now: datetime,
) -> None:
    values: dict[str, Any] = {
        "name": name,
        "pays_orders": kind.pays_orders,
        "takes_online_top_ups": kind.takes_online_top_ups,
        "opens_on_first_use": kind.opens_on_first_use,
        "cash_like": kind.cash_like,
        "changed_by": changed_by,
        "changed_at": now,
    }
    await connection.execute(
        insert(account_type)
        .values(settlement_organisation=organisation, code=kind.code, **values)
        .on_conflict_do_update(index_elements=["settlement_organisation", "code"], set_=values)
    )
