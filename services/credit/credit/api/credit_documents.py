"""Temporary credit and credit changes: one person submits, another approves."""

from datetime import date, datetime
from typing import Annotated, Any, Final, Literal
from uuid import UUID

import orjson
from chassis.http import CurrentPrincipal, CursorPage, Page, Policy, Problem, Reader, Router, Work
from contracts.money import Amount, Money
from fastapi import Query, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from sqlalchemy import Row

from chassis import UnitOfWork
from credit import document_desk
from credit.api.common import READERS, Body, IdPath, Why, unknown
from credit.domain.profiles import Enforcement
from credit.domain.temporary import Mode, TemporaryCredit
from credit.repository import credit_documents as rows
from credit.repository.credit_documents import NewDocument

router: Final = Router(tags=["giving credit"])

MAKERS: Final = frozenset({"credit-manager", "finance-maker"})
APPROVERS: Final = frozenset({"credit-approver"})
DAYS_MAX: Final = 3_660

DocumentKey = Annotated[
    str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\s/?#\x00-\x1f\x7f]+$")
]
State = Literal["submitted", "approved", "rejected", "withdrawn"]


class TemporaryBody(Body):
    """Credit from a day to a day, both included, on top of a profile's limit or in its place."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "document_id": "TC-2026-001",
                    "profile_id": "0195c0de-0000-7000-8000-000000000001",
                    "amount": {"amount": "20000.00", "currency": "CNY"},
                    "valid_from": "2026-09-01",
                    "valid_to": "2026-10-31",
                    "mode": "add",
                    "reason": "peak season",
                }
            ]
        },
    )
    document_id: DocumentKey
    profile_id: UUID
    amount: Amount
    valid_from: date
    valid_to: date
    mode: Mode = "add"
    reason: Why


class ChangeBody(Body):
    """Another credit limit of a profile."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "document_id": "CC-2026-001",
                    "profile_id": "0195c0de-0000-7000-8000-000000000001",
                    "credit_limit": {"amount": "60000.00", "currency": "CNY"},
                    "enforcement": "special-approval",
                    "reason": "half-year review",
                }
            ]
        },
    )
    document_id: DocumentKey
    profile_id: UUID
    credit_limit: Amount | Literal["unlimited"] | None = Field(description="null: not controlled any more.")
    enforcement: Enforcement = "reject"
    reason: Why


