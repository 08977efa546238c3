"""The local mail server: takes mail after STARTTLS and AUTH only, and keeps it for whoever looks.

Each mail is a file in `mail/`, described by a line in `mail/index.ndjson`; both can be read over HTTP too.
"""

import asyncio
import email
import email.policy
import logging
import secrets
import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import typer
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from ops.local.certificate import make_certificate, server_file
from ops.local.control import control_routes, serve
from ops.local.faults import Fault, FaultList, Journal
from ops.local.ports import HOST
from ops.local.secret import USERNAME, secret

MAIL_BYTES_MAX = 20_000_000
SILENCE_SECONDS = 300


class Mailbox:
    """The mails of one stack: files and an index."""

    def __init__(self, directory: Path) -> None:
        self.folder = directory / "mail"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.journal = Journal(self.folder / "index.ndjson")
        self._last = max((record["number"] for record in self.journal.records), default=0)

    def keep(self, envelope: Envelope) -> None:
        """Write the mail, then its line in the index."""
        self._last += 1
        name = f"{self._last:06d}.eml"
        content = envelope.original_content or b""
        (self.folder / name).write_bytes(content)
        self.journal.append(self._described(name, envelope, content))

    def _described(self, name: str, envelope: Envelope, content: bytes) -> dict[str, Any]:
        message = email.message_from_bytes(content, policy=email.policy.default)
        body = message.get_body(preferencelist=("plain", "html"))
        return {
            "number": self._last,
            "received_at": datetime.now(UTC).isoformat(),
            "from": envelope.mail_from,
            "to": ", ".join(envelope.rcpt_tos),
            "subject": str(message.get("Subject", "")),
            "message_id": str(message.get("Message-ID", "")),
            "language": str(message.get("Content-Language", "")),
            "text": "" if body is None else body.get_content().strip(),
            "file": name,
        }

    def clear(self) -> None:
        self.journal.clear()
        self._last = 0
        for path in self.folder.glob("*.eml"):
            path.unlink()


class Handler:
    """What the server does at each command of a client."""

    def __init__(self, mailbox: Mailbox, faults: FaultList) -> None:
        self.mailbox = mailbox
        self.faults = faults

    async def handle_MAIL(  # noqa: N802 - the name that aiosmtpd calls
        self, server: SMTP, _session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        answer = await self._fail(server, self.faults.take("mail", address))
        if not answer:
            envelope.mail_from = address
            envelope.mail_options.extend(options)
        return answer or "250 2.1.0 Sender ok"

    async def handle_RCPT(  # noqa: N802 - the name that aiosmtpd calls
        self, server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        answer = await self._fail(server, self.faults.take("rcpt", address))
        if not answer:
            envelope.rcpt_tos.append(address)
        return answer or "250 2.1.5 Recipient ok"

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        fault = self.faults.take("data", ", ".join(envelope.rcpt_tos))
        if fault is None or not fault.refuses:
            self.mailbox.keep(envelope)
        return await self._fail(server, fault) or "250 2.0.0 Message accepted"

    async def _fail(self, server: SMTP, fault: Fault | None) -> str:
        """Act out a fault; the answer it asks for, or an empty one."""
        if fault is None:
            return ""
        await asyncio.sleep(fault.delay_seconds)
        if fault.close and isinstance(server.transport, asyncio.Transport):
            server.transport.abort()
            await asyncio.sleep(SILENCE_SECONDS)  # cancelled when the connection is gone
        return fault.answer


class Authenticator:
    """Lets one user in."""

    def __init__(self, password: str) -> None:
        self.password = password.encode()

    def __call__(
        self, _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, data: object
    ) -> AuthResult:
        known = (
            isinstance(data, LoginPassword)
            and data.login == USERNAME.encode()
            and secrets.compare_digest(data.password, self.password)
        )
        # handled=False lets the server answer a refusal; with True the client would wait for ever.
        return AuthResult(success=known, handled=False)


def tls_context(directory: Path) -> ssl.SSLContext:
    """The server's side of TLS."""
    make_certificate(directory)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(server_file(directory))
    return context


async def run(directory: Path, smtp_port: int, http_port: int, host: str = "") -> None:
    """Serve SMTP and HTTP until the process is asked to stop."""
    mailbox, faults = Mailbox(directory), FaultList()
    context = tls_context(directory)
    authenticator = Authenticator(secret(directory, "smtp"))

    def connection() -> SMTP:
        return SMTP(
            Handler(mailbox, faults),
            data_size_limit=MAIL_BYTES_MAX,
            hostname="mail.coffer.local",
            tls_context=context,
            require_starttls=True,
            auth_required=True,
            auth_require_tls=True,
            authenticator=authenticator,
            enable_SMTPUTF8=True,
            loop=asyncio.get_running_loop(),
        )

    async def content(request: Request) -> Response:
        path = mailbox.folder / f"{request.path_params['number']:06d}.eml"
        found = path.exists()
        return PlainTextResponse(path.read_bytes() if found else "no such mail", 200 if found else 404)

    routes = [
        *control_routes(mailbox.journal, faults, mailbox.clear),
        Route("/messages/{number:int}", content),
    ]
    server = await asyncio.get_running_loop().create_server(connection, host or HOST, smtp_port)
    async with server:
        await serve(routes, http_port, host)


def main(directory: Path, smtp_port: int, http_port: int, host: str = HOST) -> None:
    """Run the mail server of the stack in this directory."""
    logging.getLogger("mail.log").setLevel(logging.WARNING)
    asyncio.run(run(directory, smtp_port, http_port, host))


if __name__ == "__main__":
    typer.run(main)
