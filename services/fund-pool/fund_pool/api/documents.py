"""Documents that move money: one person makes and submits them, another approves; every one is posted once."""

from datetime import date, datetime
from typing import Annotated, Final, Literal

from chassis.http import (
    LOADED,
    CurrentAccess,
    CurrentPrincipal,
    Now,
    Policy,
    Problem,
    Reader,
    Work,
)
from contracts.money import Amount, Money, SignedMoney
from contracts.text import Code, Id, Name, Text
from fastapi import Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic.config import JsonDict

from fund_pool import desk
from fund_pool.api.common import (
    APPROVERS,
    FINANCE,
    MAKERS,
    Body,
    locked_pool_or_404,
    pool_or_404,
    require_grant,
    require_money,
    router,
)
from fund_pool.domain.account_types import CASH, OVERDRAFT
from fund_pool.domain.documents import OPEN, Content, DocumentType, Plan, Refusal
from fund_pool.domain.pool import Move, Pool
from fund_pool.repository import documents as document_rows
from fund_pool.repository.documents import KeptDocument

documents = router("documents")

HandType = Literal[
    "top-up-offline",
    "line-increase",
    "line-decrease",
    "other-credit",
    "other-debit",
    "transfer",
    "credit-repayment",
    "withdrawal",
    "un-post",
]
DocumentKey = Annotated[
    str, StringConstraints(min_length=1, max_length=128, pattern=r"^[^\s/?#\x00-\x1f\x7f]+$")
]
DEFAULT_TYPE: Final = {
    "line-increase": OVERDRAFT.code,
    "line-decrease": OVERDRAFT.code,
    "credit-repayment": CASH.code,
    "withdrawal": CASH.code,
}
EXAMPLE: Final[JsonDict] = {
    "document_type": "top-up-offline",
    "document_id": "TU-2026-0001",
    "account": "A-1001",
    "account_type": "cash",
    "amount": {"amount": "1200.00", "currency": "CNY"},
    "effective_date": "2026-03-02",
    "submit": True,
}


class ReversesBody(Body):
    """The posted document that an un-post takes back."""

    document_type: DocumentType
    document_id: DocumentKey


class DocumentBody(Body):
    """What a document says; `account_type` is left out where the type of document leaves no choice."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                EXAMPLE,
                {
                    "document_type": "transfer",
                    "document_id": "TR-1",
                    "account": "A-1001",
                    "account_type": "cash",
                    "to_account_type": "deposit",
                    "amount": {"amount": "100.00", "currency": "CNY"},
                },
                {
                    "document_type": "un-post",
                    "document_id": "UP-1",
                    "account": "A-1001",
                    "amount": {"amount": "1200.00", "currency": "CNY"},
                    "reverses": {"document_type": "top-up-offline", "document_id": "TU-2026-0001"},
                    "reason": "entered twice",
                },
            ]
        },
    )

    document_type: HandType
    document_id: DocumentKey
    account: Id
    account_type: Code | None = None
    to_account_type: Code | None = None
    amount: Amount
    effective_date: date | None = None
    reason: Text | None = None
    payee: Name | None = None
    reverses: ReversesBody | None = None
    submit: Annotated[bool, Field(strict=True)] = False

    def content(self) -> Content:
        """What the body says; raises Problem 422 for no money."""
        require_money(self.amount)
        reverses = self.reverses and (self.reverses.document_type, self.reverses.document_id)
        return Content(
            type=self.document_type,
            document_id=self.document_id,
            account=self.account,
            currency=self.amount.currency,
            amount=self.amount.minor,
            account_type=self.account_type or DEFAULT_TYPE.get(self.document_type, CASH.code),
            to_account_type=self.to_account_type,
            effective_date=self.effective_date,
            reason=self.reason,
            payee=self.payee,
            reverses=reverses or None,
        )


class TopUpBody(Body):
    """A top-up that a payment is going to settle: the payment names its id."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "top_up_id": "TO-1",
                    "account_type": "cash",
                    "amount": {"amount": "500.00", "currency": "CNY"},
                }
            ]
        },
    )

    top_up_id: DocumentKey
    account_type: Code = CASH.code
    amount: Amount


