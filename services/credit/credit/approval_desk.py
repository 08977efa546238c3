"""Special approval: a judgement under the locks of the moment, within the approver's right."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import date

from contracts.codec import decode
from contracts.credit_checked import MetricResult
from contracts.document_posted import DocumentPosted
from contracts.order import Reason

from chassis import UnitOfWork
from credit.domain.approvals import Need, Right, needs, objection
from credit.domain.arrivals import Judgement, Posting
from credit.domain.checks import Held, held_metrics
from credit.domain.desk import Desk
from credit.domain.directory import rounded
from credit.domain.documents import SALES_ORDER, DocumentKey, document_of
from credit.domain.gate import Gate
from credit.publishing import publish
from credit.repository import approvals as rows
from credit.repository import gate as gates
from credit.repository import saving
from credit.repository.approvals import Given
from credit.repository.bodies import digest_of, findings
from credit.repository.documents import EVENT_TYPE
from credit.settings import periods


class BeyondRight(Exception):
    """The approver's right does not cover what is to be waived."""

    def __init__(self, reason: Reason) -> None:
        self.reason = reason
        super().__init__(reason.text)


class FourEyes(Exception):
    """One's own order or document is for somebody else to approve."""

    def __init__(self) -> None:
        super().__init__("Whoever ordered, or made the document, cannot approve it.")


async def judge_order(work: UnitOfWork, judgement: Judgement, only: Collection[str] | None = None) -> None:
    """Approves or rejects an order that waits; `only` are the metrics that may be waived, all by default.

    Errors: NotPending, ApprovalRefused, BeyondRight, FourEyes; nothing is to be kept then.
    """
    gate = await gates.locked_gate(work.connection, [judgement], work.now, periods())
    assert work.cause is not None, "a judgement is its own cause"
    if only is not None:
        _require_named(gate.orders[judgement.key].held, only)
    effect = gate.apply(judgement)
    if judgement.approve:
        await _consume_for_order(work, gate, judgement)
    publish(work, effect, work.cause)
    await saving.save(work.connection, gate, work.now)


async def _consume_for_order(work: UnitOfWork, gate: Gate, judgement: Judgement) -> None:
    order = gate.orders[judgement.key].order
    assert order is not None, "the order as it stands is loaded for a judgement"
    if order.ordering_user == judgement.person:
        raise FourEyes
    answer = gate.changes.answers[-1]
    given = Given(
        DocumentKey(SALES_ORDER, *judgement.key),
        answer.check_number,
        order.customer,
        judgement.person,
        judgement.reason,
        gate.directory.day(order.sales_organisation),
    )

    def own_amount(profile_id: str) -> int:
        rate = gate.directory.rate(order.currency, gate.profiles[profile_id])
        return rounded(order.total.minor * rate) if rate is not None else order.total.minor

    await consume(work, given, answer.metrics, own_amount)


async def approve_document(
    work: UnitOfWork,
    held: "PendingRequest",
    person: str,
    reason: str,
    only: Collection[str] | None = None,
) -> None:
    """Lets a document's request go on; `only` are the metrics that may be waived, all by default.

    Errors: DocumentNotPending, DocumentApprovalRefused, BeyondRight, FourEyes; nothing is to be kept then.
    """
    if held.changed_by == person:
        raise FourEyes
    if only is not None:
        _require_named(held.held, only)
    assert work.cause is not None, "a judgement is its own cause"
    effect = held.desk.approve(held.posting, held.held, person, reason)
    document, gate = held.posting.document, held.gate
    check = gate.changes.document_checks[-1]
    given = Given(
        document.key,
        check.number,
        document.parties.customer,
        person,
        reason,
        gate.directory.day(document.parties.sales_organisation),
    )
    await consume(work, given, check.metrics, lambda profile_id: held.desk.own_amount(document, profile_id))
    publish(work, effect, work.cause)
    await saving.save(work.connection, gate, work.now)


def _require_named(held: Held, only: Collection[str]) -> None:
    """Whether an approval that was given for some metrics covers everything that is held."""
    beyond = sorted({metric for _, metric in held} - set(only))
    if beyond:
        text = f"The approval waives {', '.join(sorted(only))}, not {', '.join(beyond)}, which is held too."
        raise BeyondRight(Reason(code="metric-not-covered", text=text))


async def consume(
    work: UnitOfWork, given: Given, metrics: Sequence[MetricResult], own_amount: Callable[[str], int]
) -> None:
    """Takes what was waived from the approver's right; raises BeyondRight, with what is left."""
    needed = needs(metrics, own_amount)
    if not needed:
        return
    rights = await rows.locked_rights(work.connection, given.approver, {need.currency for need in needed})
    for need in needed:
        await _require(work, need, given.approver, given.day, rights)
    await rows.keep_grants(work.connection, given, needed, work.now)


async def _require(work: UnitOfWork, need: Need, approver: str, day: date, rights: dict[str, Right]) -> None:
    right = rights.get(need.currency)
    used = 0 if right is None else await rows.consumed(work.connection, right, day)
    reason = objection(need, approver, right, used, day)
    if reason is not None:
        raise BeyondRight(reason)


@dataclass(frozen=True, slots=True)
class PendingRequest:
    """A document's request that waits, with everything that deciding it needs, under lock."""

    gate: Gate
    desk: Desk
    posting: Posting
    number: int
    held: Held
    changed_by: str | None


async def locked_hold(work: UnitOfWork, key: DocumentKey) -> PendingRequest | None:
    """The request of a document that waits; None when none does."""
    waiting = await rows.last_hold(work.connection, key)
    if waiting is None or waiting.state != "pending":
        return None
    event = decode(EVENT_TYPE, waiting.body)
    assert isinstance(event, DocumentPosted)
    posting = Posting(
        document_of(event),
        event.operation,
        event.stance,
        event.party,
        waiting.event_id,
        digest_of(waiting.body),
        bytes(waiting.body),
    )
    gate = await gates.locked_desk(work.connection, [posting.document], work.now, periods())
    assert isinstance(gate.desk, Desk)
    waiting = await rows.last_hold(work.connection, key)
    if waiting is None or waiting.state != "pending":
        return None
    held = held_metrics(findings(waiting.findings).metrics)
    return PendingRequest(gate, gate.desk, posting, waiting.number, held, event.changed_by)
