"""Forgets addresses and texts of deliveries that ended long ago; states, attempts and history stay."""

import asyncio
from datetime import timedelta
from typing import Final
from uuid import uuid4

from chassis.errors import is_transient

from chassis import Cause, ServiceContext
from notify.repository import deliveries
from notify.settings import Settings

ROWS_MAX: Final = 2_000
PAUSE_SECONDS: Final = 60.0


async def prune(context: ServiceContext) -> None:
    """The background job that forgets; it goes on without a pause while there is much to forget."""
    settings = context.settings
    assert isinstance(settings, Settings)
    while not context.stopping.is_set():
        count = 0
        try:
            count = await prune_once(context, timedelta(days=settings.content_days))
        except Exception as error:
            if not is_transient(error):
                raise
        if count < ROWS_MAX:
            await asyncio.sleep(PAUSE_SECONDS)


async def prune_once(context: ServiceContext, age: timedelta) -> int:
    """Forgets a bounded number; returns how many."""
    cause_id = f"prune/{uuid4()}"
    async with context.open_work(Cause(f"coffer/{context.name}", cause_id, cause_id)) as work:
        return await deliveries.prune_content(work.connection, work.now - age, ROWS_MAX)
