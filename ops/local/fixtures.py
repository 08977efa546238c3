"""Pytest fixtures that share one stack per test run; each part starts when the first test asks for it.

A conftest names this module in `pytest_plugins`.
"""

from collections.abc import Iterator

import pytest

from ops.local.stack import Stack


@pytest.fixture(scope="session")
def idle_stack() -> Iterator[Stack]:
    """The run's stack, of which nothing has been started yet."""
    stack = Stack.for_tests("run")
    try:
        yield stack
    finally:
        stack.discard()


@pytest.fixture(scope="session")
def postgres_dsn(idle_stack: Stack) -> str:
    """Address of an administrator on a real PostgreSQL."""
    idle_stack.start_postgres()
    return idle_stack.admin_dsn


@pytest.fixture(scope="session")
def kafka_servers(idle_stack: Stack) -> str:
    """Address of a real broker, with no topics made yet."""
    idle_stack.start_broker()
    return idle_stack.bootstrap_servers


@pytest.fixture(scope="session")
def stack(idle_stack: Stack) -> Stack:
    """Broker, database, mail server and SMS gateway, with all topics and empty databases; no service runs."""
    idle_stack.start_infrastructure()
    idle_stack.create_topics(fresh=idle_stack.broker.kind == "external")
    idle_stack.create_databases(fresh=idle_stack.database.kind == "external")
    return idle_stack
