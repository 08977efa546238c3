"""What roles are granted: to view, make or approve a type of document or master record."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

ROLES: Final = text("select roles from role_grant where object = :object and action = :action")

ALL: Final = text(
    "select object, action, roles, granted_by, granted_at from role_grant order by object, action"
)

SET: Final = text(
    """
    insert into role_grant (object, action, roles, granted_by, granted_at)
    values (:object, :action, :roles, :granted_by, :granted_at)
    on conflict (object, action) do update
    set roles = excluded.roles, granted_by = excluded.granted_by, granted_at = excluded.granted_at
    """
)

END: Final = text("delete from role_grant where object = :object and action = :action returning object")


@dataclass(frozen=True, slots=True)
class Grant:
    """Which roles may do something; without a grant the route's own roles do."""

    object: str
    action: str
    roles: list[str]
    granted_by: str
    granted_at: datetime


async def granted_roles(connection: AsyncConnection, name: str, action: str) -> frozenset[str] | None:
    """The roles that a grant names; None where there is no grant."""
    roles = (await connection.execute(ROLES, {"object": name, "action": action})).scalar_one_or_none()
    return None if roles is None else frozenset(roles)


async def grants(connection: AsyncConnection) -> list[Grant]:
    return [Grant(*row) for row in await connection.execute(ALL)]


async def set_grant(
    connection: AsyncConnection, name: str, action: str, roles: Sequence[str], who: str, now: datetime
) -> None:
    await connection.execute(
        SET,
        {
            "object": name,
            "action": action,
            "roles": sorted(set(roles)),
            "granted_by": who,
            "granted_at": now,
        },
    )


async def end_grant(connection: AsyncConnection, name: str, action: str) -> bool:
    """Whether there was one."""
    found = await connection.execute(END, {"object": name, "action": action})
    return found.one_or_none() is not None
