"""cashplan on one page: decided orders and documents become items to come; plans are filed, rolled up and made
effective; documents are checked against them as they occupy them; balances and flows make the forecast."""

from cashplan import api, handlers, invariants
from cashplan.settings import Settings
from chassis import Service, Subscription
from contracts import BankBalanceChanged, DocumentPosted, MasterDataChanged, OrderDecided

service = Service(
    name="cashplan",
    package="cashplan",
    subscriptions=(
        Subscription(handlers.collect_receipts, OrderDecided),
        Subscription(handlers.control_documents, DocumentPosted),
        Subscription(handlers.keep_balances, BankBalanceChanged),
        Subscription(handlers.keep_organisations, MasterDataChanged),
    ),
    timers=handlers.TIMERS,
    routers=api.ROUTERS,
    checks=invariants.CHECKS,
    facts=invariants.FACTS,
    settings=Settings,
)
