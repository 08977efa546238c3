"""Organisations as this service knows them."""

from collections.abc import Collection, Sequence
from typing import Final

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from cashplan.domain.organisations import Organisation
from cashplan.tables import organisation

SAVE_NEWER: Final = text(
    """
    insert into organisation (organisation_id, version, name, time_zone, active)
    select * from unnest(cast(:ids as text[]), cast(:versions as int[]), cast(:names as text[]),
                         cast(:zones as text[]), cast(:active as boolean[]))
    on conflict (organisation_id) do update
    set version = excluded.version, name = excluded.name, time_zone = excluded.time_zone,
        active = excluded.active
    where organisation.version < excluded.version
    """
)


async def save_newer(connection: AsyncConnection, organisations: Sequence[Organisation]) -> None:
    """Stores those whose version is above the known one; ids are unique and sorted."""
    if not organisations:
        return
    await connection.execute(
        SAVE_NEWER,
        {
            "ids": [known.organisation_id for known in organisations],
            "versions": [known.version for known in organisations],
            "names": [known.name for known in organisations],
            "zones": [known.time_zone for known in organisations],
            "active": [known.active for known in organisations],
        },
    )


async def organisations_by_id(connection: AsyncConnection, ids: Collection[str]) -> dict[str, Organisation]:
    """The known ones among these organisations."""
    wanted = text("organisation_id = any(cast(:ids as text[]))")
    rows = await connection.execute(select(organisation).where(wanted), {"ids": list(ids)})
    return {
        row.organisation_id: Organisation(
            organisation_id=row.organisation_id,
            version=row.version,
            name=row.name,
            time_zone=row.time_zone,
            active=row.active,
        )
        for row in rows
    }
