"""notify on one page: quota-low becomes SMS and e-mail to an account's people, each delivery with its state, its
attempts and its end told by notification-status; people and their verified addresses are entered over HTTP."""

from random import SystemRandom

from chassis import Service, ServiceContext, Subscription
from contracts import MasterDataChanged, QuotaLow, RelationshipChanged
from notify import api, handlers, invariants
from notify.channels.kannel import Gateway, KannelChannel
from notify.channels.smtp import MailServer, SmtpChannel
from notify.domain.delivery import Channel
from notify.message import Writer
from notify.sender import Sender
from notify.settings import Settings


async def send(context: ServiceContext) -> None:
    """The background job that sends, by the mail server and the SMS gateway of the settings."""
    settings = context.settings
    assert isinstance(settings, Settings)
    gateway = KannelChannel(Gateway.of(settings))
    try:
        sender = Sender(
            context,
            {Channel.SMS: gateway, Channel.EMAIL: SmtpChannel(MailServer.of(settings))},
            Writer(settings.smtp_from),
            settings.limits,
            instance=settings.instance,
            at_once_max=settings.deliveries_at_once_max,
            poll_seconds=settings.delivery_poll_seconds,
            random=SystemRandom(),
        )
        await sender.run()
    finally:
        await gateway.close()


service = Service(
    name="notify",
    package="notify",
    subscriptions=(
        Subscription(handlers.notify_quota_low, QuotaLow),
        Subscription(handlers.keep_accounts, MasterDataChanged),
        Subscription(handlers.keep_relationships, RelationshipChanged),
    ),
    routers=api.ROUTERS,
    jobs=(send,),
    checks=invariants.CHECKS,
    facts=invariants.FACTS,
    settings=Settings,
)
