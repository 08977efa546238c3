"""Members that draw on the common line of their management account."""

from datetime import datetime
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

SET: Final = text(
    """
    insert into common_line (member_account, currency, management_account, set_by, set_at)
    values (:member, :currency, :management, :set_by, :set_at)
    on conflict (member_account, currency) do update
    set management_account = excluded.management_account, set_by = excluded.set_by, set_at = excluded.set_at
    """
)

END: Final = text(
    "delete from common_line where member_account = :member and currency = :currency returning currency"
)


async def set_line(
    connection: AsyncConnection, member: str, currency: str, management: str, set_by: str, now: datetime
) -> None:
    await connection.execute(
        SET,
        {
            "member": member,
            "currency": currency,
            "management": management,
            "set_by": set_by,
            "set_at": now,
        },
    )


async def end_line(connection: AsyncConnection, member: str, currency: str) -> bool:
    """Whether there was one."""
    found = await connection.execute(END, {"member": member, "currency": currency})
    return found.one_or_none() is not None
