"""Payments that nobody could place."""

from datetime import date, datetime
from typing import Annotated

from chassis.http import CurrentPrincipal, CursorPage, Page, Policy, Problem, Reader, Work
from contracts.money import Money
from contracts.text import Code, Id
from fastapi import Query
from pydantic import BaseModel, ConfigDict

from fund_pool import desk
from fund_pool.api.common import FINANCE, MAKERS, Body, locked_pool_or_404, router
from fund_pool.api.documents import DocumentKey, DocumentView, document_view, refused
from fund_pool.domain.documents import Content, Refusal
from fund_pool.repository import documents as document_rows
from fund_pool.repository import payments as payment_rows
from fund_pool.repository.documents import KeptDocument
from fund_pool.repository.payments import UnmatchedPayment

payments = router("payments")


class Placing(Body):
    """Whose money it is; the top-up gets this document id."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"document_id": "TU-P-7", "account": "A-1001", "account_type": "cash"}]
        },
    )

    document_id: DocumentKey
    account: Id
    account_type: Code = "cash"


class UnmatchedView(BaseModel):
    """A payment with the reason why it tops no account up."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "payment_id": "P-7",
                    "payer": "DE89370400440532013000",
                    "account": None,
                    "account_type": "cash",
                    "amount": {"amount": "80.00", "currency": "CNY"},
                    "instrument": "bank-transfer",
                    "received_on": "2026-03-02",
                    "reference": "order 4711",
                    "reason": "no-account-named",
                    "recorded_at": "2026-03-02T09:30:00Z",
                }
            ]
        }
    )

    payment_id: str
    payer: str
    account: str | None
    account_type: str
    amount: Money
    instrument: str
    received_on: date
    reference: str | None
    reason: str
    recorded_at: datetime


@payments.get("/unmatched-payments", policy=Policy("unmatched-payment:read", FINANCE))
async def read_unmatched_payments(
    reader: Reader, page: Page, reason: Annotated[Code | None, Query(examples=["unknown-account"])] = None
) -> CursorPage[UnmatchedView]:
    """Payments that wait for somebody to place them, oldest first."""
    found = await payment_rows.unmatched(reader, reason, page.after(datetime, str), page.rows)
    rows, following = page.page(found, lambda row: (row.recorded_at, row.payment.payment_id))
    return CursorPage(items=[_view(row) for row in rows], next=following)


@payments.post(
    "/unmatched-payments/{payment_id}/place",
    policy=Policy("unmatched-payment:place", MAKERS),
    status_code=201,
)
async def place_payment(
    payment_id: Id, body: Placing, work: Work, principal: CurrentPrincipal
) -> DocumentView:
    """Submits an offline top-up by an unmatched payment; approving it posts the payment to the account."""
    pool = await locked_pool_or_404(work.connection, body.account)
    payment = (await payment_rows.by_ids(work.connection, [payment_id])).get(payment_id)
    if payment is None or payment.status != "unmatched" or payment.reversed:
        raise Problem.not_found(f"There is no unmatched payment {payment_id}.")
    if payment.reason == "bankers-acceptance-not-cashed":
        raise Problem.conflict("acceptance", "A banker's acceptance is placed by the payment that cashes it.")
    content = Content(
        type="top-up-offline",
        document_id=body.document_id,
        account=body.account,
        currency=payment.currency,
        amount=payment.amount,
        account_type=body.account_type,
        effective_date=payment.received_on,
        payment_id=payment_id,
    )
    kept = KeptDocument(content, "submitted", principal.subject, work.now, version=2, submitted_at=work.now)
    plan = await desk.planned(work, kept, pool)
    if isinstance(plan, Refusal):
        raise refused(plan)
    if not await document_rows.add(work.connection, kept):
        raise Problem.conflict("document-conflict", f"top-up-offline {body.document_id} exists already.")
    payment.status = "waiting"
    await payment_rows.save(work.connection, [payment], [], work.now)
    desk.tell_task(work, kept, pool)
    return document_view(kept)


def _view(row: UnmatchedPayment) -> UnmatchedView:
    paid = row.payment
    return UnmatchedView(
        payment_id=paid.payment_id,
        payer=paid.payer,
        account=paid.account,
        account_type=paid.account_type,
        amount=Money.of(paid.amount, paid.currency),
        instrument=paid.instrument,
        received_on=paid.received_on,
        reference=paid.reference,
        reason=paid.reason or "",
        recorded_at=row.recorded_at,
    )
