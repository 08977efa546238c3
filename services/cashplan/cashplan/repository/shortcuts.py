"""Shortcuts that people have set for themselves."""

from collections.abc import Sequence
from typing import Final

from chassis.arrays import Columns
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from cashplan.tables import shortcut

ROWS: Final = Columns(positions="int", titles="text", paths="text")

SAVE: Final = text(
    f"""
    insert into shortcut (subject, position, title, path)
    select :subject, position, title, path from unnest({ROWS.sql}) as s (position, title, path)
    on conflict (subject, position) do update set title = excluded.title, path = excluded.path
    """
)
DROP_LATER: Final = text("delete from shortcut where subject = :subject and position >= :number")


async def shortcuts_of(connection: AsyncConnection, subject: str) -> list[tuple[str, str]]:
    """Titles and paths in their order."""
    query = shortcut.select().where(shortcut.c.subject == subject).order_by(shortcut.c.position)
    return [(row.title, row.path) for row in await connection.execute(query)]


async def save(connection: AsyncConnection, subject: str, wanted: Sequence[tuple[str, str]]) -> None:
    """Puts these in place of a person's shortcuts."""
    await connection.execute(DROP_LATER, {"subject": subject, "number": len(wanted)})
    if wanted:
        rows = [(number, title, path) for number, (title, path) in enumerate(wanted)]
        await connection.execute(SAVE, {"subject": subject, **ROWS.parameters(rows)})
