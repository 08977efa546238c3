"""notify on a real PostgreSQL, with providers that misbehave on order."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from chassis.invariants import run_checks
from chassis.service import ServiceContext
from chassis.testing import Harness
from notify.app import service
from notify.channels.kannel import Gateway, KannelChannel
from notify.channels.port import ChannelPort
from notify.channels.smtp import MailServer, SmtpChannel
from notify.domain.delivery import Channel, Limits
from notify.message import Writer
from notify.sender import Claims, Sender
from notify.testing import (
    HOST,
    PASSWORD,
    USERNAME,
    GatewayDouble,
    MailDouble,
    mail_server,
    sms_gateway,
    store_contact,
)

NOW = datetime(2026, 3, 10, 2, 15, tzinfo=UTC)
LOOK_SECONDS = 0.02
SENDER = "Coffer <coffer@coffer.test>"


class Office:
    """notify with its providers and a clock that the test turns."""

    def __init__(self, harness: Harness, mail: MailDouble, sms: GatewayDouble, folder: Path) -> None:
        self.harness = harness
        self.mail = mail
        self.sms = sms
        self.ca_file = mail.ca_file(folder)
        self.report_url = "http://service.test"
        self.gateways: list[KannelChannel] = []
        self.harness.now = NOW

    @property
    def now(self) -> datetime:
        """The clock as the test has set it; `harness.now = None` lets the real one run."""
        return self.harness.now or datetime.now(UTC)

    def wait(self, **duration: float) -> datetime:
        """Turns the clock on."""
        self.harness.now = self.now + timedelta(**duration)
        return self.now

    async def contact(self, person: str = "li", **changes: Any) -> None:
        async with self.harness.connection() as connection:
            await store_contact(connection, self.now, person, **changes)

    def channels(self, seconds_max: float = 20.0) -> Mapping[Channel, ChannelPort]:
        """Channels to the providers of this test."""
        server = MailServer(
            host=HOST,
            port=self.mail.port,
            sender="coffer@coffer.test",
            username=USERNAME,
            password=PASSWORD,
            tls=ssl.create_default_context(cafile=self.ca_file),
            is_tls_from_start=False,
            seconds_max=seconds_max,
        )
        gateway = Gateway(
            url=self.sms.url,
            username=USERNAME,
            password=PASSWORD,
            sender="Coffer",
            report_url=self.report_url,
            validity_minutes=240,
            seconds_max=seconds_max,
        )
        self.gateways.append(KannelChannel(gateway))
        return {Channel.SMS: self.gateways[-1], Channel.EMAIL: SmtpChannel(server)}

    def sender(self, context: ServiceContext | None = None, *, seed: int = 1, **changes: Any) -> Sender:
        """A sender on this database; `context` is another instance of the service."""
        options: dict[str, Any] = {"at_once_max": 8, "poll_seconds": 0.05, "limits": Limits(), **changes}
        further = {Channel.WEBHOOK: options.get("hooks"), Channel.APPRISE: options.get("catalogue")}
        return Sender(
            context or self.harness.context,
            {**self.channels(), **{channel: port for channel, port in further.items() if port}},
            Writer(SENDER),
            options["limits"],
            instance=f"test-{seed}",
            at_once_max=options["at_once_max"],
            poll_seconds=options["poll_seconds"],
            random=Random(seed),
            paces=options.get("paces"),
        )

    async def send(self, sender: Sender | None = None) -> None:
        """Does once whatever is due now."""
        sender = sender or self.sender()
        for lane in sender.lanes:
            claims = await sender.claim(lane, 100)
            await finish(sender, claims)

    async def deliveries(self, columns: str = "channel, state, reason") -> list[tuple[Any, ...]]:
        """The deliveries by recipient, channel and whether they repeat another."""
        rows = await self.harness.rows(
            f"select {columns} from delivery order by account, created_at, kind, recipient, channel, repeat_of"
        )
        return [tuple(row.values()) for row in rows]

    async def report(self, status: int, reply: str = "", number: int = -1) -> int:
        """Calls back as the gateway does for one of the SMS that it took."""
        async with self.harness.client() as client:
            answer = await client.get(self.sms.taken[number].report_url(status, reply))
        return answer.status_code

    async def until(self, condition: Callable[[], object], seconds: float) -> None:
        """Returns as soon as the condition holds; raises TimeoutError when it does not in time."""
        for _ in range(int(seconds / LOOK_SECONDS)):
            if condition():
                return
            await asyncio.sleep(LOOK_SECONDS)
        raise TimeoutError

    async def close(self) -> None:
        for gateway in self.gateways:
            await gateway.close()


async def finish(sender: Sender, claims: Claims) -> None:
    """Sends and settles what was claimed."""
    for outgoing in claims.to_send:
        await sender.deliver(outgoing)
    for outgoing in claims.to_settle:
        await sender.settle(outgoing)


@pytest.fixture
async def office(postgres_dsn: str, tmp_path: Path) -> AsyncIterator[Office]:
    async with Harness(service, postgres_dsn) as harness, mail_server() as mail, sms_gateway() as sms:
        made = Office(harness, mail, sms, tmp_path)
        yield made
        await made.close()


@pytest.fixture
def findings(office: Office) -> Callable[[], Awaitable[list[str]]]:
    """The names of the invariants that do not hold."""

    async def found() -> list[str]:
        checks = await run_checks(office.harness.context.database, service.all_checks)
        return [finding.check.name for finding in checks if not finding.holds]

    return found
