"""A mail server and an SMS gateway that only count: what a burst of notices is sent to.

Speaks as much SMTP (STARTTLS, AUTH) and sendsms as a client needs. `python -m tests.bench.receivers DIRECTORY` prints
its two ports; a line on standard input (`down`, `up`, `count`) is answered with a line of JSON.
"""

import asyncio
import json
import ssl
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from ops.local.certificate import make_certificate, server_file
from ops.local.ports import HOST

BIG_BYTES: Final = 2**20


class Receivers:
    """Notes when what arrives, by channel; while down, every connection is cut."""

    def __init__(self, directory: Path) -> None:
        self.is_down = False
        self.moments: dict[str, list[float]] = {"sms": [], "email": []}
        make_certificate(directory)
        self.tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.tls.load_cert_chain(server_file(directory))

    def take(self, channel: str) -> None:
        self.moments[channel].append(time.monotonic())

    def counts(self) -> dict[str, int]:
        """How many came by each channel, and the most that came within any window of one second."""
        found = {channel: len(moments) for channel, moments in self.moments.items()}
        peaks = {f"{channel}-peak": most_in_a_second(moments) for channel, moments in self.moments.items()}
        return found | peaks

    async def smtp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if not self.is_down:
                writer.write(b"220 bench\r\n")
                await self._converse(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            pass
        finally:
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        is_encrypted = False
        while line := await reader.readline():
            if self.is_down:
                return
            word = line[:4].upper()
            if word == b"EHLO":
                writer.write(
                    b"250-bench\r\n250 AUTH PLAIN\r\n" if is_encrypted else b"250-bench\r\n250 STARTTLS\r\n"
                )
            elif word == b"STAR":
                writer.write(b"220 go\r\n")
                await writer.start_tls(self.tls)
                is_encrypted = True
            elif word == b"AUTH":
                writer.write(b"235 ok\r\n")
            elif word == b"DATA":
                writer.write(b"354 go\r\n")
                await reader.readuntil(b"\r\n.\r\n")
                self.take("email")
                writer.write(b"250 taken\r\n")
            elif word == b"QUIT":
                writer.write(b"221 bye\r\n")
                return
            else:
                writer.write(b"250 ok\r\n")

    async def sendsms(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            _, _, rest = head.partition(b"content-length: ")
            await reader.readexactly(int(rest.partition(b"\r\n")[0] or b"0"))
            if not self.is_down:
                self.take("sms")
                answer = b"0: Accepted for delivery"
                writer.write(
                    b"HTTP/1.1 202 Accepted\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(answer)
                    + answer
                )
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


def most_in_a_second(moments: Sequence[float]) -> int:
    """The most of these moments, in order, that lie less than a second apart."""
    begin, most = 0, 0
    for end, moment in enumerate(moments):
        while moment - moments[begin] >= 1:
            begin += 1
        most = max(most, end - begin + 1)
    return most


async def main(directory: Path) -> None:
    receivers = Receivers(directory)
    smtp = await asyncio.start_server(receivers.smtp, HOST, 0, limit=BIG_BYTES)
    sms = await asyncio.start_server(receivers.sendsms, HOST, 0, limit=BIG_BYTES)
    ports = [server.sockets[0].getsockname()[1] for server in (smtp, sms)]
    print(json.dumps(ports), flush=True)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        match line.strip():
            case "down":
                receivers.is_down = True
            case "up":
                receivers.is_down = False
        print(json.dumps(receivers.counts()), flush=True)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
