"""Requests to end a relationship: what credit has to say to them."""

from chassis import Batch
from contracts import RelationshipEndAnswered, RelationshipEndRequested


async def answer_end_requests(batch: Batch[RelationshipEndRequested]) -> None:
    """Agrees to each: a credit limit that is allocated to a member would stand against it, and credit knows none."""
    for record in batch:
        request = record.event
        answer = RelationshipEndAnswered(
            request_id=request.request_id,
            relationship_id=request.relationship_id,
            relationship_version=request.relationship_version,
            management_account=request.management_account,
            member_account=request.member_account,
            answered_by="credit",
            outcome="agreed",
            answered_at=batch.now,
        )
        batch.emit(answer, record)
        batch.count("relationship-end", answer.outcome)
