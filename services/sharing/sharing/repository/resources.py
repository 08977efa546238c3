"""Resources and their types: every version that was known, and since when."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from sharing.domain.dated import Resource, Span
from sharing.domain.resources import ToldResource

COLUMNS: Final = (
    "resource_id, version, owner, resource_type, name, valid_from, valid_until, quantity, unit,"
    " starts_at, ends_at"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceType:
    resource_type: str
    name: str
    preset: bool


async def types(connection: AsyncConnection) -> list[ResourceType]:
    """Every resource type, by code."""
    rows = await connection.execute(
        text("select resource_type, name, preset from resource_type order by resource_type")
    )
    return [ResourceType(**row) for row in rows.mappings()]


async def save_type(connection: AsyncConnection, resource_type: str, name: str) -> ResourceType:
    """Adds a type of one's own, or gives it another name."""
    rows = await connection.execute(
        text(
            """
            insert into resource_type (resource_type, name, preset) values (:resource_type, :name, false)
            on conflict (resource_type) do update set name = excluded.name
            returning resource_type, name, preset
            """
        ),
        {"resource_type": resource_type, "name": name},
    )
    return ResourceType(**rows.mappings().one())


KNOWN: Final = text(
    f"""
    select {COLUMNS} from resource
    where resource_id = any(cast(:resources as text[])) and ends_at is null
    order by resource_id for update
    """
)


async def locked_current(
    connection: AsyncConnection, resources: Collection[str]
) -> dict[str, tuple[ToldResource, datetime]]:
    """The newest version of each of these resources and since when it is known, locked."""
    rows = await connection.execute(KNOWN, {"resources": sorted(resources)})
    return {row.resource_id: (told_of(row), row.starts_at) for row in rows}


SAVE: Final = text(
    """
    with n as (
        select * from unnest(
            cast(:resources as text[]), cast(:versions as int[]), cast(:owners as text[]), cast(:types as text[]),
            cast(:names as text[]), cast(:from as timestamptz[]), cast(:until as timestamptz[]),
            cast(:quantities as numeric[]), cast(:units as text[]), cast(:starts as timestamptz[]))
            as n (resource_id, version, owner, resource_type, name, valid_from, valid_until, quantity, unit,
                  starts_at)),
    superseded as (
        update resource r set ends_at = n.starts_at
        from n where r.resource_id = n.resource_id and r.ends_at is null
        returning 1)
    insert into resource (resource_id, version, owner, resource_type, name, valid_from, valid_until, quantity, unit,
                          starts_at)
    select n.* from n where (select count(*) from superseded) >= 0
    """
)


async def save(connection: AsyncConnection, told: Mapping[str, tuple[ToldResource, datetime]]) -> None:
    """Stores new versions, each known from its moment on; the ones before are known until then."""
    ordered = [told[resource] for resource in sorted(told)]
    if not ordered:
        return
    await connection.execute(
        SAVE,
        {
            "resources": [each.resource for each, _ in ordered],
            "versions": [each.version for each, _ in ordered],
            "owners": [each.owner for each, _ in ordered],
            "types": [each.resource_type for each, _ in ordered],
            "names": [each.name for each, _ in ordered],
            "from": [each.valid_from for each, _ in ordered],
            "until": [each.valid_until for each, _ in ordered],
            "quantities": [Decimal(each.quantity) if each.quantity else None for each, _ in ordered],
            "units": [each.unit for each, _ in ordered],
            "starts": [at for _, at in ordered],
        },
    )


async def known_at(connection: AsyncConnection, resource: str, at: datetime) -> Row[Any] | None:
    """The version of a resource that was known at a moment."""
    rows = await connection.execute(
        text(
            f"""
            select {COLUMNS} from resource
            where resource_id = :resource and starts_at <= :at and (ends_at is null or ends_at > :at)
            """
        ),
        {"resource": resource, "at": at},
    )
    return rows.one_or_none()


async def of_owner_after(
    connection: AsyncConnection, owner: str, at: datetime, after: str, rows_max: int
) -> Sequence[Row[Any]]:
    """The resources of an account behind an id, as they were known at a moment."""
    rows = await connection.execute(
        text(
            f"""
            select {COLUMNS} from resource
            where owner = :owner and resource_id > :after
                and starts_at <= :at and (ends_at is null or ends_at > :at)
            order by resource_id limit :rows_max
            """
        ),
        {"owner": owner, "at": at, "after": after, "rows_max": rows_max},
    )
    return rows.all()


def told_of(row: Row[Any]) -> ToldResource:
    return ToldResource(
        resource=row.resource_id,
        version=row.version,
        owner=row.owner,
        resource_type=row.resource_type,
        name=row.name,
        valid_from=row.valid_from,
        valid_until=row.valid_until,
        quantity=None if row.quantity is None else format(row.quantity, "f"),
        unit=row.unit,
    )


def fact_of(row: Row[Any]) -> Resource:
    return Resource(
        row.resource_id,
        row.resource_type,
        row.owner,
        Span(row.starts_at, row.ends_at),
        Span(row.valid_from, row.valid_until),
    )
