"""What bank gateways and approvers of expenses tell: payments, their reversals, payouts, claims."""

from collections.abc import Collection, Mapping, Sequence

from contracts.money import Money

from chassis import Batch, Record
from contracts import ExpenseApproved, PaymentReceived, PaymentReversed, PayoutSettled, ReceiptRequested
from fund_pool.desk import BY_RULE, tell_task, with_payment, withdrawal_hold
from fund_pool.domain.documents import Refusal, plan
from fund_pool.domain.documents import post as post_document
from fund_pool.domain.expenses import Claim, ClaimRefused, reimburse
from fund_pool.domain.ledger import PAYOUT_CLEARING, WITHDRAWAL, Document, Entry, entry_id
from fund_pool.domain.payment import (
    Payment,
    Reversal,
    ReversalStatus,
    accept,
    receive,
    reverse,
    settle_top_up,
)
from fund_pool.domain.pool import Move, Pool
from fund_pool.publishing import publish, publish_notices
from fund_pool.repository import documents as document_rows
from fund_pool.repository import expenses as expense_rows
from fund_pool.repository import ledger as ledger_rows
from fund_pool.repository import payments as payment_rows
from fund_pool.repository import pools as pool_rows
from fund_pool.repository import settings as setting_rows
from fund_pool.repository.documents import KeptDocument

TOP_UP_ONLINE = "top-up-online"


async def receive_payments(batch: Batch[PaymentReceived]) -> None:
    """Tops up the accounts that payments name, or settles the top-ups that they name; others wait unmatched."""
    told = [Payment.told_by(record.event) for record in batch]
    await payment_rows.lock_names(batch.connection, {payment.payment_id for payment in told})
    top_ups = await _top_ups(batch, told)
    kept = await payment_rows.locked_payments(
        batch.connection, [payment for payment in told if payment.amount], batch.now
    )
    accounts = {payment.account for payment in kept.values() if payment.account is not None}
    accounts |= {document.content.account for document in top_ups.values()}
    pools = await pool_rows.locked_pools(batch.connection, accounts, now=batch.now)
    top_ups = await document_rows.locked(batch.connection, TOP_UP_ONLINE, list(top_ups)) if top_ups else {}
    approved = await setting_rows.with_approved_top_ups(
        batch.connection, {pool.settlement_organisation for pool in pools.values()}
    )
    for record, payment in zip(batch, told, strict=True):
        take_payment(batch, record, payment, kept, pools, top_ups, approved)
    for document in top_ups.values():
        await document_rows.save(batch.connection, document)
    await payment_rows.save(batch.connection, list(kept.values()), list(pools.values()), batch.now)
    await _apply_waiting_reversals(batch, kept)


async def _top_ups(batch: Batch[PaymentReceived], told: Sequence[Payment]) -> dict[str, KeptDocument]:
    """The top-ups that these payments name, without a lock: their accounts are locked before them."""
    named = {payment.top_up_id for payment in told if payment.top_up_id is not None}
    if not named:
        return {}
    return await document_rows.known(batch.connection, TOP_UP_ONLINE, sorted(named))


def take_payment(
    batch: Batch[PaymentReceived],
    record: Record[PaymentReceived],
    told: Payment,
    kept: Mapping[str, Payment],
    pools: Mapping[str, Pool],
    top_ups: Mapping[str, KeptDocument],
    approved: Collection[str],
) -> None:
    """Decides one payment; the first telling of it counts."""
    if not told.amount:
        batch.dead_letter(record, "zero-amount", "amount: a payment is more than 0")
        return
    payment = kept[told.payment_id]
    difference = payment.difference(told)
    if difference is not None:
        batch.dead_letter(record, "payment-conflict", f"payment {told.payment_id} came before: {difference}")
        return
    if payment.status != "new":
        batch.count("payment", "known-already")
        return
    if payment.top_up_id is not None:
        _settle_top_up(batch, record, payment, pools, top_ups.get(payment.top_up_id), approved)
    else:
        _top_up(batch, record, payment, pools)
    batch.count("payment", payment.status)


def _top_up(
    batch: Batch[PaymentReceived],
    record: Record[PaymentReceived],
    payment: Payment,
    pools: Mapping[str, Pool],
) -> None:
    posted = receive(payment, pools, batch.now)
    if posted is not None:
        pool = pools[posted.entry.account]
        publish(batch, posted, pool, record)
        _ask_for_receipt(batch, record, payment, pool, posted.entry, posted.entry.document.reference)
    elif (notices := accept(payment, pools, batch.now)) and payment.account is not None:
        publish_notices(batch, notices, pools[payment.account], record)


