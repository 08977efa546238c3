"""Credit profiles: what is set, its history, and what is used."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from credit.domain.profiles import UNLIMITED, Limit, Profile, ProfileKey, Rule

PROFILE_COLUMNS: Final = """
    cast(profile_id as text) as profile_id, scope, scope_id, object_type, object_id, currency,
    credit_limit_minor, credit_limit_unlimited, credit_limit_enforcement,
    single_document_limit_minor, single_document_limit_unlimited, single_document_limit_enforcement,
    used_minor, settled_minor, entries
"""


def profile_of(columns: Sequence[Any]) -> Profile:
    """A profile from its `PROFILE_COLUMNS`."""
    (
        profile_id,
        scope,
        scope_id,
        object_type,
        object_id,
        currency,
        credit_limit,
        is_unlimited,
        enforcement,
        single_limit,
        is_single_unlimited,
        single_enforcement,
        used,
        settled,
        entries,
        *_,
    ) = columns
    return Profile(
        profile_id=profile_id,
        scope=scope,
        scope_id=scope_id,
        object_type=object_type,
        object_id=object_id,
        currency=currency,
        rules=(
            Rule("credit-limit", UNLIMITED if is_unlimited else credit_limit, enforcement),
            Rule(
                "single-document-limit",
                UNLIMITED if is_single_unlimited else single_limit,
                single_enforcement,
            ),
        ),
        used=used,
        settled=settled,
        entries=entries,
    )


async def locked_version(
    connection: AsyncConnection, scope: str, scope_id: str, key: ProfileKey
) -> tuple[str, int] | None:
    """The id and version of a profile, locked; None when there is none."""
    row = await connection.execute(
        text(
            """
            select cast(profile_id as text), version from credit_profile
            where object_type = :object_type and object_id = :object_id and currency = :currency
              and scope = :scope and scope_id = :scope_id
            for update
            """
        ),
        {"scope": scope, "scope_id": scope_id, **_key(key)},
    )
    found = row.first()
    return (found[0], found[1]) if found is not None else None


async def create(
    connection: AsyncConnection, profile_id: str, scope: str, scope_id: str, key: ProfileKey, now: datetime
) -> bool:
    """Makes an empty profile at version 0 of its limits; False when another transaction made it first."""
    result = await connection.execute(
        text(
            """
            insert into credit_profile (profile_id, scope, scope_id, object_type, object_id, currency, version,
                                        credit_limit_unlimited, credit_limit_enforcement,
                                        single_document_limit_unlimited, single_document_limit_enforcement,
                                        used_minor, settled_minor, entries, changed_at)
            values (:profile_id, :scope, :scope_id, :object_type, :object_id, :currency, 1, false, 'reject', false,
                    'reject', 0, 0, 0, :now)
            on conflict do nothing
            """
        ),
        {"profile_id": profile_id, "scope": scope, "scope_id": scope_id, "now": now, **_key(key)},
    )
    return result.rowcount == 1


async def set_limits(
    connection: AsyncConnection,
    profile_id: str,
    version: int,
    rules: Sequence[Rule],
    *,
    reason: str,
    person: str,
    now: datetime,
) -> None:
    """Sets what a profile limits, and keeps the version for its history."""
    values = {"profile_id": profile_id, "version": version, "now": now, **_limits(rules)}
    await connection.execute(SET_LIMITS, {**values, "reason": reason, "person": person})


SET_LIMITS: Final = text(
    """
    with changed as (
        update credit_profile
        set version = :version, changed_at = :now,
            credit_limit_minor = :credit_limit, credit_limit_unlimited = :credit_limit_unlimited,
            credit_limit_enforcement = :credit_limit_enforcement,
            single_document_limit_minor = :single_document_limit,
            single_document_limit_unlimited = :single_document_limit_unlimited,
            single_document_limit_enforcement = :single_document_limit_enforcement
        where profile_id = :profile_id
        returning *)
    insert into credit_profile_version (profile_id, version, credit_limit_minor, credit_limit_unlimited,
                                        credit_limit_enforcement, single_document_limit_minor,
                                        single_document_limit_unlimited, single_document_limit_enforcement,
                                        reason, changed_by, changed_at)
    select profile_id, version, credit_limit_minor, credit_limit_unlimited, credit_limit_enforcement,
           single_document_limit_minor, single_document_limit_unlimited, single_document_limit_enforcement,
           :reason, :person, :now
    from changed
    """
)


def _limits(rules: Sequence[Rule]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for rule in rules:
        name = rule.metric.replace("-", "_")
        values[name] = rule.limit if isinstance(rule.limit, int) else None
        values[f"{name}_unlimited"] = rule.limit == UNLIMITED
        values[f"{name}_enforcement"] = rule.enforcement
    return values


def limit_of(minor: int | None, is_unlimited: bool) -> Limit:
    return UNLIMITED if is_unlimited else minor


def _key(key: ProfileKey) -> dict[str, str]:
    object_type, object_id, currency = key
    return {"object_type": object_type, "object_id": object_id, "currency": currency}


LIST_COLUMNS: Final = f"{PROFILE_COLUMNS}, version, changed_at"


async def profile_row(connection: AsyncConnection, profile_id: str) -> Row[Any] | None:
    """One profile with its version."""
    rows = await connection.execute(
        text(f"select {LIST_COLUMNS} from credit_profile where profile_id = :profile_id"),
        {"profile_id": profile_id},
    )
    return rows.first()


async def profiles_after(
    connection: AsyncConnection,
    place: tuple[str] | None,
    rows_max: int,
    *,
    object_id: str | None = None,
    currency: str | None = None,
) -> Sequence[Row[Any]]:
    """Profiles by id from a place on, all or those of one object or currency."""
    rows = await connection.execute(
        text(
            f"""
            select {LIST_COLUMNS} from credit_profile
            where (cast(:after as uuid) is null or profile_id > cast(:after as uuid))
              and (cast(:object_id as text) is null or object_id = :object_id)
              and (cast(:currency as text) is null or currency = :currency)
            order by profile_id
            limit :rows_max
            """
        ),
        {
            "after": place[0] if place else None,
            "object_id": object_id,
            "currency": currency,
            "rows_max": rows_max,
        },
    )
    return rows.all()


async def versions_after(
    connection: AsyncConnection, profile_id: str, place: tuple[int] | None, rows_max: int
) -> Sequence[Row[Any]]:
    """What a profile's limits were, newest first."""
    rows = await connection.execute(
        text(
            """
            select v.*, p.currency from credit_profile_version v join credit_profile p using (profile_id)
            where v.profile_id = :profile_id and (cast(:before as integer) is null or v.version < :before)
            order by v.version desc
            limit :rows_max
            """
        ),
        {"profile_id": profile_id, "before": place[0] if place else None, "rows_max": rows_max},
    )
    return rows.all()


