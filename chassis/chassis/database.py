"""The service's own PostgreSQL database: sessions with limits, transactions, read-only snapshots."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

SESSION_LIMITS: Final = {
    "lock_timeout": "5s",
    "statement_timeout": "30s",
    "idle_in_transaction_session_timeout": "10s",
    # The only bound that also ends a session whose client stands still between two messages of one statement.
    "transaction_timeout": "120s",
    "timezone": "UTC",
}
UNBOUND: Final = "set local transaction_timeout = 0"
CONNECT_SECONDS_MAX: Final = 5
POOL_WAIT_SECONDS_MAX: Final = 10
STATEMENTS: Final = "statements"


def sqlalchemy_url(dsn: str) -> str:
    """`postgresql://...` as SQLAlchemy's asyncpg dialect wants it."""
    scheme, separator, rest = dsn.partition("://")
    if not separator or scheme.split("+")[0] not in ("postgresql", "postgres"):
        raise ValueError(f"a database address starts with postgresql://, not {dsn[:20]!r}")
    return f"postgresql+asyncpg://{rest}"


def driver_url(dsn: str) -> str:
    """The same address as asyncpg itself wants it."""
    return sqlalchemy_url(dsn).replace("postgresql+asyncpg://", "postgresql://", 1)


class Database:
    """A bounded pool of sessions of the application role."""

    def __init__(self, dsn: str, *, application_name: str, connections_max: int = 10) -> None:
        self.dsn = dsn
        self.engine: AsyncEngine = create_async_engine(
            sqlalchemy_url(dsn),
            pool_size=connections_max,
            max_overflow=0,
            pool_timeout=POOL_WAIT_SECONDS_MAX,
            hide_parameters=True,
            connect_args={
                "timeout": CONNECT_SECONDS_MAX,
                "server_settings": {**SESSION_LIMITS, "application_name": application_name},
            },
        )
        event.listen(self.engine.sync_engine, "before_cursor_execute", _count_statement)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """One transaction: committed when the block ends, rolled back when it raises."""
        async with self.engine.begin() as connection:
            connection.info[STATEMENTS] = 0
            yield connection

    @asynccontextmanager
    async def reader(self) -> AsyncIterator[AsyncConnection]:
        """A read-only snapshot for queries; it locks nothing, so that a long export may take its time."""
        async with self.engine.connect() as connection:
            await connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            await connection.execute(text(UNBOUND))
            yield connection

    async def ping(self) -> None:
        async with self.engine.connect() as connection:
            await connection.execute(text("select 1"))

    async def close(self) -> None:
        await self.engine.dispose()


def _count_statement(connection: Any, *_: Any) -> None:
    connection.info[STATEMENTS] = connection.info.get(STATEMENTS, 0) + 1


def statements(connection: AsyncConnection) -> int:
    """Statements that this transaction has run so far."""
    return int(connection.info.get(STATEMENTS, 0))
