"""Grants: many profiles set at once."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from credit.domain.profiles import UNLIMITED, Limit
from credit.domain.score_sheets import GrantChange, Scored


async def graded_profiles(
    connection: AsyncConnection,
    *,
    standard_id: str,
    scope: str,
    currency: str,
    grades: Sequence[str],
    objects: Sequence[str] | None,
    rows_max: int,
) -> Sequence[Row[Any]]:
    """Graded objects of a scope level, each with its profile in the currency or without."""
    rows = await connection.execute(
        text(
            """
            select g.scope, g.scope_id, g.object_type, g.object_id, g.grade, cast(p.profile_id as text) as profile_id,
                   coalesce(p.version, 0) as version, p.credit_limit_minor, p.credit_limit_unlimited,
                   p.credit_limit_enforcement
            from credit_grade g
            left join credit_profile p
              on p.scope = g.scope and p.scope_id = g.scope_id and p.object_type = g.object_type
                 and p.object_id = g.object_id and p.currency = :currency
            where g.standard_id = :standard_id and g.scope = :scope and g.grade = any(cast(:grades as text[]))
              and (cast(:objects as text[]) is null or g.object_id = any(cast(:objects as text[])))
            order by g.object_type, g.object_id, g.scope_id
            limit :rows_max
            """
        ),
        {
            "standard_id": standard_id,
            "scope": scope,
            "currency": currency,
            "grades": list(grades),
            "objects": list(objects) if objects is not None else None,
            "rows_max": rows_max,
        },
    )
    return rows.all()


async def lock_profiles(connection: AsyncConnection, profile_ids: Sequence[str]) -> None:
    """Locks profiles in the order of their ids."""
    await connection.execute(
        text(
            "select from credit_profile where profile_id = any(cast(:ids as uuid[])) "
            "order by profile_id for update"
        ),
        {"ids": list(profile_ids)},
    )


async def grant(
    connection: AsyncConnection, changes: Sequence[GrantChange], reason: str, person: str, now: datetime
) -> bool:
    """Sets the credit limit of each profile, making those that are not there; whatever else they say stays.

    False, and nothing to be kept, when another transaction has made one of them meanwhile.
    """
    made = await connection.execute(MAKE, {**_arrays(changes), "now": now})
    if made.rowcount != sum(change.version == 0 for change in changes):
        return False
    await set_credit_limits(connection, changes, reason, person, now)
    return True


async def set_grade(
    connection: AsyncConnection, scored: Scored, grade: str, reason: str, person: str, now: datetime
) -> None:
    """Writes an object's grade into its profiles in every currency, as a version of each."""
    place = {
        "scope": scored.scope,
        "scope_id": scored.scope_id,
        "object_type": scored.object_type,
        "object_id": scored.object_id,
    }
    rows = await connection.execute(
        text(
            """
            with graded as materialized (
                select profile_id from credit_profile
                where scope = :scope and scope_id = :scope_id and object_type = :object_type
                  and object_id = :object_id and grade is distinct from cast(:grade as text)
                order by profile_id for update)
            update credit_profile p set grade = :grade, version = version + 1, changed_at = :now
            from graded where p.profile_id = graded.profile_id
            returning cast(p.profile_id as text)
            """
        ),
        {**place, "grade": grade, "now": now},
    )
    changed = [row[0] for row in rows]
    if changed:
        await keep_versions(connection, changed, reason, person)


async def set_credit_limits(
    connection: AsyncConnection, changes: Sequence[GrantChange], reason: str, person: str, now: datetime
) -> None:
    """Sets the credit limit of profiles that are there, and keeps the versions."""
    await connection.execute(SET_CREDIT_LIMITS, {**_limits(changes), "now": now})
    await keep_versions(connection, [change.profile_id for change in changes], reason, person)


MAKE: Final = text(
    """
    insert into credit_profile (profile_id, scope, scope_id, object_type, object_id, currency, version,
                                credit_limit_unlimited, credit_limit_enforcement, single_document_limit_unlimited,
                                single_document_limit_enforcement, used_minor, settled_minor, entries, changed_at,
                                grade)
    select profile_id, scope, scope_id, object_type, object_id, currency, 1, false, 'reject', false, 'reject', 0, 0, 0,
           :now,
           (select g.grade from credit_grade g
            where (g.scope, g.scope_id, g.object_type, g.object_id) = (p.scope, p.scope_id, p.object_type, p.object_id))
    from unnest(cast(:ids as uuid[]), cast(:scopes as text[]), cast(:scope_ids as text[]), cast(:types as text[]),
                cast(:objects as text[]), cast(:currencies as text[]), cast(:versions as integer[]))
         as p (profile_id, scope, scope_id, object_type, object_id, currency, version)
    where version = 0
    on conflict do nothing
    """
)
SET_CREDIT_LIMITS: Final = text(
    """
    update credit_profile p
    set version = n.version + 1, changed_at = :now, credit_limit_minor = n.limit_minor,
        credit_limit_unlimited = n.unlimited, credit_limit_enforcement = n.enforcement
    from unnest(cast(:ids as uuid[]), cast(:versions as integer[]), cast(:limits as bigint[]),
                cast(:unlimited as boolean[]), cast(:enforcements as text[]))
         as n (profile_id, version, limit_minor, unlimited, enforcement)
    where p.profile_id = n.profile_id
    """
)


async def keep_versions(
    connection: AsyncConnection, profile_ids: Sequence[str], reason: str, person: str
) -> None:
    """Copies profiles, as they are set now, into their history: every column that both have."""
    await connection.execute(
        text(
            """
            insert into credit_profile_version
            select (jsonb_populate_record(cast(null as credit_profile_version), to_jsonb(p) || jsonb_build_object(
                        'reason', cast(:reason as text), 'changed_by', cast(:person as text)))).*
            from credit_profile p where profile_id = any(cast(:ids as uuid[]))
            """
        ),
        {"ids": list(profile_ids), "reason": reason, "person": person},
    )


def _arrays(changes: Sequence[GrantChange]) -> dict[str, Any]:
    return {
        "ids": [change.profile_id for change in changes],
        "scopes": [change.scored.scope for change in changes],
        "scope_ids": [change.scored.scope_id for change in changes],
        "types": [change.scored.object_type for change in changes],
        "objects": [change.scored.object_id for change in changes],
        "currencies": [change.currency for change in changes],
        "versions": [change.version for change in changes],
    }


def _limits(changes: Sequence[GrantChange]) -> dict[str, Any]:
    return {
        "ids": [change.profile_id for change in changes],
        "versions": [change.version for change in changes],
        "limits": [_minor(change.limit) for change in changes],
        "unlimited": [change.limit == UNLIMITED for change in changes],
        "enforcements": [change.enforcement for change in changes],
    }


def _minor(limit: Limit) -> int | None:
    return limit if isinstance(limit, int) else None
