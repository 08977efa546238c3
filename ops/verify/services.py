"""What the services say of themselves: the checks and facts of each one's page, asked of its own database.

The SQL is the service's own, as in its commands `verify` and `facts`; it runs in this process, because five
interpreters started anew for every question would cost more than all the questions.
"""

import importlib
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from chassis.command_line import OWN_FACTS
from chassis.database import Database
from chassis.invariants import run_checks
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from chassis import Service

SERVICES: Final = ("fund-pool", "credit", "cashplan", "sharing", "notify")
WAITING: Final = "select count(*) from outbox"


class ServiceCannotAnswer(Exception):
    """A service's database or page did not answer a question; says which and why."""

    def __init__(self, service: str, question: str, why: str) -> None:
        self.service = service
        first = why.strip().splitlines()[:1] or ["it said nothing"]
        super().__init__(f"{service} could not answer `{question}`: {first[0][:300]}")


@dataclass(frozen=True, slots=True)
class Services:
    """The five services' pages, each asked with its own database."""

    dsn_of: Mapping[str, str]

    async def invariants(self, service: str) -> list[dict[str, Any]]:
        """Its own invariants: name, sentence and violations of each."""
        async with self._asked(service, "verify") as database:
            findings = await run_checks(database, page(service).all_checks)
        return [
            {"name": finding.check.name, "sentence": finding.check.sentence, "violations": finding.rows}
            for finding in findings
        ]

    async def facts(self, service: str, name: str) -> list[list[Any]]:
        """The rows of one of its facts, as its command would print them."""
        known = {**OWN_FACTS, **page(service).facts}
        if name not in known:
            raise ServiceCannotAnswer(service, f"facts {name}", "its page states no such fact")
        async with self._asked(service, f"facts {name}") as database:
            return await _rows(database, known[name])

    async def dead_letters(self, service: str) -> frozenset[tuple[str, int, int]]:
        """The coordinates of its dead letters."""
        rows = await self.facts(service, "dead-letters")
        return frozenset((topic, partition, offset) for topic, partition, offset in rows)

    async def positions(self, service: str) -> dict[tuple[str, int], int]:
        """The offset after the last record that it has applied, for each partition it has begun."""
        rows = await self.facts(service, "positions")
        return {(topic, partition): offset for topic, partition, offset in rows}

    async def waiting(self, service: str) -> int:
        """How many of its events wait to be published."""
        async with self._asked(service, "outbox") as database:
            return int((await _rows(database, WAITING))[0][0])

    @asynccontextmanager
    async def _asked(self, service: str, question: str) -> AsyncIterator[Database]:
        database = Database(self.dsn_of[service], application_name=f"{service}-verify", connections_max=2)
        try:
            yield database
        except (SQLAlchemyError, OSError) as error:
            raise ServiceCannotAnswer(service, question, str(error)) from error
        finally:
            await database.close()


async def _rows(database: Database, sql: str) -> list[list[Any]]:
    async with database.reader() as connection:
        rows = (await connection.execute(text(sql))).all()
    answered: list[list[Any]] = json.loads(json.dumps([list(row) for row in rows], default=str))
    return answered


def page(service: str) -> Service:
    """The service on one page, as its app.py declares it."""
    app = importlib.import_module(f"{service.replace('-', '_')}.app")
    found: Service = app.service
    return found


def topics_read_by(service: str) -> frozenset[str]:
    """The topics that a service consumes, its own redrive topic among them."""
    topics = {topic for entry in page(service).subscriptions for topic in entry.topics}
    return frozenset(topics | {f"{service}.redrive"})


def from_environment(environment: Mapping[str, str]) -> Services:
    """The databases that the sourced `.local/env` names."""
    return Services({name: environment[f"COFFER_{name.upper().replace('-', '_')}_DSN"] for name in SERVICES})
