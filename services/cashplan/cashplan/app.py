"""cashplan on one page: decided orders become receipts to come; with the position accounts' balances they
make the cash position by day."""

from cashplan import api, handlers, invariants
from cashplan.settings import Settings
from chassis import Service, Subscription
from contracts import MasterDataChanged, OrderDecided

service = Service(
    name="cashplan",
    package="cashplan",
    subscriptions=(
        Subscription(handlers.collect_receipts, OrderDecided),
        Subscription(handlers.keep_organisations, MasterDataChanged),
    ),
    routers=api.ROUTERS,
    checks=invariants.CHECKS,
    facts=invariants.FACTS,
    settings=Settings,
)
