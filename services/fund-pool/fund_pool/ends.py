"""Requests to end a relationship: what fund-pool has to say to them."""

from chassis import Batch
from contracts import RelationshipEndRequested
from fund_pool.domain.ends import MemberMoney, answer
from fund_pool.repository import ends as end_rows


async def answer_end_requests(batch: Batch[RelationshipEndRequested]) -> None:
    """Answers each by the member's orders that wait, and tells the money that stays with it."""
    accounts = {record.event.member_account for record in batch}
    trustees = {record.event.member_account for record in batch if record.event.kind == "trusteeship"}
    money = await end_rows.money_of(batch.connection, accounts, trustees)
    asked = {
        record.event.relationship_id: record.event.relationship_version
        for record in batch
        if record.event.purpose == "end"
    }
    await end_rows.count_requests(batch.connection, asked)
    for record in batch:
        told = answer(record.event, money.get(record.event.member_account, MemberMoney()), batch.now)
        batch.emit(told, record)
        batch.count("relationship-end", told.outcome)
