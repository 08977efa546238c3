"""Orders: what was decided about them and why, and what would be."""

from datetime import date, datetime
from typing import Any, Final

import orjson
from chassis.http import LOADED, CurrentAccess, Policy, Problem, Reader, Work
from contracts.money import Money
from contracts.order import Order, Reason
from contracts.order_decided import Explanation, OrderPosition
from contracts.text import Id
from pydantic import BaseModel, Field

from fund_pool.api.common import MAKERS, ORDER_READERS, router
from fund_pool.domain.order import OrderState, assess, due_date, position, sequel
from fund_pool.domain.order_operations import pay_final
from fund_pool.publishing import publish_effects
from fund_pool.repository import orders as order_rows
from fund_pool.repository import pools as pool_rows
from fund_pool.repository import usage as usage_rows
from fund_pool.repository.orders import DecisionRow, KeptDecision

orders = router("orders")
ORDER_PAYERS: Final = MAKERS | {"order-system"}

ORDER_EXAMPLE: Final[dict[str, Any]] = {
    "source": "shop-east",
    "order_id": "SO-2026-0117",
    "order_revision": 1,
    "currency": "CNY",
    "buyer": "B-1001",
    "paying_account": "A-1001",
    "business_organisation": "ORG-SHANGHAI",
    "settlement_organisation": "ORG-SHANGHAI",
    "sales_organisation": "ORG-SHANGHAI",
    "customer": "C-1001",
    "ordering_user": "U-1001",
    "payment_method": "account",
    "order_date": "2026-03-02",
    "lines": [
        {
            "line_id": "1",
            "material": "M-1",
            "quantity": "2",
            "price": "60.00",
            "discount": {"amount": "0.00", "currency": "CNY"},
            "tax": {"amount": "0.00", "currency": "CNY"},
            "amount": {"amount": "120.00", "currency": "CNY"},
        }
    ],
    "total": {"amount": "120.00", "currency": "CNY"},
}


class DecisionView(BaseModel):
    """One decision: the order-decided event that was published, when, and the journal entry it posted."""

    decided_at: datetime
    entry_number: int | None
    decision: dict[str, Any] = Field(description="The order-decided event.")


class OrderView(BaseModel):
    """An order as fund-pool knows it, with every decision about it in the order of their checks."""

    source: str
    order_id: str
    paying_account: str
    status: str
    check_number: int
    order_revision: int
    payment_method: str | None
    position: OrderPosition | None
    decisions: list[DecisionView]
    checks_waiting: int = Field(description="Checks that came before their predecessor and wait for it.")


class DryRun(BaseModel):
    """What would be decided now about an order that credit approves; nothing is posted."""

    outcome: str = Field(examples=["accepted"])
    reasons: list[Reason]
    explanation: Explanation
    unpaid: Money
    due_date: date


@orders.get("/orders/{source}/{order_id}", policy=Policy("order:read", ORDER_READERS, LOADED))
async def read_order(source: Id, order_id: Id, reader: Reader, access: CurrentAccess) -> OrderView:
    """An order with every decision about it, its explanation and the policy version that it followed."""
    order = await order_rows.order(reader, source, order_id)
    await access.require(order.account if order is not None else "")
    if order is None:
        raise Problem.not_found(f"There is no order {order_id} of {source}.")
    kept = await order_rows.decisions(reader, source, order_id)
    return _view(order, kept)


@orders.post(
    "/order-dry-runs",
    policy=Policy("order:dry-run", ORDER_READERS, LOADED),
    openapi_extra={"requestBody": {"content": {"application/json": {"example": ORDER_EXAMPLE}}}},
)
async def dry_run(order: Order, work: Work, access: CurrentAccess) -> DryRun:
    """Asks what an order would be paid from, by the code that decides, without posting anything."""
    await access.require(order.paying_account)
    pools = await pool_rows.pools(
        work.connection, [order.paying_account], [order.ordering_user], now=work.now
    )
    rules = await usage_rows.rules(work.connection, [order.business_organisation])
    assessment = assess(pools.get(order.paying_account), order, work.now, rules)
    paid = sum(part.amount for part in assessment.walk.payments) if assessment.walk is not None else 0
    return DryRun(
        outcome="declined" if assessment.reasons else "accepted",
        reasons=assessment.reasons,
        explanation=assessment.explanation,
        unpaid=Money.of(0 if assessment.reasons else order.total.minor - paid, order.currency),
        due_date=due_date(order),
    )


@orders.post(
    "/orders/{source}/{order_id}/final-payment", policy=Policy("order:pay-rest", ORDER_PAYERS, LOADED)
)
async def pay_rest(source: Id, order_id: Id, work: Work, access: CurrentAccess) -> OrderView:
    """Pays what is left of an order after its first payment; answered on order-decided as well."""
    found = await order_rows.order(work.connection, source, order_id)
    await access.require(found.account if found is not None else "")
    if found is None:
        raise Problem.not_found(f"There is no order {order_id} of {source}.")
    key = (source, order_id)
    order = (await order_rows.locked_orders(work.connection, [(key, found.account)]))[key]
    if order.status != "accepted" or not order.final:
        raise Problem.conflict("nothing-left-to-pay", "Nothing of this order is left to pay.")
    pools = await pool_rows.pools(
        work.connection, [order.account], now=work.now, vouchers=_drawn(order), for_update=True
    )
    rules = await usage_rows.rules(work.connection, [order.business_organisation or ""])
    decision = pay_final(order, pools, work.now, rules, order.check_number)
    work.emit(sequel(order, decision, work.now))
    row = DecisionRow(
        order.account,
        source,
        order_id,
        order.check_number,
        decision.outcome,
        None if decision.posted is None else decision.posted.entry.number,
        work.outbox[-1].body or b"",
        order.sequel,
    )
    if decision.effects is not None:
        publish_effects(work, decision.effects, pools)
    await order_rows.save(work.connection, [order], [row], list(pools.values()), work.now)
    work.count("order", decision.outcome)
    return _view(order, await order_rows.decisions(work.connection, source, order_id))


def _drawn(order: OrderState) -> set[str]:
    return {paid.voucher_id for paid in order.payments if paid.voucher_id is not None}


def _view(order: OrderState, kept: list[KeptDecision]) -> OrderView:
    return OrderView(
        source=order.source,
        order_id=order.order_id,
        paying_account=order.account,
        status=order.status,
        check_number=order.check_number,
        order_revision=order.order_revision,
        payment_method=order.payment_method,
        position=position(order),
        decisions=[
            DecisionView(
                decided_at=one.decided_at, entry_number=one.entry_number, decision=orjson.loads(one.body)
            )
            for one in kept
        ],
        checks_waiting=len(order.parked),
    )
