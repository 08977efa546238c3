"""Special approval given ahead."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from credit.domain.documents import DocumentKey


async def give(
    connection: AsyncConnection,
    key: DocumentKey,
    approver: str,
    metrics: Collection[str],
    reason: str,
    valid_until: datetime,
    now: datetime,
) -> Row[Any] | None:
    """Keeps an approval, in the place of an earlier one of the same approver; None when that was used already."""
    rows = await connection.execute(
        text(
            """
            insert into advance_approval as old (document_type, source, document_id, approver, metrics, reason,
                                                 given_at, valid_until, state)
            values (:type, :source, :id, :approver, cast(:metrics as text[]), :reason, :now, :valid_until, 'open')
            on conflict (document_type, source, document_id, approver) do update
            set metrics = excluded.metrics, reason = excluded.reason, given_at = excluded.given_at,
                valid_until = excluded.valid_until, state = 'open', ended_at = null, refusal = null
            where old.state <> 'consumed'
            returning *
            """
        ),
        {
            "type": key.document_type,
            "source": key.source,
            "id": key.document_id,
            "approver": approver,
            "metrics": sorted(metrics),
            "reason": reason,
            "valid_until": valid_until,
            "now": now,
        },
    )
    return rows.first()


async def next_due(connection: AsyncConnection, now: datetime) -> Row[Any] | None:
    """One valid approval whose order or document waits, locked; None when there is none."""
    rows = await connection.execute(
        text(
            """
            select a.* from advance_approval a
            where a.state = 'open' and a.valid_until > :now and (
                exists (select from pending_order p
                        where a.document_type = 'sales-order' and p.source = a.source and p.order_id = a.document_id
                          and p.state = 'pending')
                or exists (select from pending_document p
                           where p.document_type = a.document_type and p.source = a.source
                             and p.document_id = a.document_id and p.state = 'pending'))
            order by a.given_at limit 1 for update of a skip locked
            """
        ),
        {"now": now},
    )
    return rows.first()


async def end(connection: AsyncConnection, row: Row[Any], refusal: str | None, now: datetime) -> None:
    """The approval was consumed by its document, or could not be given."""
    await connection.execute(
        text(
            """
            update advance_approval
            set state = case when cast(:refusal as text) is null then 'consumed' else 'refused' end,
                refusal = :refusal, ended_at = :now
            where document_type = :type and source = :source and document_id = :id and approver = :approver
              and state = 'open'
            """
        ),
        {
            "type": row.document_type,
            "source": row.source,
            "id": row.document_id,
            "approver": row.approver,
            "refusal": refusal,
            "now": now,
        },
    )


async def advances_after(
    connection: AsyncConnection,
    place: tuple[str, str, str, str] | None,
    rows_max: int,
    *,
    approver: str | None,
) -> Sequence[Row[Any]]:
    """Approvals given ahead, by document."""
    names = ("type", "source", "id", "after_approver")
    rows = await connection.execute(
        text(
            """
            select * from advance_approval
            where (cast(:approver as text) is null or approver = :approver)
              and (cast(:type as text) is null
                   or (document_type, source, document_id, approver)
                      > (cast(:type as text), cast(:source as text), cast(:id as text),
                         cast(:after_approver as text)))
            order by document_type, source, document_id, approver limit :rows_max
            """
        ),
        {
            **dict(zip(names, place or (None,) * len(names), strict=True)),
            "approver": approver,
            "rows_max": rows_max,
        },
    )
    return rows.all()
