"""Orders, their checks and their waits, for reading."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from credit.domain.arrivals import OrderKey


async def order_row(connection: AsyncConnection, key: OrderKey) -> Row[Any] | None:
    """One order at the gate."""
    rows = await connection.execute(
        text("select * from sales_order where source = :source and order_id = :order_id"), _key(key)
    )
    return rows.first()


async def checks_after(
    connection: AsyncConnection, key: OrderKey, place: tuple[int] | None, rows_max: int
) -> Sequence[Row[Any]]:
    """The checks of an order by number, each with fund-pool's decision."""
    rows = await connection.execute(
        text(
            """
            select c.check_number, c.order_revision, c.operation, c.outcome, c.findings, c.person, c.event_source,
                   c.event_id, c.checked_at, d.outcome as decided, d.recorded_at as decided_at
            from credit_check c left join check_decision d using (source, order_id, check_number)
            where c.source = :source and c.order_id = :order_id and c.check_number > :after
            order by c.check_number
            limit :rows_max
            """
        ),
        {**_key(key), "after": place[0] if place else 0, "rows_max": rows_max},
    )
    return rows.all()


async def pending_after(
    connection: AsyncConnection,
    place: tuple[datetime, str, str, int] | None,
    rows_max: int,
    *,
    state: str,
    customer: str | None = None,
) -> Sequence[Row[Any]]:
    """Orders that wait for special approval, or waited, longest wait first."""
    names = ("held_at", "after_source", "after_order_id", "after_number")
    rows = await connection.execute(
        text(
            """
            select * from pending_order
            where state = :state and (cast(:customer as text) is null or customer = :customer)
              and (cast(:held_at as timestamptz) is null
                   or (held_at, source, order_id, check_number)
                      > (cast(:held_at as timestamptz), :after_source, :after_order_id, :after_number))
            order by held_at, source, order_id, check_number
            limit :rows_max
            """
        ),
        {
            "state": state,
            "customer": customer,
            "rows_max": rows_max,
            **dict(zip(names, place or (None, "", "", 0), strict=True)),
        },
    )
    return rows.all()


async def last_pending(connection: AsyncConnection, key: OrderKey) -> Row[Any] | None:
    """The last wait of an order, with what its check found."""
    rows = await connection.execute(
        text(
            """
            select p.*, c.findings
            from pending_order p join credit_check c using (source, order_id, check_number)
            where p.source = :source and p.order_id = :order_id
            order by p.check_number desc
            limit 1
            """
        ),
        _key(key),
    )
    return rows.first()


def _key(key: OrderKey) -> dict[str, str]:
    return {"source": key[0], "order_id": key[1]}
