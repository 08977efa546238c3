"""Orders that wait for special approval."""

from datetime import datetime
from typing import Annotated, Final

from chassis.http import CurrentPrincipal, CursorPage, Page, Policy, Problem, Reader, Router, Work
from contracts.text import Id
from fastapi import Query
from pydantic import ConfigDict
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis import UnitOfWork
from credit.api.common import READERS, Body, IdPath, Why, unknown
from credit.api.views import PendingOrder, PendingOrderDetail, PendingState, pending_fields, pending_order
from credit.domain.arrivals import Judgement, OrderKey
from credit.domain.gate import ApprovalRefused, NotPending
from credit.publishing import publish
from credit.repository import gate as gates
from credit.repository import orders, saving
from credit.repository.bodies import findings
from credit.settings import periods

router: Final = Router(tags=["pending orders"])


class Decision(Body):
    """Why a pending order is approved or rejected."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"reason": "Paid in full for ten years; the season begins."}]},
    )
    reason: Why


@router.get("/pending-orders", policy=Policy("pending-order:read", READERS))
async def pending_orders(
    page: Page,
    reader: Reader,
    state: Annotated[PendingState, Query(description="How it stands or ended.")] = "pending",
    customer: Annotated[Id | None, Query()] = None,
) -> CursorPage[PendingOrder]:
    """Orders that wait for special approval, or waited, longest wait first."""
    place = page.after(datetime, str, str, int)
    rows = await orders.pending_after(reader, place, page.rows, state=state, customer=customer)
    rows, following = page.page(
        rows, key=lambda row: (row.held_at, row.source, row.order_id, row.check_number)
    )
    return CursorPage(items=[pending_order(row) for row in rows], next=following)


@router.get("/pending-orders/{source}/{order_id:path}", policy=Policy("pending-order:read", READERS))
async def pending(source: IdPath, order_id: IdPath, reader: Reader) -> PendingOrderDetail:
    """The last wait of an order, and what it waits for."""
    return await _detail(reader, (source, order_id))


@router.post(
    "/pending-orders/{source}/{order_id:path}/approve",
    policy=Policy("pending-order:approve", {"credit-approver"}),
    summary="Approve a pending order",
)
async def approve(
    source: IdPath, order_id: IdPath, body: Decision, work: Work, principal: CurrentPrincipal
) -> PendingOrderDetail:
    """Checks the order again as of now; only the metrics that it waits for are waived.

    409 `approval-refused` with the reasons when anything else fails, 409 `not-pending` when it does not wait.
    """
    return await _judge(work, Judgement((source, order_id), True, principal.subject, body.reason))


@router.post(
    "/pending-orders/{source}/{order_id:path}/reject",
    policy=Policy("pending-order:reject", {"credit-approver"}),
    summary="Reject a pending order",
)
async def reject(
    source: IdPath, order_id: IdPath, body: Decision, work: Work, principal: CurrentPrincipal
) -> PendingOrderDetail:
    """Declines the order; its order system may submit it anew."""
    return await _judge(work, Judgement((source, order_id), False, principal.subject, body.reason))


async def _judge(work: UnitOfWork, judgement: Judgement) -> PendingOrderDetail:
    if not await gates.has_come(work.connection, judgement.key):
        raise unknown("order", f"{judgement.key[1]} of {judgement.key[0]}")
    gate = await gates.locked_gate(work.connection, [judgement], work.now, periods())
    assert work.cause is not None, "a command is its own cause"
    try:
        publish(work, gate.apply(judgement), work.cause)
    except NotPending as error:
        raise Problem.conflict(
            "not-pending", f"The order does not wait for approval: it is {error.status}."
        ) from None
    except ApprovalRefused as error:
        raise _refused(error) from None
    await saving.save(work.connection, gate, work.now)
    return await _detail(work.connection, judgement.key)


def _refused(error: ApprovalRefused) -> Problem:
    reasons = error.verdict.reasons
    return Problem(
        409,
        "approval-refused",
        detail="Special approval does not cover this: " + " ".join(reason.text for reason in reasons),
        extensions={"reasons": [{"code": reason.code, "text": reason.text} for reason in reasons]},
    )


async def _detail(connection: AsyncConnection, key: OrderKey) -> PendingOrderDetail:
    row = await orders.last_pending(connection, key)
    if row is None:
        raise unknown("pending order", f"{key[1]} of {key[0]}")
    found = findings(row.findings)
    return PendingOrderDetail(**pending_fields(row), reasons=found.reasons, metrics=found.metrics)
