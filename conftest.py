"""What all tests share: one PostgreSQL server for the session, started when the first test asks for it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

import chassis  # noqa: F401  # before pytest takes the folder chassis/ for the package
import contracts  # noqa: F401
from ops.local.database import NativeDatabase
from ops.local.ports import Ports

structlog.configure(processors=[structlog.processors.KeyValueRenderer()])


@pytest.fixture(scope="session")
def postgres_dsn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of an administrator on a real PostgreSQL; POSTGRES_DSN names one that runs already."""
    if given := os.environ.get("POSTGRES_DSN"):
        yield given
        return
    folder: Path = tmp_path_factory.mktemp("postgres")
    server = NativeDatabase(folder, Ports.free())
    server.start()
    try:
        yield server.admin_dsn
    finally:
        server.stop()
        server.wipe()
