"""The feed of deliveries with their history, for those who ask what became of a notice."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row, Select, select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql import ColumnElement

from notify.tables import delivery, notice

HISTORY: Final = text(
    """
    select h.account, h.delivery_id, h.step, h.at, h.state, h.reason, h.attempt, h.phase, h.verdict, h.code, h.answer
    from delivery_history h
    join unnest(cast(:accounts as text[]), cast(:ids as uuid[])) as w (account, id)
      on h.account = w.account and h.delivery_id = w.id
    where h.at >= :since
    order by h.account, h.delivery_id, h.step
    """
)

REPORTS: Final = text(
    """
    select r.account, r.delivery_id, r.status, r.reply, r.first_at, r.last_at, r.times
    from delivery_report r
    join unnest(cast(:accounts as text[]), cast(:ids as uuid[])) as w (account, id)
      on r.account = w.account and r.delivery_id = w.id
    order by r.account, r.delivery_id, r.first_at, r.status
    """
)

COLUMNS: Final = (
    delivery.c.account,
    delivery.c.id,
    delivery.c.kind,
    delivery.c.recipient,
    delivery.c.contact_place,
    delivery.c.channel,
    delivery.c.role,
    delivery.c.state,
    delivery.c.reason,
    delivery.c.attempts,
    delivery.c.due_at,
    delivery.c.expires_at,
    delivery.c.repeat_of,
    delivery.c.carried_by,
    notice.c.family,
    notice.c.rule,
    notice.c.reminder,
    delivery.c.created_at,
    delivery.c.ended_at,
    notice.c.currency,
    notice.c.episode_id,
    notice.c.event_source,
    notice.c.event_id,
    notice.c.event_type,
    notice.c.occurred_at,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which deliveries to show; None means any."""

    accounts: Collection[str] | None = None
    recipient: str | None = None
    event_id: str | None = None
    episode_id: str | None = None
    state: str | None = None
    reason: str | None = None
    channel: str | None = None
    family: str | None = None
    created_from: datetime | None = None
    created_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Shown:
    """A delivery with its notice, the steps of its history and the gateway's reports."""

    delivery: Row[Any]
    history: Sequence[Row[Any]]
    reports: Sequence[Row[Any]]


async def newest_before(
    connection: AsyncConnection, wanted: Wanted, before: tuple[datetime, UUID] | None, rows_max: int
) -> list[Shown]:
    """Deliveries before a place, newest first."""
    place = (delivery.c.created_at, delivery.c.id)
    query = _joined().where(*_conditions(wanted))
    if before is not None:
        query = query.where(tuple_(*place) < tuple_(*before, types=[column.type for column in place]))
    rows = await connection.execute(query.order_by(*(column.desc() for column in place)).limit(rows_max))
    return await _shown(connection, rows.all())


async def one(connection: AsyncConnection, account: str, delivery_id: UUID) -> Shown | None:
    query = _joined().where(delivery.c.account == account, delivery.c.id == delivery_id)
    shown = await _shown(connection, (await connection.execute(query)).all())
    return shown[0] if shown else None


def _joined() -> Select[Any]:
    is_notice_of = (notice.c.account == delivery.c.account) & (notice.c.id == delivery.c.notice_id)
    return select(*COLUMNS).join_from(delivery, notice, is_notice_of)


def _conditions(wanted: Wanted) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if wanted.accounts is not None:
        conditions.append(delivery.c.account.in_(sorted(wanted.accounts)))
    columns: Mapping[ColumnElement[Any], str | None] = {
        delivery.c.recipient: wanted.recipient,
        notice.c.event_id: wanted.event_id,
        notice.c.episode_id: wanted.episode_id,
        delivery.c.state: wanted.state,
        delivery.c.reason: wanted.reason,
        delivery.c.channel: wanted.channel,
        notice.c.family: wanted.family,
    }
    conditions.extend(column == value for column, value in columns.items() if value is not None)
    if wanted.created_from is not None:
        conditions.append(delivery.c.created_at >= wanted.created_from)
    if wanted.created_until is not None:
        conditions.append(delivery.c.created_at < wanted.created_until)
    return conditions


async def _shown(connection: AsyncConnection, rows: Sequence[Row[Any]]) -> list[Shown]:
    if not rows:
        return []
    keys = {"accounts": [row.account for row in rows], "ids": [row.id for row in rows]}
    since = min(row.created_at for row in rows)
    history = _by_delivery((await connection.execute(HISTORY, {**keys, "since": since})).all())
    reports = _by_delivery((await connection.execute(REPORTS, keys)).all())
    return [
        Shown(row, history.get((row.account, row.id), []), reports.get((row.account, row.id), []))
        for row in rows
    ]


def _by_delivery(rows: Sequence[Row[Any]]) -> dict[tuple[str, UUID], list[Row[Any]]]:
    found: dict[tuple[str, UUID], list[Row[Any]]] = {}
    for row in rows:
        found.setdefault((row.account, row.delivery_id), []).append(row)
    return found
