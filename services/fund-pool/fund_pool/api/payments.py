"""Payments that nobody could place."""

from chassis.http import CurrentPrincipal, Policy, Problem, Work
from contracts.text import Code, Id
from pydantic import ConfigDict

from fund_pool import desk
from fund_pool.api.common import MAKERS, Body, locked_pool_or_404, router
from fund_pool.api.documents import DocumentKey, DocumentView, document_view, refused
from fund_pool.domain.documents import Content, Refusal
from fund_pool.repository import documents as document_rows
from fund_pool.repository import payments as payment_rows
from fund_pool.repository.documents import KeptDocument

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
