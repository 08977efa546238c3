"""Allocate and reclaim funds, one member or many at once: with a preview, all or nothing, and a record of each."""

from collections.abc import Sequence
from datetime import datetime
from secrets import token_bytes
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from chassis.http import (
    LOADED,
    CurrentAccess,
    CurrentPrincipal,
    Policy,
    Problem,
    Reader,
    Work,
)
from contracts.money import Amount, Money
from contracts.order import Reason
from contracts.text import CurrencyCode, Id, Text
from fastapi import Response
from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict
from sqlalchemy.ext.asyncio import AsyncConnection

from contracts import AllocationRecorded
from fund_pool.api.common import APPROVERS, FINANCE, MAKERS, Body, router
from fund_pool.domain.allocation import Desk, Operation, Row, RowResult
from fund_pool.domain.documents import Refusal
from fund_pool.domain.ids import RANDOM_BYTES, uuid7
from fund_pool.domain.ledger import entry_id
from fund_pool.publishing import publish
from fund_pool.repository import allocations as allocation_rows
from fund_pool.repository import ledger as ledger_rows
from fund_pool.repository import pools as pool_rows
from fund_pool.repository import reference as reference_rows
from fund_pool.repository.allocations import Record, Request

ROWS_MAX: Final = 10_000
EXPORT_ROWS_MAX: Final = 100_000
BODY_BYTES_MAX: Final = 4 * 1024 * 1024

allocations = router("allocations")

EXAMPLE: Final[JsonDict] = {
    "operation": "allocate",
    "management_account": "A-1001",
    "rows": [{"member_account": "A-1002", "amount": {"amount": "500.00", "currency": "CNY"}}],
    "remark": "budget of the second quarter",
}


class RowBody(Body):
    """One member and the amount to give it, or to take back from it."""

    member_account: Id
    amount: Amount


class AllocationBody(Body):
    """One operation for one member or for many; nothing of it is posted unless all of it can be."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [EXAMPLE]})

    operation: Operation
    management_account: Id
    rows: Annotated[list[RowBody], Field(min_length=1, max_length=ROWS_MAX)]
    remark: Text | None = None

    def numbered(self) -> list[Row]:
        return [
            Row(number, row.member_account, row.amount.currency, row.amount.minor)
            for number, row in enumerate(self.rows, start=1)
        ]


class RowView(BaseModel):
    """What becomes of one row; `most` is the largest amount that would pass, `total` what the pair's book holds."""

    row: int
    member_account: str
    amount: Money
    result: Literal["will-post", "posted", "refused", "not-posted", "waiting"]
    code: str | None = None
    text: str | None = None
    most: Money | None = None
    total: Money | None = None
    entry_number: int | None = None


class AllocationView(BaseModel):
    """What becomes of a batch: posted as a whole, refused as a whole, or waiting for another person."""

    batch_id: UUID | None
    status: Literal["previewed", "posted", "refused", "waiting", "rejected"]
    operation: str
    management_account: str
    total: list[Money] = Field(description="The sum of the rows by currency.")
    refused: int
    rows: list[RowView]


class ApprovalBody(Body):
    """The amount above which a row needs another person's approval."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"above": {"amount": "10000.00", "currency": "CNY"}}]}
    )

    above: Amount


@allocations.post(
    "/allocations/preview",
    policy=Policy("allocation:preview", FINANCE, LOADED),
    body_bytes_max=BODY_BYTES_MAX,
)
async def preview_allocation(body: AllocationBody, work: Work, access: CurrentAccess) -> AllocationView:
    """What each row would do if the batch were posted now; nothing changes."""
    await access.require(body.management_account)
    desk = await _desk(work.connection, body.operation, body.management_account, body.numbered(), work.now)
    results = desk.judge(body.numbered())
    return _view(None, "previewed", body.operation, body.management_account, results)


@allocations.post(
    "/allocations",
    policy=Policy("allocation:post", MAKERS, LOADED),
    status_code=201,
    body_bytes_max=BODY_BYTES_MAX,
)
async def post_allocation(
    body: AllocationBody, work: Work, access: CurrentAccess, principal: CurrentPrincipal, response: Response
) -> AllocationView:
    """Posts all rows or none; above its organisation's amount it waits for another person (status waiting)."""
    await access.require(body.management_account)
    batch_id = uuid7(work.now, token_bytes(RANDOM_BYTES))
    rows = body.numbered()
    request = Request(
        batch_id,
        "submitted",
        body.operation,
        body.management_account,
        rows,
        body.remark,
        principal.subject,
        work.now,
        None,
        None,
    )
    desk = await _locked_desk(work, request)
    results = desk.judge(rows)
    if any(result.refusal for result in results):
        response.status_code = 200
        return await _refuse(work, request, results)
    if await _needs_approval(work.connection, request):
        response.status_code = 202
        await allocation_rows.add_request(work.connection, request)
        return _view(batch_id, "waiting", body.operation, body.management_account, results)
    return await _post(work, desk, request)


