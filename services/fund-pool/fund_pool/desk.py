"""Decides documents inside one transaction: what is posted, set aside, asked of others, and told."""

from dataclasses import replace
from datetime import datetime
from typing import Final

from chassis.work import CausedBy
from contracts.money import Money
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis import UnitOfWork
from contracts import PayoutRequested, ReceiptRequested, TaskChanged
from fund_pool.domain import documents as rules
from fund_pool.domain.documents import Plan, Refusal
from fund_pool.domain.ledger import Entry, entry_id
from fund_pool.domain.pool import Pool, Posted
from fund_pool.publishing import publish, publish_notices
from fund_pool.repository import documents as document_rows
from fund_pool.repository import ledger as ledger_rows
from fund_pool.repository import payments as payment_rows
from fund_pool.repository.documents import KeptDocument

APPROVER: Final = "finance-approver"
BY_RULE: Final = ""


def withdrawal_hold(document_id: str) -> str:
    """The id of the hold that a withdrawal keeps its money by."""
    return f"withdrawal/{document_id}"


async def planned(work: UnitOfWork, kept: KeptDocument, pool: Pool) -> Plan | Refusal:
    """What a document would do now."""
    return await planned_by(work.connection, kept, pool, work.now)


async def planned_by(
    connection: AsyncConnection, kept: KeptDocument, pool: Pool, now: datetime
) -> Plan | Refusal:
    """What a document would do at a moment."""
    reversed_entry = None
    if kept.content.reverses is not None:
        target = await document_rows.by_id(connection, *kept.content.reverses)
        refusal = _not_reversible(kept, target)
        if refusal is not None:
            return refusal
        assert target is not None
        assert target.entry_number is not None
        reversed_entry = await document_rows.posted_entry(connection, pool.account, target.entry_number)
    return rules.plan(kept.content, pool, now, reversed_entry)


async def approve(work: UnitOfWork, kept: KeptDocument, pool: Pool, approver: str) -> Refusal | None:
    """Posts a submitted document, or sets its money aside; a refusal changes nothing that is stored."""
    plan = await planned(work, kept, pool)
    if isinstance(plan, Refusal):
        return plan
    kept.decided_by, kept.decided_at = approver, work.now
    if plan.held is not None:
        _hold(work, kept, pool, plan)
    else:
        posted = rules.post(kept.content, pool, plan, work.now)
        if isinstance(posted, Refusal):
            return posted
        _posted(work, kept, pool, posted)
        await _mark_reversed(work, kept)
    await ledger_rows.save(work.connection, [pool], work.now)
    await document_rows.save(work.connection, kept)
    if kept.content.payment_id is not None:
        await _mark_payment(work, kept)
    return None


async def _mark_payment(work: UnitOfWork, kept: KeptDocument) -> None:
    """The payment that settled a top-up, or that was placed by one, is posted with it."""
    assert kept.content.payment_id is not None
    payments = await payment_rows.by_ids(work.connection, [kept.content.payment_id])
    for payment in payments.values():
        payment.status, payment.entry_number = "posted", kept.entry_number
        payment.account, payment.account_type = kept.content.account, kept.content.account_type
    await payment_rows.save(work.connection, list(payments.values()), [], work.now)


async def free_payment(work: UnitOfWork, payment_id: str) -> None:
    """A payment whose top-up is not approved waits in the unmatched list again."""
    payments = await payment_rows.by_ids(work.connection, [payment_id])
    for payment in payments.values():
        if payment.status == "waiting":
            payment.status, payment.reason = "unmatched", "top-up-decided"
    await payment_rows.save(work.connection, list(payments.values()), [], work.now)


