"""Profiles by the table: read with everything that a row says, and written set-based."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from credit.domain.profile_rows import Place, ProfileRow
from credit.domain.profiles import UNLIMITED, Enforcement, Limit
from credit.repository.granting import keep_versions

COLUMNS: Final = """
    scope, scope_id, object_type, object_id, currency, cast(profile_id as text) as profile_id, version,
    credit_limit_minor, credit_limit_unlimited, credit_limit_enforcement, single_document_limit_minor,
    single_document_limit_unlimited, single_document_limit_enforcement
"""


@dataclass(frozen=True, slots=True)
class Known:
    """A profile as it is."""

    profile_id: str
    version: int
    row: ProfileRow


async def profiles_at(connection: AsyncConnection, places: Collection[Place]) -> dict[Place, Known]:
    """The profiles at these places, locked in the order of their ids."""
    ordered = sorted(places)
    rows = await connection.execute(
        text(
            f"""
            select {COLUMNS} from credit_profile
            where (scope, scope_id, object_type, object_id, currency) in (
                select * from unnest(cast(:scopes as text[]), cast(:scope_ids as text[]), cast(:types as text[]),
                                     cast(:objects as text[]), cast(:currencies as text[])))
            order by credit_profile.profile_id for update
            """
        ),
        _places(ordered),
    )
    return {Place(*row[:5]): _known(row) for row in rows}


async def all_profiles(
    connection: AsyncConnection, rows_max: int, *, object_type: str | None, currency: str | None
) -> list[Known]:
    """Profiles as rows, by place."""
    rows = await connection.execute(
        text(
            f"""
            select {COLUMNS} from credit_profile
            where (cast(:object_type as text) is null or object_type = :object_type)
              and (cast(:currency as text) is null or currency = :currency)
            order by scope, scope_id, object_type, object_id, currency limit :rows_max
            """
        ),
        {"object_type": object_type, "currency": currency, "rows_max": rows_max},
    )
    return [_known(row) for row in rows]


def _known(row: Sequence[object]) -> Known:
    place = Place(*(str(value) for value in row[:5]))
    limit, unlimited, enforcement, single, single_unlimited, single_enforcement = row[7:13]
    said = ProfileRow(
        place,
        _limit(limit, unlimited),
        _enforcement(enforcement),
        _limit(single, single_unlimited),
        _enforcement(single_enforcement),
    )
    version = row[6]
    assert isinstance(version, int)
    return Known(str(row[5]), version, said)


def _limit(minor: object, unlimited: object) -> Limit:
    if unlimited:
        return UNLIMITED
    return minor if isinstance(minor, int) else None


def _enforcement(value: object) -> Enforcement:
    return value  # type: ignore[return-value]  # the table checks it


def _places(places: Sequence[Place]) -> dict[str, list[str]]:
    return {
        "scopes": [place.scope for place in places],
        "scope_ids": [place.scope_id for place in places],
        "types": [place.object_type for place in places],
        "objects": [place.object_id for place in places],
        "currencies": [place.currency for place in places],
    }


async def unknown_customers(connection: AsyncConnection, customers: Collection[str]) -> set[str]:
    """Those of the ids that are no known customer."""
    rows = await connection.execute(
        text(
            "select id from unnest(cast(:ids as text[])) id "
            "where not exists (select from customer c where c.customer_id = id)"
        ),
        {"ids": sorted(customers)},
    )
    return {row[0] for row in rows}


async def save_rows(
    connection: AsyncConnection,
    wanted: Mapping[str, tuple[int, ProfileRow]],
    reason: str,
    person: str,
    now: datetime,
) -> bool:
    """Sets profiles by id to what their rows say, `version` 0 = made now; False when one was made meanwhile."""
    if not wanted:
        return True
    parameters = {**_parameters(wanted), "now": now}
    made = await connection.execute(MAKE, parameters)
    if made.rowcount != sum(version == 0 for version, _ in wanted.values()):
        return False
    await connection.execute(SET, parameters)
    await keep_versions(connection, list(wanted), reason, person)
    return True


ROWS: Final = """
    unnest(cast(:ids as uuid[]), cast(:versions as integer[]), cast(:scopes as text[]), cast(:scope_ids as text[]),
           cast(:types as text[]), cast(:objects as text[]), cast(:currencies as text[]), cast(:limits as bigint[]),
           cast(:unlimited as boolean[]), cast(:enforcements as text[]), cast(:singles as bigint[]),
           cast(:singles_unlimited as boolean[]), cast(:single_enforcements as text[]))
    as n (profile_id, version, scope, scope_id, object_type, object_id, currency, credit_limit, credit_unlimited,
          credit_enforcement, single_limit, single_unlimited, single_enforcement)
"""
MAKE: Final = text(
    f"""
    with n as (select * from {ROWS})
    insert into credit_profile (profile_id, scope, scope_id, object_type, object_id, currency, version,
                                credit_limit_unlimited, credit_limit_enforcement, single_document_limit_unlimited,
                                single_document_limit_enforcement, used_minor, settled_minor, entries, changed_at,
                                grade)
    select profile_id, scope, scope_id, object_type, object_id, currency, 1, false, 'reject', false, 'reject', 0, 0, 0,
           :now,
           (select g.grade from credit_grade g
            where (g.scope, g.scope_id, g.object_type, g.object_id) = (n.scope, n.scope_id, n.object_type, n.object_id))
    from n where version = 0
    on conflict do nothing
    """
)
SET: Final = text(
    f"""
    update credit_profile p
    set version = n.version + 1, changed_at = :now,
        credit_limit_minor = n.credit_limit, credit_limit_unlimited = n.credit_unlimited,
        credit_limit_enforcement = n.credit_enforcement, single_document_limit_minor = n.single_limit,
        single_document_limit_unlimited = n.single_unlimited,
        single_document_limit_enforcement = n.single_enforcement
    from {ROWS}
    where p.profile_id = n.profile_id
    """
)


def _parameters(wanted: Mapping[str, tuple[int, ProfileRow]]) -> dict[str, list[object]]:
    rows = [row for _, row in wanted.values()]
    places: dict[str, list[object]] = {
        name: list(values) for name, values in _places([row.place for row in rows]).items()
    }
    return {
        "ids": list(wanted),
        "versions": [version for version, _ in wanted.values()],
        **places,
        "limits": [_minor(row.credit_limit) for row in rows],
        "unlimited": [row.credit_limit == UNLIMITED for row in rows],
        "enforcements": [row.credit_limit_enforcement for row in rows],
        "singles": [_minor(row.single_document_limit) for row in rows],
        "singles_unlimited": [row.single_document_limit == UNLIMITED for row in rows],
        "single_enforcements": [row.single_document_limit_enforcement for row in rows],
    }


def _minor(limit: Limit) -> int | None:
    return limit if isinstance(limit, int) else None