class Judged(Body):
    """Why a document is approved, rejected or withdrawn."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"reason": "as agreed on 3 March"}]}
    )
    reason: Why


class DocumentView(BaseModel):
    """A document as it stands; `profile_version` is the version of the profile that it speaks of."""

    document_id: str
    kind: Literal["temporary-credit", "credit-change"]
    profile_id: str
    object_type: str
    object_id: str
    state: State
    content: dict[str, Any]
    profile_version: int
    reason: str
    made_by: str
    made_at: datetime
    decided_by: str | None
    decided_at: datetime | None
    decision_reason: str | None


@router.post("/temporary-credits", policy=Policy("temporary-credit:make", MAKERS), status_code=201)
async def make_temporary(
    body: TemporaryBody, work: Work, principal: CurrentPrincipal, response: Response
) -> DocumentView:
    """Asks for temporary credit; it holds once another person has approved it."""
    _require_period(body, work.now.date())
    given = TemporaryCredit(body.amount.minor, body.valid_from, body.valid_to, body.mode)
    return await _submit(
        work,
        response,
        body,
        "temporary-credit",
        document_desk.GIVEN.dump_json(given),
        body.amount,
        principal.subject,
    )


@router.post("/credit-changes", policy=Policy("credit-change:make", MAKERS), status_code=201)
async def make_change(
    body: ChangeBody, work: Work, principal: CurrentPrincipal, response: Response
) -> DocumentView:
    """Asks for another credit limit; it holds once another person has approved it."""
    money = body.credit_limit if isinstance(body.credit_limit, Money) else None
    limit = money.minor if money is not None else body.credit_limit
    stored = orjson.dumps({"limit": limit, "enforcement": body.enforcement})
    return await _submit(work, response, body, "credit-change", stored, money, principal.subject)


async def _submit(
    work: UnitOfWork,
    response: Response,
    body: TemporaryBody | ChangeBody,
    kind: str,
    stored: bytes,
    money: Money | None,
    person: str,
) -> DocumentView:
    profile = await rows.locked_profile(work.connection, str(body.profile_id))
    if profile is None:
        raise unknown("credit profile", str(body.profile_id))
    if money is not None and money.currency != profile.currency:
        message = f"is {money.currency}, but the profile is in {profile.currency}"
        raise Problem.invalid([{"field": "currency", "message": message}])
    document = NewDocument(
        body.document_id, kind, profile.profile_id, stored.decode(), profile.version, body.reason, person
    )
    made = await document_desk.submit(work, document)
    row = await rows.document_row(work.connection, body.document_id)
    assert row is not None, "it is there, made now or before"
    if not made:
        _require_same(row, document)
        response.status_code = 200
    return _view(row)


def _require_same(row: Row[Any], document: NewDocument) -> None:
    same = (row.kind, row.profile_id, row.reason) == (document.kind, document.profile_id, document.reason)
    if not same or orjson.loads(row.body) != orjson.loads(document.body):
        detail = f"Document {document.document_id} says something else already."
        raise Problem.conflict("document-exists", detail)


def _require_period(body: TemporaryBody, today: date) -> None:
    if not body.amount.minor:
        raise Problem.invalid([{"field": "amount.amount", "message": "must be more than 0"}])
    if body.valid_to < body.valid_from:
        message = f"is before valid_from, {body.valid_from}"
        raise Problem.invalid([{"field": "valid_to", "message": message}])
    if body.valid_to < today or (body.valid_to - body.valid_from).days > DAYS_MAX:
        message = f"must not have passed, nor be more than {DAYS_MAX} days after valid_from"
        raise Problem.invalid([{"field": "valid_to", "message": message}])


@router.get("/credit-documents", policy=Policy("credit-document:read", READERS))
async def documents(
    page: Page,
    reader: Reader,
    profile_id: Annotated[UUID | None, Query()] = None,
    state: Annotated[State | None, Query()] = None,
    kind: Annotated[Literal["temporary-credit", "credit-change"] | None, Query()] = None,
) -> CursorPage[DocumentView]:
    """Documents by id: what was asked for, by whom, and what became of it."""
    found = await rows.documents_after(
        reader,
        page.after(str),
        page.rows,
        profile_id=str(profile_id) if profile_id else None,
        state=state,
        kind=kind,
    )
    shown, following = page.page(found, key=lambda row: (row.document_id,))
    return CursorPage(items=[_view(row) for row in shown], next=following)


@router.get("/credit-documents/{document_id}", policy=Policy("credit-document:read", READERS))
async def document(document_id: IdPath, reader: Reader) -> DocumentView:
    """One document."""
    row = await rows.document_row(reader, document_id)
    if row is None:
        raise unknown("credit document", document_id)
    return _view(row)


@router.post("/credit-documents/{document_id}/approve", policy=Policy("credit-document:approve", APPROVERS))
async def approve(document_id: IdPath, body: Judged, work: Work, principal: CurrentPrincipal) -> DocumentView:
    """Makes the document true; only for somebody else than its maker."""
    row = await _waiting(work, document_id)
    _require_other(row, principal.subject)
    try:
        await document_desk.approve(work, row, principal.subject, body.reason)
    except document_desk.ProfileChanged as error:
        raise Problem.conflict("profile-changed", f"{error} Reject it and make another.") from None
    return await _again(work, document_id)


@router.post("/credit-documents/{document_id}/reject", policy=Policy("credit-document:reject", APPROVERS))
async def reject(document_id: IdPath, body: Judged, work: Work, principal: CurrentPrincipal) -> DocumentView:
    """Refuses the document; nothing follows from it."""
    row = await _waiting(work, document_id)
    _require_other(row, principal.subject)
    await document_desk.end(work, row, "rejected", principal.subject, body.reason)
    return await _again(work, document_id)


@router.post("/credit-documents/{document_id}/withdraw", policy=Policy("credit-document:withdraw", MAKERS))
async def withdraw(
    document_id: IdPath, body: Judged, work: Work, principal: CurrentPrincipal
) -> DocumentView:
    """Takes back one's own document before it is decided."""
    row = await _waiting(work, document_id)
    if row.made_by != principal.subject:
        raise Problem.forbidden("Only its maker can withdraw a document.", type="not-the-maker")
    await document_desk.end(work, row, "withdrawn", principal.subject, body.reason)
    return await _again(work, document_id)


async def _waiting(work: UnitOfWork, document_id: str) -> Row[Any]:
    row = await rows.document_row(work.connection, document_id, lock=True)
    if row is None:
        raise unknown("credit document", document_id)
    if row.state != "submitted":
        raise Problem.conflict("document-decided", f"The document is {row.state} already.")
    return row


def _require_other(row: Row[Any], person: str) -> None:
    if row.made_by == person:
        raise Problem.forbidden("Whoever made a document cannot decide it.", type="four-eyes")


async def _again(work: UnitOfWork, document_id: str) -> DocumentView:
    row = await rows.document_row(work.connection, document_id)
    assert row is not None, "it was there just now"
    return _view(row)


def _view(row: Row[Any]) -> DocumentView:
    names = set(DocumentView.model_fields) - {"content"}
    fields = {name: row._mapping[name] for name in names}
    return DocumentView(**fields, content=_content(row))


def _content(row: Row[Any]) -> dict[str, Any]:
    """What the document says, with money as it is written."""
    body = dict(orjson.loads(row.body))
    for name in ("amount", "limit"):
        if isinstance(body.get(name), int):
            money = Money.of(body[name], row.currency)
            body[name] = {"amount": money.amount, "currency": money.currency}
    return body