def _hold(work: UnitOfWork, kept: KeptDocument, pool: Pool, plan: Plan) -> None:
    """A withdrawal keeps its money aside until the bank has answered."""
    assert plan.held is not None
    content = kept.content
    before = pool.quotas([content.currency])
    pool.hold(withdrawal_hold(content.document_id), "withdrawal", plan.held, content.amount, work.now)
    publish_notices(work, pool.reconsidered(before, work.now, withdrawal_hold(content.document_id)), pool)
    kept.status = "approved"
    work.emit(
        PayoutRequested(
            payout_id=content.document_id,
            account=content.account,
            customer=pool.customer,
            settlement_organisation=pool.settlement_organisation,
            account_type=content.account_type,
            amount=Money.of(content.amount, content.currency),
            payee=content.payee,
            requested_at=work.now,
        )
    )


def _posted(work: UnitOfWork, kept: KeptDocument, pool: Pool, posted: Posted) -> None:
    kept.status = "posted"
    kept.entry_number = posted.entry.number
    publish(work, posted, pool)
    if kept.content.type in ("top-up-offline", "top-up-online"):
        work.emit(receipt_requested(kept, pool, posted.entry, work))


async def _mark_reversed(work: UnitOfWork, kept: KeptDocument) -> None:
    if kept.content.reverses is None:
        return
    target = await document_rows.by_id(work.connection, *kept.content.reverses, lock=True)
    assert target is not None
    target.reversed_by = kept.entry_number
    await document_rows.save(work.connection, target)


def _not_reversible(kept: KeptDocument, target: KeptDocument | None) -> Refusal | None:
    if target is None or target.entry_number is None or target.status != "posted":
        return Refusal("not-posted", "reverses", "there is no posted document of this type and id")
    if target.content.type not in rules.REVERSIBLE:
        return Refusal("not-reversible", "reverses", f"a {target.content.type} is not taken back this way")
    if target.reversed_by is not None:
        return Refusal("already-reversed", "reverses", "this document was taken back before")
    difference = _other_money(kept, target)
    return None if difference is None else Refusal("differs", "reverses", difference)


def _other_money(kept: KeptDocument, target: KeptDocument) -> str | None:
    """An un-post names the account and the amount of what it takes back, so that its approver sees them."""
    mine, other = kept.content, target.content
    if (mine.account, mine.currency, mine.amount) == (other.account, other.currency, other.amount):
        return None
    return f"the document moved {other.money} of {other.account}, not {mine.money} of {mine.account}"


def receipt_requested(kept: KeptDocument, pool: Pool, entry: Entry, work: UnitOfWork) -> ReceiptRequested:
    """Asks the ERP for the receipt of a posted top-up."""
    content = kept.content
    return ReceiptRequested(
        account=content.account,
        customer=pool.customer,
        settlement_organisation=pool.settlement_organisation,
        account_type=content.account_type,
        channel="online" if content.type == "top-up-online" else "offline",
        document_id=content.document.reference,
        payment_id=content.payment_id,
        entry_id=entry_id(entry.account, entry.number),
        entry_number=entry.number,
        amount=Money.of(content.amount, content.currency),
        effective_date=entry.effective_date,
        requested_at=work.now,
    )


def tell_task(work: UnitOfWork, kept: KeptDocument, pool: Pool, cause: CausedBy | None = None) -> None:
    """Opens, closes or withdraws the approvers' task of a document, as its status says."""
    state = {"submitted": "opened", "rejected": "withdrawn", "withdrawn": "withdrawn"}.get(
        kept.status, "done"
    )
    content = kept.content
    work.emit(
        TaskChanged(
            task_id=f"document/{content.type}/{content.document_id}",
            task_version=kept.version,
            state=state,  # type: ignore[arg-type]
            kind=f"approve-{content.type}",
            assignee_kind="role",
            assignee=APPROVER,
            entity=pool.settlement_organisation,
            account=content.account,
            document_type=content.type,
            document_id=content.document_id,
            amount=Money.of(content.amount, content.currency),
            message=kept.decision_reason,
            done_by=kept.decided_by or None,
            opened_at=kept.submitted_at or work.now,
            changed_at=work.now,
        ),
        cause,
    )


def with_payment(kept: KeptDocument, payment_id: str) -> KeptDocument:
    """The document with the payment that settles it."""
    return replace(kept, content=replace(kept.content, payment_id=payment_id))
