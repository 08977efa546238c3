"""What was decided about documents, and what a mapping put nowhere, to look at."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from cashplan.tables import plan_check, unmapped


async def checks_after(
    connection: AsyncConnection,
    entity: str | None,
    document_id: str | None,
    outcome: str | None,
    after: tuple[datetime, str] | None,
    rows_max: int,
) -> list[Row[*tuple[Any, ...]]]:
    """Decisions, the newest first, behind a moment and a check id."""
    columns = plan_check.c
    query = select(plan_check)
    for column, wanted in (
        (columns.entity, entity),
        (columns.document_id, document_id),
        (columns.outcome, outcome),
    ):
        if wanted is not None:
            query = query.where(column == wanted)
    if after is not None:
        query = query.where(func.row(columns.checked_at, columns.check_id) < func.row(*after))
    ordered = query.order_by(columns.checked_at.desc(), columns.check_id.desc())
    return list(await connection.execute(ordered.limit(rows_max)))


async def unmapped_after(
    connection: AsyncConnection, system_id: str, after: Sequence[str], rows_max: int
) -> list[Row[*tuple[Any, ...]]]:
    """Lines that map to nothing, by document."""
    columns = unmapped.c
    place = func.row(
        columns.source, columns.document_type, columns.document_id, columns.line_id, columns.dimension
    )
    query = select(unmapped).where(columns.system_id == system_id, place > func.row(*after))
    ordered = query.order_by(
        columns.source, columns.document_type, columns.document_id, columns.line_id, columns.dimension
    )
    return list(await connection.execute(ordered.limit(rows_max)))
