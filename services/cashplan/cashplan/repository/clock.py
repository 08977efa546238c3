"""The database's clock, for queries that depend on what day it is."""

from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection


async def now(connection: AsyncConnection) -> datetime:
    return (await connection.execute(select(func.now()))).scalar_one()
