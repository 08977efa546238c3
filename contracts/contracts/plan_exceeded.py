"""plan-exceeded: a document does not fit the cash plan, whatever was decided about it."""

from typing import Literal

from contracts.addressee import Addressees
from contracts.event import Event, event, message
from contracts.money import Amount, SignedAmount
from contracts.numbers import Revision
from contracts.text import Code, DocumentId, Id, Name
from contracts.times import Moment


@event("plan-exceeded", 1, key="entity", producers=("cashplan",))
@message
class PlanExceeded(Event):
    """One check that found too little plan, with its numbers; once per `check_id`.

    available = effective - pre_occupied - actual, before the document; excess = amount - available.
    """

    check_id: Id
    """Names the decision: the document, its revision and operation, in one planning system."""
    system_id: Id
    system_name: Name | None = None
    entity: Id
    entity_name: Name | None = None
    item: Id
    item_name: Name | None = None
    period: Name
    outcome: Literal["warned", "tolerated", "held", "blocked", "flagged"]
    """`flagged`: a fact or a reversal, which nothing refuses."""
    reason: Code
    """`exceeded`, or `not-planned` where no effective figure is."""
    direction: Literal["receipt", "payment"]
    document_type: Code
    document_source: Id | None = None
    document_id: DocumentId
    document_revision: Revision
    amount: Amount
    effective: SignedAmount
    pre_occupied: SignedAmount
    actual: SignedAmount
    available: SignedAmount
    excess: Amount
    addressees: Addressees
    """Who hears of it; empty, the entity's preparers."""
    occurred_at: Moment
