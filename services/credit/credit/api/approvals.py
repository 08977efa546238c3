"""Rights to special approval, what they were used for, and documents that wait for it."""

from datetime import date, datetime
from typing import Annotated, Any, Final, Literal, Self
from zoneinfo import ZoneInfo

from chassis.http import (
    DOWNLOAD,
    CurrentPrincipal,
    CursorPage,
    Now,
    Page,
    Policy,
    Problem,
    Reader,
    Router,
    Work,
    download,
)
from chassis.sheets import Column, SheetFormat
from contracts.credit_checked import MetricResult
from contracts.money import Money, decimal_string
from contracts.order import Reason
from contracts.text import Id
from contracts.times import CalendarDate
from fastapi import Query, Response
from pydantic import BaseModel, ConfigDict, Field, model_validator
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis import UnitOfWork
from credit import approval_desk
from credit.api.common import EXPORT_ROWS_MAX, READERS, Body, CurrencyPath, IdPath, Why, unknown
from credit.api.pending import Decision, beyond_right, require_fresh
from credit.api.rules import DocumentTypeName
from credit.domain.approvals import Period, Right
from credit.domain.desk import DocumentApprovalRefused, DocumentNotPending
from credit.domain.documents import DocumentKey
from credit.domain.rules import Metric
from credit.publishing import publish
from credit.repository import advances, saving
from credit.repository import approvals as rows
from credit.repository.bodies import findings

router: Final = Router(tags=["special approval"])

APPROVERS: Final = frozenset({"credit-approver"})
PendingDocumentState = Literal["pending", "approved", "rejected", "expired", "superseded"]


class RightBody(Body):
    """How much one approver may let pass per period; both days of the validity are included."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "ceiling": {"amount": "50000.00", "currency": "CNY"},
                    "period": "month",
                    "metrics": ["credit-limit"],
                    "valid_from": "2026-01-01",
                    "valid_to": "2026-12-31",
                    "reason": "regional head",
                }
            ]
        },
    )
    ceiling: Money
    period: Period = "month"
    metrics: Annotated[list[Metric], Field(min_length=1, max_length=10)]
    valid_from: CalendarDate
    valid_to: CalendarDate
    active: Annotated[bool, Field(strict=True)] = True
    reason: Why

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.valid_from > self.valid_to:
            raise ValueError(f"valid_to is {self.valid_to}, before valid_from, which is {self.valid_from}")
        return self


class RightView(BaseModel):
    """A right with what was used of it in the period of today."""

    approver: str
    currency: str
    version: int
    ceiling: Money
    period: Period
    consumed: Money
    remaining: Money
    metrics: list[str]
    valid_from: date
    valid_to: date
    active: bool
    reason: str
    changed_by: str
    changed_at: datetime


class GrantView(BaseModel):
    """One special approval; `returned_at` says when fund-pool's refusal gave it back."""

    document_type: str
    source: str
    document_id: str
    number: int = Field(description="Of the check that it let pass.")
    approver: str
    customer: str
    amount: Money = Field(
        description="The largest excess over a limit; for other metrics the document's amount."
    )
    metrics: list[str]
    reason: str
    given_on: date
    given_at: datetime
    returned_at: datetime | None


class PendingDocument(BaseModel):
    """A document's request that waits, or waited, for special approval."""

    document_type: str
    source: str
    document_id: str
    number: int
    state: PendingDocumentState
    revision: int
    operation: str
    customer: str
    total: Money
    held_at: datetime
    due_at: datetime
    person: str | None
    reason: str | None
    ended_at: datetime | None
    reasons: list[Reason]
    metrics: list[MetricResult]


class AdvanceBody(Body):
    """What will be held, which metrics may be waived then, and until when that holds."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "document_type": "sales-order",
                    "source": "shop",
                    "document_id": "SO-1001",
                    "metrics": ["credit-limit"],
                    "valid_until": "2090-01-01T00:00:00Z",
                    "reason": "agreed by telephone",
                }
            ]
        },
    )
    document_type: DocumentTypeName
    source: Id
    document_id: Id
    metrics: Annotated[list[Metric], Field(min_length=1, max_length=10)]
    valid_until: Annotated[datetime, Field(description="With its offset from UTC.")]
    reason: Why

    @model_validator(mode="after")
    def _has_offset(self) -> Self:
        if self.valid_until.tzinfo is None:
            raise ValueError("valid_until must have its offset from UTC")
        return self


class AdvanceView(BaseModel):
    """An approval given ahead; `refusal` says why it could not be given when its document came."""

    document_type: str
    source: str
    document_id: str
    approver: str
    metrics: list[str]
    reason: str
    given_at: datetime
    valid_until: datetime
    state: Literal["open", "consumed", "refused"]
    ended_at: datetime | None
    refusal: str | None


@router.put(
    "/approval-rights/{approver}/{currency}", policy=Policy("approval-right:write", {"credit-manager"})
)
async def set_right(
    approver: IdPath, currency: CurrencyPath, body: RightBody, work: Work, principal: CurrentPrincipal
) -> RightView:
    """Makes or replaces an approver's right; nobody gives one to oneself."""
    if approver == principal.subject:
        raise Problem.forbidden("Nobody gives the right to special approval to oneself.", type="four-eyes")
    if body.ceiling.currency != currency:
        message = f"is {body.ceiling.currency}; it must be {currency}, as the right is"
        raise Problem.invalid([{"field": "ceiling.currency", "message": message}])
    right = Right(
        approver,
        currency,
        body.ceiling.minor,
        body.period,
        frozenset(body.metrics),
        body.valid_from,
        body.valid_to,
        body.active,
    )
    row = await rows.set_right(work.connection, right, body.reason, principal.subject, work.now)
    return await _right(work.connection, row, work.now.date())


