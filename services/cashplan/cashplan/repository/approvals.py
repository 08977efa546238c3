"""Special approvals: documents that are held because no plan is left for them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from cashplan.domain.documents import DocumentKey, Posted
from cashplan.repository.codec import dump_posted, load_posted
from cashplan.repository.control import key_arrays
from cashplan.tables import special_approval

ADD: Final = text(
    """
    insert into special_approval (approval_id, source, document_type, document_id, revision, operation, entity,
                                  state, posted, policies, systems, requested_at, expires_at)
    values (:approval_id, :source, :document_type, :document_id, :revision, :operation, :entity, 'waiting',
            :posted, cast(:policies as text[]), cast(:systems as text[]), :now, :expires_at)
    on conflict (approval_id) do nothing
    """
)

WITHDRAW: Final = text(
    """
    with gone as (
        update special_approval s
        set state = 'withdrawn', decided_at = :now
        from unnest(cast(:sources as text[]), cast(:types as text[]), cast(:ids as text[])) as k (source, type, id)
        where (s.source, s.document_type, s.document_id) = (k.source, k.type, k.id) and s.state = 'waiting'
          and not (s.approval_id = any(cast(:kept as text[])))
        returning s.approval_id, s.source, s.document_type, s.document_id, s.revision, s.operation
    ), forgotten as (
        update plan_check c
        set outcome = 'withdrawn'
        from gone g
        where (c.source, c.document_type, c.document_id, c.revision, c.operation)
            = (g.source, g.document_type, g.document_id, g.revision, g.operation)
          and c.stance = 'request' and c.outcome = 'held'
    )
    select approval_id from gone
    """
)


@dataclass(frozen=True, kw_only=True)
class SpecialApproval:
    """A held document, the policies it does not meet, and what became of it."""

    approval_id: str
    posted: Posted
    entity: str
    state: str
    policies: Sequence[str]
    systems: Sequence[str]
    requested_at: datetime
    expires_at: datetime
    decided_by: str | None = None
    decided_at: datetime | None = None
    note: str | None = None


async def add(connection: AsyncConnection, approval: SpecialApproval) -> None:
    posted = approval.posted
    await connection.execute(
        ADD,
        {
            "approval_id": approval.approval_id,
            "source": posted.key.source,
            "document_type": posted.key.document_type,
            "document_id": posted.key.document_id,
            "revision": posted.revision,
            "operation": posted.operation,
            "entity": approval.entity,
            "posted": dump_posted(posted),
            "policies": list(approval.policies),
            "systems": list(approval.systems),
            "now": approval.requested_at,
            "expires_at": approval.expires_at,
        },
    )


async def withdraw(
    connection: AsyncConnection, keys: Collection[DocumentKey], kept: Collection[str], now: datetime
) -> list[str]:
    """Withdraws what waits for documents that have moved on, and the answers that said so; returns the ids."""
    if not keys:
        return []
    parameters = {**key_arrays(sorted(keys)), "kept": sorted(kept), "now": now}
    return [row.approval_id for row in await connection.execute(WITHDRAW, parameters)]


async def locked(connection: AsyncConnection, approval_id: str) -> SpecialApproval | None:
    query = select(special_approval).where(special_approval.c.approval_id == approval_id)
    row = (await connection.execute(query.with_for_update())).first()
    return _approval(row) if row else None


async def after(
    connection: AsyncConnection, state: str | None, after_id: str, rows_max: int
) -> list[SpecialApproval]:
    columns = special_approval.c
    query = select(special_approval).where(columns.approval_id > after_id)
    if state is not None:
        query = query.where(columns.state == state)
    rows = await connection.execute(query.order_by(columns.approval_id).limit(rows_max))
    return [_approval(row) for row in rows]


async def decide(
    connection: AsyncConnection,
    approval_id: str,
    state: str,
    decided_by: str | None,
    note: str | None,
    now: datetime,
) -> None:
    await connection.execute(
        special_approval.update()
        .where(special_approval.c.approval_id == approval_id)
        .values(state=state, decided_by=decided_by, decided_at=now, note=note)
    )


def _approval(row: Row[*tuple[Any, ...]]) -> SpecialApproval:
    return SpecialApproval(
        approval_id=row.approval_id,
        posted=load_posted(DocumentKey(row.source, row.document_type, row.document_id), row.posted),
        entity=row.entity,
        state=row.state,
        policies=row.policies,
        systems=row.systems,
        requested_at=row.requested_at,
        expires_at=row.expires_at,
        decided_by=row.decided_by,
        decided_at=row.decided_at,
        note=row.note,
    )