def _settle_top_up(
    batch: Batch[PaymentReceived],
    record: Record[PaymentReceived],
    payment: Payment,
    pools: Mapping[str, Pool],
    top_up: KeptDocument | None,
    approved: Collection[str],
) -> None:
    """The payment settles the top-up that it names, which finance approves where its organisation wants that."""
    is_open = top_up is not None and top_up.status == "submitted" and top_up.content.payment_id is None
    reason = settle_top_up(payment, top_up.content if top_up else None, is_open)
    if reason is not None or top_up is None:
        payment.status, payment.reason = "unmatched", reason
        return
    pool = pools[top_up.content.account]
    payment.account, payment.account_type = top_up.content.account, top_up.content.account_type
    top_up.content = with_payment(top_up, payment.payment_id).content
    top_up.version += 1
    if pool.settlement_organisation in approved:
        payment.status = "waiting"
        tell_task(batch, top_up, pool, record)
        return
    planned = plan(top_up.content, pool, batch.now)
    if isinstance(planned, Refusal):
        payment.status = "waiting"
        top_up.decision_reason = planned.text
        tell_task(batch, top_up, pool, record)
        return
    posted = post_document(top_up.content, pool, planned, batch.now)
    assert not isinstance(posted, Refusal)
    top_up.status, top_up.decided_by, top_up.decided_at = "posted", BY_RULE, batch.now
    top_up.entry_number = payment.entry_number = posted.entry.number
    payment.status = "posted"
    publish(batch, posted, pool, record)
    _ask_for_receipt(batch, record, payment, pool, posted.entry, top_up.content.document.reference)


def _ask_for_receipt(
    batch: Batch[PaymentReceived],
    record: Record[PaymentReceived],
    payment: Payment,
    pool: Pool,
    entry: Entry,
    document_id: str,
) -> None:
    batch.emit(
        ReceiptRequested(
            account=pool.account,
            customer=pool.customer,
            settlement_organisation=pool.settlement_organisation,
            account_type=payment.account_type,
            channel="online",
            document_id=document_id,
            payment_id=payment.payment_id,
            entry_id=entry_id(entry.account, entry.number),
            entry_number=entry.number,
            amount=Money.of(payment.amount, payment.currency),
            effective_date=entry.effective_date,
            requested_at=batch.now,
        ),
        record,
    )


async def _apply_waiting_reversals(batch: Batch[PaymentReceived], payments: Mapping[str, Payment]) -> None:
    """Takes back at once what was reversed before it came."""
    waiting = await payment_rows.waiting_reversals(batch.connection, list(payments))
    if not waiting:
        return
    causes = {record.event.payment_id: record for record in batch}
    accounts = {payment.account for payment in payments.values() if payment.account is not None}
    pools = await pool_rows.locked_pools(batch.connection, accounts, now=batch.now)
    touched = []
    for reversal in waiting:
        payment = payments[reversal.payment_id]
        _reverse(batch, causes[reversal.payment_id], reversal, payment, pools)
        touched.append(payment)
    await payment_rows.save(batch.connection, touched, list(pools.values()), batch.now)
    await payment_rows.save_reversals(batch.connection, waiting)


async def reverse_payments(batch: Batch[PaymentReversed]) -> None:
    """Takes payments back; a reversal that comes before its payment waits for it."""
    told = {
        record.event.reversal_id: _reversal(record.event) for record in batch if record.event.amount.minor
    }
    await payment_rows.lock_names(batch.connection, {one.payment_id for one in told.values()})
    kept = await payment_rows.kept_reversals(batch.connection, list(told.values()), batch.now)
    payments = await payment_rows.by_ids(batch.connection, {one.payment_id for one in kept.values()})
    accounts = {payment.account for payment in payments.values() if payment.account is not None}
    pools = await pool_rows.locked_pools(batch.connection, accounts, now=batch.now)
    for record in batch:
        _take_reversal(batch, record, kept, payments, pools)
    await payment_rows.save(batch.connection, list(payments.values()), list(pools.values()), batch.now)
    await payment_rows.save_reversals(batch.connection, kept.values())


def _take_reversal(
    batch: Batch[PaymentReversed],
    record: Record[PaymentReversed],
    kept: Mapping[str, Reversal],
    payments: Mapping[str, Payment],
    pools: Mapping[str, Pool],
) -> None:
    event = record.event
    reversal = kept.get(event.reversal_id)
    if reversal is None:
        batch.dead_letter(record, "zero-amount", "amount: a reversal is more than 0")
        return
    if (reversal.payment_id, reversal.amount, reversal.currency) != (
        event.payment_id,
        event.amount.minor,
        event.amount.currency,
    ):
        batch.dead_letter(record, "reversal-conflict", f"reversal {event.reversal_id} came before otherwise")
        return
    payment = payments.get(reversal.payment_id)
    if reversal.status != "waiting" or payment is None or payment.status == "new":
        batch.count("payment-reversal", "waiting" if reversal.status == "waiting" else "known-already")
        return
    if _reverse(batch, record, reversal, payment, pools) == "refused":
        detail = f"payment {payment.payment_id} brought less than is taken back of it"
        batch.dead_letter(record, "beyond-payment", detail)


