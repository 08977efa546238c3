"""sharing on one page: management accounts invite, member accounts answer permission by permission, either side
ends; every change goes out as relationship-changed."""

from chassis import Service, Subscription
from contracts import MasterDataChanged
from sharing import api, handlers, invariants
from sharing.settings import Settings

service = Service(
    name="sharing",
    package="sharing",
    subscriptions=(Subscription(handlers.keep_accounts, MasterDataChanged),),
    routers=api.ROUTERS,
    checks=invariants.CHECKS,
    facts=invariants.FACTS,
    settings=Settings,
)
