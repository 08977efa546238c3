"""What fund-pool knows of an order, and the answer to each numbered check of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Final, Literal

from contracts.money import Money
from contracts.order import Order, Reason
from contracts.order_decided import (
    Explanation,
    LinePayment,
    OrderDecided,
    OrderOutcome,
    OrderPosition,
)

from contracts import CreditChecked
from fund_pool.domain import explain
from fund_pool.domain.errors import OrderMissing
from fund_pool.domain.ledger import ORDER_CANCELLATION, ORDER_PAYMENT, ORDER_REVENUE, Document
from fund_pool.domain.pool import Move, Pool, Posted
from fund_pool.domain.walk import LineAmount, LinePaid, Walk, walk

PAID_FROM_ACCOUNT: Final = "account"
FINGERPRINT_BYTES: Final = 16
PARKED_MAX: Final = 64
PARKED_BYTES_MAX: Final = 8 * 1024 * 1024

Status = Literal["new", "accepted", "declined", "pending-approval", "cancelled"]
Standing = Literal["next", "repeat", "conflict", "early"]


@dataclass(frozen=True, slots=True)
class Parked:
    """A check that came before its predecessor: its JSON and the hash of what was received."""

    body: bytes
    fingerprint: bytes


@dataclass(slots=True)
class OrderState:
    """An order as fund-pool keeps it; amounts in minor units, `paid` and `refunded` over its whole life.

    `fingerprints` holds one hash per applied check, so that a repeat is told from a conflict for good.
    """

    source: str
    order_id: str
    account: str
    status: Status = "new"
    check_number: int = 0
    order_revision: int = 0
    currency: str | None = None
    customer: str | None = None
    business_organisation: str | None = None
    settlement_organisation: str | None = None
    payment_method: str | None = None
    total: int = 0
    due_date: date | None = None
    paid: int = 0
    refunded: int = 0
    payments: list[LinePaid] = field(default_factory=list)
    fingerprints: bytes = b""
    parked: dict[int, Parked] = field(default_factory=dict)

    @property
    def left_paid(self) -> int:
        return self.paid - self.refunded

    def standing(self, check_number: int, fingerprint: bytes) -> Standing:
        """Where a check stands in the order's numbering."""
        if check_number == self.check_number + 1:
            return "next"
        if check_number > self.check_number:
            return "early"
        start = (check_number - 1) * FINGERPRINT_BYTES
        return "repeat" if self.fingerprints[start : start + FINGERPRINT_BYTES] == fingerprint else "conflict"

    def park(self, check_number: int, parked: Parked) -> bool:
        """Keeps an early check until its predecessors came; False when there is no room for it."""
        held = sum(len(other.body) for other in self.parked.values())
        if check_number in self.parked:
            return self.parked[check_number].fingerprint == parked.fingerprint
        if len(self.parked) >= PARKED_MAX or held + len(parked.body) > PARKED_BYTES_MAX:
            return False
        self.parked[check_number] = parked
        return True

    def next_parked(self) -> Parked | None:
        """Takes the check out whose turn has come."""
        return self.parked.pop(self.check_number + 1, None)


@dataclass(slots=True)
class Assessment:
    """Whether and how a pool pays an order; `reasons` say why not."""

    reasons: list[Reason]
    explanation: Explanation
    walk: Walk | None = None


@dataclass(slots=True)
class Decision:
    """The answer to one check and what was posted for it."""

    outcome: OrderOutcome
    reasons: list[Reason]
    explanation: Explanation
    posted: Posted | None = None


def decide(
    order: OrderState, pools: Mapping[str, Pool], check: CreditChecked, fingerprint: bytes, now: datetime
) -> Decision:
    """Answers the next check of an order and changes the order and its pool in memory.

    Errors: OrderMissing for a submission that carries no order; then nothing has changed.
    """
    decide_operation = _cancel if check.operation == "cancel" else _submit
    decision = decide_operation(order, pools, check, now)
    order.check_number = check.check_number
    order.order_revision = max(order.order_revision, check.order_revision)
    order.fingerprints += fingerprint
    return decision


