"""The jobs and receivers of docker-compose.yml: `python -m ops.compose secrets|topics|databases|...`."""

import asyncio
import os
import sys
from pathlib import Path

import typer

from ops.compose import databases as database_jobs
from ops.compose import receivers
from ops.compose.folder import Folder
from ops.compose.provision import make_secrets
from ops.local import topics as topic_file
from ops.local.broker import answers
from ops.local.errors import StackError
from ops.local.waiting import run, wait_until

ROOT = Path("/var/lib/coffer")
START_SECONDS = 60.0

app = typer.Typer(help=__doc__, no_args_is_help=True, pretty_exceptions_enable=False)


@app.command()
def secrets() -> None:
    """Make keys, certificates and passwords where they are missing."""
    make_secrets(Folder(ROOT))
    print("the secrets are there")


@app.command()
def topics() -> None:
    """Make the declared topics, and set what differs."""
    servers = os.environ["KAFKA_BOOTSTRAP_SERVERS"]
    wait_until(lambda: run(answers(servers)), START_SECONDS, "Kafka's start")
    declared = topic_file.declared()
    made = topic_file.create(servers, declared)
    print(f"{len(made)} new of {len(declared)} topics")


@app.command()
def databases() -> None:
    """Make databases and roles where they are missing."""
    database_jobs.create_databases(Folder(ROOT))
    print("the databases are there")


@app.command()
def migrations() -> None:
    """Bring the tables of every service up to date."""
    database_jobs.migrate(Folder(ROOT))


@app.command()
def mail() -> None:
    """Run the mail server."""
    asyncio.run(receivers.run_mail(ROOT))


@app.command()
def sms() -> None:
    """Run the SMS gateway."""
    asyncio.run(receivers.run_sms(ROOT))


def main() -> None:
    """Run the command; what goes wrong is one sentence."""
    try:
        app()
    except StackError as problem:
        sys.exit(f"error: {problem}")


if __name__ == "__main__":
    main()
