"""Runs a service's Alembic migrations as the owner role and grants the application role what it needs."""

from importlib.resources import files
from typing import Any, Final

from alembic import command, context
from alembic.config import Config
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine

from chassis.database import sqlalchemy_url

MIGRATION_LOCK: Final = 7_203_366_001
GRANTS: Final = """
do $$
declare application text := current_database();
begin
    if application <> current_user and exists (select from pg_roles where rolname = application) then
        execute format('grant usage on schema public to %1$I', application);
        execute format('grant select, insert, update, delete on all tables in schema public to %1$I', application);
        execute format('grant usage on all sequences in schema public to %1$I', application);
        execute format('grant truncate on outbox to %1$I', application);
    end if;
end $$
"""


async def upgrade(package: str, dsn: str) -> None:
    """Brings the database at `dsn` (owner role) to the newest migration of `package`; safe to run twice at once.

    The application role bears the database's name; it may read and write rows, and owns nothing.
    """
    engine = create_async_engine(sqlalchemy_url(dsn))
    try:
        async with engine.begin() as connection:
            await connection.run_sync(_upgrade, package)
    finally:
        await engine.dispose()


def _upgrade(connection: Connection, package: str) -> None:
    connection.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": MIGRATION_LOCK})
    config = Config()
    config.set_main_option("script_location", str(files(package) / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    connection.execute(text(GRANTS))


def run_environment() -> None:
    """What every service's `migrations/env.py` calls."""
    connection: Any = context.config.attributes["connection"]
    context.configure(connection=connection, transaction_per_migration=False)
    context.run_migrations()
