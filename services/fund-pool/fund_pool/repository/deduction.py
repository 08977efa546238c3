"""Deduction orders, each change of which is a new version of the policy."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from fund_pool.domain.deduction import BUILT_IN, DeductionOrder
from fund_pool.tables import deduction_order, deduction_order_version

FOR_ORGANISATION: Final = ""

SET: Final = text(
    """
    with changed as (
        insert into deduction_order_version (settlement_organisation, customer, account_types, changed_by, changed_at)
        values (:organisation, :customer, cast(:account_types as text[]), :changed_by, :changed_at)
        returning version)
    insert into deduction_order (settlement_organisation, customer, version, account_types)
    select :organisation, :customer, version, cast(:account_types as text[]) from changed
    on conflict (settlement_organisation, customer) do update
    set version = excluded.version, account_types = excluded.account_types
    returning version
    """
)


@dataclass(frozen=True, slots=True)
class DeductionOrderVersion:
    """One version; `account_types` None took an override back; `customer` empty is the organisation's own."""

    version: int
    settlement_organisation: str
    customer: str
    account_types: tuple[str, ...] | None
    changed_by: str
    changed_at: datetime


async def set_deduction_order(
    connection: AsyncConnection,
    organisation: str,
    customer: str,
    account_types: list[str] | None,
    changed_by: str,
    now: datetime,
) -> int:
    """Makes a new version valid and returns its number; None takes the deduction order back."""
    found = await connection.execute(
        SET,
        {
            "organisation": organisation,
            "customer": customer,
            "account_types": account_types,
            "changed_by": changed_by,
            "changed_at": now,
        },
    )
    return int(found.scalar_one())


async def valid_deduction_order(
    connection: AsyncConnection, organisation: str, customer: str
) -> DeductionOrder:
    """The one that an order is walked by: the customer's, else the organisation's, else the built-in one."""
    columns = deduction_order.c
    wanted = (
        select(columns.version, columns.account_types)
        .where(columns.settlement_organisation == organisation)
        .where(columns.customer.in_([customer, FOR_ORGANISATION]), columns.account_types.is_not(None))
        .order_by(columns.customer.desc())
        .limit(1)
    )
    row = (await connection.execute(wanted)).one_or_none()
    return BUILT_IN if row is None else DeductionOrder(row.version, tuple(row.account_types))


async def version(connection: AsyncConnection, number: int) -> DeductionOrderVersion | None:
    """A version by its number, as decisions name it."""
    wanted = select(deduction_order_version).where(deduction_order_version.c.version == number)
    row = (await connection.execute(wanted)).one_or_none()
    return None if row is None else _version(row)


def _version(row: Row[Any]) -> DeductionOrderVersion:
    return DeductionOrderVersion(
        version=row.version,
        settlement_organisation=row.settlement_organisation,
        customer=row.customer,
        account_types=None if row.account_types is None else tuple(row.account_types),
        changed_by=row.changed_by,
        changed_at=row.changed_at,
    )
