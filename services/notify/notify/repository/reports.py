"""What the SMS gateway reports, each status once."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

BY_TOKENS: Final = text(
    """
    select report_token, account, delivery_id, address from delivery_content
    where report_token = any(cast(:tokens as text[]))
    """
)

SAVE: Final = text(
    """
    insert into delivery_report (account, delivery_id, status, reply, first_at, last_at, times)
    select account, delivery_id, status, reply, :now, :now, 1
    from unnest(cast(:accounts as text[]), cast(:ids as uuid[]), cast(:statuses as int[]), cast(:replies as text[]))
        as r (account, delivery_id, status, reply)
    order by account, delivery_id, status
    on conflict (account, delivery_id, status) do update
    set reply = excluded.reply, last_at = excluded.last_at, times = delivery_report.times + 1
    """
)


@dataclass(frozen=True, slots=True)
class Target:
    """The delivery that a report is about."""

    account: str
    id: UUID
    address: str


async def by_tokens(connection: AsyncConnection, tokens: Collection[str]) -> dict[str, Target]:
    """The deliveries whose reports bear these tokens."""
    rows = await connection.execute(BY_TOKENS, {"tokens": sorted(tokens)})
    return {row.report_token: Target(row.account, row.delivery_id, row.address) for row in rows}


async def save(connection: AsyncConnection, told: Sequence[tuple[Target, int, str]], now: datetime) -> None:
    """Notes reports, at most one for each delivery; the same again only counts."""
    parameters = {
        "accounts": [target.account for target, _, _ in told],
        "ids": [target.id for target, _, _ in told],
        "statuses": [status for _, status, _ in told],
        "replies": [reply for _, _, reply in told],
        "now": now,
    }
    await connection.execute(SAVE, parameters)