@allocations.get("/allocation-requests/{request_id}", policy=Policy("allocation:read", FINANCE, LOADED))
async def read_request(request_id: UUID, reader: Reader, access: CurrentAccess) -> AllocationView:
    """A batch that waits for, or has had, its approval."""
    request = await allocation_rows.request(reader, request_id)
    if request is None:
        raise Problem.not_found()
    await access.require(request.management_account)
    status: Any = {"submitted": "waiting"}.get(request.status, request.status)
    results = [RowResult(row, None) for row in request.rows]
    return _view(request_id, status, request.operation, request.management_account, results)


@allocations.post("/allocation-requests/{request_id}/approve", policy=Policy("allocation:approve", APPROVERS))
async def approve_request(request_id: UUID, work: Work, principal: CurrentPrincipal) -> AllocationView:
    """Posts a waiting batch that another person made, if all of it can still be posted."""
    request = await _waiting(work, request_id)
    if request.made_by == principal.subject:
        raise Problem.forbidden("A batch is approved by another person than its maker.", type="same-person")
    desk = await _locked_desk(work, request)
    results = desk.judge(request.rows)
    if any(result.refusal for result in results):
        await allocation_rows.close_request(
            work.connection, request_id, "rejected", principal.subject, work.now
        )
        return await _refuse(work, request, results)
    await allocation_rows.close_request(work.connection, request_id, "posted", principal.subject, work.now)
    return await _post(work, desk, request)


@allocations.post("/allocation-requests/{request_id}/reject", policy=Policy("allocation:reject", FINANCE))
async def reject_request(request_id: UUID, work: Work, principal: CurrentPrincipal) -> AllocationView:
    """Closes a waiting batch without posting it."""
    request = await _waiting(work, request_id)
    await allocation_rows.close_request(work.connection, request_id, "rejected", principal.subject, work.now)
    results = [RowResult(row, None) for row in request.rows]
    return _view(request_id, "rejected", request.operation, request.management_account, results)


@allocations.put(
    "/organisations/{organisation}/allocation-approval/{currency}",
    policy=Policy("allocation-approval:set", MAKERS),
)
async def set_approval(
    organisation: Id, currency: CurrencyCode, body: ApprovalBody, work: Work, principal: CurrentPrincipal
) -> ApprovalBody:
    """Asks for another person's approval above an amount."""
    if body.above.currency != currency:
        raise Problem.invalid([{"field": "above.currency", "message": f"must be {currency}"}])
    await allocation_rows.set_approval(
        work.connection, organisation, currency, body.above.minor, principal.subject, work.now
    )
    return body


async def _desk(
    connection: AsyncConnection, operation: Operation, management: str, rows: Sequence[Row], now: datetime
) -> Desk:
    accounts = {management, *(row.member for row in rows)}
    pools = await pool_rows.pools(connection, accounts, now=now)
    return await _with_relationships(connection, operation, management, pools, now)


async def _locked_desk(work: Work, request: Request) -> Desk:
    accounts = {request.management_account, *(row.member for row in request.rows)}
    pools = await pool_rows.locked_pools(work.connection, accounts, now=work.now)
    operation: Any = request.operation
    return await _with_relationships(work.connection, operation, request.management_account, pools, work.now)


async def _with_relationships(
    connection: AsyncConnection, operation: Operation, management: str, pools: dict[str, Any], now: datetime
) -> Desk:
    by_member: dict[str, list[Any]] = {}
    for relationship in await reference_rows.relationships_of(connection, [management]):
        by_member.setdefault(relationship.member_account, []).append(relationship)
    return Desk(operation, pools.get(management), pools, by_member, now)


async def _needs_approval(connection: AsyncConnection, request: Request) -> bool:
    for currency in {row.currency for row in request.rows}:
        above = await allocation_rows.approval_above(connection, request.management_account, currency)
        if above is not None and any(row.amount > above for row in request.rows if row.currency == currency):
            return True
    return False


async def _waiting(work: Work, request_id: UUID) -> Request:
    request = await allocation_rows.request(work.connection, request_id, lock=True)
    if request is None:
        raise Problem.not_found()
    if request.status != "submitted":
        raise Problem.conflict("already-decided", f"The batch has been {request.status} already.")
    return request


