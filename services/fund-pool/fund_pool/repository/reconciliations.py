"""Statements that were imported to be reconciled, and the movements to reconcile them with."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

import orjson
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from fund_pool.domain.reconciliation import Item

MOVEMENTS: Final = text(
    """
    select cast(p.entry_number as text) as entry_number, e.effective_date, p.amount,
           coalesce(y.reference, e.document_id) as reference
    from posting p
    join journal_entry e on e.account = p.account and e.entry_number = p.entry_number
        and e.posted_at = p.posted_at
    left join payment y on e.document_type = 'top-up' and y.payment_id = e.document_id
    where p.account = :account and p.account_type = :account_type and p.currency = :currency
      and p.bucket = 'balance' and e.effective_date between :since and :until
    order by e.effective_date, p.entry_number
    limit :rows
    """
)

ADD: Final = text(
    """
    insert into reconciliation (account, reconciliation_id, account_type, currency, since, until, days, lines,
                                line_count, made_by, made_at)
    values (:account, :reconciliation_id, :account_type, :currency, :since, :until, :days, :lines, :line_count,
            :made_by, :made_at)
    """
)

BY_ID: Final = text(
    """
    select account, reconciliation_id, account_type, currency, since, until, days, lines, made_by, made_at
    from reconciliation where account = :account and reconciliation_id = :reconciliation_id
    """
)


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """An imported statement of one fund account and the span of effective dates that it covers."""

    account: str
    reconciliation_id: UUID
    account_type: str
    currency: str
    since: date
    until: date
    days: int
    lines: list[Item]
    made_by: str
    made_at: datetime


async def add(connection: AsyncConnection, kept: Reconciliation) -> None:
    lines = [[line.item_id, line.day.isoformat(), line.amount, line.reference] for line in kept.lines]
    await connection.execute(
        ADD,
        {
            "account": kept.account,
            "reconciliation_id": kept.reconciliation_id,
            "account_type": kept.account_type,
            "currency": kept.currency,
            "since": kept.since,
            "until": kept.until,
            "days": kept.days,
            "lines": orjson.dumps(lines),
            "line_count": len(lines),
            "made_by": kept.made_by,
            "made_at": kept.made_at,
        },
    )


async def by_id(connection: AsyncConnection, account: str, reconciliation_id: UUID) -> Reconciliation | None:
    found = await connection.execute(BY_ID, {"account": account, "reconciliation_id": reconciliation_id})
    row = found.one_or_none()
    return None if row is None else _reconciliation(row)


async def movements(connection: AsyncConnection, kept: Reconciliation, rows: int) -> Sequence[Item]:
    """What moved in the fund account within the span, by effective date; a payment has its payer's words."""
    found = await connection.execute(
        MOVEMENTS,
        {
            "account": kept.account,
            "account_type": kept.account_type,
            "currency": kept.currency,
            "since": kept.since,
            "until": kept.until,
            "rows": rows,
        },
    )
    return [Item(row.entry_number, row.effective_date, row.amount, row.reference or "") for row in found]


def _reconciliation(row: Row[Any]) -> Reconciliation:
    lines = [
        Item(item_id, date.fromisoformat(day), amount, reference)
        for item_id, day, amount, reference in orjson.loads(row.lines)
    ]
    return Reconciliation(
        row.account,
        row.reconciliation_id,
        row.account_type,
        row.currency,
        row.since,
        row.until,
        row.days,
        lines,
        row.made_by,
        row.made_at,
    )