@router.get("/approval-rights", policy=Policy("approval-right:read", READERS))
async def rights(
    page: Page, reader: Reader, now: Now, approver: Annotated[Id | None, Query()] = None
) -> CursorPage[RightView]:
    """Rights by approver: ceiling, consumed and remaining."""
    found = await rows.rights_after(reader, page.after(str, str), page.rows, approver=approver)
    shown, following = page.page(found, key=lambda row: (row.approver, row.currency))
    return CursorPage(items=[await _right(reader, row, now.date()) for row in shown], next=following)


@router.get("/approval-grants", policy=Policy("approval-right:read", READERS))
async def grants(
    page: Page,
    reader: Reader,
    approver: Annotated[Id | None, Query()] = None,
    customer: Annotated[Id | None, Query()] = None,
    since: Annotated[date | None, Query()] = None,
) -> CursorPage[GrantView]:
    """Each special approval, newest first."""
    place = page.after(datetime, str, str, str, int, str)
    found = await rows.grants_before(
        reader, place, page.rows, approver=approver, customer=customer, since=since
    )
    shown, following = page.page(
        found,
        key=lambda row: (
            row.given_at,
            row.document_type,
            row.source,
            row.document_id,
            row.number,
            row.currency,
        ),
    )
    return CursorPage(items=[_grant(row) for row in shown], next=following)


@router.get(
    "/approval-grants/file",
    policy=Policy("approval-right:read", READERS),
    response_class=Response,
    responses=DOWNLOAD,
)
async def grants_file(
    reader: Reader,
    format: Annotated[SheetFormat, Query()] = "csv",
    approver: Annotated[Id | None, Query()] = None,
    customer: Annotated[Id | None, Query()] = None,
    since: Annotated[date | None, Query()] = None,
) -> Response:
    """The same as a file."""
    found = await rows.grants_before(
        reader, None, EXPORT_ROWS_MAX + 1, approver=approver, customer=customer, since=since
    )
    if len(found) > EXPORT_ROWS_MAX:
        detail = f"More than {EXPORT_ROWS_MAX} rows; name a smaller part of them by the filter."
        raise Problem(422, "too-many-rows", detail=detail)
    return await download(format, "special-approvals", GRANT_COLUMNS, found, ZoneInfo("UTC"))


GRANT_COLUMNS: Final[list[Column[Row[Any]]]] = [
    Column("given_at", lambda row: row.given_at, "moment"),
    Column("approver", lambda row: row.approver),
    Column("customer", lambda row: row.customer),
    Column("document_type", lambda row: row.document_type),
    Column("source", lambda row: row.source),
    Column("document_id", lambda row: row.document_id),
    Column("currency", lambda row: row.currency),
    Column("amount", lambda row: decimal_string(row.amount_minor, row.currency), "decimal"),
    Column("metrics", lambda row: " ".join(row.metrics)),
    Column("reason", lambda row: row.reason, width=40),
    Column("returned_at", lambda row: row.returned_at, "moment"),
]


@router.get("/pending-documents", policy=Policy("pending-document:read", READERS))
async def pending_documents(
    page: Page,
    reader: Reader,
    state: Annotated[PendingDocumentState, Query()] = "pending",
    customer: Annotated[Id | None, Query()] = None,
) -> CursorPage[PendingDocument]:
    """Documents that wait for special approval, or waited, longest wait first."""
    place = page.after(datetime, str, str, str, int)
    found = await rows.pending_documents_after(reader, place, page.rows, state=state, customer=customer)
    shown, following = page.page(
        found, key=lambda row: (row.held_at, row.document_type, row.source, row.document_id, row.number)
    )
    return CursorPage(items=[_pending(row) for row in shown], next=following)