class Rejection(Body):
    """Why a document is not approved."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"reason": "no such transfer"}]}
    )

    reason: Annotated[Text, Field(min_length=1)]


class MoveView(BaseModel):
    """What a document does to one fund account: to its balance, to its line, or by setting money aside."""

    account_type: str
    what: Literal["balance", "line", "held"]
    change: SignedMoney


class PreviewView(BaseModel):
    """What a document would do now, or why it may not; `most` is the largest amount that would pass."""

    passes: bool
    moves: list[MoveView]
    code: str | None = None
    field: str | None = None
    text: str | None = None
    most: Money | None = None


class DocumentView(BaseModel):
    """A document as it stands."""

    document_type: str
    document_id: str
    account: str
    account_type: str
    to_account_type: str | None
    amount: Money
    effective_date: date | None
    reason: str | None
    payee: str | None
    reverses: str | None
    payment_id: str | None
    status: str
    made_by: str
    made_at: datetime
    submitted_at: datetime | None
    decided_by: str | None
    decided_at: datetime | None
    decision_reason: str | None
    entry_number: int | None
    reversed_by: int | None


@documents.post("/documents", policy=Policy("document:make", MAKERS), status_code=201)
async def make_document(
    body: DocumentBody, work: Work, principal: CurrentPrincipal, response: Response
) -> DocumentView:
    """Drafts a document, or submits it at once; the same id with the same content is the same document."""
    content = body.content()
    await require_grant(work.connection, principal, content.type, "make")
    kept = KeptDocument(content, "draft", principal.subject, work.now)
    pool = await locked_pool_or_404(work.connection, content.account)
    if not await document_rows.add(work.connection, kept):
        response.status_code = 200
        return document_view(await _same_or_conflict(work, content))
    if body.submit:
        await _submit(work, kept, pool)
    return document_view(kept)


@documents.post("/documents/preview", policy=Policy("document:preview", FINANCE))
async def preview_document(body: DocumentBody, work: Work) -> PreviewView:
    """What a document would do now; nothing is kept."""
    content = body.content()
    pool = await pool_or_404(work.connection, content.account)
    plan = await desk.planned(work, KeptDocument(content, "draft", "", work.now), pool)
    return _preview(plan, content)


@documents.get("/documents/{document_type}/{document_id}", policy=Policy("document:read", FINANCE, LOADED))
async def read_document(
    document_type: Code, document_id: DocumentKey, reader: Reader, access: CurrentAccess
) -> DocumentView:
    """One document."""
    await require_grant(reader, access.principal, document_type, "view")
    kept = await document_rows.by_id(reader, document_type, document_id)
    if kept is None:
        raise Problem.not_found()
    await access.require(kept.content.account)
    return document_view(kept)


@documents.get("/documents/{document_type}/{document_id}/preview", policy=Policy("document:read", FINANCE))
async def preview_kept(
    document_type: Code, document_id: DocumentKey, reader: Reader, now: Now
) -> PreviewView:
    """What approving an open document would do now."""
    kept = await document_rows.by_id(reader, document_type, document_id)
    if kept is None or kept.status not in OPEN:
        raise Problem.not_found("There is no open document of this type and id.")
    pool = await pool_or_404(reader, kept.content.account)
    return _preview(await desk.planned_by(reader, kept, pool, now), kept.content)


@documents.post("/documents/{document_type}/{document_id}/submit", policy=Policy("document:make", MAKERS))
async def submit_document(document_type: Code, document_id: DocumentKey, work: Work) -> DocumentView:
    """Hands a draft to its approvers."""
    kept, pool = await _locked(work, document_type, document_id, ("draft",))
    await _submit(work, kept, pool)
    return document_view(kept)


@documents.post(
    "/documents/{document_type}/{document_id}/approve", policy=Policy("document:approve", APPROVERS)
)
async def approve_document(
    document_type: Code, document_id: DocumentKey, work: Work, principal: CurrentPrincipal
) -> DocumentView:
    """Posts a submitted document that another person made; a withdrawal is asked of the bank first."""
    await require_grant(work.connection, principal, document_type, "approve")
    kept, pool = await _locked(work, document_type, document_id, ("submitted",))
    if kept.made_by == principal.subject:
        raise Problem.forbidden(
            "A document is approved by another person than its maker.", type="same-person"
        )
    if kept.content.type == "top-up-online" and kept.content.payment_id is None:
        raise Problem.conflict("payment-missing", "No payment has settled this top-up yet.")
    kept.version += 1
    refusal = await desk.approve(work, kept, pool, principal.subject)
    if refusal is not None:
        raise refused(refusal)
    desk.tell_task(work, kept, pool)
    work.count(kept.content.type, kept.status)
    return document_view(kept)


@documents.post(
    "/documents/{document_type}/{document_id}/reject", policy=Policy("document:approve", APPROVERS)
)
async def reject_document(
    document_type: Code, document_id: DocumentKey, body: Rejection, work: Work, principal: CurrentPrincipal
) -> DocumentView:
    """Closes a submitted document without posting it."""
    kept, pool = await _locked(work, document_type, document_id, ("submitted",))
    await _close(work, kept, pool, "rejected", principal.subject, body.reason)
    return document_view(kept)


@documents.post(
    "/documents/{document_type}/{document_id}/withdraw", policy=Policy("document:make", MAKERS, LOADED)
)
async def withdraw_document(
    document_type: Code,
    document_id: DocumentKey,
    work: Work,
    principal: CurrentPrincipal,
    access: CurrentAccess,
) -> DocumentView:
    """Takes an own document back before it is decided."""
    kept, pool = await _locked(work, document_type, document_id, ("draft", "submitted"))
    await access.require(kept.content.account)
    if kept.content.payment_id is not None and kept.content.type == "top-up-online":
        raise Problem.conflict("payment-arrived", "A payment has settled this top-up; approve or reject it.")
    await _close(work, kept, pool, "withdrawn", principal.subject, None)
    return document_view(kept)


@documents.post(
    "/accounts/{account}/top-ups", policy=Policy("top-up:open", MAKERS, "account"), status_code=201
)
async def open_top_up(
    account: Id, body: TopUpBody, work: Work, principal: CurrentPrincipal, response: Response
) -> DocumentView:
    """Opens an online top-up; the payment-received that names it settles it."""
    require_money(body.amount)
    content = Content(
        type="top-up-online",
        document_id=body.top_up_id,
        account=account,
        currency=body.amount.currency,
        amount=body.amount.minor,
        account_type=body.account_type,
    )
    pool = await locked_pool_or_404(work.connection, account)
    kept = KeptDocument(content, "submitted", principal.subject, work.now, submitted_at=work.now)
    if not await document_rows.add(work.connection, kept):
        response.status_code = 200
        return document_view(await _same_or_conflict(work, content))
    plan = await desk.planned(work, kept, pool)
    if isinstance(plan, Refusal):
        raise refused(plan)
    return document_view(kept)


async def _submit(work: Work, kept: KeptDocument, pool: Pool) -> None:
    """A document that could not be posted now is refused now; the approval looks again."""
    plan = await desk.planned(work, kept, pool)
    if isinstance(plan, Refusal):
        raise refused(plan)
    kept.status = "submitted"
    kept.submitted_at = work.now
    kept.version += 1
    await document_rows.save(work.connection, kept)
    desk.tell_task(work, kept, pool)


async def _close(
    work: Work,
    kept: KeptDocument,
    pool: Pool,
    status: Literal["rejected", "withdrawn"],
    who: str,
    reason: str | None,
) -> None:
    told = kept.status == "submitted" and kept.content.type != "top-up-online"
    kept.status, kept.decided_by, kept.decided_at, kept.decision_reason = status, who, work.now, reason
    kept.version += 1
    await document_rows.save(work.connection, kept)
    if kept.content.payment_id is not None:
        await desk.free_payment(work, kept.content.payment_id)
    if told:
        desk.tell_task(work, kept, pool)
    work.count(kept.content.type, status)


async def _locked(
    work: Work, document_type: str, document_id: str, statuses: tuple[str, ...]
) -> tuple[KeptDocument, Pool]:
    """A document under lock, its account locked before it."""
    found = await document_rows.by_id(work.connection, document_type, document_id)
    if found is None:
        raise Problem.not_found("There is no document of this type and id.")
    pool = await locked_pool_or_404(work.connection, found.content.account)
    kept = await document_rows.by_id(work.connection, document_type, document_id, lock=True)
    assert kept is not None
    if kept.status not in statuses:
        raise Problem.conflict("already-decided", f"The document is {kept.status}.")
    return kept, pool


async def _same_or_conflict(work: Work, content: Content) -> KeptDocument:
    kept = await document_rows.by_id(work.connection, content.type, content.document_id)
    assert kept is not None
    difference = kept.content.difference(content)
    if difference is not None:
        raise Problem.conflict(
            "document-conflict",
            f"{content.type} {content.document_id} exists with other content: {difference}.",
        )
    return kept


def refused(refusal: Refusal) -> Problem:
    text = f"{refusal.text[:1].upper()}{refusal.text[1:]}."
    return Problem.conflict(refusal.code, text, errors=[{"field": refusal.field, "message": refusal.text}])


def _preview(plan: Plan | Refusal, content: Content) -> PreviewView:
    if isinstance(plan, Refusal):
        most = None if plan.most is None else Money.of(plan.most, content.currency)
        return PreviewView(
            passes=False, moves=[], code=plan.code, field=plan.field, text=plan.text, most=most
        )
    moves = [
        MoveView(
            account_type=move.fund_account.type.code,
            what=move.bucket,
            change=SignedMoney.of(move.amount, move.fund_account.currency),
        )
        for move in plan.moves
        if isinstance(move, Move)
    ]
    if plan.held is not None:
        change = SignedMoney.of(content.amount, content.currency)
        moves.append(MoveView(account_type=plan.held.type.code, what="held", change=change))
    return PreviewView(passes=True, moves=moves)


def document_view(kept: KeptDocument) -> DocumentView:
    content = kept.content
    return DocumentView(
        document_type=content.type,
        document_id=content.document_id,
        account=content.account,
        account_type=content.account_type,
        to_account_type=content.to_account_type,
        amount=Money.of(content.amount, content.currency),
        effective_date=content.effective_date,
        reason=content.reason,
        payee=content.payee,
        reverses="/".join(content.reverses) if content.reverses else None,
        payment_id=content.payment_id,
        status=kept.status,
        made_by=kept.made_by,
        made_at=kept.made_at,
        submitted_at=kept.submitted_at,
        decided_by=kept.decided_by,
        decided_at=kept.decided_at,
        decision_reason=kept.decision_reason,
        entry_number=kept.entry_number,
        reversed_by=kept.reversed_by,
    )
