"""SMS by the HTTP interface of Kannel (`sendsms`): text and password in body and headers, never in the address."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import httpx

from notify.channels.port import Ready
from notify.domain.answers import Answer, gateway_answer, gateway_silence, gateway_unreachable
from notify.domain.outgoing import Outgoing
from notify.domain.sms import segments
from notify.settings import Settings

REPORTS_WANTED: Final = 1 | 2 | 16
"""Delivered, failed, rejected; that the SMSC has taken it (8) decides nothing and would double what comes in."""
REPORT_PATH: Final = "/sms-reports/{token}"
ANSWER_BYTES_MAX: Final = 4_096
CONNECT_SECONDS_MAX: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """Where SMS go, and where the gateway sends its delivery reports."""

    url: str
    username: str
    password: str
    sender: str
    report_url: str
    validity_minutes: int
    seconds_max: float

    @classmethod
    def of(cls, settings: Settings) -> "Gateway":
        return cls(
            url=settings.sms_url,
            username=settings.sms_username,
            password=settings.sms_password.get_secret_value(),
            sender=settings.sms_from,
            report_url=settings.sms_report_url.rstrip("/"),
            validity_minutes=settings.sms_validity_minutes,
            seconds_max=settings.sms_seconds_max,
        )


class KannelChannel:
    """Hands SMS to the gateway, a connection for each.

    No connection is kept for the next message: when the gateway closes a kept one just as a request goes out,
    nobody can tell whether it was read, and the delivery would be unknown for nothing.
    """

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.client = httpx.AsyncClient(
            timeout=httpx.Timeout(gateway.seconds_max, connect=min(CONNECT_SECONDS_MAX, gateway.seconds_max)),
            limits=httpx.Limits(max_keepalive_connections=0),
            follow_redirects=False,
            trust_env=False,
        )

    async def close(self) -> None:
        await self.client.aclose()

    @asynccontextmanager
    async def prepare(self, outgoing: Outgoing) -> AsyncIterator[Ready]:
        """Nothing can be asked of the gateway without sending."""
        yield _Request(self.client, self.gateway, outgoing)


class _Request:
    """One message on its way to the gateway."""

    def __init__(self, client: httpx.AsyncClient, gateway: Gateway, outgoing: Outgoing) -> None:
        self.client = client
        self.gateway = gateway
        self.outgoing = outgoing

    async def transmit(self, body: bytes) -> Answer:
        """Posts the message; only a connection that was never made proves that the gateway has not got it."""
        request = self.client.build_request(
            "POST", self.gateway.url, content=body, headers=self._headers(body)
        )
        try:
            response = await self.client.send(request, stream=True)
            try:
                return gateway_answer(response.status_code, await _text(response))
            finally:
                await response.aclose()
        except (
            httpx.ConnectError,
            httpx.ConnectTimeout,
            httpx.PoolTimeout,
            httpx.UnsupportedProtocol,
        ) as error:
            return gateway_unreachable(type(error).__name__)
        except httpx.TransportError as error:
            return gateway_silence(type(error).__name__)

    def _headers(self, body: bytes) -> dict[str, str]:
        gateway = self.gateway
        report = gateway.report_url + REPORT_PATH.format(token=self.outgoing.report_token)
        return {
            "Content-Type": "text/plain; charset=UTF-8",
            "X-Kannel-Username": gateway.username,
            "X-Kannel-Password": gateway.password,
            "X-Kannel-From": gateway.sender,
            "X-Kannel-To": self.outgoing.address,
            "X-Kannel-Coding": str(int(segments(body.decode()).coding)),
            "X-Kannel-Validity": str(self._validity_minutes()),
            "X-Kannel-DLR-Mask": str(REPORTS_WANTED),
            "X-Kannel-DLR-Url": f"{report}?status=%d&reply=%A",
        }

    def _validity_minutes(self) -> int:
        """No longer than the notice itself is of use; without a validity the gateway would try for ever."""
        left = self.outgoing.delivery.expires_at - self.outgoing.claimed_at
        return max(1, min(self.gateway.validity_minutes, int(left.total_seconds()) // 60))


async def _text(response: httpx.Response) -> str:
    """The answer's words as far as they matter."""
    words = b""
    async for chunk in response.aiter_bytes():
        words += chunk
        if len(words) >= ANSWER_BYTES_MAX:
            break
    return words[:ANSWER_BYTES_MAX].decode(errors="replace")
