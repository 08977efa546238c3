"""credit decides every order's exposure: each order event comes in here, and one numbered check goes out.

In: the order-* events from order systems, order-decided and credit-limit-answered from fund-pool, master-data-changed
and document-posted from the ERP, relationship-changed and relationship-end-requested from sharing. Out:
credit-checked, credit-limit-changed and credit-limit-proposed to fund-pool, document-checked to the ERP,
allocation-recorded, relationship-end-answered, credit-alerted, task-changed. Over HTTP: customers, profiles, check
rules, status, special approval, members' limits, temporary credit, scoring, recalculation.
"""

from contracts.credit_limit_answered import CreditLimitAnswered
from contracts.document_posted import DocumentPosted
from contracts.master_data_changed import MasterDataChanged
from contracts.order_cancelled import OrderCancelled
from contracts.order_changed import OrderChanged
from contracts.order_decided import OrderDecided
from contracts.order_returned import OrderReturned
from contracts.order_status_changed import OrderStatusChanged
from contracts.order_submitted import OrderSubmitted
from contracts.relationship_changed import RelationshipChanged
from contracts.relationship_end_requested import RelationshipEndRequested

from chassis import Service, Subscription
from credit import (
    advance_desk,
    alert_desk,
    api,
    document_desk,
    ends,
    giving_invariants,
    handlers,
    invariants,
    member_desk,
    recalculation_desk,
    scoring_desk,
)
from credit.publishing import DOCUMENT_WAIT, GRANT, WAIT
from credit.settings import Settings

service = Service(
    name="credit",
    package="credit",
    subscriptions=(
        Subscription(handlers.take_master_data, MasterDataChanged),
        Subscription(ends.answer_end_requests, RelationshipEndRequested),
        Subscription(member_desk.take_relationships, RelationshipChanged),
        Subscription(member_desk.take_limit_answers, CreditLimitAnswered),
        Subscription(
            handlers.apply_orders,
            OrderSubmitted,
            OrderChanged,
            OrderReturned,
            OrderStatusChanged,
            OrderCancelled,
            OrderDecided,
        ),
        Subscription(handlers.apply_documents, DocumentPosted),
    ),
    timers={
        WAIT: handlers.end_waits,
        GRANT: handlers.end_grants,
        DOCUMENT_WAIT: handlers.end_document_waits,
        scoring_desk.DEADLINE: scoring_desk.close_rounds,
        document_desk.NOTICE: document_desk.announce_endings,
        document_desk.END: document_desk.tell_ends,
    },
    jobs=(alert_desk.watch, recalculation_desk.work_off, advance_desk.work_off),
    routers=api.ROUTERS,
    checks=invariants.CHECKS + giving_invariants.CHECKS,
    facts=invariants.FACTS,
    settings=Settings,
)