def assess(pool: Pool | None, order: Order, now: datetime) -> Assessment:
    """Whether the pool can pay the order now; the same for a decision and for a dry run."""
    lines = [LineAmount(line.line_id, line.amount.minor) for line in order.lines]
    refusal = _misstated(order, lines) or _unusable(pool, order)
    if refusal is not None:
        return Assessment([refusal], explain.of_nothing(f"nothing taken: {refusal.text}"))
    assert pool is not None
    if order.payment_method != PAID_FROM_ACCOUNT:
        return Assessment([], explain.of_nothing(f"nothing taken: paid by {order.payment_method}"))
    outcome = walk(pool, order.currency, lines, pool.today(now))
    explanation = explain.of_walk(pool.account, order.currency, outcome, pool.deduction.version)
    reasons = [Reason(code="insufficient-funds", text=explanation.text)] if outcome.shortfall else []
    return Assessment(reasons, explanation, outcome)


def due_date(order: Order) -> date:
    """When what the order leaves unpaid is due."""
    if order.due_date is not None:
        return order.due_date
    return order.order_date + timedelta(days=order.payment_terms_days or 0)


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


def position(order: OrderState) -> OrderPosition | None:
    """The whole order as it stands; None while its currency is not known."""
    currency = order.currency
    if currency is None:
        return None
    if order.status != "accepted":
        nothing = explain.zero(currency)
        return OrderPosition(total=nothing, payments=[], unpaid=nothing)
    payments = [
        LinePayment(
            account=paid.account,
            account_type=paid.account_type,
            line_id=paid.line_id,
            amount=Money.of(paid.amount, currency),
        )
        for paid in order.payments
    ]
    unpaid = order.total - order.left_paid
    return OrderPosition(
        total=Money.of(order.total, currency),
        payments=payments,
        unpaid=Money.of(unpaid, currency) if unpaid else explain.zero(currency),
        due_date=order.due_date,
    )


def _submit(order: OrderState, pools: Mapping[str, Pool], check: CreditChecked, now: datetime) -> Decision:
    submitted = check.order
    if submitted is None:
        raise OrderMissing(check.source, check.order_id, check.check_number)
    if order.status == "accepted":
        return _declined_unchanged(check, "already-submitted", "the order has been accepted already")
    if order.status == "cancelled":
        _take_over(order, check, submitted)
        return _declined_unchanged(check, "cancelled", "the order was cancelled before")
    _take_over(order, check, submitted)
    if check.outcome == "pending-approval":
        order.status = "pending-approval"
        sentence = "nothing taken: the order waits for a special approval"
        return Decision("pending-approval", check.reasons, explain.of_nothing(sentence))
    if check.outcome == "declined":
        return _declined_by_credit(order, check)
    return _approved(order, pools.get(order.account), check, submitted, now)


def _approved(
    order: OrderState, pool: Pool | None, check: CreditChecked, submitted: Order, now: datetime
) -> Decision:
    assessment = assess(pool, submitted, now)
    if assessment.reasons:
        order.status = "declined"
        return Decision("declined", [*assessment.reasons, *check.reasons], assessment.explanation)
    posted = None
    if pool is not None and assessment.walk is not None:
        posted = _pay(order, pool, assessment.walk, check.check_number, now)
    order.status = "accepted"
    return Decision("accepted", check.reasons, assessment.explanation, posted)


def _pay(order: OrderState, pool: Pool, outcome: Walk, check_number: int, now: datetime) -> Posted | None:
    moves = [
        Move(share.fund_account, -share.gave, ORDER_REVENUE)
        for share in outcome.shares
        if share.gave and share.fund_account is not None
    ]
    if not moves:
        return None
    order.payments = outcome.payments
    order.paid += sum(paid.amount for paid in outcome.payments)
    document = Document(ORDER_PAYMENT, order.source, order.order_id, check_number)
    return pool.post(document, moves, pool.today(now), now)


