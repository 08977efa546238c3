"""Organisations, customers and references: full state, the highest version wins."""

from collections.abc import Collection, Sequence
from typing import Any, Final

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from credit.domain.masterdata import MasterRecord, Table, Version

UPSERT: Final = {
    "organisation": text(
        """
        insert into organisation as old (organisation_id, version, name, active, digest, changed_by, changed_at,
                                         organisation_type, parent, time_zone)
        select * from unnest(cast(:ids as text[]), cast(:versions as bigint[]), cast(:names as text[]),
                             cast(:actives as boolean[]), cast(:digests as bytea[]), cast(:persons as text[]),
                             cast(:moments as timestamptz[]), cast(:first as text[]), cast(:second as text[]),
                             cast(:third as text[]))
        on conflict (organisation_id) do update
        set version = excluded.version, name = excluded.name, active = excluded.active, digest = excluded.digest,
            changed_by = excluded.changed_by, changed_at = excluded.changed_at,
            organisation_type = excluded.organisation_type, parent = excluded.parent,
            time_zone = excluded.time_zone
        where old.version < excluded.version
        """
    ),
    "reference": text(
        """
        insert into reference as old (reference_id, version, name, active, digest, changed_by, changed_at, kind, own_id,
                                      parent)
        select * from unnest(cast(:ids as text[]), cast(:versions as bigint[]), cast(:names as text[]),
                             cast(:actives as boolean[]), cast(:digests as bytea[]), cast(:persons as text[]),
                             cast(:moments as timestamptz[]), cast(:first as text[]), cast(:second as text[]),
                             cast(:third as text[]))
        on conflict (reference_id) do update
        set version = excluded.version, name = excluded.name, active = excluded.active, digest = excluded.digest,
            changed_by = excluded.changed_by, changed_at = excluded.changed_at, parent = excluded.parent
        where old.version < excluded.version
        """
    ),
    "customer": text(
        """
        insert into customer as old (customer_id, version, name, active, digest, changed_by, changed_at,
                                     customer_group, credit_managed)
        select * from unnest(cast(:ids as text[]), cast(:versions as bigint[]), cast(:names as text[]),
                             cast(:actives as boolean[]), cast(:digests as bytea[]), cast(:persons as text[]),
                             cast(:moments as timestamptz[]), cast(:first as text[]), cast(:second as boolean[]))
        on conflict (customer_id) do update
        set version = excluded.version, name = excluded.name, active = excluded.active, digest = excluded.digest,
            changed_by = excluded.changed_by, changed_at = excluded.changed_at,
            customer_group = excluded.customer_group, credit_managed = excluded.credit_managed
        where old.version < excluded.version
        """
    ),
}


async def locked_versions(
    connection: AsyncConnection, table: Table, ids: Collection[str]
) -> dict[str, Version]:
    """What is known of these records, locked in sorted order."""
    if not ids:
        return {}
    rows = await connection.execute(
        text(
            f"select {table}_id, version, digest from {table} where {table}_id = any(cast(:ids as text[])) "
            f"order by {table}_id for update"
        ),
        {"ids": sorted(ids)},
    )
    return {record_id: (version, digest) for record_id, version, digest in rows}


async def save(connection: AsyncConnection, table: Table, records: Sequence[MasterRecord]) -> None:
    """Writes records, at most one per id, where they are newer than what is there."""
    if not records:
        return
    ordered = sorted(records, key=lambda record: record.record_id)
    parts = ("first", "second", "third")
    own = {
        name: [record.own[place] for record in ordered]
        for place, name in enumerate(parts[: len(ordered[0].own)])
    }
    await connection.execute(
        UPSERT[table],
        {
            "ids": [record.record_id for record in ordered],
            "versions": [record.version for record in ordered],
            "names": [record.name for record in ordered],
            "actives": [record.active for record in ordered],
            "digests": [record.digest for record in ordered],
            "persons": [record.changed_by for record in ordered],
            "moments": [record.changed_at for record in ordered],
            **own,
        },
    )


async def record_row(connection: AsyncConnection, table: Table, record_id: str) -> Row[Any] | None:
    """One organisation or customer."""
    rows = await connection.execute(text(f"select * from {table} where {table}_id = :id"), {"id": record_id})
    return rows.first()


async def organisations_after(
    connection: AsyncConnection, place: tuple[str] | None, rows_max: int
) -> Sequence[Row[Any]]:
    rows = await connection.execute(
        text(
            """
            select * from organisation where organisation_id > coalesce(cast(:after as text), '')
            order by organisation_id limit :rows_max
            """
        ),
        {"after": place[0] if place else None, "rows_max": rows_max},
    )
    return rows.all()


async def references_after(
    connection: AsyncConnection, place: tuple[str] | None, rows_max: int, *, kind: str, parent: str | None
) -> Sequence[Row[Any]]:
    """The references of a kind by id, all or those below a parent."""
    rows = await connection.execute(
        text(
            """
            select * from reference
            where kind = :kind and own_id > coalesce(cast(:after as text), '')
              and (cast(:parent as text) is null or parent = :parent)
            order by own_id limit :rows_max
            """
        ),
        {"after": place[0] if place else None, "kind": kind, "parent": parent, "rows_max": rows_max},
    )
    return rows.all()


async def customers_after(
    connection: AsyncConnection, place: tuple[str] | None, rows_max: int, *, without_profile: bool
) -> Sequence[Row[Any]]:
    """Customers by id; `without_profile`: only the active, credit managed ones that no profile covers."""
    rows = await connection.execute(
        text(
            """
            select * from customer c
            where customer_id > coalesce(cast(:after as text), '')
              and (not :without_profile
                   or active and credit_managed and not exists (
                       select from credit_profile p where p.object_type = 'customer' and p.object_id = c.customer_id))
            order by customer_id limit :rows_max
            """
        ),
        {"after": place[0] if place else None, "rows_max": rows_max, "without_profile": without_profile},
    )
    return rows.all()
