"""Special approval: a judgement under the locks of the moment, within the approver's right."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date

from contracts.codec import decode
from contracts.credit_checked import MetricResult
from contracts.document_posted import DocumentPosted
from contracts.order import Reason

from chassis import UnitOfWork
from credit.domain.approvals import Need, Right, needs, objection
from credit.domain.arrivals import Posting
from credit.domain.checks import Held, held_metrics
from credit.domain.desk import Desk
from credit.domain.documents import DocumentKey, document_of
from credit.domain.gate import Gate
from credit.repository import approvals as rows
from credit.repository import gate as gates
from credit.repository.approvals import Given
from credit.repository.bodies import digest_of, findings
from credit.repository.documents import EVENT_TYPE
from credit.settings import periods


class BeyondRight(Exception):
    """The approver's right does not cover what is to be waived."""

    def __init__(self, reason: Reason) -> None:
        self.reason = reason
        super().__init__(reason.text)


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
