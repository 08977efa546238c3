"""Templates and their versions."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from notify.domain.templates import Style, Template, TemplateBook, TemplateKey

NEWEST_NUMBER: Final = text("select coalesce(max(number), 0) from template")

NEWEST: Final = text(
    """
    select distinct on (kind, style, language) kind, style, language, version, subject, text, html, saved_at, saved_by
    from template
    where kind = coalesce(:kind, kind)
    order by kind, style, language, version desc
    """
)

VERSIONS: Final = text(
    """
    select kind, style, language, version, subject, text, html, saved_at, saved_by from template
    where (kind, style, language) = (:kind, :style, :language)
    order by version desc
    limit :rows_max
    """
)

SAVE: Final = text(
    """
    insert into template (kind, style, language, version, subject, text, html, saved_at, saved_by)
    select :kind, :style, :language, coalesce(max(version), 0) + 1, :subject, :text, :html, :now, :by
    from template
    where (kind, style, language) = (:kind, :style, :language)
    returning version
    """
)

LOCK: Final = text("select pg_advisory_xact_lock(hashtext('notify-templates'))")


async def newest_number(connection: AsyncConnection) -> int:
    """The number of the template that was saved last: while it stays, a book is current."""
    return int((await connection.execute(NEWEST_NUMBER)).scalar_one())


async def book(connection: AsyncConnection) -> TemplateBook:
    """The newest version of every template."""
    number = await newest_number(connection)
    return TemplateBook(
        [template_of(row) for row in await newest(connection)],
        number=number,
    )


async def newest(connection: AsyncConnection, kind: str | None = None) -> list[Row[Any]]:
    return list(await connection.execute(NEWEST, {"kind": kind}))


async def versions(connection: AsyncConnection, key: TemplateKey, rows_max: int) -> Sequence[Row[Any]]:
    """The versions of one template, newest first."""
    values = {"kind": key.kind, "style": key.style, "language": key.language, "rows_max": rows_max}
    return (await connection.execute(VERSIONS, values)).all()


async def save(connection: AsyncConnection, template: Template, by: str, now: datetime) -> int:
    """Stores a new version, one at a time; returns its number within the template."""
    await connection.execute(LOCK)
    values = {
        "kind": template.key.kind,
        "style": template.key.style,
        "language": template.key.language,
        "subject": template.subject,
        "text": template.text,
        "html": template.html,
        "by": by,
        "now": now,
    }
    return int((await connection.execute(SAVE, values)).scalar_one())


def template_of(row: Row[Any]) -> Template:
    return Template(
        key=TemplateKey(row.kind, Style(row.style), row.language),
        version=row.version,
        subject=row.subject,
        text=row.text,
        html=row.html,
    )
