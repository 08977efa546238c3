"""notify on one page: what the services announce becomes SMS, e-mail and messages by other channels to the people whom
rules find, each delivery with its state, its attempts and its end told by notification-status; contacts, rules, texts,
silences and to-dos are kept over HTTP."""

from random import SystemRandom

from chassis import Service, ServiceContext, Subscription
from contracts import (
    AllocationRecorded,
    CashGapForecast,
    CreditAlerted,
    MasterDataChanged,
    PaymentOverdue,
    PlanDue,
    PlanExceeded,
    QuotaLow,
    RelationshipChanged,
    TaskChanged,
)
from notify import api, handlers, invariants, timers
from notify.channels.all import open_channels
from notify.message import Writer
from notify.pruning import prune
from notify.sender import Sender
from notify.settings import Settings


async def send(context: ServiceContext) -> None:
    """The background job that sends, by the providers of the settings."""
    settings = context.settings
    assert isinstance(settings, Settings)
    async with open_channels(settings) as channels:
        sender = Sender(
            context,
            channels,
            Writer(settings.smtp_from, settings.public_url.rstrip("/")),
            settings.limits,
            instance=settings.instance,
            at_once_max=settings.deliveries_at_once_max,
            poll_seconds=settings.delivery_poll_seconds,
            random=SystemRandom(),
            paces=settings.paces,
        )
        await sender.run()


service = Service(
    name="notify",
    package="notify",
    subscriptions=(
        Subscription(
            handlers.announce_events,
            QuotaLow,
            PaymentOverdue,
            CreditAlerted,
            PlanDue,
            PlanExceeded,
            CashGapForecast,
            AllocationRecorded,
        ),
        Subscription(handlers.keep_tasks, TaskChanged),
        Subscription(handlers.keep_accounts, MasterDataChanged),
        Subscription(handlers.keep_relationships, RelationshipChanged),
    ),
    timers=timers.HANDLERS,
    routers=api.ROUTERS,
    jobs=(send, prune),
    checks=invariants.CHECKS,
    facts=invariants.FACTS,
    settings=Settings,
)
