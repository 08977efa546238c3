"""E-mail by SMTP, always encrypted: one recipient per transaction, the dialogue step by step.

aiosmtplib's `send()` would hide how far it got, and its defaults fall back to clear text; so the steps are taken
one by one and the encryption is asked for explicitly.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from email.utils import parseaddr
from typing import Final

from aiosmtplib import SMTP, SMTPException, SMTPResponseException

from notify.channels.port import NotReady, Ready
from notify.domain.answers import Answer, Stage, encryption_fault, smtp_answer, smtp_silence
from notify.domain.outgoing import Outgoing
from notify.settings import Settings

QUIT_SECONDS_MAX: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MailServer:
    """Where mail goes and who sends it; `seconds_max` bounds the steps before the message, and the message."""

    host: str
    port: int
    sender: str
    username: str
    password: str
    tls: ssl.SSLContext
    is_tls_from_start: bool
    seconds_max: float

    @classmethod
    def of(cls, settings: Settings) -> "MailServer":
        return cls(
            host=settings.smtp_host,
            port=settings.smtp_port,
            sender=parseaddr(settings.smtp_from)[1],
            username=settings.smtp_username,
            password=settings.smtp_password.get_secret_value(),
            tls=ssl.create_default_context(cafile=settings.smtp_ca_file or None),
            is_tls_from_start=settings.smtp_tls == "tls",
            seconds_max=settings.smtp_seconds_max,
        )


class SmtpChannel:
    """Hands e-mails to a mail server, a connection for each."""

    def __init__(self, server: MailServer) -> None:
        self.server = server

    @asynccontextmanager
    async def prepare(self, outgoing: Outgoing) -> AsyncIterator[Ready]:
        """Connects, encrypts, logs in, and names sender and recipient; raises NotReady."""
        dialogue = _Dialogue(self.server)
        try:
            await dialogue.open(outgoing.address)
            yield dialogue
        finally:
            await dialogue.close()


class _Dialogue:
    """One SMTP connection and the step that it has come to."""

    def __init__(self, server: MailServer) -> None:
        self.server = server
        self.stage = Stage.CONNECT
        self.client = SMTP(
            hostname=server.host,
            port=server.port,
            timeout=server.seconds_max,
            use_tls=server.is_tls_from_start,
            start_tls=False,
            tls_context=server.tls,
        )

    async def open(self, recipient: str) -> None:
        try:
            async with asyncio.timeout(self.server.seconds_max):
                await self._open(recipient)
        except NotReady:
            raise
        except (SMTPException, OSError, ValueError) as error:
            raise NotReady(self._meaning(error)) from error

    async def _open(self, recipient: str) -> None:
        await self.client.connect()
        await self._encrypt()
        if self.server.username:
            self.stage = Stage.LOGIN
            await self.client.login(self.server.username, self.server.password)
        self.stage = Stage.SENDER
        await self.client.mail(self.server.sender)
        self.stage = Stage.RECIPIENT
        await self.client.rcpt(recipient)

    async def _encrypt(self) -> None:
        self.stage = Stage.TLS
        if self.server.is_tls_from_start:
            return
        await self.client.ehlo()
        if not self.client.supports_extension("starttls"):
            raise NotReady(encryption_fault("encryption-unavailable", "the server offers no STARTTLS"))
        await self.client.starttls(tls_context=self.server.tls)

    async def transmit(self, body: bytes) -> Answer:
        """DATA, the message and its answer; without a number in the answer nobody can tell."""
        self.stage = Stage.DATA
        try:
            async with asyncio.timeout(self.server.seconds_max):
                code, text = await self.client.data(body)
        except (SMTPException, OSError) as error:
            return self._meaning(error)
        return smtp_answer(Stage.DATA, code, text)

    def _meaning(self, error: Exception) -> Answer:
        certificate = _certificate_error(error)
        if certificate is not None:
            return encryption_fault("certificate-invalid", certificate.verify_message or str(certificate))
        if isinstance(error, SMTPResponseException):
            return smtp_answer(self.stage, error.code, error.message)
        if isinstance(error, ssl.SSLError):
            return encryption_fault("encryption-failed", str(error.reason))
        return smtp_silence(self.stage, f"{type(error).__name__} at {self.stage}")

    async def close(self) -> None:
        with suppress(SMTPException, OSError, TimeoutError):
            async with asyncio.timeout(QUIT_SECONDS_MAX):
                await self.client.quit()
        self.client.close()


def _certificate_error(error: BaseException | None) -> ssl.SSLCertVerificationError | None:
    """The certificate's fault, which aiosmtplib wraps when TLS is on from the start."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return error
        error = error.__cause__ or error.__context__
    return None
