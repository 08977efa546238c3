"""Orders that wait for special approval."""

from datetime import datetime, timedelta
from typing import Annotated, Final

from chassis.http import CurrentPrincipal, CursorPage, Page, Policy, Principal, Problem, Reader, Router, Work
from contracts.text import Id
from fastapi import Query
from pydantic import ConfigDict
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis import UnitOfWork
from credit import approval_desk
from credit.api.common import READERS, Body, IdPath, Why, unknown
from credit.api.views import PendingOrder, PendingOrderDetail, PendingState, pending_fields, pending_order
from credit.domain.arrivals import Judgement, OrderKey
from credit.domain.gate import ApprovalRefused, NotPending
from credit.repository import gate as gates
from credit.repository import orders
from credit.repository.bodies import findings

router: Final = Router(tags=["pending orders"])

FRESH_LOGIN: Final = timedelta(minutes=15)
FRESH_CHALLENGE: Final = 'Bearer realm="coffer", error="insufficient_user_authentication", max_age=900'


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
    """Checks the order again as of now; only the metrics that it waits for are waived, within the approver's right.

    409 `approval-refused` with the reasons when anything else fails, `beyond-ceiling` with what is left of the
    right, `not-pending` when it does not wait; 401 `login-not-fresh` when the login is older than 15 minutes.
    """
    require_fresh(principal, work.now)
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
    try:
        await approval_desk.judge_order(work, judgement)
    except NotPending as error:
        raise Problem.conflict(
            "not-pending", f"The order does not wait for approval: it is {error.status}."
        ) from None
    except ApprovalRefused as error:
        raise _refused(error) from None
    except approval_desk.BeyondRight as error:
        raise beyond_right(error) from None
    except approval_desk.FourEyes as error:
        raise Problem.forbidden(str(error), type="four-eyes") from None
    return await _detail(work.connection, judgement.key)


def beyond_right(error: approval_desk.BeyondRight) -> Problem:
    """409 with what is left of the approver's right."""
    return Problem.conflict(error.reason.code, error.reason.text)


def require_fresh(principal: Principal, now: datetime) -> None:
    """Special approval asks who approves anew: a login that is older does not do."""
    at = principal.authenticated_at
    if at is None or now - at > FRESH_LOGIN:
        minutes = FRESH_LOGIN // timedelta(minutes=1)
        detail = f"Log in again: special approval needs a login of the last {minutes} minutes."
        raise Problem.unauthenticated("login-not-fresh", detail, challenge=FRESH_CHALLENGE)


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
