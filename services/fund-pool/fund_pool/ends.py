"""Requests to end a relationship: what fund-pool has to say to them."""

from chassis import Batch
from contracts import RelationshipEndRequested
from fund_pool.domain.ends import MemberMoney, answer
from fund_pool.repository import ends as end_rows
from fund_pool.repository import pools as pool_rows


async def answer_end_requests(batch: Batch[RelationshipEndRequested]) -> None:
    """Answers each by what waits and what is past due, and tells the money that stays.

    Agreeing to an end freezes new allocations between the two; whoever allocates holds the member's lock too.
    """
    accounts = {record.event.member_account for record in batch}
    trustees = {record.event.member_account for record in batch if record.event.kind == "trusteeship"}
    await pool_rows.lock(batch.connection, accounts)
    money = await end_rows.money_of(batch.connection, accounts, trustees, batch.now)
    asked = {
        record.event.relationship_id: record.event.relationship_version
        for record in batch
        if record.event.purpose == "end"
    }
    await end_rows.count_requests(batch.connection, asked)
    frozen = {}
    for record in batch:
        told = answer(record.event, money.get(record.event.member_account, MemberMoney()), batch.now)
        batch.emit(told, record)
        if told.outcome == "agreed" and record.event.purpose == "end":
            frozen[told.relationship_id] = told.request_id
        batch.count("relationship-end", told.outcome)
    await end_rows.freeze(batch.connection, frozen)
