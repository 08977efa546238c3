"""The databases of the services: one each, with a role that owns it and one that the application uses."""

from collections.abc import Iterable

import asyncpg

from ops.local.services import ServiceDefinition, dsn_for
from ops.local.waiting import run

CONNECT_SECONDS = 20

DEFAULTS = "alter default privileges for role {owner} in schema public"
# What the application may do with tables that a migration makes; a migration takes more away (history is
# never changed) or gives more.
GRANTS = (
    "revoke all on schema public from public",
    "grant usage on schema public to {application}",
    f"{DEFAULTS} grant select, insert, update, delete on tables to {{application}}",
    f"{DEFAULTS} grant usage, select on sequences to {{application}}",
)


def create(
    admin_dsn: str, services: Iterable[ServiceDefinition], password: str, *, fresh: bool = False
) -> None:
    """Make databases and roles that are missing, and set the passwords of all; fresh: empty ones."""
    run(_create(admin_dsn, tuple(services), password, fresh))


async def _create(
    admin_dsn: str, services: tuple[ServiceDefinition, ...], password: str, fresh: bool
) -> None:
    admin = await asyncpg.connect(admin_dsn, timeout=CONNECT_SECONDS)
    try:
        for service in services:
            await _roles(admin, service, password)
            await _database(admin, service, fresh)
    finally:
        await admin.close()
    for service in services:
        await _rights(admin_dsn, service, password)


async def _roles(admin: asyncpg.Connection, service: ServiceDefinition, password: str) -> None:
    for role in (service.owner, service.module):
        known = await admin.fetchval("select 1 from pg_roles where rolname = $1", role)
        verb = "alter" if known else "create"
        await admin.execute(f"{verb} role {quoted(role)} login password {literal(password)}")
    if not await admin.fetchval("select rolsuper from pg_roles where rolname = current_user"):
        await admin.execute(f"grant {quoted(service.owner)} to current_user")


async def _database(admin: asyncpg.Connection, service: ServiceDefinition, fresh: bool) -> None:
    name = quoted(service.module)
    if fresh:
        await admin.execute(f"drop database if exists {name} with (force)")
    known = await admin.fetchval("select 1 from pg_database where datname = $1", service.module)
    if not known:
        await admin.execute(f"create database {name} owner {quoted(service.owner)} template template0")
    await admin.execute(f"revoke all on database {name} from public")
    await admin.execute(f"grant connect, temporary on database {name} to {quoted(service.module)}")


async def _rights(admin_dsn: str, service: ServiceDefinition, password: str) -> None:
    """What only a connection to the database itself can grant; its owner does."""
    dsn = dsn_for(admin_dsn, service.owner, password, service.module)
    connection = await asyncpg.connect(dsn, timeout=CONNECT_SECONDS)
    try:
        for grant in GRANTS:
            await connection.execute(
                grant.format(owner=quoted(service.owner), application=quoted(service.module))
            )
    finally:
        await connection.close()


def quoted(name: str) -> str:
    """A name as SQL writes it."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text as SQL writes it; CREATE ROLE takes no parameters."""
    return "'" + text.replace("'", "''") + "'"
