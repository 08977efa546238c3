"""Providers for tests: a mail server and an SMS gateway that speak the real protocols and misbehave on order."""

import asyncio
import ssl
import time
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any, Final
from uuid import uuid4

import trustme
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from contracts.money import Money, SignedMoney
from contracts.quota_low import QuotaTerms
from sqlalchemy.ext.asyncio import AsyncConnection

from contracts import QuotaLow
from notify.domain.delivery import Channel, Delivery, State
from notify.domain.outgoing import Outgoing
from notify.domain.people import Address, Contact
from notify.domain.templates import Style, Template, TemplateBook, TemplateKey
from notify.migrations.product_texts import product_templates
from notify.repository import contacts, reference

HOST: Final = "127.0.0.1"
USERNAME: Final = "coffer"
PASSWORD: Final = "secret"  # noqa: S105  # of servers that live as long as a test
OK: Final = "250 taken"
HANG_SECONDS: Final = 30.0
SLOW_SECONDS: Final = 0.5


def quota_low(occurred_at: datetime, **changes: Any) -> QuotaLow:
    """A quota-low event: account A-1 in CNY, 900.00 left of a threshold of 1,000.00, unless told otherwise."""
    values: dict[str, Any] = {
        "account": "A-1",
        "currency": "CNY",
        "kind": "opened",
        "episode_id": "E-1",
        "reminder_number": 0,
        "quota": "900.00",
        "threshold": "1000.00",
        **changes,
    }
    currency = values["currency"]
    zero = Money("0", currency)
    return QuotaLow(
        account=values["account"],
        currency=currency,
        kind=values["kind"],
        episode_id=values["episode_id"],
        reminder_number=values["reminder_number"],
        quota=SignedMoney(values["quota"], currency),
        threshold=Money(values["threshold"], currency),
        terms=QuotaTerms(
            cash_balance=SignedMoney(values["quota"], currency),
            bankers_acceptance=zero,
            credit_limit=zero,
            credit_refund=zero,
            unsettled=zero,
            outstanding_fees=zero,
            negative_bill=zero,
        ),
        occurred_at=occurred_at,
    )


def product_book() -> TemplateBook:
    """The product's texts, without a database."""
    return TemplateBook(
        Template(key=TemplateKey(kind, Style(style), language), version=1, subject=subject, text=body)
        for kind, style, language, subject, body in product_templates()
    )


def outgoing(channel: Channel, address: str, now: datetime, **changes: Any) -> Outgoing:
    """A delivery on its way: an opened low quota to Li Wei, unless told otherwise."""
    delivery = Delivery(
        account="A-1",
        id=uuid4(),
        notice_id=uuid4(),
        kind="quota-low-opened",
        recipient="p-1",
        contact_place="A-1",
        channel=channel,
        state=State.SENDING,
        expires_at=now + timedelta(days=1),
    )
    made = Outgoing(
        delivery=delivery,
        held_lease=None,
        lease=uuid4(),
        claimed_at=now,
        address=address,
        address_current=True,
        name="Li Wei",
        language="en",
        time_zone="UTC",
        account_name="",
        currency=None,
        episode_id=None,
        data=quota_low(now).to_json(),
        occurred_at=now,
        report_token="token-1",  # noqa: S106  # of a report
        acknowledge_token=None,
        secret=None,
        family="quota-low",
        event_type="quota-low.v1",
        template=None,
        reminder=0,
        body=None,
    )
    return replace(made, **changes)


async def store_contact(
    connection: AsyncConnection, now: datetime, person: str = "li", **changes: Any
) -> Contact:
    """A person of account A-1, its security contact with phone and e-mail verified, unless told otherwise."""
    values: dict[str, Any] = {
        "account": "A-1",
        "name": person.title(),
        "language": "en",
        "time_zone": "Asia/Shanghai",
        "security": True,
        "wants": frozenset(),
        "phone": "+8613800138000",
        "email": f"{person}@example.com",
        "verified": True,
        "further": {},
        "secrets": None,
        **changes,
    }
    given = {Channel.SMS: values.pop("phone"), Channel.EMAIL: values.pop("email"), **values.pop("further")}
    secrets = values.pop("secrets")
    is_verified = values.pop("verified")
    addresses = {channel: Address(value, is_verified) for channel, value in given.items() if value}
    contact = Contact(person=person, addresses=addresses, **values)
    await reference.lock_account(connection, contact.account)
    await contacts.save(connection, contact, now, secrets)
    for channel, address in addresses.items():
        if is_verified:
            await contacts.mark_verified(connection, contact.account, person, channel, address.value, now)
    return contact


@dataclass(slots=True)
class Mail:
    """An e-mail as the server took it."""

    recipients: list[str]
    content: bytes
    at: float = field(default_factory=time.monotonic)

    @property
    def message(self) -> EmailMessage:
        return message_from_bytes(self.content, policy=policy.default)

    @property
    def text(self) -> str:
        body = self.message.get_body(("plain",))
        assert body is not None
        return str(body.get_content())


