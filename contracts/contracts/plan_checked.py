"""plan-checked: what the cash plan says to a document, with the numbers of every policy that it met."""

from typing import Annotated, Literal

from pydantic import Field

from contracts.document_posted import DocumentOperation, DocumentType
from contracts.event import Event, event, message
from contracts.money import Amount, SignedAmount
from contracts.numbers import Revision
from contracts.order import Reasons
from contracts.text import Code, Id, Name
from contracts.times import Moment

FINDINGS_MAX = 1000


@message
class PlanFinding:
    """One policy of one planning system; available = effective - pre_occupied - actual, before the document."""

    system_id: Id
    filing_type: Code
    policy: Code
    entity: Id
    item: Id
    period: Name
    """As people write it, such as `2026-11` or `2026-W48`."""
    outcome: Literal["passed", "warned", "tolerated", "held", "blocked", "flagged"]
    reason: Code
    """`fits`, `exceeded`, `not-planned` or `specially-approved`."""
    controlled_on: Name | None = None
    """The members and fields that the policy adds up by, such as `contract-number=C-7`."""
    amount: Amount
    """By how much the document takes more than before."""
    effective: SignedAmount
    pre_occupied: SignedAmount
    actual: SignedAmount
    available: SignedAmount
    excess: Amount
    """amount - available, not below 0."""


@event("plan-checked", 1, key="entity", producers=("cashplan",))
@message
class PlanChecked(Event):
    """The answer to a request; the most severe finding of all systems decides, and it occupies in all or in none.

    Exactly one answer is given per (source, document_type, document_id, document_revision, operation); one that
    is held is followed by a second, once somebody has approved or rejected it.
    """

    source: Id
    """The system that keeps the document."""
    document_type: DocumentType
    document_id: Id
    document_revision: Revision
    operation: DocumentOperation
    entity: Id
    """The reporting entity that the document names; also the Kafka key."""
    outcome: Literal["approved", "declined", "pending-approval", "not-controlled"]
    reasons: Reasons
    """Empty when approved without remark."""
    findings: Annotated[list[PlanFinding], Field(max_length=FINDINGS_MAX)]
    approval_id: Id | None = None
    """Of the special approval that a held document waits for, or that it was given by."""
    approved_by: Id | None = None
    """Who approved or rejected a held document."""
    checked_at: Moment
