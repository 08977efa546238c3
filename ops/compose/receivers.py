"""The mail server and the SMS gateway of the local stack, in containers of their own.

Both listen on loopback, where a container is reached by nobody; so each port is opened to the other containers
by passing its bytes on, TLS included.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

from ops.local import mail, sms
from ops.local.ports import HOST

EVERY_ADDRESS = "0.0.0.0"  # noqa: S104 - of the container; docker-compose.yml publishes on loopback only
SMTP_PORT = 2525
MAILBOX_PORT = 8025
SMS_PORT = 13013
INNER_OFFSET = 20_000
CHUNK_BYTES = 65_536


async def run_mail(directory: Path) -> None:
    """Serve SMTP, and what it received over HTTP."""
    async with opened(SMTP_PORT), opened(MAILBOX_PORT):
        await mail.run(directory, SMTP_PORT + INNER_OFFSET, MAILBOX_PORT + INNER_OFFSET)


async def run_sms(directory: Path) -> None:
    """Serve Kannel's sendsms, and what it received over HTTP."""
    async with opened(SMS_PORT):
        await sms.run(directory, SMS_PORT + INNER_OFFSET)


@contextlib.asynccontextmanager
async def opened(port: int) -> AsyncIterator[None]:
    """Take connections on this port, and pass them on to the one that listens on loopback."""
    server = await asyncio.start_server(partial(pass_on, port + INNER_OFFSET), EVERY_ADDRESS, port)
    try:
        yield
    finally:
        server.close()


async def pass_on(port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass on what either side says, until both have ended."""
    try:
        inner_reader, inner_writer = await asyncio.open_connection(HOST, port)
    except OSError:
        writer.close()
        return
    await asyncio.gather(pump(reader, inner_writer), pump(inner_reader, writer))


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One direction; whoever ends, by closing or by a cut, ends it for the other side too."""
    with contextlib.suppress(ConnectionError):
        while chunk := await reader.read(CHUNK_BYTES):
            writer.write(chunk)
            await writer.drain()
    writer.close()
