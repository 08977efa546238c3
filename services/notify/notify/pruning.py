"""Forgets addresses and texts some time after a delivery's end, and much later what is left of what is over."""

import asyncio
from datetime import timedelta
from typing import Final
from uuid import uuid4

from chassis.errors import is_transient

from chassis import Cause, ServiceContext
from notify.repository import deliveries, retention
from notify.settings import Settings

ROWS_MAX: Final = 2_000
NOTICES_MAX: Final = 500
"""A notice takes its deliveries, their history and their reports along: some forty rows."""
PAUSE_SECONDS: Final = 60.0


async def prune(context: ServiceContext) -> None:
    """The background job that forgets; it goes on without a pause while there is much to forget."""
    settings = context.settings
    assert isinstance(settings, Settings)
    content, history = timedelta(days=settings.content_days), timedelta(days=settings.history_days)
    while not context.stopping.is_set():
        is_done = True
        try:
            is_done = await forget_once(context, content) < ROWS_MAX
            for what in retention.PRUNED:
                is_done &= await prune_once(context, what, history) < rows_max(what)
        except Exception as error:
            if not is_transient(error):
                raise
        if is_done:
            await asyncio.sleep(PAUSE_SECONDS)


def rows_max(what: str) -> int:
    return NOTICES_MAX if what == "notices" else ROWS_MAX


async def forget_once(context: ServiceContext, age: timedelta) -> int:
    """Forgets addresses and texts of a bounded number of deliveries that ended so long ago; returns how many."""
    async with context.open_work(_cause(context)) as work:
        return await deliveries.prune_content(work.connection, work.now - age, ROWS_MAX)


async def prune_once(context: ServiceContext, what: str, age: timedelta) -> int:
    """Deletes a bounded number of what has been over for so long; returns how many."""
    async with context.open_work(_cause(context)) as work:
        return await retention.prune(work.connection, what, work.now - age, rows_max(what))


def _cause(context: ServiceContext) -> Cause:
    cause_id = f"prune/{uuid4()}"
    return Cause(f"coffer/{context.name}", cause_id, cause_id)
