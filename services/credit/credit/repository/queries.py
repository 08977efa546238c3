"""What credit people look up: how objects stand, what failed, who approved what, and stored decisions."""

from collections.abc import AsyncIterator, Sequence
from datetime import date, datetime
from typing import Any, Final

import orjson
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from credit.domain.simulation import Decided

BLOCK_ROWS: Final = 1_000


async def statuses_after(
    connection: AsyncConnection,
    place: tuple[str] | None,
    rows_max: int,
    *,
    object_type: str | None = None,
    object_id: str | None = None,
    currency: str | None = None,
    usage_percent: int | None = None,
    today: date,
) -> Sequence[Row[Any]]:
    """Profiles with their numbers, by id; `usage_percent`: only those of which at least this part is used."""
    rows = await connection.execute(
        text(
            """
            select cast(profile_id as text) as profile_id, scope, scope_id, object_type, object_id, currency,
                   credit_limit_minor, credit_limit_unlimited, used_minor, settled_minor, changed_at, terms, frozen,
                   coalesce(o.overdue, 0) as overdue_minor, coalesce(o.days, 0) as overdue_days
            from credit_profile
            left join lateral (
                select sum(amount_minor) as overdue, max(cast(:today as date) - due_date) as days
                from document_occupancy d
                where d.profile_id = credit_profile.profile_id and d.stage = 'receivable' and d.amount_minor > 0
                  and d.due_date < cast(:today as date)) o on true
            where (cast(:after as uuid) is null or profile_id > cast(:after as uuid))
              and (cast(:object_type as text) is null or object_type = :object_type)
              and (cast(:object_id as text) is null or object_id = :object_id)
              and (cast(:currency as text) is null or currency = :currency)
              and (cast(:usage as integer) is null
                   or used_minor > 0
                      and cast(used_minor as numeric) * 100 >= credit_limit_minor * cast(:usage as numeric))
            order by credit_profile.profile_id limit :rows_max
            """
        ),
        {
            "after": place[0] if place else None,
            "object_type": object_type,
            "object_id": object_id,
            "currency": currency,
            "usage": usage_percent,
            "today": today,
            "rows_max": rows_max,
        },
    )
    return rows.all()


async def exceptions_before(
    connection: AsyncConnection,
    place: tuple[datetime, str, str, int] | None,
    rows_max: int,
    *,
    since: datetime,
    until: datetime,
    outcome: str | None = None,
    order_id: str | None = None,
) -> Sequence[Row[Any]]:
    """Checks of orders that did not simply pass, newest first, with who approved or rejected them."""
    moment, source, order, number = place or (until, "", "", 0)
    rows = await connection.execute(
        text(
            """
            select c.checked_at, c.source, c.order_id, c.check_number, c.order_revision, c.operation, c.outcome,
                   c.findings, c.person, p.state as wait, p.person as judge, p.reason as judged_because, p.ended_at,
                   d.outcome as decided
            from credit_check c
            left join pending_order p using (source, order_id, check_number)
            left join check_decision d using (source, order_id, check_number)
            where (c.outcome in ('warned', 'declined', 'pending-approval') or c.person is not null)
              and c.checked_at >= :since and c.checked_at <= :moment
              and (c.checked_at < :moment
                   or (c.source, c.order_id, c.check_number) > (:source, :order, cast(:number as bigint)))
              and (cast(:outcome as text) is null or c.outcome = :outcome)
              and (cast(:order_id as text) is null or c.order_id = :order_id)
            order by c.checked_at desc, c.source, c.order_id, c.check_number
            limit :rows_max
            """
        ),
        {
            "moment": moment,
            "source": source,
            "order": order,
            "number": number,
            "since": since,
            "outcome": outcome,
            "order_id": order_id,
            "rows_max": rows_max,
        },
    )
    return rows.all()


async def approval_sums(
    connection: AsyncConnection,
    *,
    since: datetime,
    until: datetime,
    person: str | None,
    customer: str | None,
    rows_max: int,
) -> Sequence[Row[Any]]:
    """Per approver, customer and currency: how many waiting orders were approved and rejected, and their sums."""
    rows = await connection.execute(
        text(
            """
            select person, customer, currency, count(*) filter (where state = 'approved') as approved,
                   coalesce(sum(total_minor) filter (where state = 'approved'), 0) as approved_minor,
                   count(*) filter (where state = 'rejected') as rejected,
                   coalesce(sum(total_minor) filter (where state = 'rejected'), 0) as rejected_minor,
                   max(ended_at) as last_at
            from pending_order
            where state in ('approved', 'rejected') and ended_at >= :since and ended_at <= :until
              and (cast(:person as text) is null or person = :person)
              and (cast(:customer as text) is null or customer = :customer)
            group by person, customer, currency order by person, customer, currency limit :rows_max
            """
        ),
        {
            "since": since,
            "until": until,
            "person": person,
            "customer": customer,
            "rows_max": rows_max,
        },
    )
    return rows.all()


async def decisions_since(
    connection: AsyncConnection, since: datetime, rows_max: int
) -> AsyncIterator[list[Decided]]:
    """Stored decisions in blocks, oldest first, read while they are used."""
    found = await connection.stream(
        text(
            """
            select source, order_id, check_number, outcome, findings from credit_check
            where checked_at >= :since and outcome in ('approved', 'warned', 'declined', 'pending-approval')
            order by checked_at limit :rows_max
            """
        ),
        {"since": since, "rows_max": rows_max},
    )
    async for block in found.partitions(BLOCK_ROWS):
        yield [
            Decided(row[0], row[1], row[2], row[3], orjson.loads(row[4]).get("metrics") or [])
            for row in block
        ]
