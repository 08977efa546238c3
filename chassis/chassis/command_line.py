"""What `python -m <service>` takes: serve, migrate, verify, and the operator's commands."""

import argparse
import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any
from uuid import UUID

import uvicorn
from sqlalchemy import text

from chassis import bookkeeping, logs, tracing
from chassis.bookkeeping import TopicPartition
from chassis.database import Database
from chassis.invariants import run_checks
from chassis.migrations import upgrade
from chassis.records import pack_headers, unpack_headers
from chassis.settings import DATABASE, MIGRATE, Settings, load
from chassis.work import OutboxRow, insert_outbox

if TYPE_CHECKING:
    from chassis.service import Service

LISTED_MAX = 200
OWN_FACTS = {
    "positions": "select topic, partition, next_offset from position order by topic, partition",
    "dead-letters": 'select topic, partition, "offset" from dead_letter order by topic, partition, "offset"',
}
REQUESTS_SECONDS_MAX = 2
"""How long requests may go on after SIGTERM; with STOP_SECONDS_MAX after them, a service is gone within 10 s."""


def run(service: "Service") -> None:
    """Parses the command line and runs one command; exit code 0 is success, 1 a finding, 2 a wrong call."""
    arguments = _parser(service).parse_args()
    arguments.run(service, arguments)


def _parser(service: "Service") -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"python -m {service.package}", description=f"Coffer's {service.name} service."
    )
    commands = parser.add_subparsers(required=True, metavar="command")
    commands.add_parser("serve", help="run the service").set_defaults(run=_serve)
    commands.add_parser("migrate", help="bring the database to the newest version").set_defaults(run=_migrate)
    commands.add_parser("verify", help="check every invariant; prints JSON").set_defaults(run=_verify)
    facts = commands.add_parser("facts", help="print what other services must agree with, a JSON line a row")
    facts.add_argument("name", choices=sorted({**OWN_FACTS, **service.facts}))
    facts.set_defaults(run=_with_database(_facts))
    commands.add_parser("gaps", help="list gaps that nobody has accepted").set_defaults(
        run=_with_database(_gaps)
    )
    accept = commands.add_parser("accept-gap", help="let a partition go on behind a gap")
    accept.add_argument("topic")
    accept.add_argument("partition", type=int)
    accept.add_argument("--by", required=True, help="who accepts the loss")
    accept.set_defaults(run=_with_database(_accept_gap))
    listing = commands.add_parser("dead-letters", help="list dead letters, newest first")
    listing.set_defaults(run=_with_database(_dead_letters))
    redrive = commands.add_parser("redrive", help="read one dead letter again")
    redrive.add_argument("id", type=UUID)
    redrive.add_argument("--by", required=True, help="who asks for it")
    redrive.set_defaults(run=_with_database(_redrive))
    return parser


def _serve(service: "Service", _: argparse.Namespace) -> None:
    settings = load(service.settings)
    logs.configure(service.name, settings.instance, level=settings.log_level, format=settings.log_format)
    tracing.configure(service.name, settings.instance, settings.otel_exporter_otlp_endpoint)
    uvicorn.run(
        lambda: service.application(settings),
        factory=True,
        host=settings.http_host,
        port=settings.http_port,
        loop="uvloop",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=REQUESTS_SECONDS_MAX,
    )


def _migrate(service: "Service", _: argparse.Namespace) -> None:
    settings = load(Settings, needs=MIGRATE)
    asyncio.run(upgrade(service.package, settings.migration_dsn.get_secret_value()))
    print(f"{service.name}: the database is at the newest version")


def _verify(service: "Service", _: argparse.Namespace) -> None:
    findings = asyncio.run(_findings(service, load(service.settings, needs=DATABASE)))
    print(json.dumps({"service": service.name, "checks": findings}, default=str, ensure_ascii=False))
    sys.exit(any(finding["violations"] for finding in findings))


async def _findings(service: "Service", settings: Settings) -> list[dict[str, Any]]:
    database = _database(service, settings)
    try:
        findings = await run_checks(database, service.all_checks)
    finally:
        await database.close()
    return [
        {"name": finding.check.name, "sentence": finding.check.sentence, "violations": finding.rows}
        for finding in findings
    ]


def _database(service: "Service", settings: Settings) -> Database:
    dsn = settings.database_dsn.get_secret_value()
    return Database(dsn, application_name=f"{service.name}-command", connections_max=2)


Command = Callable[["Service", Database, argparse.Namespace], Awaitable[bool]]


def _with_database(command: Command) -> Callable[["Service", argparse.Namespace], None]:
    async def use(service: "Service", arguments: argparse.Namespace) -> bool:
        database = _database(service, load(service.settings, needs=DATABASE))
        try:
            return await command(service, database, arguments)
        finally:
            await database.close()

    def run_command(service: "Service", arguments: argparse.Namespace) -> None:
        sys.exit(0 if asyncio.run(use(service, arguments)) else 1)

    return run_command


async def _facts(service: "Service", database: Database, arguments: argparse.Namespace) -> bool:
    sql = {**OWN_FACTS, **service.facts}[arguments.name]
    async with database.reader() as connection:
        async for row in await connection.stream(text(sql)):
            print(json.dumps(list(row), default=str, ensure_ascii=False))
    return True


async def _gaps(_: "Service", database: Database, __: argparse.Namespace) -> bool:
    async with database.reader() as connection:
        for gap in await bookkeeping.open_gaps(connection):
            print(json.dumps(dict(gap._mapping), default=str))
    return True


async def _accept_gap(_: "Service", database: Database, arguments: argparse.Namespace) -> bool:
    partition = TopicPartition(arguments.topic, arguments.partition)
    async with database.transaction() as connection:
        accepted = await bookkeeping.accept_gap(connection, partition, arguments.by)
    print("accepted; the partition goes on within seconds" if accepted else "this partition has no open gap")
    return accepted


async def _dead_letters(_: "Service", database: Database, __: argparse.Namespace) -> bool:
    async with database.reader() as connection:
        for row in await bookkeeping.dead_letters(connection, LISTED_MAX):
            print(json.dumps(dict(row._mapping), default=str, ensure_ascii=False))
    return True


async def _redrive(service: "Service", database: Database, arguments: argparse.Namespace) -> bool:
    async with database.transaction() as connection:
        letter = await bookkeeping.dead_letter(connection, arguments.id)
        if letter is None or letter.redriven_at is not None:
            print(
                "there is no such dead letter"
                if letter is None
                else f"redriven before, by {letter.redriven_by}"
            )
            return False
        headers = [*unpack_headers(letter.headers), ("redrive_of", str(letter.id).encode())]
        message = OutboxRow(f"{service.name}.redrive", letter.key, pack_headers(headers), letter.value)
        await insert_outbox(connection, [message])
        await bookkeeping.mark_redriven(connection, letter.id, arguments.by)
    print(f"{letter.id} is read again from {service.name}.redrive")
    return True
