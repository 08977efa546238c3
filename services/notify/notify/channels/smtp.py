"""E-mail by SMTP, always encrypted, over pooled connections: one recipient per transaction, step by step.

aiosmtplib's `send()` would hide how far it got, and its defaults fall back to clear text; so the steps are taken
one by one and the encryption is asked for explicitly.
"""

import asyncio
import ssl
import time
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
REUSE_SECONDS_MAX: Final = 5.0
IDLE_MAX: Final = 50
IDLE_SECONDS_MAX: Final = 30.0
MESSAGES_MAX: Final = 100
"""Many servers close a connection after so many messages; it is left before."""
CLOSING_CODE: Final = 421


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
    """Hands e-mails to a mail server, over connections that are kept for the next ones.

    A kept connection that turns out to be closed costs nothing: the server has not been told of any message, and a
    new one takes its place.
    """

    def __init__(self, server: MailServer) -> None:
        self.server = server
        self._idle: list[_Dialogue] = []

    @asynccontextmanager
    async def prepare(self, outgoing: Outgoing) -> AsyncIterator[Ready]:
        """Names sender and recipient on a kept or a new connection; raises NotReady."""
        dialogue = await self._addressed(outgoing.address)
        try:
            yield dialogue
        finally:
            await self._give_back(dialogue)

    async def _addressed(self, recipient: str) -> "_Dialogue":
        while self._idle:
            dialogue = self._idle.pop()
            if dialogue.is_fresh and await dialogue.began_again():
                await self._name(dialogue, recipient)
                return dialogue
            dialogue.drop()
        dialogue = _Dialogue(self.server)
        try:
            await dialogue.open()
        except BaseException:
            dialogue.drop()
            raise
        await self._name(dialogue, recipient)
        return dialogue

    async def _name(self, dialogue: "_Dialogue", recipient: str) -> None:
        try:
            await dialogue.name(recipient)
        except BaseException:
            await self._give_back(dialogue)
            raise

    async def _give_back(self, dialogue: "_Dialogue") -> None:
        """Keeps a connection whose transaction is over, or was refused step by step."""
        if dialogue.is_usable and len(self._idle) < IDLE_MAX:
            self._idle.append(dialogue)
        else:
            dialogue.drop()

    async def close(self) -> None:
        while self._idle:
            await self._idle.pop().close()


class _Dialogue:
    """One SMTP connection and the step that it has come to."""

    def __init__(self, server: MailServer) -> None:
        self.server = server
        self.stage = Stage.CONNECT
        self.is_in_step = False
        self.messages = 0
        self.used_at = time.monotonic()
        self.client = SMTP(
            hostname=server.host,
            port=server.port,
            timeout=server.seconds_max,
            use_tls=server.is_tls_from_start,
            start_tls=False,
            tls_context=server.tls,
        )

    @property
    def is_fresh(self) -> bool:
        """Whether the connection has neither idled nor served for too long."""
        return time.monotonic() - self.used_at < IDLE_SECONDS_MAX and self.messages < MESSAGES_MAX

    @property
    def is_usable(self) -> bool:
        return self.is_in_step and self.is_fresh and self.client.is_connected

    async def open(self) -> None:
        """Connects, encrypts and logs in; raises NotReady."""
        async with self._bounded():
            await self.client.connect()
            await self._encrypt()
            if self.server.username:
                self.stage = Stage.LOGIN
                await self.client.login(self.server.username, self.server.password)
        self.is_in_step = True

    async def began_again(self) -> bool:
        """Begins another transaction; False when the connection is of no use any more."""
        self.is_in_step = False
        try:
            async with asyncio.timeout(REUSE_SECONDS_MAX):
                await self.client.rset()
        except (SMTPException, OSError, ValueError):
            return False
        self.is_in_step = True
        return True

    async def name(self, recipient: str) -> None:
        """Names sender and recipient; raises NotReady."""
        self.stage = Stage.SENDER
        async with self._bounded():
            await self.client.mail(self.server.sender)
            self.stage = Stage.RECIPIENT
            await self.client.rcpt(recipient)

    @asynccontextmanager
    async def _bounded(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self.server.seconds_max):
                yield
        except NotReady:
            raise
        except (SMTPException, OSError, ValueError) as error:
            self.is_in_step = isinstance(error, SMTPResponseException) and error.code != CLOSING_CODE
            raise NotReady(self._meaning(error)) from error

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
        self.is_in_step = False
        try:
            async with asyncio.timeout(self.server.seconds_max):
                code, text = await self.client.data(body)
        except (SMTPException, OSError) as error:
            self.is_in_step = isinstance(error, SMTPResponseException) and error.code != CLOSING_CODE
            return self._meaning(error)
        self.messages += 1
        self.used_at = time.monotonic()
        self.is_in_step = True
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

    def drop(self) -> None:
        """Closes the connection without a word."""
        self.client.close()


def _certificate_error(error: BaseException | None) -> ssl.SSLCertVerificationError | None:
    """The certificate's fault, which aiosmtplib wraps when TLS is on from the start."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return error
        error = error.__cause__ or error.__context__
    return None
