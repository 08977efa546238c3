"""credit decides every order's exposure: each order event comes in here, and one numbered check goes out.

In: order-submitted and order-cancelled from order systems, order-decided from fund-pool, master-data-changed
from the ERP. Out: credit-checked, to fund-pool. Over HTTP: customers, profiles, status, special approval.
"""

from contracts.master_data_changed import MasterDataChanged
from contracts.order_cancelled import OrderCancelled
from contracts.order_decided import OrderDecided
from contracts.order_submitted import OrderSubmitted
from contracts.relationship_end_requested import RelationshipEndRequested

from chassis import Service, Subscription
from credit import api, ends, handlers, invariants
from credit.publishing import WAIT
from credit.settings import Settings

service = Service(
    name="credit",
    package="credit",
    subscriptions=(
        Subscription(handlers.take_master_data, MasterDataChanged),
        Subscription(ends.answer_end_requests, RelationshipEndRequested),
        Subscription(handlers.apply_orders, OrderSubmitted, OrderCancelled, OrderDecided),
    ),
    timers={WAIT: handlers.end_waits},
    routers=api.ROUTERS,
    checks=invariants.CHECKS,
    facts=invariants.FACTS,
    settings=Settings,
)