async def _post(work: Work, desk: Desk, request: Request) -> AllocationView:
    results = [desk.post(row, str(request.request_id)) for row in request.rows]
    records = []
    for result in results:
        assert desk.management is not None
        for posted in (result.disbursed, result.received):
            assert posted is not None
            publish(work, posted, desk.members[posted.entry.account])
        records.append(_record(work, request, result))
        work.emit(_recorded(records[-1], result))
    await ledger_rows.save(work.connection, list(desk.members.values()), work.now)
    await allocation_rows.record(work.connection, records)
    work.count(request.operation, "posted")
    return _view(request.request_id, "posted", request.operation, request.management_account, results)


async def _refuse(work: Work, request: Request, results: Sequence[RowResult]) -> AllocationView:
    """Nothing is posted; each refused row is in the record with its reason."""
    records = [_record(work, request, result) for result in results if result.refusal is not None]
    known = await reference_rows.known_account(work.connection, request.management_account)
    if known is None:
        raise Problem.not_found(f"There is no account {request.management_account}.")
    await allocation_rows.record(work.connection, records)
    by_number = {result.row.number: result for result in results}
    for record, number in zip(records, (r.row.number for r in results if r.refusal), strict=True):
        work.emit(_recorded(record, by_number[number]))
    work.count(request.operation, "refused")
    return _view(request.request_id, "refused", request.operation, request.management_account, results)


def _record(work: Work, request: Request, result: RowResult) -> Record:
    refusal = result.refusal
    return Record(
        record_id=uuid7(work.now, token_bytes(RANDOM_BYTES)),
        recorded_at=work.now,
        method="funds",
        operation=request.operation,
        management_account=request.management_account,
        member_account=result.row.member,
        currency=result.row.currency,
        amount=result.row.amount,
        result="succeeded" if refusal is None else "refused",
        reason_code=None if refusal is None else refusal.code,
        reason=None if refusal is None else refusal.text,
        batch_id=request.request_id,
        voucher_id=None,
        entry_number=None if result.received is None else result.received.entry.number,
        remark=request.remark,
        requested_by=request.made_by,
        requested_at=request.made_at,
    )


def _recorded(record: Record, result: RowResult) -> AllocationRecorded:
    disbursing, receiving = _parties(record)
    refusal = result.refusal
    method: Any = record.method
    operation: Any = record.operation
    return AllocationRecorded(
        record_id=str(record.record_id),
        method=method,
        operation=operation,
        management_account=record.management_account,
        member_account=record.member_account,
        disbursing_account=disbursing,
        receiving_account=receiving,
        amount=Money.of(record.amount, record.currency),
        total=None if result.left is None else Money.of(result.left, record.currency),
        result="succeeded" if refusal is None else "refused",
        reasons=[] if refusal is None else [Reason(code=refusal.code, text=refusal.text)],
        batch_id=str(record.batch_id),
        entry_id=None
        if result.received is None
        else entry_id(result.received.entry.account, result.received.entry.number),
        remark=record.remark,
        requested_by=record.requested_by,
        requested_at=record.requested_at,
        recorded_at=record.recorded_at,
    )


def _parties(record: Record) -> tuple[str, str]:
    parties = (record.management_account, record.member_account)
    return parties if record.operation != "reclaim" else parties[::-1]


def _view(
    batch_id: UUID | None, status: Any, operation: str, management: str, results: Sequence[RowResult]
) -> AllocationView:
    sums: dict[str, int] = {}
    for result in results:
        sums[result.row.currency] = sums.get(result.row.currency, 0) + result.row.amount
    refused = sum(1 for result in results if result.refusal is not None)
    return AllocationView(
        batch_id=batch_id,
        status=status,
        operation=operation,
        management_account=management,
        total=[Money.of(total, currency) for currency, total in sorted(sums.items())],
        refused=refused,
        rows=[_row_view(result, status) for result in results],
    )


def _row_view(result: RowResult, status: str) -> RowView:
    row = result.row
    fine: Any = {
        "previewed": "will-post",
        "posted": "posted",
        "waiting": "waiting",
    }.get(status, "not-posted")
    refusal: Refusal | None = result.refusal
    return RowView(
        row=row.number,
        member_account=row.member,
        amount=Money.of(row.amount, row.currency),
        result=fine if refusal is None else "refused",
        code=None if refusal is None else refusal.code,
        text=None if refusal is None else refusal.text,
        most=None if refusal is None or refusal.most is None else Money.of(refusal.most, row.currency),
        total=None if result.left is None else Money.of(result.left, row.currency),
        entry_number=None if result.received is None else result.received.entry.number,
    )
