"""What the gate decided, as events and timers."""

from typing import Final, cast

from chassis.work import CausedBy
from contracts.credit_checked import CreditChecked
from contracts.document_checked import DocumentChecked
from contracts.document_posted import DocumentType

from chassis import UnitOfWork
from credit.domain.arrivals import Answer, DocumentAnswer, Effect, OrderKey, WaitKind
from credit.domain.documents import DocumentKey

WAIT: Final = "order-wait"
"""One kind of timer for all waits of orders, so that one transaction takes all its locks at once, sorted."""

GRANT: Final = "document-grant"
"""Ends a granted request that no fact has confirmed."""

DOCUMENT_WAIT: Final = "document-wait"
"""Declines a document that nobody has approved in time."""


def publish(work: UnitOfWork, effect: Effect, cause: CausedBy) -> None:
    """Passes answers on as credit-checked, and starts and stops the timers of what waits."""
    for answer in effect.answers:
        work.emit(checked(answer, work), cause)
        work.count("credit-check", answer.outcome)
    for wait in effect.began:
        work.set_timer(WAIT, wait_key(wait.kind, wait.key, wait.number), wait.due_at, cause)
    for kind, key, number in effect.ended:
        work.cancel_timer(WAIT, wait_key(kind, key, number))
    for told in effect.documents:
        work.emit(document_checked(told, work), cause)
        work.count("document-check", told.outcome)
    for document, number, due_at in effect.held:
        work.set_timer(DOCUMENT_WAIT, grant_key(document, number), due_at, cause)
    for document, revision, due_at in effect.granted:
        work.set_timer(GRANT, grant_key(document, revision), due_at, cause)
    for document, revision in effect.confirmed:
        work.cancel_timer(GRANT, grant_key(document, revision))


def document_checked(told: DocumentAnswer, work: UnitOfWork) -> DocumentChecked:
    """The answer to an ERP's request."""
    posting = told.posting
    key = posting.document.key
    return DocumentChecked(
        source=key.source,
        document_type=cast(DocumentType, key.document_type),
        document_id=key.document_id,
        document_revision=posting.document.revision,
        operation=posting.operation,
        stance=posting.stance,
        party=posting.party,
        outcome=told.outcome,
        reasons=told.reasons,
        metrics=told.metrics,
        checked_at=work.now,
    )


def grant_key(key: DocumentKey, revision: int) -> str:
    """The timer of a granted request; ids hold no space."""
    return f"{key.document_type} {key.source} {key.document_id} {revision}"


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
        stance=answer.stance,
        returned=answer.returned,
        delivered=answer.delivered,
        checked_at=work.now,
    )


def wait_key(kind: WaitKind, key: OrderKey, number: int) -> str:
    """The timer of a wait; ids hold no space."""
    return f"{kind} {key[0]} {key[1]} {number}"
