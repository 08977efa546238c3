"""Requests to end relationships, and the answers to them."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from contracts import RelationshipEndAnswered
from sharing.domain.ending import EndRequest, Purpose, RequestOutcome
from sharing.tables import end_request

COLUMNS: Final = (
    "request_id, relationship_id, purpose, relationship_version, side, requested_by, requested_at, answer_by,"
    " outcome, decided_at"
)


async def insert(connection: AsyncConnection, request: EndRequest) -> None:
    values = ", ".join(f":{name}" for name in COLUMNS.replace(",", "").split())
    await connection.execute(text(f"insert into end_request ({COLUMNS}) values ({values})"), asdict(request))


async def open_request(
    connection: AsyncConnection, relationship_id: str, purpose: Purpose
) -> EndRequest | None:
    """The request about a locked relationship that is under way."""
    columns = end_request.c
    query = select(end_request).where(
        columns.relationship_id == relationship_id, columns.purpose == purpose, columns.outcome.is_(None)
    )
    row = (await connection.execute(query)).first()
    return _request(row) if row else None


async def by_id(connection: AsyncConnection, request_ids: Collection[str]) -> dict[str, EndRequest]:
    query = select(end_request).where(text("request_id = any(cast(:ids as text[]))"))
    rows = await connection.execute(query, {"ids": list(request_ids)})
    return {row.request_id: _request(row) for row in rows}


async def of_relationship(
    connection: AsyncConnection, relationship_id: str, before: str | None, rows_max: int
) -> list[EndRequest]:
    """The requests about a relationship below an id, newest first."""
    query = select(end_request).where(end_request.c.relationship_id == relationship_id)
    if before is not None:
        query = query.where(end_request.c.request_id < before)
    rows = await connection.execute(query.order_by(end_request.c.request_id.desc()).limit(rows_max))
    return [_request(row) for row in rows]


async def settle(
    connection: AsyncConnection, requests: Sequence[EndRequest], outcome: RequestOutcome, at: datetime
) -> list[EndRequest]:
    """Gives requests their outcome."""
    await connection.execute(
        text(
            """
            update end_request set outcome = :outcome, decided_at = :at
            where request_id = any(cast(:ids as text[])) and outcome is null
            """
        ),
        {"ids": [each.request_id for each in requests], "outcome": outcome, "at": at},
    )
    return [replace(each, outcome=outcome, decided_at=at) for each in requests]


async def save_answers(connection: AsyncConnection, answers: Sequence[RelationshipEndAnswered]) -> None:
    """Keeps the first answer of each service to each request."""
    await connection.execute(
        text(
            """
            insert into end_answer (request_id, answered_by, outcome, body)
            select * from unnest(cast(:requests as text[]), cast(:services as text[]), cast(:outcomes as text[]),
                                 cast(:bodies as bytea[]))
            on conflict do nothing
            """
        ),
        {
            "requests": [each.request_id for each in answers],
            "services": [each.answered_by for each in answers],
            "outcomes": [each.outcome for each in answers],
            "bodies": [each.to_json() for each in answers],
        },
    )


async def answers(
    connection: AsyncConnection, request_ids: Collection[str]
) -> dict[str, list[RelationshipEndAnswered]]:
    """The answers to each of these requests, by service."""
    rows = await connection.execute(
        text(
            """
            select request_id, body from end_answer where request_id = any(cast(:ids as text[]))
            order by request_id, answered_by
            """
        ),
        {"ids": list(request_ids)},
    )
    found: dict[str, list[RelationshipEndAnswered]] = defaultdict(list)
    for row in rows:
        found[row.request_id].append(RelationshipEndAnswered.adapter.validate_json(row.body))
    return found


def _request(row: Row[Any]) -> EndRequest:
    return EndRequest(**row._mapping)