@dataclass(slots=True)
class MailDouble:
    """A mail server on a free port. `rcpt` and `data` are scripts: one entry per attempt, then all goes well.

    An entry is a reply such as "451 later", or one of `slow`, which takes its time and then goes well, `close`, `hang`
    (both say nothing; after DATA the message has been taken) and `drop`, which says nothing and loses the message.
    """

    authority: trustme.CA
    port: int = 0
    rcpt: list[str] = field(default_factory=list)
    data: list[str] = field(default_factory=list)
    taken: list[Mail] = field(default_factory=list)
    rset: list[str] = field(default_factory=list)
    attempts: int = 0
    connections: int = 0

    def ca_file(self, folder: Any) -> str:
        path = folder / "authority.pem"
        self.authority.cert_pem.write_to_path(str(path))
        return str(path)

    async def handle_EHLO(  # noqa: N802  # aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        self.connections += session.ssl is not None
        return responses

    async def handle_RSET(  # noqa: N802  # aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        return await _played(server, self.rset)

    async def handle_RCPT(  # noqa: N802  # aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        self.attempts += 1
        reply = await _played(server, self.rcpt)
        if reply == OK:
            envelope.rcpt_tos.append(address)
        return reply

    async def handle_DATA(  # noqa: N802  # aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        entry = self.data[0] if self.data else OK
        if entry in (OK, "slow", "close", "hang"):
            assert isinstance(envelope.content, bytes)
            self.taken.append(Mail(list(envelope.rcpt_tos), envelope.content))
        return await _played(server, self.data)


async def _played(server: SMTP, script: list[str]) -> str:
    """The next reply of a script; closes or hangs the connection where it says so."""
    entry = script.pop(0) if script else OK
    if entry == "slow":
        await asyncio.sleep(SLOW_SECONDS)
        return OK
    if entry == "hang":
        await asyncio.sleep(HANG_SECONDS)
    if entry in ("close", "drop", "hang"):
        assert server.transport is not None
        server.transport.close()
        return "421 closing"
    if entry.startswith("421"):
        assert server.transport is not None
        asyncio.get_running_loop().call_later(0.05, server.transport.close)
    return entry


def _authenticate(
    server: SMTP, session: Session, envelope: Envelope, mechanism: str, credentials: Any
) -> AuthResult:
    known = isinstance(credentials, LoginPassword) and credentials == LoginPassword(
        USERNAME.encode(), PASSWORD.encode()
    )
    return AuthResult(success=known, handled=known)


@asynccontextmanager
async def mail_server(
    *, starttls: bool = True, names: tuple[str, ...] = (HOST,), tls_from_start: bool = False
) -> AsyncIterator[MailDouble]:
    """A mail server with a certificate for these names; with `starttls=False` it offers clear text only."""
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(*names).configure_cert(context)
    double = MailDouble(authority)
    is_encrypted = starttls or tls_from_start

    def protocol() -> SMTP:
        warnings.filterwarnings("ignore", "Requiring AUTH while not requiring TLS", UserWarning)
        return SMTP(
            double,
            hostname="mail.test",
            tls_context=context if starttls and not tls_from_start else None,
            require_starttls=starttls and not tls_from_start,
            authenticator=_authenticate,
            auth_required=is_encrypted,
            auth_require_tls=not tls_from_start,
        )

    loop = asyncio.get_running_loop()
    server = await loop.create_server(protocol, HOST, 0, ssl=context if tls_from_start else None)
    double.port = server.sockets[0].getsockname()[1]
    try:
        yield double
    finally:
        server.close()


@dataclass(slots=True)
class Sms:
    """A request as the gateway took it: headers in lower case."""

    headers: dict[str, str]
    text: str

    @property
    def to(self) -> str:
        return self.headers["x-kannel-to"]

    def report_url(self, status: int, reply: str = "") -> str:
        return self.headers["x-kannel-dlr-url"].replace("%d", str(status)).replace("%A", reply)


@dataclass(slots=True)
class GatewayDouble:
    """An SMS gateway on a free port. `answers` is a script: one entry per request, then all is accepted.

    An entry is an answer such as "503 Temporal failure, try again later.", or one of `close`, `hang` (the message
    has been taken) and `drop` (it has not).
    """

    port: int = 0
    answers: list[str] = field(default_factory=list)
    taken: list[Sms] = field(default_factory=list)
    requests: int = 0

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}/cgi-bin/sendsms"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._answer(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        fields = (line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
        headers = {name.lower(): value for name, value in fields}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        self.requests += 1
        entry = self.answers.pop(0) if self.answers else "202 0: Accepted for delivery"
        if entry.startswith("202") or entry in ("close", "hang"):
            self.taken.append(Sms(headers, body.decode()))
        if entry == "hang":
            await asyncio.sleep(HANG_SECONDS)
        if entry in ("close", "drop", "hang"):
            return
        status, _, words = entry.partition(" ")
        content = words.encode()
        writer.write(f"HTTP/1.1 {status} Answer\r\nContent-Length: {len(content)}\r\n\r\n".encode() + content)
        await writer.drain()


@asynccontextmanager
async def sms_gateway() -> AsyncIterator[GatewayDouble]:
    double = GatewayDouble()
    server = await asyncio.start_server(double.serve, HOST, 0)
    double.port = server.sockets[0].getsockname()[1]
    try:
        yield double
    finally:
        server.close()
