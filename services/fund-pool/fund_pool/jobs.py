"""What runs beside events and requests: history's next months are laid out ahead of time."""

import asyncio
from typing import Final

import structlog

from chassis import ServiceContext
from fund_pool.repository import months

MONTHS_AHEAD: Final = 3
EVERY_SECONDS: Final = 6 * 3600
RETRY_SECONDS: Final = 60

log = structlog.get_logger(__name__)


async def keep_months_ahead(context: ServiceContext) -> None:
    """Creates the parts of the history tables for the coming months; a failure is said and tried again."""
    while True:
        try:
            async with context.database.transaction() as connection:
                made = await months.create_months(connection, MONTHS_AHEAD)
            if made:
                log.info("laid out months of history", parts=made)
            await asyncio.sleep(EVERY_SECONDS)
        except Exception as error:
            log.warning(
                "months of history could not be laid out", error=f"{type(error).__name__}: {error}"[:300]
            )
            await asyncio.sleep(RETRY_SECONDS)
