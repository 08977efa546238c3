"""The local stack on the command line: `python -m ops.local up`, `down`, `status`, `logs`, `token`, `topics`."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from ops.local import topics as topic_file
from ops.local.errors import DidNotStopError, StackError
from ops.local.providers import Broker, Database
from ops.local.services import SERVICES, ServiceProcess
from ops.local.sinks import Sink
from ops.local.stack import DEFAULT_DIRECTORY, Stack
from ops.local.tokens import ROLES, TTL_SECONDS, TokenIssuer

app = typer.Typer(
    help="Run Coffer on this machine without Docker.", no_args_is_help=True, pretty_exceptions_enable=False
)
console = Console(highlight=False)

Directory = Annotated[Path, typer.Option("--directory", help="Where the stack keeps everything.")]


def say(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)


@app.command()
def up(directory: Directory = DEFAULT_DIRECTORY) -> None:
    """Start the stack, and return when all of it is ready."""
    stack = Stack(directory, say=say)
    stack.up()
    missing = [service.name for service in SERVICES if not service.is_installed()]
    if missing:
        say(f"Not installed here, so not started: {', '.join(missing)}")
    say("")
    _addresses(stack)
    say(f"\nFor clients:   source {_short(stack.directory / 'env')}")
    say("To look:       make status, make logs      To stop: make down")


@app.command()
def down(
    directory: Directory = DEFAULT_DIRECTORY,
    wipe: Annotated[bool, typer.Option("--wipe", help="Also forget all data, keys and logs.")] = False,
) -> None:
    """Stop what the stack started, and nothing else."""
    stack = Stack(directory, say=say)
    try:
        stack.stop()
        say("Stopped.")
    except DidNotStopError as problem:
        say(f"{problem}; the rest was stopped.")
    if wipe:
        stack.wipe()
        say("All data is gone.")


@app.command()
def status(directory: Directory = DEFAULT_DIRECTORY) -> None:
    """Show what runs and whether it is ready; exit code 1 if something is not."""
    stack = Stack(directory)
    table = Table("part", "state", "pid", "address", box=None, pad_edge=False)
    good = True
    for name, state, pid, address in [*_infrastructure(stack), *_services(stack)]:
        table.add_row(name, state, pid, address)
        good = good and state in {"running", "ready"}
    console.print(table)
    raise typer.Exit(0 if good else 1)


def _infrastructure(stack: Stack) -> list[tuple[str, str, str, str]]:
    rows = []
    servers: list[tuple[str, Broker | Database | Sink, str]] = [
        ("kafka", stack.broker, stack.bootstrap_servers),
        ("postgres", stack.database, stack.admin_dsn.rpartition("@")[2]),
        ("mail", stack.mail, f"{stack.mail.url} (SMTP on port {stack.mail.smtp_port})"),
        ("sms", stack.sms, stack.sms.url),
    ]
    for name, server, address in servers:
        managed = getattr(server, "managed", None)
        pid = "" if managed is None else str(managed.pid or "")
        rows.append((name, "running" if server.is_alive() else "stopped", pid, address))
    return rows


def _services(stack: Stack) -> list[tuple[str, str, str, str]]:
    started = {service.name: service for service in stack.services()}
    rows = [
        (f"{definition.name}-1", "stopped", "", stack.url(definition.name))
        for definition in SERVICES
        if definition.is_installed() and f"{definition.name}-1" not in started
    ]
    return sorted(rows + [_service(service) for service in started.values()])


def _service(service: ServiceProcess) -> tuple[str, str, str, str]:
    if not service.is_alive():
        return service.name, "died", "", f"see {_short(service.log_file)}"
    code, document = service.readiness()
    state = "ready" if code == 200 else f"not ready: {_reason(document)}"
    return service.name, state, str(service.pid), service.url


def _reason(document: dict[str, object]) -> str:
    checks = document.get("checks")
    failed = [check for check in checks if not check.get("ok")] if isinstance(checks, list) else []
    return "; ".join(f"{check.get('name')} {check.get('sentence')}" for check in failed) or "no answer"


@app.command()
def logs(
    name: Annotated[str, typer.Argument(help="kafka, postgres, mail, sms, credit-1 ...; all if empty.")] = "",
    lines: Annotated[int, typer.Option("--lines", "-n", help="How many of each.")] = 40,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on showing what comes.")] = False,
    directory: Directory = DEFAULT_DIRECTORY,
) -> None:
    """Show the ends of the logs."""
    folder = directory.resolve() / "logs"
    files = sorted(str(path) for path in folder.glob(f"{name}*.log"))
    if not files:
        raise StackError(f"There is no log of {name or 'anything'} in {folder}.")
    options = ["-n", str(lines), *(["-F"] if follow else [])]
    sys.stdout.flush()
    os.execvp("tail", ["tail", *options, *files])  # noqa: S606 - a list without a shell


@app.command()
def token(
    role: Annotated[list[str], typer.Option("--role", help=f"One of {', '.join(ROLES)}; may be repeated.")],
    account: Annotated[list[str] | None, typer.Option("--account", help="An account of one's own.")] = None,
    subject: Annotated[str, typer.Option(help="Who it is; the role if empty.")] = "",
    ttl: Annotated[int, typer.Option(help="How many seconds it is good for.")] = TTL_SECONDS,
    directory: Directory = DEFAULT_DIRECTORY,
) -> None:
    """Print a bearer token for roles."""
    issuer = TokenIssuer(directory.resolve())
    print(issuer.mint(role, accounts=account or (), subject=subject, ttl_seconds=ttl))


@app.command()
def topics(
    create: Annotated[bool, typer.Option("--create", help="Make them on the stack's broker.")] = False,
    acls: Annotated[
        bool, typer.Option("--acls", help="Print the rights as arguments of kafka-acls.")
    ] = False,
    profile: Annotated[str, typer.Option(help="local (one broker), or empty for a cluster.")] = "local",
    directory: Directory = DEFAULT_DIRECTORY,
) -> None:
    """Show the declared topics and who writes and reads them, make them, or print the rights."""
    declared = topic_file.declared(profile)
    if acls:
        print("\n".join(topic_file.acl_commands(declared)))
    elif create:
        made = topic_file.create(Stack(directory).bootstrap_servers, declared)
        say(f"{len(made)} new of {len(declared)} topics.")
    else:
        table = Table("topic", "from", "to", "key", box=None, pad_edge=False)
        for topic in declared:
            table.add_row(topic.name, ", ".join(topic.writers), ", ".join(topic.readers), topic.key)
        console.print(table)


def _addresses(stack: Stack) -> None:
    for name, _state, _pid, address in _infrastructure(stack):
        say(f"{name:<12} {address}")
    for service in stack.services():
        say(f"{service.name.removesuffix('-1'):<12} {service.url}/docs")


def _short(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def main() -> None:
    """Run the command; what goes wrong is one sentence."""
    try:
        app()
    except StackError as problem:
        sys.exit(f"error: {problem}")
    except KeyboardInterrupt:
        sys.exit("stopped; `make down` ends what was started.")


if __name__ == "__main__":
    main()
