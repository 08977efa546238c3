"""What the gate decided, as events and timers."""

from typing import Final

from chassis.work import CausedBy
from contracts.credit_checked import CreditChecked

from chassis import UnitOfWork
from credit.domain.arrivals import Answer, Effect, OrderKey, WaitKind

WAIT: Final = "order-wait"
"""One kind of timer for all waits of orders, so that one transaction takes all its locks at once, sorted."""


def publish(work: UnitOfWork, effect: Effect, cause: CausedBy) -> None:
    """Passes answers on as credit-checked, and starts and stops the timers of what waits."""
    for answer in effect.answers:
        work.emit(checked(answer, work), cause)
        work.count("credit-check", answer.outcome)
    for wait in effect.began:
        work.set_timer(WAIT, wait_key(wait.kind, wait.key, wait.number), wait.due_at, cause)
    for kind, key, number in effect.ended:
        work.cancel_timer(WAIT, wait_key(kind, key, number))


def checked(answer: Answer, work: UnitOfWork) -> CreditChecked:
    """The event that carries an answer, and the order, to fund-pool."""
    source, order_id = answer.key
    return CreditChecked(
        source=source,
        order_id=order_id,
        order_revision=answer.revision,
        check_number=answer.check_number,
        paying_account=answer.paying_account,
        operation=answer.operation,
        outcome=answer.outcome,
        reasons=answer.reasons,
        metrics=answer.metrics,
        order=answer.order,
        checked_at=work.now,
    )


def wait_key(kind: WaitKind, key: OrderKey, number: int) -> str:
    """The timer of a wait; ids hold no space."""
    return f"{kind} {key[0]} {key[1]} {number}"
