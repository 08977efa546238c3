"""What the SMS gateway reports, each status once."""

from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

BY_TOKEN: Final = text(
    "select account, delivery_id, address from delivery_content where report_token = :token"
)

SAVE: Final = text(
    """
    insert into delivery_report (account, delivery_id, status, reply, first_at, last_at, times)
    values (:account, :delivery_id, :status, :reply, :now, :now, 1)
    on conflict (account, delivery_id, status) do update
    set reply = excluded.reply, last_at = excluded.last_at, times = delivery_report.times + 1
    """
)


async def by_token(connection: AsyncConnection, token: str) -> tuple[str, UUID, str] | None:
    """Account, id and address of the delivery whose reports bear this token."""
    row = (await connection.execute(BY_TOKEN, {"token": token})).one_or_none()
    return (row.account, row.delivery_id, row.address) if row else None


async def save(
    connection: AsyncConnection, account: str, delivery_id: UUID, status: int, reply: str, now: datetime
) -> None:
    """Notes a report; the same again only counts."""
    values = {"account": account, "delivery_id": delivery_id, "status": status, "reply": reply, "now": now}
    await connection.execute(SAVE, values)
