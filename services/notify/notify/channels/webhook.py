"""Webhooks, signed as the Standard Webhooks specification says: the delivery's id is the idempotency key."""

import asyncio
import ipaddress
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from urllib.parse import urlsplit

import httpx
from standardwebhooks import Webhook

from notify.channels.port import NotReady, Ready
from notify.domain.answers import Answer, Verdict, webhook_answer, webhook_silence
from notify.domain.outgoing import Outgoing

CONNECT_SECONDS_MAX: Final = 5.0
ANSWER_BYTES_MAX: Final = 4_096


class WebhookChannel:
    """Posts notices to receivers; those inside the company's own network only where that is allowed."""

    def __init__(self, *, seconds_max: float, allows_private: bool) -> None:
        self.allows_private = allows_private
        self.client = httpx.AsyncClient(
            timeout=httpx.Timeout(seconds_max, connect=min(CONNECT_SECONDS_MAX, seconds_max)),
            limits=httpx.Limits(max_keepalive_connections=0),
            follow_redirects=False,
            trust_env=False,
        )

    async def close(self) -> None:
        await self.client.aclose()

    @asynccontextmanager
    async def prepare(self, outgoing: Outgoing) -> AsyncIterator[Ready]:
        """Looks the receiver up; raises NotReady when it cannot be found or must not be called."""
        if outgoing.secret is None:
            raise NotReady(Answer(Verdict.PERMANENT, "no-secret"))
        await self._require_reachable(outgoing.address)
        yield _Post(self.client, outgoing, outgoing.secret)

    async def _require_reachable(self, url: str) -> None:
        if self.allows_private:
            return
        parts = urlsplit(url)
        try:
            found = await asyncio.get_running_loop().getaddrinfo(
                parts.hostname, parts.port or 443, type=socket.SOCK_STREAM
            )
        except OSError as error:
            raise NotReady(Answer(Verdict.TRANSIENT, "unreachable", text=type(error).__name__)) from error
        if not all(ipaddress.ip_address(entry[4][0]).is_global for entry in found):
            raise NotReady(Answer(Verdict.PERMANENT, "address-not-allowed"))


class _Post:
    """One notice on its way to a receiver."""

    def __init__(self, client: httpx.AsyncClient, outgoing: Outgoing, secret: str) -> None:
        self.client = client
        self.outgoing = outgoing
        self.secret = secret

    async def transmit(self, body: bytes) -> Answer:
        message_id = str(self.outgoing.delivery.repeat_of or self.outgoing.delivery.id)
        at = self.outgoing.claimed_at
        headers = {
            "Content-Type": "application/json",
            "webhook-id": message_id,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": Webhook(self.secret).sign(message_id, at, body.decode()),
        }
        try:
            async with self.client.stream(
                "POST", self.outgoing.address, content=body, headers=headers
            ) as response:
                return webhook_answer(response.status_code, await _beginning(response))
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return webhook_silence(type(error).__name__)


async def _beginning(response: httpx.Response) -> str:
    words = b""
    async for chunk in response.aiter_bytes():
        words += chunk
        if len(words) >= ANSWER_BYTES_MAX:
            break
    return words[:ANSWER_BYTES_MAX].decode(errors="replace")
