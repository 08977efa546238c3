"""Settings of the pool: collection rules and calendars, stored whole and kept in memory while unchanged."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from cashplan.domain.collection import CollectionRule
from cashplan.domain.recurring import Calendar
from cashplan.repository.codec import dump, load_any
from cashplan.tables import pool_setting

Rules = Sequence[CollectionRule]

TYPES: Final[dict[str, Any]] = {
    "collection-rules": list[CollectionRule],
    "calendars": list[Calendar],
}

SAVE: Final = text(
    """
    insert into pool_setting (kind, version, body, changed_by, changed_at)
    values (:kind, 1, :body, :changed_by, clock_timestamp())
    on conflict (kind) do update
    set version = pool_setting.version + 1, body = excluded.body, changed_by = excluded.changed_by,
        changed_at = excluded.changed_at
    """
)

_read: dict[tuple[str, int, datetime], Any] = {}
CACHED_MAX: Final = 100


async def save(connection: AsyncConnection, kind: str, value: Any, changed_by: str) -> None:
    body = dump(TYPES[kind], value)
    await connection.execute(SAVE, {"kind": kind, "body": body, "changed_by": changed_by})


async def setting(connection: AsyncConnection, kind: str) -> Any:
    """The stored list of a kind, empty where there is none."""
    row = (await connection.execute(select(pool_setting).where(pool_setting.c.kind == kind))).first()
    if row is None:
        return []
    key = row.kind, row.version, row.changed_at
    if key not in _read:
        while len(_read) > CACHED_MAX:
            _read.pop(next(iter(_read)))
        _read[key] = load_any(TYPES[kind], row.body)
    return _read[key]


async def collection_rules(connection: AsyncConnection) -> Rules:
    rules: Rules = await setting(connection, "collection-rules")
    return rules


async def calendars(connection: AsyncConnection) -> Sequence[Calendar]:
    found: Sequence[Calendar] = await setting(connection, "calendars")
    return found