async def entries_after(
    connection: AsyncConnection, profile_id: str, place: tuple[int] | None, rows_max: int
) -> Sequence[Row[Any]]:
    """The history of what is used, newest first."""
    rows = await connection.execute(
        text(
            """
            select e.*, p.currency from occupancy_entry e join credit_profile p using (profile_id)
            where e.profile_id = :profile_id and (cast(:before as bigint) is null or e.entry_number < :before)
            order by e.entry_number desc
            limit :rows_max
            """
        ),
        {"profile_id": profile_id, "before": place[0] if place else None, "rows_max": rows_max},
    )
    return rows.all()


async def occupancy_after(
    connection: AsyncConnection, profile_id: str, place: tuple[str, str] | None, rows_max: int
) -> Sequence[Row[Any]]:
    """The orders that occupy a profile at this moment, and how much each."""
    rows = await connection.execute(
        text(
            """
            select o.source, o.order_id, s.status, p.currency, max(o.amount_minor) as occupied_minor,
                   coalesce(max(o.amount_minor) filter (where o.settled), 0) as settled_minor
            from occupancy o
            join credit_profile p using (profile_id)
            join sales_order s using (source, order_id)
            where o.profile_id = :profile_id and (o.source, o.order_id) > (:after_source, :after_order_id)
            group by o.source, o.order_id, s.status, p.currency
            order by o.source, o.order_id
            limit :rows_max
            """
        ),
        {
            "profile_id": profile_id,
            "after_source": place[0] if place else "",
            "after_order_id": place[1] if place else "",
            "rows_max": rows_max,
        },
    )
    return rows.all()


async def pending_on(
    connection: AsyncConnection, customer: str, currency: str, rows_max: int
) -> tuple[int, int, Sequence[Row[Any]]]:
    """How many of a customer's orders wait for approval, their sum in minor units, and the oldest of them."""
    rows = await connection.execute(
        text(
            """
            select *, count(*) over () as orders, sum(total_minor) over () as total_all from pending_order
            where state = 'pending' and customer = :customer and currency = :currency
            order by held_at, source, order_id
            limit :rows_max
            """
        ),
        {"customer": customer, "currency": currency, "rows_max": rows_max},
    )
    found = rows.all()
    return (found[0].orders, int(found[0].total_all), found) if found else (0, 0, [])
