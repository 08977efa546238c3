"""fund-pool on one page: it owns money. Orders that credit has checked are paid, declined or refunded; payments
top accounts up; and whoever watches an account hears when its available quota runs low.

The subscriptions stand in the order in which they are applied within a batch: what an order or a payment refers
to comes before it, and money before what spends it."""

from chassis import Service, Subscription
from contracts import (
    AllocationRecorded,
    BillIssued,
    BillSettled,
    CreditChecked,
    CreditLimitChanged,
    CreditLimitProposed,
    ExpenseApproved,
    MasterDataChanged,
    PaymentReceived,
    PaymentReversed,
    PayoutSettled,
    RelationshipChanged,
    RelationshipEndRequested,
)
from fund_pool import api, billing, ends, gateways, handlers, invariants, jobs, members
from fund_pool.publishing import COMMON_LINE, HOLD_EXPIRY, REMINDER
from fund_pool.settings import Settings

service = Service(
    name="fund-pool",
    package="fund_pool",
    subscriptions=(
        Subscription(handlers.keep_master_data, MasterDataChanged),
        Subscription(handlers.keep_relationships, RelationshipChanged),
        Subscription(ends.answer_end_requests, RelationshipEndRequested),
        Subscription(gateways.receive_payments, PaymentReceived),
        Subscription(gateways.reverse_payments, PaymentReversed),
        Subscription(gateways.reimburse_expenses, ExpenseApproved),
        Subscription(gateways.settle_payouts, PayoutSettled),
        Subscription(billing.keep_bills, BillIssued),
        Subscription(billing.settle_bills, BillSettled),
        Subscription(handlers.record_allocations, AllocationRecorded),
        Subscription(members.answer_proposals, CreditLimitProposed),
        Subscription(members.follow_limits, CreditLimitChanged),
        Subscription(handlers.decide_orders, CreditChecked),
    ),
    routers=api.ROUTERS,
    timers={
        REMINDER: handlers.remind,
        HOLD_EXPIRY: handlers.expire_holds,
        COMMON_LINE: members.look_at_borrowers,
    },
    jobs=(jobs.keep_months_ahead,),
    checks=invariants.CHECKS,
    facts=invariants.FACTS,
    settings=Settings,
)
