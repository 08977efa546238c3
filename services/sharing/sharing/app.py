"""sharing on one page: management accounts invite, member accounts answer permission by permission; either side
asks to end, and fund-pool and credit answer first; every change goes out as relationship-changed. Management
accounts share resources with accounts under their finance trusteeship; every access gained or lost goes out as
sharing-changed, at its moment."""

from chassis import Service, Subscription
from contracts import MasterDataChanged, RelationshipEndAnswered, ResourceChanged
from sharing import api, handlers, invariants
from sharing.changing import TELLING
from sharing.following import DEADLINE
from sharing.settings import Settings

service = Service(
    name="sharing",
    package="sharing",
    subscriptions=(
        Subscription(handlers.keep_accounts, MasterDataChanged),
        Subscription(handlers.keep_told_resources, ResourceChanged),
        Subscription(handlers.take_end_answers, RelationshipEndAnswered),
    ),
    timers={TELLING: handlers.tell_due, DEADLINE: handlers.give_up_requests},
    routers=api.ROUTERS,
    checks=invariants.CHECKS,
    facts=invariants.FACTS,
    settings=Settings,
)
