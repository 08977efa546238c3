"""Members that draw on the common line of their management account."""

from collections.abc import Collection
from datetime import datetime
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from fund_pool.repository.arrays import columns

SET: Final = text(
    """
    with marked as (update account set extras = true where account = :management and not extras)
    insert into common_line (member_account, currency, management_account, set_by, set_at)
    values (:member, :currency, :management, :set_by, :set_at)
    on conflict (member_account, currency) do update
    set management_account = excluded.management_account, set_by = excluded.set_by, set_at = excluded.set_at
    """
)

END: Final = text(
    "delete from common_line where member_account = :member and currency = :currency returning currency"
)

# A trusteeship that was begun anew by another relationship keeps its line, whatever order the two are told in.
END_WITH_TRUSTEESHIP: Final = text(
    """
    delete from common_line c
    using relationship ended
    where ended.relationship_id = any(cast(:ended as text[])) and ended.kind = 'trusteeship'
      and ended.state = 'ended'
      and c.member_account = ended.member_account and c.management_account = ended.management_account
      and not exists (
          select from relationship r
          where r.kind = 'trusteeship' and r.state = 'active'
            and r.member_account = c.member_account and r.management_account = c.management_account)
    """
)


BORROWERS: Final = text(
    """
    select c.management_account, c.currency, c.member_account
    from common_line c
    join unnest(cast(:owners as text[]), cast(:currencies as text[])) as n (owner, currency)
        on n.owner = c.management_account and n.currency = c.currency
    order by c.member_account
    """
)


async def borrowers(
    connection: AsyncConnection, lines: Collection[tuple[str, str]]
) -> list[tuple[str, str, str]]:
    """Who draws on these common lines: (owner, currency, member)."""
    rows = await connection.execute(BORROWERS, columns(("owners", "currencies"), lines))
    return [(row.management_account, row.currency, row.member_account) for row in rows]


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


async def end_with_trusteeship(connection: AsyncConnection, told: Collection[str]) -> None:
    """Ends the lines of members whose trusteeship, one of the relationships told, has ended: use stops with it."""
    await connection.execute(END_WITH_TRUSTEESHIP, {"ended": list(told)})