def _cancel(order: OrderState, pools: Mapping[str, Pool], check: CreditChecked, now: datetime) -> Decision:
    if check.outcome == "declined":
        return _declined_unchanged(check, "cancellation-declined", "credit declined the cancellation")
    if check.order is not None and order.currency is None:
        _take_over(order, check, check.order)
    order.status = "cancelled"
    if not order.left_paid:
        return Decision("cancelled", check.reasons, explain.of_refund(order.account, "", []))
    return _refund(order, pools[order.account], check, now)


def _refund(order: OrderState, pool: Pool, check: CreditChecked, now: datetime) -> Decision:
    """Gives back what is left to the fund accounts that gave it, whether or not they may still pay."""
    assert order.currency is not None
    amounts: dict[str, int] = {}
    for paid in order.payments:
        amounts[paid.account_type] = amounts.get(paid.account_type, 0) + paid.amount
    moves = [
        Move(pool.fund_accounts[code, order.currency], amount, ORDER_REVENUE)
        for code, amount in amounts.items()
    ]
    document = Document(ORDER_CANCELLATION, order.source, order.order_id, check.check_number)
    posted = pool.post(document, moves, pool.today(now), now)
    order.refunded += sum(amounts.values())
    order.payments = []
    refunds = [(move.fund_account.type.code, move.amount, move.fund_account.usable) for move in moves]
    explanation = explain.of_refund(order.account, order.currency, refunds)
    return Decision("cancelled", check.reasons, explanation, posted)


def _declined_by_credit(order: OrderState, check: CreditChecked) -> Decision:
    """A second submission of a waiting order is declined without touching the one that waits."""
    waits = order.status == "pending-approval"
    if not (waits and any(reason.code == "already-submitted" for reason in check.reasons)):
        order.status = "declined"
    return Decision("declined", check.reasons, explain.of_nothing("nothing taken: credit declined the order"))


def _declined_unchanged(check: CreditChecked, code: str, sentence: str) -> Decision:
    reasons = check.reasons if check.outcome == "declined" else []
    own = [] if reasons else [Reason(code=code, text=sentence)]
    return Decision("declined", [*reasons, *own], explain.of_nothing(f"nothing changed: {sentence}"))


def _take_over(order: OrderState, check: CreditChecked, submitted: Order) -> None:
    """The order as handed in; an order that has been paid never comes here."""
    if order.status != "cancelled":
        order.account = check.paying_account
    order.currency = submitted.currency
    order.customer = submitted.customer
    order.business_organisation = submitted.business_organisation
    order.settlement_organisation = submitted.settlement_organisation
    order.payment_method = submitted.payment_method
    order.total = submitted.total.minor
    order.due_date = due_date(submitted)


def _misstated(order: Order, lines: Sequence[LineAmount]) -> Reason | None:
    """Amounts that contradict one another; credit declines them too, but the money's keeper looks itself."""
    foreign = next((line for line in order.lines if line.amount.currency != order.currency), None)
    if foreign is not None or order.total.currency != order.currency:
        text = f"the order is in {order.currency} and has amounts in another currency"
        return Reason(code="currency-mismatch", text=text, line_id=foreign.line_id if foreign else None)
    if sum(line.amount for line in lines) != order.total.minor:
        return Reason(code="total-mismatch", text="the total is not the sum of the lines' amounts")
    return None


def _unusable(pool: Pool | None, order: Order) -> Reason | None:
    """Why the pool cannot be asked at all."""
    account = order.paying_account
    if pool is None:
        return Reason(code="unknown-account", text=f"there is no account {account}")
    if not pool.active:
        return Reason(code="account-inactive", text=f"account {account} is closed")
    if order.payment_method == PAID_FROM_ACCOUNT and order.ordering_user not in pool.users:
        text = f"user {order.ordering_user} has no right to use the balance of {account}"
        return Reason(code="not-allowed-to-use-balance", text=text)
    return None
