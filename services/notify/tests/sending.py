"""A process that only sends what lies in a database, for tests that kill it: `python sending.py SETTINGS`."""

import asyncio
import json
import sys
from random import SystemRandom

from chassis.service import ServiceContext
from notify.app import service
from notify.channels.all import open_channels
from notify.message import Writer
from notify.sender import Sender
from notify.settings import Settings


async def main(values: dict[str, object]) -> None:
    settings = Settings.model_validate(values)
    context = ServiceContext(service, settings)
    async with open_channels(settings) as channels:
        sender = Sender(
            context,
            channels,
            Writer(settings.smtp_from),
            settings.limits,
            instance=settings.instance,
            at_once_max=settings.deliveries_at_once_max,
            poll_seconds=settings.delivery_poll_seconds,
            random=SystemRandom(),
        )
        await sender.run()


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
