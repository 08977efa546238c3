"""The transaction itself: kept from being idle while something long is read beside it."""

import asyncio
from collections.abc import Callable
from typing import Final, TypeVar

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

AWAKE_SECONDS: Final = 3.0

T = TypeVar("T")


async def beside(connection: AsyncConnection, reading: Callable[[], T]) -> T:
    """What `reading` returns, run in another thread; a session that is idle for long would be ended meanwhile."""
    task = asyncio.create_task(asyncio.to_thread(reading))
    while not (await asyncio.wait({task}, timeout=AWAKE_SECONDS))[0]:
        await connection.execute(text("select 1"))
    return task.result()
