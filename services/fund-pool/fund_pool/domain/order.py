"""The answer to each numbered check of an order: paid, declined, changed, captured, refunded."""

from collections.abc import Callable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Final

from contracts.money import Money
from contracts.order_decided import LinePayment, OrderDecided, OrderPosition

from contracts import CreditChecked
from fund_pool.domain import explain
from fund_pool.domain import order_operations as operations
from fund_pool.domain.assessment import NO_RULES, assess, due_date
from fund_pool.domain.order_operations import Operation
from fund_pool.domain.order_state import (
    FINGERPRINT_BYTES,
    LIVING,
    PARKED_MAX,
    Assessment,
    Decision,
    LineHeld,
    OrderState,
    Parked,
)
from fund_pool.domain.pool import Pool
from fund_pool.domain.usage import Rules
from fund_pool.domain.walk import LinePaid

__all__ = [
    "FINGERPRINT_BYTES",
    "PARKED_MAX",
    "Assessment",
    "Decision",
    "OrderState",
    "Parked",
    "answer",
    "assess",
    "decide",
    "due_date",
    "position",
    "sequel",
]

_OPERATIONS: Final[Mapping[str, Callable[[Operation], Decision]]] = MappingProxyType(
    {
        "submit": operations.submit,
        "change": operations.change,
        "cancel": operations.cancel,
        "audit": operations.audit,
        "un-audit": operations.un_audit,
        "recall": operations.recall,
        "close": operations.close,
        "terminate": operations.close,
        "reopen": operations.reopen,
        "un-terminate": operations.reopen,
        "return": operations.give_back_return,
        "deliver": operations.deliver,
    }
)


def decide(
    order: OrderState,
    pools: Mapping[str, Pool],
    check: CreditChecked,
    fingerprint: bytes,
    now: datetime,
    rules: Rules = NO_RULES,
) -> Decision:
    """Answers the next check of an order and changes the order and its pools in memory.

    Errors: OrderMissing for a submission or a change that carries no order; then nothing has changed.
    """
    decision = _OPERATIONS[check.operation](Operation(order, pools, check, now, rules))
    order.check_number = check.check_number
    order.order_revision = max(order.order_revision, check.order_revision)
    order.fingerprints += fingerprint
    order.sequel = 0
    return decision


def answer(order: OrderState, check: CreditChecked, decision: Decision, now: datetime) -> OrderDecided:
    """The event that tells order systems, credit and cashplan."""
    return OrderDecided(
        source=order.source,
        order_id=order.order_id,
        order_revision=check.order_revision,
        check_number=check.check_number,
        operation=check.operation,
        outcome=decision.outcome,
        paying_account=order.account,
        currency=order.currency,
        customer=order.customer,
        business_organisation=order.business_organisation,
        settlement_organisation=order.settlement_organisation,
        payment_method=order.payment_method,
        reasons=decision.reasons,
        position=position(order),
        explanation=decision.explanation,
        decided_at=now,
    )


def sequel(order: OrderState, decision: Decision, now: datetime) -> OrderDecided:
    """What came of an order's last check later: a hold expired, a final payment was made on request."""
    order.sequel += 1
    return OrderDecided(
        source=order.source,
        order_id=order.order_id,
        order_revision=order.order_revision,
        check_number=order.check_number,
        sequel=order.sequel,
        operation="deliver",
        outcome=decision.outcome,
        paying_account=order.account,
        currency=order.currency,
        customer=order.customer,
        business_organisation=order.business_organisation,
        settlement_organisation=order.settlement_organisation,
        payment_method=order.payment_method,
        reasons=decision.reasons,
        position=position(order),
        explanation=decision.explanation,
        decided_at=now,
    )


def position(order: OrderState) -> OrderPosition | None:
    """The whole order as it stands; None while its currency is not known."""
    currency = order.currency
    if currency is None:
        return None
    if order.status not in LIVING:
        nothing = explain.zero(currency)
        return OrderPosition(total=nothing, payments=[], unpaid=nothing)
    unpaid = order.total - order.left_paid - order.held
    final = order.final_amount if order.status == "accepted" else 0
    return OrderPosition(
        total=Money.of(order.total, currency),
        payments=[_line_payment(paid, currency) for paid in order.payments],
        unpaid=Money.of(unpaid, currency) if unpaid else explain.zero(currency),
        due_date=order.due_date,
        holds=[_line_payment(held, currency) for held in order.holds] or None,
        hold_expires_at=order.hold_expires_at,
        final_payment=Money.of(final, currency) if final else None,
    )


def _line_payment(part: LinePaid | LineHeld, currency: str) -> LinePayment:
    return LinePayment(
        account=part.account,
        account_type=part.account_type,
        line_id=part.line_id,
        amount=Money.of(part.amount, currency),
        voucher_id=part.voucher_id,
    )
