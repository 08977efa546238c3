"""document-checked: credit's answer to a document that an ERP asked about, or that it found fault with."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from contracts.credit_checked import METRICS_MAX, MetricResult
from contracts.document_posted import DocumentOperation, DocumentType
from contracts.event import Event, event
from contracts.numbers import Revision
from contracts.order import Reasons, Stance
from contracts.text import Id
from contracts.times import Moment


@event("document-checked", 1, key="party", producers=("credit",))
@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentChecked(Event):
    """Answers one request, known by document, revision and operation.

    `pending-approval`: it waits for special approval, and is answered once more when that is decided. `lapsed`: a
    granted request was not confirmed by its fact in time and holds no longer.
    """

    source: Id
    document_type: DocumentType
    document_id: Id
    document_revision: Revision
    operation: DocumentOperation
    stance: Stance
    party: Id
    outcome: Literal["approved", "warned", "declined", "pending-approval", "lapsed"]
    reasons: Reasons
    metrics: Annotated[list[MetricResult], Field(max_length=METRICS_MAX)]
    """Every metric of every profile that was evaluated."""
    checked_at: Moment
