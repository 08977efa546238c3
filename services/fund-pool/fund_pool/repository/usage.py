"""Usage rules: each change retires one version and makes another."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from fund_pool.domain.usage import Rules, UsageRule
from fund_pool.tables import usage_rule

LOCK: Final = text("select pg_advisory_xact_lock(hashtextextended(:organisation, 5))")

RULES: Final = text(
    """
    select version, business_organisation, currency, account_type, purposes, materials, material_groups,
           lead_time_days, first_payment, hold_hours, valid_from, valid_until
    from usage_rule
    where business_organisation = any(cast(:organisations as text[])) and retired_at is null
    """
)


@dataclass(frozen=True, slots=True)
class KeptRule:
    """A version of a rule with who made it and who retired it."""

    rule: UsageRule
    made_by: str
    made_at: datetime
    retired_by: str | None
    retired_at: datetime | None


async def rules(connection: AsyncConnection, organisations: Collection[str]) -> Rules:
    """The rules of these business organisations that are not retired."""
    found: dict[tuple[str, str], list[UsageRule]] = {}
    for row in await connection.execute(RULES, {"organisations": sorted(organisations)}):
        found.setdefault((row.business_organisation, row.currency), []).append(_rule(row))
    return found


async def lock(connection: AsyncConnection, organisation: str) -> None:
    """Lets one at a time change the rules of an organisation."""
    await connection.execute(LOCK, {"organisation": organisation})


async def by_version(connection: AsyncConnection, version: int) -> KeptRule | None:
    """One version, as decisions name it."""
    row = (await connection.execute(select(usage_rule).where(usage_rule.c.version == version))).one_or_none()
    return None if row is None else _kept(row)


async def add(connection: AsyncConnection, rule: UsageRule, made_by: str, now: datetime) -> int:
    """Keeps a new version and returns its number."""
    found = await connection.execute(
        insert(usage_rule)
        .values(
            business_organisation=rule.business_organisation,
            currency=rule.currency,
            account_type=rule.account_type,
            purposes=sorted(rule.purposes),
            materials=sorted(rule.materials),
            material_groups=sorted(rule.material_groups),
            lead_time_days=rule.lead_time_days,
            first_payment=rule.first_payment,
            hold_hours=rule.hold_hours,
            valid_from=rule.valid_from,
            valid_until=rule.valid_until,
            made_by=made_by,
            made_at=now,
        )
        .returning(usage_rule.c.version)
    )
    return int(found.scalar_one())


async def retire(connection: AsyncConnection, version: int, retired_by: str, now: datetime) -> None:
    """Ends a version; decisions that followed it still name it."""
    await connection.execute(
        update(usage_rule)
        .where(usage_rule.c.version == version)
        .values(retired_by=retired_by, retired_at=now)
    )


def _kept(row: Row[Any]) -> KeptRule:
    return KeptRule(_rule(row), row.made_by, row.made_at, row.retired_by, row.retired_at)


def _rule(row: Row[Any]) -> UsageRule:
    return UsageRule(
        version=row.version,
        business_organisation=row.business_organisation,
        currency=row.currency,
        account_type=row.account_type,
        purposes=frozenset(row.purposes),
        materials=frozenset(row.materials),
        material_groups=frozenset(row.material_groups),
        lead_time_days=row.lead_time_days,
        first_payment=row.first_payment,
        hold_hours=row.hold_hours,
        valid_from=row.valid_from,
        valid_until=row.valid_until,
    )
