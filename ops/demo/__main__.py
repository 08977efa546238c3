"""`python -m ops.demo`: starts a stack of its own, plays the day on it, tells the story, and stops it again."""

import asyncio
import fcntl
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Final

import httpx
import typer

from ops.demo.day import Day
from ops.demo.people import CodeMissing, RequestRefused
from ops.demo.performance import Performance, addresses
from ops.demo.playing import NoRest
from ops.demo.starting import start
from ops.demo.teller import Teller, console
from ops.local.errors import StackError
from ops.local.ports import Ports, is_free
from ops.local.stack import DEFAULT_DIRECTORY, ROOT, Stack
from ops.verify.services import ServiceCannotAnswer

DIRECTORY: Final = DEFAULT_DIRECTORY / "demo"
RECORDS_PER_SECOND: Final = 250.0
INTERRUPTED: Final = 130
# What can go wrong around the story, each with a message for people.
TROUBLES: Final = (
    StackError,
    RequestRefused,
    CodeMissing,
    NoRest,
    ServiceCannotAnswer,
    httpx.HTTPError,
    OSError,
)


class DemoRuns(StackError):
    """Another demonstration uses this directory."""

    def __init__(self, directory: Path) -> None:
        super().__init__(
            f"Another demonstration runs in {directory}: wait for its end, or give --directory elsewhere."
        )


@contextmanager
def alone(directory: Path) -> Iterator[None]:
    """One demonstration at a time in a directory."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    with directory.with_name(f"{directory.name}.lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DemoRuns(directory) from None
        yield


def ports() -> Ports:
    """The usual ports where all of them are free, others where not."""
    usual = Ports.from_environment()
    all_free = all(is_free(getattr(usual, field.name)) for field in fields(usual))
    return usual if all_free else Ports.free()


def empty_stack(directory: Path, teller: Teller) -> Stack:
    """The stack of this directory with nothing in it, whatever an earlier demonstration left."""
    former = Stack(directory)
    former.stop()
    former.wipe()
    return Stack(directory, ports(), say=teller.line)


def run(stack: Stack, teller: Teller, rate: float) -> bool:
    """Starts the stack and plays; whether all came as expected."""
    teller.act("Broker, database and five services start")
    with teller.waiting("starting ..."):
        start(stack)
    performance = Performance(stack, Day.load(), teller, rate)
    asyncio.run(performance.play())
    return performance.as_expected


def end(stack: Stack, teller: Teller, keep: bool, as_expected: bool) -> None:
    """Shows where everything is, or was, and stops it unless it is to be kept."""
    teller.blank()
    teller.table(("", ""), addresses(stack))
    teller.blank()
    if keep:
        teller.line(f"It goes on running. For clients: source {_short(stack.directory / 'env')}")
        teller.line(
            f"To stop it: .venv/bin/python -m ops.local down --wipe --directory {_short(stack.directory)}"
        )
    elif as_expected:
        teller.line("Stopped again; `make up` starts a stack that stays, `make demo ARGS=--keep` this one.")


def stop(stack: Stack, as_expected: bool) -> None:
    """Stops what was started; a second Ctrl-C does not disturb it. Logs stay where something went wrong."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if as_expected:
        stack.discard()
    else:
        stack.stop()


def main(
    keep: Annotated[bool, typer.Option("--keep", help="Leave the stack running for looking around.")] = False,
    rate: Annotated[float, typer.Option(help="Order events per second.")] = RECORDS_PER_SECOND,
    directory: Annotated[Path, typer.Option(help="Where the stack keeps everything.")] = DIRECTORY,
) -> None:
    """Play a day of orders, tell what happens, and exit 0 only if all came as expected."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    teller = Teller(console())
    try:
        with alone(directory.resolve()):
            raise typer.Exit(demonstrate(directory.resolve(), teller, rate, keep))
    except DemoRuns as problem:
        sys.exit(f"error: {problem}")


def demonstrate(directory: Path, teller: Teller, rate: float, keep: bool) -> int:
    """The exit code: 0 when all came as expected, 1 when something differs or failed, 130 when interrupted."""
    stack, code = empty_stack(directory, teller), 1
    try:
        teller.title("Coffer: a day of a company's shared money")
        as_expected = run(stack, teller, rate)
        code = 0 if as_expected else 1
        end(stack, teller, keep, as_expected)
    except KeyboardInterrupt:
        teller.line("Interrupted; stopping what was started ...")
        keep, code = False, INTERRUPTED
    except TROUBLES as trouble:
        teller.line(f"error: {trouble}", "red")
        teller.line(f"The logs are in {_short(directory / 'logs')}.")
    finally:
        if not keep:
            stop(stack, as_expected=code == 0)
    took = time.monotonic() - teller.began
    teller.line(f"{took:.0f} s in all: {'everything came as expected' if code == 0 else 'see above'}.")
    return code


def _short(path: Path) -> str:
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


if __name__ == "__main__":
    typer.run(main)
