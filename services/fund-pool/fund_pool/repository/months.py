"""The monthly parts of the history tables."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection


async def create_months(connection: AsyncConnection, months_ahead: int) -> int:
    """Creates missing parts up to so many months ahead; returns how many, over all history tables."""
    found = await connection.execute(
        text("select create_months(:months_ahead)"), {"months_ahead": months_ahead}
    )
    return int(found.scalar_one())
