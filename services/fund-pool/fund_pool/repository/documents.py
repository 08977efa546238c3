"""Documents that people make: drafts, what was decided about them, and the entries that they posted."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from fund_pool.domain.documents import Content, Reversed, Status
from fund_pool.domain.ledger import Posting
from fund_pool.tables import document

ENTRY: Final = text(
    """
    select p.account_type, p.currency, p.bucket, p.amount, p.after
    from posting p
    where p.account = :account and p.entry_number = :entry_number
    order by p.bucket, p.account_type, p.currency
    """
)


@dataclass(slots=True)
class KeptDocument:
    """A document as it stands; `decided_by` is empty where the rules approved it by themselves."""

    content: Content
    status: Status
    made_by: str
    made_at: datetime
    version: int = 1
    submitted_at: datetime | None = None
    decided_by: str | None = None
    decided_at: datetime | None = None
    decision_reason: str | None = None
    entry_number: int | None = None
    reversed_by: int | None = None


async def add(connection: AsyncConnection, kept: KeptDocument) -> bool:
    """Keeps a new document; False when its id is taken."""
    content = kept.content
    reverses_type, reverses_id = content.reverses or (None, None)
    found = await connection.execute(
        insert(document)
        .values(
            document_type=content.type,
            document_id=content.document_id,
            revision=1,
            account=content.account,
            currency=content.currency,
            amount=content.amount,
            account_type=content.account_type,
            to_account_type=content.to_account_type,
            effective_date=content.effective_date,
            reason=content.reason,
            payee=content.payee,
            reverses_type=reverses_type,
            reverses_id=reverses_id,
            payment_id=content.payment_id,
            status=kept.status,
            version=kept.version,
            made_by=kept.made_by,
            made_at=kept.made_at,
            submitted_at=kept.submitted_at,
            decided_by=kept.decided_by,
            decided_at=kept.decided_at,
            entry_number=kept.entry_number,
        )
        .on_conflict_do_nothing()
        .returning(document.c.document_id)
    )
    return found.one_or_none() is not None


async def by_id(
    connection: AsyncConnection, document_type: str, document_id: str, *, lock: bool = False
) -> KeptDocument | None:
    """One document; its account is locked before it is."""
    wanted = select(document).where(
        document.c.document_type == document_type, document.c.document_id == document_id
    )
    row = (await connection.execute(wanted.with_for_update() if lock else wanted)).one_or_none()
    return None if row is None else _kept(row)


async def known(
    connection: AsyncConnection, document_type: str, document_ids: Sequence[str]
) -> dict[str, KeptDocument]:
    """The known ones among these documents of one type, without a lock."""
    wanted = select(document).where(
        document.c.document_type == document_type, document.c.document_id.in_(document_ids)
    )
    return {row.document_id: _kept(row) for row in await connection.execute(wanted)}


async def locked(
    connection: AsyncConnection, document_type: str, document_ids: Sequence[str]
) -> dict[str, KeptDocument]:
    """The known ones among these documents of one type, locked in one order."""
    wanted = (
        select(document)
        .where(document.c.document_type == document_type, document.c.document_id.in_(sorted(document_ids)))
        .order_by(document.c.document_id)
        .with_for_update()
    )
    return {row.document_id: _kept(row) for row in await connection.execute(wanted)}


async def save(connection: AsyncConnection, kept: KeptDocument) -> None:
    """Writes how a document stands; its content never changes."""
    await connection.execute(
        update(document)
        .where(
            document.c.document_type == kept.content.type,
            document.c.document_id == kept.content.document_id,
        )
        .values(
            status=kept.status,
            version=kept.version,
            submitted_at=kept.submitted_at,
            decided_by=kept.decided_by,
            decided_at=kept.decided_at,
            decision_reason=kept.decision_reason,
            payment_id=kept.content.payment_id,
            entry_number=kept.entry_number,
            reversed_by=kept.reversed_by,
        )
    )


async def posted_entry(connection: AsyncConnection, account: str, entry_number: int) -> Reversed:
    """The postings of an entry."""
    found = await connection.execute(ENTRY, {"account": account, "entry_number": entry_number})
    return Reversed(entry_number, [Posting(*row) for row in found])


def _kept(row: Row[Any]) -> KeptDocument:
    content = Content(
        type=row.document_type,
        document_id=row.document_id,
        account=row.account,
        currency=row.currency,
        amount=row.amount,
        account_type=row.account_type,
        to_account_type=row.to_account_type,
        effective_date=row.effective_date,
        reason=row.reason,
        payee=row.payee,
        reverses=None if row.reverses_type is None else (row.reverses_type, row.reverses_id),
        payment_id=row.payment_id,
    )
    return KeptDocument(
        content,
        row.status,
        row.made_by,
        row.made_at,
        row.version,
        row.submitted_at,
        row.decided_by,
        row.decided_at,
        row.decision_reason,
        row.entry_number,
        row.reversed_by,
    )
