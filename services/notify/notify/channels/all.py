"""Opens the channel of every provider, and leaves them again."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from notify.channels.catalogue import CatalogueChannel
from notify.channels.kannel import Gateway, KannelChannel
from notify.channels.port import ChannelPort
from notify.channels.smtp import MailServer, SmtpChannel
from notify.channels.webhook import WebhookChannel
from notify.domain.delivery import CATALOGUE, Channel
from notify.settings import Settings


@asynccontextmanager
async def open_channels(settings: Settings) -> AsyncIterator[Mapping[Channel, ChannelPort]]:
    catalogue = CatalogueChannel(seconds_max=settings.webhook_seconds_max)
    channels: dict[Channel, ChannelPort] = {
        Channel.SMS: KannelChannel(Gateway.of(settings)),
        Channel.EMAIL: SmtpChannel(MailServer.of(settings)),
        Channel.WEBHOOK: WebhookChannel(
            seconds_max=settings.webhook_seconds_max, allows_private=settings.webhook_private
        ),
        **dict.fromkeys(sorted(CATALOGUE), catalogue),
    }
    try:
        yield channels
    finally:
        for channel in {id(channel): channel for channel in channels.values()}.values():
            await channel.close()