def _reverse(
    batch: Batch[PaymentReceived] | Batch[PaymentReversed],
    record: Record[PaymentReceived] | Record[PaymentReversed],
    reversal: Reversal,
    payment: Payment,
    pools: Mapping[str, Pool],
) -> ReversalStatus:
    pool = pools.get(payment.account or "")
    before = pool.quotas([reversal.currency]) if pool is not None else {}
    posted = reverse(reversal, payment, pools, batch.now)
    batch.count("payment-reversal", reversal.status)
    if pool is None:
        return reversal.status
    if posted is not None:
        publish(batch, posted, pool, record)
    else:
        notices = pool.reconsidered(before, batch.now, f"reversal/{reversal.reversal_id}")
        publish_notices(batch, notices, pool, record)
    return reversal.status


def _reversal(event: PaymentReversed) -> Reversal:
    return Reversal(
        event.reversal_id, event.payment_id, event.amount.currency, event.amount.minor, event.reversed_on
    )


async def settle_payouts(batch: Batch[PayoutSettled]) -> None:
    """Takes the held money of withdrawals that were paid out, and gives that of the others back."""
    ids = sorted({record.event.payout_id for record in batch})
    known = await document_rows.known(batch.connection, WITHDRAWAL, ids)
    accounts = {document.content.account for document in known.values()}
    pools = await pool_rows.locked_pools(batch.connection, accounts, now=batch.now)
    kept = await document_rows.locked(batch.connection, WITHDRAWAL, list(known))
    for record in batch:
        _settle_payout(batch, record, kept.get(record.event.payout_id), pools)
    await ledger_rows.save(batch.connection, list(pools.values()), batch.now)
    for document in kept.values():
        await document_rows.save(batch.connection, document)


def _settle_payout(
    batch: Batch[PayoutSettled],
    record: Record[PayoutSettled],
    document: KeptDocument | None,
    pools: Mapping[str, Pool],
) -> None:
    event = record.event
    if document is None or document.content.account != event.account:
        batch.dead_letter(
            record, "unknown-payout", f"no payout {event.payout_id} of {event.account} was asked for"
        )
        return
    settled = {"paid": "posted", "failed": "failed"}[event.outcome]
    if document.status in ("posted", "failed"):
        if document.status != settled:
            batch.dead_letter(
                record, "payout-conflict", f"payout {event.payout_id} has been {document.status}"
            )
        return
    if document.status != "approved":
        batch.dead_letter(
            record, "unknown-payout", f"payout {event.payout_id} is {document.status}, not asked for"
        )
        return
    pool = pools[document.content.account]
    if event.outcome == "paid":
        _pay_out(batch, record, document, pool)
    else:
        _give_back(batch, record, document, pool)
    batch.count("payout", event.outcome)


def _pay_out(
    batch: Batch[PayoutSettled], record: Record[PayoutSettled], document: KeptDocument, pool: Pool
) -> None:
    content = document.content
    purse = pool.fund_accounts[content.account_type, content.currency]
    before = pool.quotas([content.currency])
    pool.capture(pool.holds[withdrawal_hold(content.document_id)], content.amount, pool.last_entry_number + 1)
    move = Move(purse, -content.amount, PAYOUT_CLEARING)
    document_posted = Document(WITHDRAWAL, "", content.document_id)
    posted = pool.post(document_posted, [move], record.event.settled_on, batch.now, before=before)
    document.status, document.entry_number = "posted", posted.entry.number
    publish(batch, posted, pool, record)


def _give_back(
    batch: Batch[PayoutSettled], record: Record[PayoutSettled], document: KeptDocument, pool: Pool
) -> None:
    content = document.content
    before = pool.quotas([content.currency])
    pool.release(pool.holds[withdrawal_hold(content.document_id)], content.amount)
    document.status = "failed"
    document.decision_reason = record.event.reason
    notices = pool.reconsidered(before, batch.now, f"payout-failed/{content.document_id}")
    publish_notices(batch, notices, pool, record)


async def reimburse_expenses(batch: Batch[ExpenseApproved]) -> None:
    """Credits approved claims, each once; a later revision is credited the difference."""
    told = [_claim(record.event) for record in batch]
    pools = await pool_rows.locked_pools(batch.connection, {claim.account for claim in told}, now=batch.now)
    kept = await expense_rows.claims(batch.connection, {claim.claim_id for claim in told})
    for record, claim in zip(batch, told, strict=True):
        try:
            kept[claim.claim_id], posted = reimburse(kept.get(claim.claim_id), claim, pools, batch.now)
        except ClaimRefused as refused:
            batch.dead_letter(record, refused.reason, str(refused))
            continue
        batch.count("expense", "posted" if posted is not None else "unchanged")
        if posted is not None:
            publish(batch, posted, pools[claim.account], record)
    await ledger_rows.save(batch.connection, list(pools.values()), batch.now)
    await expense_rows.save(batch.connection, kept.values(), batch.now)


def _claim(event: ExpenseApproved) -> Claim:
    return Claim(
        event.claim_id,
        event.document_revision,
        event.account,
        event.account_type,
        event.amount.currency,
        event.amount.minor,
        event.approved_on,
    )
