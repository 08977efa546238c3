"""Makes the databases and their roles, and brings the tables up to date."""

import os
import subprocess
import sys
from urllib.parse import unquote, urlsplit

import asyncpg

from ops.compose.folder import Folder
from ops.local import roles
from ops.local.database import answers
from ops.local.errors import StackError
from ops.local.services import SERVICES, ServiceDefinition
from ops.local.waiting import run, wait_until

START_SECONDS = 60.0
CONNECT_SECONDS = 20
MIGRATION_SECONDS = 300


def create_databases(folder: Folder) -> None:
    """Make what is missing, each role with a password of its own; one that can log in is left alone."""
    admin_dsn = folder.admin_dsn()
    wait_until(lambda: run(answers(admin_dsn)), START_SECONDS, "PostgreSQL's start")
    for service in SERVICES:
        owner = folder.owner_dsn(service).read_text()
        application = folder.application_dsn(service).read_text()
        if run(answers(owner)) and run(answers(application)):
            continue
        roles.create(admin_dsn, [service], password_of(owner))
        run(set_password(admin_dsn, service.module, password_of(application)))


def password_of(dsn: str) -> str:
    """The password in an address."""
    return unquote(urlsplit(dsn).password or "")


async def set_password(admin_dsn: str, role: str, password: str) -> None:
    """Give a role its password."""
    connection = await asyncpg.connect(admin_dsn, timeout=CONNECT_SECONDS)
    try:
        await connection.execute(f"alter role {roles.quoted(role)} password {roles.literal(password)}")
    finally:
        await connection.close()


def migrate(folder: Folder) -> None:
    """Bring the tables of every service up to date, as their owner."""
    for service in SERVICES:
        migrate_service(folder, service)


def migrate_service(folder: Folder, service: ServiceDefinition) -> None:
    """Run one service's migrations in a process of its own."""
    environment = os.environ | {"COFFER_MIGRATION_DSN_FILE": str(folder.owner_dsn(service))}
    command = [sys.executable, "-m", service.module, "migrate"]
    code = subprocess.run(command, env=environment, timeout=MIGRATION_SECONDS, check=False).returncode
    if code:
        raise StackError(f"The migration of {service.name} failed; its own words are above.")
