"""Orders at the gate: how far they have come, every decision, and what would happen to one."""

from typing import Any, Final, Literal

from chassis.http import LOADED, CurrentAccess, CursorPage, Page, Policy, Reader, Router, Work
from contracts.credit_checked import MetricResult
from contracts.money import Money
from contracts.order import Order, Reason
from fastapi import Body
from pydantic import BaseModel, Field
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from credit.api.common import READERS, IdPath, unknown
from credit.api.views import Check
from credit.domain.profiles import Profile
from credit.repository import gate as gates
from credit.repository import orders
from credit.repository.bodies import findings
from credit.settings import periods

router: Final = Router(tags=["orders"])

ORDER_READERS: Final = READERS | {"order-system"}

EXAMPLE_ORDER: Final = {
    "source": "shop",
    "order_id": "SO-1001",
    "order_revision": 1,
    "currency": "CNY",
    "buyer": "B-1",
    "paying_account": "A-1",
    "business_organisation": "BO-1",
    "settlement_organisation": "SO-1",
    "sales_organisation": "SA-1",
    "customer": "C-1",
    "ordering_user": "U-1",
    "payment_method": "account",
    "order_date": "2026-03-01",
    "lines": [
        {
            "line_id": "1",
            "material": "M-1",
            "quantity": "10",
            "price": "12.00",
            "discount": {"amount": "0.00", "currency": "CNY"},
            "tax": {"amount": "0.00", "currency": "CNY"},
            "amount": {"amount": "120.00", "currency": "CNY"},
        }
    ],
    "total": {"amount": "120.00", "currency": "CNY"},
}


class OrderStatus(BaseModel):
    """How far an order has come at the gate."""

    source: str
    order_id: str
    status: Literal["new", "undecided", "pending", "accepted", "declined", "cancelled", "closed"] = Field(
        description="undecided waits for fund-pool, pending for special approval, new for an earlier revision."
    )
    paying_account: str | None
    last_revision: int = Field(description="Revisions up to here are answered.")
    parked: list[int] = Field(description="Later revisions that wait for an earlier one.")
    checks: int
    open_check: int | None = Field(description="The check that waits for a decision or an approval.")


class Occupied(BaseModel):
    """What an order would occupy in a profile."""

    profile_id: str
    amount: Money


class DryRun(BaseModel):
    """What would happen to an order now; nothing was occupied by asking."""

    outcome: Literal["approved", "warned", "declined", "pending-approval"]
    reasons: list[Reason]
    metrics: list[MetricResult]
    would_occupy: list[Occupied]


@router.post(
    "/orders/dry-run",
    policy=Policy("order:dry-run", ORDER_READERS),
    summary="What would happen to this order",
)
async def dry_run(work: Work, order: Order = Body(examples=[EXAMPLE_ORDER])) -> DryRun:
    """Decides an order by the same code as a submission, whatever its revision; nothing is kept."""
    gate = await gates.unlocked_gate(work.connection, order, work.now, periods())
    verdict = gate.preview(order)
    occupied = verdict.amounts if verdict.passes else {}
    return DryRun(
        outcome=verdict.outcome,
        reasons=verdict.reasons,
        metrics=verdict.metrics,
        would_occupy=[
            _occupied(gate.profiles[profile_id], amount) for profile_id, amount in occupied.items()
        ],
    )


@router.get(
    "/orders/{source}/{order_id:path}/checks",
    policy=Policy("order:read", ORDER_READERS, account=LOADED),
    summary="Every decision of an order",
)
async def order_checks(
    source: IdPath, order_id: IdPath, page: Page, reader: Reader, access: CurrentAccess
) -> CursorPage[Check]:
    """Every numbered check with all its metrics, first one first."""
    await _known(reader, access, source, order_id)
    rows = await orders.checks_after(reader, (source, order_id), page.after(int), page.rows)
    rows, following = page.page(rows, key=lambda row: (row.check_number,))
    return CursorPage(items=[_check(row) for row in rows], next=following)


@router.get("/orders/{source}/{order_id:path}", policy=Policy("order:read", ORDER_READERS, account=LOADED))
async def order(source: IdPath, order_id: IdPath, reader: Reader, access: CurrentAccess) -> OrderStatus:
    """How far an order has come."""
    return OrderStatus.model_validate(await _known(reader, access, source, order_id), from_attributes=True)


async def _known(reader: AsyncConnection, access: CurrentAccess, source: str, order_id: str) -> Row[Any]:
    row = await orders.order_row(reader, (source, order_id))
    await access.require(row.paying_account or "" if row is not None else "")
    if row is None:
        raise unknown("order", f"{order_id} of {source}")
    return row


def _occupied(profile: Profile, amount: int) -> Occupied:
    return Occupied(profile_id=profile.profile_id, amount=Money.of(amount, profile.currency))


def _check(row: Row[Any]) -> Check:
    found = findings(row.findings)
    fields = {name: row._mapping[name] for name in Check.model_fields if name not in ("reasons", "metrics")}
    return Check(**fields, reasons=found.reasons, metrics=found.metrics)
