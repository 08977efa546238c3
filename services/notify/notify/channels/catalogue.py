"""DingTalk, WeCom, Feishu, Slack, Twilio and the rest of Apprise's catalogue, each delivery with its own row.

Apprise is a catalogue of channels and not a delivery engine: it answers one yes or no for a whole send, and its no may
mean anything. So a no is unclear: it is not sent again blindly, and the fallback channel takes over where there is one.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any, Final

import apprise
import orjson

from notify.channels.port import NotReady, Ready
from notify.domain.answers import Answer, Verdict, catalogue_answer
from notify.domain.outgoing import Outgoing

THREADS_MAX: Final = 8

logging.getLogger("apprise").setLevel(logging.CRITICAL)  # it logs addresses and tokens


class CatalogueChannel:
    """Hands messages to Apprise, which blocks, in threads of its own."""

    def __init__(self, *, seconds_max: float) -> None:
        self.seconds_max = seconds_max
        self.threads = ThreadPoolExecutor(THREADS_MAX, thread_name_prefix="apprise")

    async def close(self) -> None:
        self.threads.shutdown(wait=False, cancel_futures=True)

    @asynccontextmanager
    async def prepare(self, outgoing: Outgoing) -> AsyncIterator[Ready]:
        """Reads the address; raises NotReady when it is none of the catalogue's."""
        service = instance_of(outgoing.address)
        if service is None:
            raise NotReady(Answer(Verdict.PERMANENT, "address-unknown"))
        yield _Notification(self, service)


def instance_of(address: str) -> Any | None:
    """The catalogue's service behind an address; None when there is none."""
    return apprise.Apprise.instantiate(address, suppress_exceptions=True)


class _Notification:
    def __init__(self, channel: CatalogueChannel, service: Any) -> None:
        self.channel = channel
        self.service = service

    async def transmit(self, body: bytes) -> Answer:
        title, text = _parts(body)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self.channel.seconds_max):
                is_taken = await loop.run_in_executor(
                    self.channel.threads, lambda: bool(self.service.notify(body=text, title=title))
                )
        except TimeoutError:
            return Answer(Verdict.UNCLEAR, "no-answer", is_fault=True)
        except Exception as error:
            return Answer(Verdict.UNCLEAR, "no-answer", text=type(error).__name__, is_fault=True)
        return catalogue_answer(is_taken)


def _parts(body: bytes) -> tuple[str, str]:
    """Title and text of a chat message; an SMS is text alone."""
    if body.startswith(b"{"):
        message = orjson.loads(body)
        return message["subject"], message["text"]
    return "", body.decode()
