"""Events in: orders that credit has checked, master data and relationships; and reminders."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from contracts.order import Reason

from chassis import Batch, Record, Timer, TimerBatch
from contracts import AllocationRecorded, CreditChecked, MasterDataChanged, RelationshipChanged
from fund_pool import ends
from fund_pool.domain.access import Relationship
from fund_pool.domain.assessment import NO_RULES
from fund_pool.domain.explain import of_nothing, said
from fund_pool.domain.ledger import derived_id
from fund_pool.domain.order import Decision, OrderState, Parked, answer, decide, sequel
from fund_pool.domain.order_operations import expire
from fund_pool.domain.order_state import LineHeld
from fund_pool.domain.pool import Pool
from fund_pool.domain.usage import Rules
from fund_pool.domain.walk import LinePaid
from fund_pool.publishing import (
    expiring,
    publish_effects,
    publish_notices,
    reminded,
    schedule_expiry,
    schedule_reminder,
    wake_borrowers,
)
from fund_pool.repository import allocations as allocation_rows
from fund_pool.repository import common_lines as common_line_rows
from fund_pool.repository import ends as end_rows
from fund_pool.repository import ledger as ledger_rows
from fund_pool.repository import orders as order_rows
from fund_pool.repository import pools as pool_rows
from fund_pool.repository import reference as reference_rows
from fund_pool.repository import usage as usage_rows
from fund_pool.repository.orders import DecisionRow, OrderKey
from fund_pool.repository.reference import ToldRelationship

ACCEPTED: Final = "accepted"
OWN_SOURCE: Final = "coffer/fund-pool"
CARRYING: Final = ("submit", "change")


@dataclass(slots=True)
class OrderDesk:
    """The orders and pools of one batch, under lock, and what has been decided about them so far."""

    batch: Batch[CreditChecked]
    orders: Mapping[OrderKey, OrderState]
    pools: Mapping[str, Pool]
    rules: Rules = field(default_factory=lambda: NO_RULES)
    touched: dict[OrderKey, OrderState] = field(default_factory=dict)
    decisions: list[DecisionRow] = field(default_factory=list)

    def take(self, record: Record[CreditChecked]) -> None:
        """Decides a check whose turn it is, with those that waited for it; parks or drops any other."""
        check = record.event
        order = self.orders[check.source, check.order_id]
        if check.operation in CARRYING and check.order is None:
            detail = f"order: a checked {check.operation} carries the order"
            self.batch.dead_letter(record, "order-missing", detail)
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
        expires_at = order.hold_expires_at
        decision = decide(order, self.pools, check, fingerprint, self.batch.now, self.rules)
        self.batch.emit(answer(order, check, decision, self.batch.now), record)
        self._keep(order, check, decision, self.batch.outbox[-1].body or b"")
        if decision.effects is not None:
            publish_effects(self.batch, decision.effects, self.pools, record)
        if order.hold_expires_at != expires_at:
            schedule_expiry(self.batch, order, record)
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
    vouchers = drawn_vouchers(orders.values())
    pools = await pool_rows.pools(
        batch.connection, accounts, users, now=batch.now, vouchers=vouchers, for_update=True
    )
    desk = OrderDesk(
        batch, orders, pools, await usage_rows.rules(batch.connection, _businesses(orders, checks))
    )
    for record in batch:
        desk.take(record)
    await order_rows.save(
        batch.connection, desk.touched.values(), desk.decisions, list(pools.values()), batch.now
    )


def drawn_vouchers(orders: Iterable[OrderState]) -> set[str]:
    """The vouchers that orders have drawn on, which a refund finds whether or not they may still be drawn on."""
    parts: list[LinePaid | LineHeld] = []
    for order in orders:
        parts += [*order.payments, *order.holds]
    return {part.voucher_id for part in parts if part.voucher_id is not None}


def _businesses(orders: Mapping[OrderKey, OrderState], checks: Iterable[CreditChecked]) -> set[str]:
    known = {order.business_organisation for order in orders.values()}
    told = {check.order.business_organisation for check in checks if check.order is not None}
    return {business for business in known | told if business is not None}


def _parked_users(orders: Mapping[OrderKey, OrderState]) -> set[str]:
    """The ordering users of checks that waited and may be decided now."""
    waiting = [parked.body for order in orders.values() for parked in order.parked.values()]
    checks = [CreditChecked.adapter.validate_json(body) for body in waiting]
    return {check.order.ordering_user for check in checks if check.order is not None}


async def expire_holds(batch: TimerBatch) -> None:
    """Writes down which holds have expired, and tells it; they counted in no balance since their time."""
    keys = [expiring(timer.key) for timer in batch]
    orders = await order_rows.locked_orders(batch.connection, [(key, "") for key in keys])
    accounts = {held.account for order in orders.values() for held in order.holds}
    accounts |= {order.account for order in orders.values()}
    pools = await pool_rows.pools(
        batch.connection,
        accounts,
        now=batch.now,
        vouchers=drawn_vouchers(orders.values()),
        for_update=True,
    )
    decisions = []
    for timer, key in zip(batch, keys, strict=True):
        row = _expired(batch, orders[key], pools, timer)
        if row is not None:
            decisions.append(row)
    await order_rows.save(batch.connection, list(orders.values()), decisions, list(pools.values()), batch.now)


def _expired(
    batch: TimerBatch, order: OrderState, pools: Mapping[str, Pool], timer: Timer
) -> DecisionRow | None:
    ended = [held for held in order.holds if not pools[held.account].holds[held.hold_id].is_live(batch.now)]
    before = {account: _with_expired(pools[account], ended) for account in {held.account for held in ended}}
    if expire(order, pools, batch.now, order.check_number) is None:
        schedule_expiry(batch, order, timer)
        return None
    amount = sum(held.amount for held in ended)
    text = (
        f"{said(amount, order.currency)} that was held is free again; the next delivery notice walks it anew"
    )
    reasons = [Reason(code="hold-expired", text=text)]
    decision = Decision("hold-expired", reasons, of_nothing(text))
    batch.emit(sequel(order, decision, batch.now), timer)
    body = batch.outbox[-1].body or b""
    for account, quotas in before.items():
        notices = pools[account].reconsidered(quotas, batch.now, f"{timer.key}/{order.sequel}")
        publish_notices(batch, notices, pools[account], timer)
        for currency in pools[account].lends:
            wake_borrowers(batch, pools[account], currency, f"expired {order.order_id} {order.sequel}", timer)
    schedule_expiry(batch, order, timer)
    batch.count("order", "hold-expired")
    return DecisionRow(
        order.account,
        order.source,
        order.order_id,
        order.check_number,
        "hold-expired",
        None,
        body,
        order.sequel,
    )


def _with_expired(pool: Pool, ended: Iterable[LineHeld]) -> dict[str, int]:
    """The quotas of a pool as they were while these holds still counted."""
    counted = [held for held in ended if held.account == pool.account and held.voucher_id is None]
    purses = [pool.fund_accounts[held.account_type, pool.holds[held.hold_id].currency] for held in counted]
    for held, purse in zip(counted, purses, strict=True):
        purse.held += held.amount
    quotas = pool.quotas({purse.currency for purse in purses})
    for held, purse in zip(counted, purses, strict=True):
        purse.held -= held.amount
    return quotas


async def keep_master_data(batch: Batch[MasterDataChanged]) -> None:
    """Keeps the newest version of each organisation, account and right to use a balance."""
    await reference_rows.save_master_data(batch.connection, [record.event for record in batch])


async def keep_relationships(batch: Batch[RelationshipChanged]) -> None:
    """Keeps the newest version of each relationship: what a management account may see follows from it.

    A request to end it that has come before its version is answered now, and one whose outcome is told is over.
    """
    newest: dict[str, RelationshipChanged] = {}
    for record in batch:
        known = newest.get(record.event.relationship_id)
        if known is None or known.relationship_version < record.event.relationship_version:
            newest[record.event.relationship_id] = record.event
    await reference_rows.save_relationships(batch.connection, [_told(event) for event in newest.values()])
    await common_line_rows.end_with_trusteeship(batch.connection, newest)
    await ends.answer_waiting(batch)
    await end_rows.unfreeze(
        batch.connection, [(record.event.relationship_id, record.event.request_id) for record in batch]
    )


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