@router.post(
    "/pending-documents/{document_type}/{source}/{document_id:path}/approve",
    policy=Policy("pending-document:approve", APPROVERS),
)
async def approve_document(
    document_type: DocumentTypeName,
    source: IdPath,
    document_id: IdPath,
    body: Decision,
    work: Work,
    principal: CurrentPrincipal,
) -> PendingDocument:
    """Checks the request again as of now, waives what it waits for, occupies, and answers the ERP."""
    require_fresh(principal, work.now)
    key = DocumentKey(document_type, source, document_id)
    held = await _waiting(work, key)
    try:
        await approval_desk.approve_document(work, held, principal.subject, body.reason)
    except approval_desk.FourEyes as error:
        raise Problem.forbidden(str(error), type="four-eyes") from None
    except DocumentNotPending:
        raise Problem.conflict("not-pending", "A later revision of the document is known.") from None
    except DocumentApprovalRefused as error:
        text = " ".join(reason.text for reason in error.verdict.reasons)
        raise Problem.conflict("approval-refused", f"Special approval does not cover this: {text}") from None
    except approval_desk.BeyondRight as error:
        raise beyond_right(error) from None
    return await _last(work.connection, key)


@router.post(
    "/pending-documents/{document_type}/{source}/{document_id:path}/reject",
    policy=Policy("pending-document:reject", APPROVERS),
)
async def reject_document(
    document_type: DocumentTypeName,
    source: IdPath,
    document_id: IdPath,
    body: Decision,
    work: Work,
    principal: CurrentPrincipal,
) -> PendingDocument:
    """Declines the request; the ERP may ask again."""
    key = DocumentKey(document_type, source, document_id)
    held = await _waiting(work, key)
    assert work.cause is not None, "a command is its own cause"
    publish(work, held.desk.refuse(held.posting, "rejected", principal.subject, body.reason), work.cause)
    await saving.save(work.connection, held.gate, work.now)
    return await _last(work.connection, key)


@router.post("/advance-approvals", policy=Policy("advance-approval:give", APPROVERS), status_code=201)
async def give_ahead(body: AdvanceBody, work: Work, principal: CurrentPrincipal) -> AdvanceView:
    """Approves an order or document before it comes; it is consumed when that is held, within the approver's right."""
    require_fresh(principal, work.now)
    if body.valid_until <= work.now:
        raise Problem.invalid([{"field": "valid_until", "message": "has passed"}])
    key = DocumentKey(body.document_type, body.source, body.document_id)
    row = await advances.give(
        work.connection, key, principal.subject, body.metrics, body.reason, body.valid_until, work.now
    )
    if row is None:
        raise Problem.conflict("approval-consumed", "This approval was consumed by its document already.")
    return _advance(row)


@router.get("/advance-approvals", policy=Policy("approval-right:read", READERS))
async def given_ahead(
    page: Page, reader: Reader, approver: Annotated[Id | None, Query()] = None
) -> CursorPage[AdvanceView]:
    """Approvals given ahead: open, consumed, or refused with why."""
    place = page.after(str, str, str, str)
    found = await advances.advances_after(reader, place, page.rows, approver=approver)
    shown, following = page.page(
        found, key=lambda row: (row.document_type, row.source, row.document_id, row.approver)
    )
    return CursorPage(items=[_advance(row) for row in shown], next=following)


def _advance(row: Row[Any]) -> AdvanceView:
    return AdvanceView(**{name: row._mapping[name] for name in AdvanceView.model_fields})


async def _waiting(work: UnitOfWork, key: DocumentKey) -> approval_desk.PendingRequest:
    held = await approval_desk.locked_hold(work, key)
    if held is None:
        if await rows.last_hold(work.connection, key) is None:
            raise unknown("pending document", f"{key.document_type} {key.document_id} of {key.source}")
        raise Problem.conflict("not-pending", "The document does not wait for approval any more.")
    return held


async def _last(connection: AsyncConnection, key: DocumentKey) -> PendingDocument:
    row = await rows.last_hold(connection, key)
    assert row is not None, "it was there just now"
    return _pending(row)


async def _right(connection: AsyncConnection, row: Row[Any], day: date) -> RightView:
    right = rows.right_of(row)
    used = await rows.consumed(connection, right, day)
    names = set(RightView.model_fields) - {"ceiling", "consumed", "remaining", "metrics"}
    return RightView(
        **{name: row._mapping[name] for name in names},
        ceiling=Money.of(right.ceiling, right.currency),
        consumed=Money.of(used, right.currency),
        remaining=Money.of(max(right.ceiling - used, 0), right.currency),
        metrics=sorted(right.metrics),
    )


def _grant(row: Row[Any]) -> GrantView:
    names = set(GrantView.model_fields) - {"amount"}
    return GrantView(
        **{name: row._mapping[name] for name in names}, amount=Money.of(row.amount_minor, row.currency)
    )


def _pending(row: Row[Any]) -> PendingDocument:
    found = findings(row.findings)
    names = set(PendingDocument.model_fields) - {"total", "reasons", "metrics"}
    return PendingDocument(
        **{name: row._mapping[name] for name in names},
        total=Money.of(row.total_minor, row.currency),
        reasons=found.reasons,
        metrics=found.metrics,
    )
