"""Operations that wait for an earlier one of their document."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from chassis.arrays import Columns
from chassis.work import Cause, CausedBy
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from cashplan.domain.documents import DocumentKey, Posted
from cashplan.repository.codec import dump_posted, load_posted
from cashplan.repository.control import KEYS

PLACES: Final = Columns(
    sources="text", types="text", ids="text", revisions="int", operations="text", stances="text"
)
ROWS: Final = Columns(
    sources="text",
    types="text",
    ids="text",
    revisions="int",
    operations="text",
    stances="text",
    bodies="bytea",
    event_sources="text",
    events="text",
    correlations="text",
    traces="text",
)

PARKED_OF: Final = text(
    f"""
    select p.*
    from parked_document p
    join unnest({KEYS.sql}) as k (source, document_type, document_id) using (source, document_type, document_id)
    order by p.sequence
    """
)

ADD: Final = text(
    f"""
    insert into parked_document (source, document_type, document_id, revision, operation, stance, posted,
                                 event_source, event_id, correlation_id, traceparent, parked_at)
    select *, :now from unnest({ROWS.sql})
    """
)

REMOVE: Final = text(
    f"""
    delete from parked_document p
    using unnest({PLACES.sql}) as k (source, document_type, document_id, revision, operation, stance)
    where (p.source, p.document_type, p.document_id, p.revision, p.operation, p.stance)
        = (k.source, k.document_type, k.document_id, k.revision, k.operation, k.stance)
    """
)


@dataclass(slots=True)
class Parked:
    """An operation that came early, and what it came from."""

    posted: Posted
    cause: CausedBy
    is_stored: bool = False

    @property
    def place(self) -> tuple[str, str, str, int, str, str]:
        posted = self.posted
        return (*posted.key, posted.revision, posted.operation, posted.stance)


async def parked_of(
    connection: AsyncConnection, keys: Sequence[DocumentKey]
) -> dict[DocumentKey, list[Parked]]:
    """What waits for an earlier operation of these documents, in the order in which it came."""
    found: dict[DocumentKey, list[Parked]] = {key: [] for key in keys}
    if not keys:
        return found
    for row in await connection.execute(PARKED_OF, KEYS.parameters(keys)):
        key = DocumentKey(row.source, row.document_type, row.document_id)
        cause = Cause(row.event_source, row.event_id, row.correlation_id, row.traceparent)
        found[key].append(Parked(load_posted(key, row.posted), cause, is_stored=True))
    return found


async def add(connection: AsyncConnection, waiting: Sequence[Parked], now: datetime) -> None:
    if waiting:
        rows = [
            (
                *each.place,
                dump_posted(each.posted),
                each.cause.source,
                each.cause.id,
                each.cause.correlation_id,
                each.cause.traceparent,
            )
            for each in waiting
        ]
        await connection.execute(ADD, {**ROWS.parameters(rows), "now": now})


async def remove(connection: AsyncConnection, gone: Sequence[Parked]) -> None:
    if gone:
        await connection.execute(REMOVE, PLACES.parameters(each.place for each in gone))
