"""Requests to end a relationship: what credit has to say to them."""

from contracts.money import Money
from contracts.relationship_end_answered import ITEMS_MAX, Obstacle

from chassis import Batch, UnitOfWork
from contracts import RelationshipEndAnswered, RelationshipEndRequested
from credit.domain.members import Member
from credit.repository import members as rows


async def answer_end_requests(batch: Batch[RelationshipEndRequested]) -> None:
    """Agrees when the member has no limit from the management account; who agrees gives nothing new meanwhile."""
    events = [record.event for record in batch]
    await rows.lock_accounts(batch.connection, (event.management_account for event in events))
    await rows.lock_relationships(batch.connection, events)
    limits = await rows.limits_between(
        batch.connection, sorted({(event.management_account, event.member_account) for event in events})
    )
    agreed: list[tuple[str, str]] = []
    for record in batch:
        request = record.event
        stand = limits.get((request.management_account, request.member_account), [])
        if not stand and request.purpose == "end":
            agreed.append((request.relationship_id, request.request_id))
        answer = _answer(batch, request, stand)
        batch.emit(answer, record)
        batch.count("relationship-end", answer.outcome)
    await rows.freeze_pairs(batch.connection, agreed)


def _answer(
    batch: UnitOfWork, request: RelationshipEndRequested, stand: list[Member]
) -> RelationshipEndAnswered:
    return RelationshipEndAnswered(
        request_id=request.request_id,
        relationship_id=request.relationship_id,
        relationship_version=request.relationship_version,
        management_account=request.management_account,
        member_account=request.member_account,
        answered_by="credit",
        outcome="refused" if stand else "agreed",
        obstacles=[_obstacle(member) for member in stand[:ITEMS_MAX]],
        obstacles_count=len(stand),
        answered_at=batch.now,
    )


def _obstacle(member: Member) -> Obstacle:
    amount = Money.of(member.limit, member.key.currency)
    if member.pending is not None:
        text = f"Change {member.pending} of the limit in {member.key.currency} waits for its answer."
        return Obstacle(code="change-pending", text=text, amount=amount)
    text = (
        f"The member has a credit limit of {amount.amount} {amount.currency} from the management account; "
        "reclaim what is allocated and set what is its own to 0 first."
    )
    return Obstacle(code="allocated-credit-limit", text=text, amount=amount)
