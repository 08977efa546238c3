"""Events in: orders that credit has checked, master data and relationships; and reminders."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from chassis import Batch, Record, TimerBatch
from contracts import AllocationRecorded, CreditChecked, MasterDataChanged, RelationshipChanged
from fund_pool.domain.access import Relationship
from fund_pool.domain.ledger import derived_id
from fund_pool.domain.order import Decision, OrderState, Parked, answer, decide
from fund_pool.domain.pool import Pool
from fund_pool.publishing import publish, publish_notices, reminded, schedule_reminder
from fund_pool.repository import allocations as allocation_rows
from fund_pool.repository import ledger as ledger_rows
from fund_pool.repository import orders as order_rows
from fund_pool.repository import pools as pool_rows
from fund_pool.repository import reference as reference_rows
from fund_pool.repository.orders import DecisionRow, OrderKey
from fund_pool.repository.reference import ToldRelationship

ACCEPTED: Final = "accepted"
OWN_SOURCE: Final = "coffer/fund-pool"


@dataclass(slots=True)
class OrderDesk:
    """The orders and pools of one batch, under lock, and what has been decided about them so far."""

    batch: Batch[CreditChecked]
    orders: Mapping[OrderKey, OrderState]
    pools: Mapping[str, Pool]
    touched: dict[OrderKey, OrderState] = field(default_factory=dict)
    decisions: list[DecisionRow] = field(default_factory=list)

    def take(self, record: Record[CreditChecked]) -> None:
        """Decides a check whose turn it is, with those that waited for it; parks or drops any other."""
        check = record.event
        order = self.orders[check.source, check.order_id]
        if check.operation == "submit" and check.order is None:
            self.batch.dead_letter(record, "order-missing", "order: a checked submission carries the order")
            return
        standing = order.standing(check.check_number, record.hash)
        if standing == "next":
            self._decide_in_turn(order, record)
        elif standing == "early":
            self._park(order, record)
        elif standing == "conflict":
            detail = f"check {check.check_number} of order {check.order_id} was decided with other content"
            self.batch.dead_letter(record, "check-conflict", detail)
        else:
            self.batch.count("order", "known-already")

    def _decide_in_turn(self, order: OrderState, record: Record[CreditChecked]) -> None:
        self._decide(order, record.event, record.hash, record)
        while (parked := order.next_parked()) is not None:
            check = CreditChecked.adapter.validate_json(parked.body)
            self._decide(order, check, parked.fingerprint, record)

    def _decide(
        self, order: OrderState, check: CreditChecked, fingerprint: bytes, record: Record[CreditChecked]
    ) -> None:
        decision = decide(order, self.pools, check, fingerprint, self.batch.now)
        self.batch.emit(answer(order, check, decision, self.batch.now), record)
        self._keep(order, check, decision, self.batch.outbox[-1].body or b"")
        if decision.posted is not None:
            publish(self.batch, decision.posted, self.pools[order.account], record)
        self.batch.count("order", decision.outcome)

    def _keep(self, order: OrderState, check: CreditChecked, decision: Decision, body: bytes) -> None:
        entry_number = None if decision.posted is None else decision.posted.entry.number
        self.touched[order.source, order.order_id] = order
        self.decisions.append(
            DecisionRow(
                account=order.account,
                source=order.source,
                order_id=order.order_id,
                check_number=check.check_number,
                outcome=decision.outcome,
                entry_number=entry_number,
                body=body,
            )
        )

    def _park(self, order: OrderState, record: Record[CreditChecked]) -> None:
        check = record.event
        if order.park(check.check_number, Parked(check.to_json(), record.hash)):
            self.touched[order.source, order.order_id] = order
            self.batch.count("order", "parked")
        else:
            detail = (
                f"check {order.check_number + 1} of order {check.order_id} has not come, and no more can wait"
            )
            self.batch.dead_letter(record, "predecessor-missing", detail)


async def decide_orders(batch: Batch[CreditChecked]) -> None:
    """Answers each check in the order of its number: pays, declines, passes on or refunds."""
    checks = [record.event for record in batch]
    named = [((check.source, check.order_id), check.paying_account) for check in checks]
    orders = await order_rows.locked_orders(batch.connection, named)
    accounts = {account for _, account in named} | {order.account for order in orders.values()}
    users = {check.order.ordering_user for check in checks if check.order is not None}
    users |= _parked_users(orders)
    pools = await pool_rows.pools(batch.connection, accounts, users, now=batch.now, for_update=True)
    desk = OrderDesk(batch, orders, pools)
    for record in batch:
        desk.take(record)
    await order_rows.save(
        batch.connection, desk.touched.values(), desk.decisions, list(pools.values()), batch.now
    )


def _parked_users(orders: Mapping[OrderKey, OrderState]) -> set[str]:
    """The ordering users of checks that waited and may be decided now."""
    waiting = [parked.body for order in orders.values() for parked in order.parked.values()]
    checks = [CreditChecked.adapter.validate_json(body) for body in waiting]
    return {check.order.ordering_user for check in checks if check.order is not None}


async def keep_master_data(batch: Batch[MasterDataChanged]) -> None:
    """Keeps the newest version of each organisation, account and right to use a balance."""
    await reference_rows.save_master_data(batch.connection, [record.event for record in batch])


async def keep_relationships(batch: Batch[RelationshipChanged]) -> None:
    """Keeps the newest version of each relationship: what a management account may see follows from it."""
    newest: dict[str, RelationshipChanged] = {}
    for record in batch:
        known = newest.get(record.event.relationship_id)
        if known is None or known.relationship_version < record.event.relationship_version:
            newest[record.event.relationship_id] = record.event
    await reference_rows.save_relationships(batch.connection, [_told(event) for event in newest.values()])


def _told(event: RelationshipChanged) -> ToldRelationship:
    accepted = {permission.name for permission in event.permissions if permission.state == ACCEPTED}
    relationship = Relationship(
        relationship_id=event.relationship_id,
        version=event.relationship_version,
        kind=event.kind,
        management_account=event.management_account,
        member_account=event.member_account,
        state=event.state,
        permissions=frozenset(accepted),
        display_name=event.display_name,
    )
    return ToldRelationship(relationship, event.invoice_status)


async def remind(batch: TimerBatch) -> None:
    """Reminds of episodes that have lasted another 24 hours."""
    due = [(timer, *reminded(timer.key)) for timer in batch]
    pools = await pool_rows.locked_pools(batch.connection, {account for _, account, _ in due}, now=batch.now)
    for timer, account, currency in due:
        watch = pools[account].watches[currency]
        notice = watch.after_time(pools[account].terms(currency), batch.now)
        if notice is not None:
            publish_notices(batch, [notice], pools[account], timer)
        elif watch.episode is not None:
            schedule_reminder(batch, account, watch, timer)
    await ledger_rows.save(batch.connection, list(pools.values()), batch.now)


async def record_allocations(batch: Batch[AllocationRecorded]) -> None:
    """Keeps what credit allocated and reclaimed of credit limits in the same record as funds and vouchers."""
    told = [record.event for record in batch if record.source != OWN_SOURCE]
    await allocation_rows.record(batch.connection, [_allocation(event) for event in told])


def _allocation(event: AllocationRecorded) -> allocation_rows.Record:
    reason = event.reasons[0] if event.reasons else None
    return allocation_rows.Record(
        record_id=derived_id("allocation", event.record_id),
        recorded_at=event.recorded_at,
        method=event.method,
        operation=event.operation,
        management_account=event.management_account,
        member_account=event.member_account,
        currency=event.amount.currency,
        amount=event.amount.minor,
        result=event.result,
        reason_code=None if reason is None else reason.code,
        reason=None if reason is None else reason.text,
        batch_id=None if event.batch_id is None else derived_id("allocation-batch", event.batch_id),
        voucher_id=event.voucher_id,
        entry_number=None,
        remark=event.remark,
        requested_by=event.requested_by,
        requested_at=event.requested_at,
    )
