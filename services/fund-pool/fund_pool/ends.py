"""Requests to end a relationship: what fund-pool has to say to them."""

from collections.abc import Sequence

from chassis.work import CausedBy

from chassis import Batch, UnitOfWork
from contracts import RelationshipChanged, RelationshipEndRequested
from fund_pool.domain.ends import MemberMoney, answer, is_early
from fund_pool.repository import ends as end_rows
from fund_pool.repository import pools as pool_rows

Asked = Sequence[tuple[RelationshipEndRequested, CausedBy]]


async def answer_end_requests(batch: Batch[RelationshipEndRequested]) -> None:
    """Answers each request whose turn it is; one that comes before its relationship's version waits for it."""
    events = [record.event for record in batch]
    versions = await end_rows.locked_versions(batch.connection, events)
    ready, early = [], []
    for record in batch:
        event = record.event
        if is_early(event, versions[event.relationship_id]):
            early.append(record)
            continue
        ready.append((event, record))
        if event.purpose == "end":
            versions[event.relationship_id] = max(versions[event.relationship_id], event.relationship_version)
    await _answer(batch, ready)
    parked = await end_rows.park(batch.connection, [record.event for record in early], batch.now)
    for record in early:
        if record.event.request_id in parked:
            batch.count("relationship-end", "parked")
        else:
            detail = (
                f"{record.event.relationship_id} is not known in its version, and no more can wait for it"
            )
            batch.dead_letter(record, "predecessor-missing", detail)


async def answer_waiting(batch: Batch[RelationshipChanged]) -> None:
    """Answers the requests that have waited for what this batch tells of their relationships."""
    causes = {record.event.relationship_id: record for record in batch}
    waiting = await end_rows.waiting(batch.connection, causes)
    ready = [request for request, version in waiting if not is_early(request, version)]
    await end_rows.forget(batch.connection, ready)
    await _answer(batch, [(request, causes[request.relationship_id]) for request in ready])


async def _answer(work: UnitOfWork, asked: Asked) -> None:
    """Tells what waits, what is past due, and the money that stays.

    Agreeing to an end freezes what is new between the two; whoever allocates or orders holds their locks too.
    """
    if not asked:
        return
    requests = [request for request, _ in asked]
    pairs = {
        (request.member_account, request.management_account)
        for request in requests
        if request.kind == "trusteeship"
    }
    members = {request.member_account for request in requests}
    await pool_rows.lock(work.connection, members | {management for _, management in pairs})
    money = await end_rows.money_of(work.connection, members, pairs, work.now)
    ends = [request for request in requests if request.purpose == "end"]
    await end_rows.count_requests(work.connection, ends)
    agreed = []
    for request, cause in asked:
        told = answer(request, money.get(request.member_account, MemberMoney()), work.now)
        work.emit(told, cause)
        work.count("relationship-end", told.outcome)
        if told.outcome == "agreed" and request.purpose == "end":
            agreed.append(request)
    await end_rows.freeze(work.connection, agreed)
