"""The thread of one episode: opened, a reminder a day later, resolved; with notify's own code and a clock passed in.

A reminder comes after 24 hours, which a demonstration has not. So notify is run here on a database of its own, beside
the services of the stack, with the time as an argument; its mails go to the stack's mail server.
"""

import ssl
from datetime import UTC, datetime, timedelta
from random import SystemRandom
from typing import Any, Final

from chassis.testing import Harness
from notify.app import service
from notify.channels.smtp import MailServer, SmtpChannel
from notify.domain.delivery import Channel, Limits
from notify.message import Writer
from notify.sender import Sender
from notify.testing import quota_low, store_contact

from ops.local.sinks import Message
from ops.local.stack import Stack

SENDER: Final = "Coffer <notices@coffer.local>"
ADDRESS: Final = "treasurer-of-the-thread@example.com"
STEPS: Final[tuple[tuple[float, dict[str, Any]], ...]] = (
    (0, {"kind": "opened"}),
    (24, {"kind": "reminder", "reminder_number": 1}),
    (29, {"kind": "resolved", "quota": "1200.00"}),
)


async def play_thread(stack: Stack) -> list[tuple[datetime, Message]]:
    """The mails of one episode, each with the time that was passed in."""
    told: list[tuple[datetime, Message]] = []
    channel = SmtpChannel(_mail_server(stack))
    began = datetime.now(UTC)
    async with Harness(service, stack.admin_dsn) as harness:
        harness.now = began
        async with harness.connection() as connection:
            await store_contact(connection, began, "li", email=ADDRESS, phone=None)
        for hours, event in STEPS:
            harness.now = began + timedelta(hours=hours)
            await harness.play(quota_low(harness.now, **event))
            await _send(harness, channel)
            received = stack.mail.wait_for(ADDRESS, count=len(told) + 1)
            told.append((harness.now, received[-1]))
    await channel.close()
    return told


def _mail_server(stack: Stack) -> MailServer:
    environment = stack.mail.environment()
    return MailServer(
        host=environment["COFFER_SMTP_HOST"],
        port=int(environment["COFFER_SMTP_PORT"]),
        sender="notices@coffer.local",
        username=environment["COFFER_SMTP_USERNAME"],
        password=environment["COFFER_SMTP_PASSWORD"],
        tls=ssl.create_default_context(cafile=environment["COFFER_SMTP_CA_FILE"]),
        is_tls_from_start=False,
        seconds_max=10.0,
    )


async def _send(harness: Harness, channel: SmtpChannel) -> None:
    sender = Sender(
        harness.context,
        {Channel.EMAIL: channel},
        Writer(SENDER),
        Limits(),
        instance="demo",
        at_once_max=8,
        poll_seconds=1.0,
        random=SystemRandom(),
    )
    for outgoing in (await sender.claim([Channel.EMAIL], 10)).to_send:
        await sender.deliver(outgoing)
