"""Processes that outlive the command that started them, and are found again by their pid file.

A pid alone proves nothing after a reboot or a kill: a process counts as ours only if it also began at the
recorded moment. Every child carries the stack's directory in its environment, so that one that was started
but never recorded is found too.
"""

import json
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

import psutil

from ops.local.errors import DidNotStopError, NotReadyError, ProcessDiedError
from ops.local.waiting import wait_until

MARKER = "COFFER_STACK_DIRECTORY"
START_TOLERANCE_SECONDS = 2.0  # the system derives a start time from a clock that may be set meanwhile
KILL_SECONDS = 10.0
LOG_BYTES_KEPT = 20_000_000


@dataclass(frozen=True, slots=True)
class Record:
    """What a pid file says."""

    name: str
    pid: int
    started_at: float
    port: int | None
    command: list[str]


class Child(Protocol):
    """A process that this one, or a helper of it, has started: Popen, as far as it is needed here."""

    @property
    def pid(self) -> int: ...

    def poll(self) -> int | None:
        """Its exit code; None while it runs."""


class ManagedProcess:
    """One process of a stack: started, found again, signalled and stopped by its name."""

    def __init__(self, directory: Path, name: str) -> None:
        self.directory = directory
        self.name = name
        self.log_file = directory / "logs" / f"{name}.log"
        self.pid_file = directory / "run" / f"{name}.json"
        self._child: Child | None = None

    def start(
        self,
        command: Sequence[str | Path],
        *,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
        port: int | None = None,
        user: int | None = None,
        group: int | None = None,
    ) -> None:
        """Start the command in a session of its own, its output appended to the log."""
        arguments = [str(part) for part in command]
        with self.open_log() as log:
            child = subprocess.Popen(
                arguments,
                cwd=folder,
                env={**os.environ, **(environment or {}), MARKER: str(self.directory)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                user=user,
                group=group,
                extra_groups=None if user is None else [],
            )
        self.adopt(child, arguments, port)

    def open_log(self) -> BinaryIO:
        """Its log, to be appended to."""
        self.log_file.parent.mkdir(parents=True, exist_ok=True)
        self._keep_log_small()
        return self.log_file.open("ab")

    def adopt(self, child: Child, command: list[str], port: int | None) -> None:
        """Takes a process that has just been started for this one, and writes the pid file."""
        self.pid_file.parent.mkdir(parents=True, exist_ok=True)
        self._child = child
        started_at = psutil.Process(child.pid).create_time()
        self._write(Record(self.name, child.pid, started_at, port, command))

    def _keep_log_small(self) -> None:
        if self.log_file.exists() and self.log_file.stat().st_size > LOG_BYTES_KEPT:
            self.log_file.replace(self.log_file.with_suffix(".log.1"))

    def _write(self, record: Record) -> None:
        temporary = self.pid_file.with_suffix(".new")
        temporary.write_text(json.dumps(asdict(record)))
        temporary.replace(self.pid_file)

    @property
    def record(self) -> Record | None:
        """What the pid file says, or nothing where it is missing or broken."""
        try:
            return Record(**json.loads(self.pid_file.read_text()))
        except (OSError, ValueError, TypeError):
            return None

    @property
    def process(self) -> psutil.Process | None:
        """The running process, if it is the one that was recorded."""
        record = self.record
        if record is None:
            return None
        try:
            process = psutil.Process(record.pid)
            same = abs(process.create_time() - record.started_at) < START_TOLERANCE_SECONDS
            return process if same and _runs(process) else None
        except psutil.Error:
            return None

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        process = self.process
        return None if process is None else process.pid

    @property
    def port(self) -> int | None:
        """The port that it was started on."""
        record = self.record
        return None if record is None else record.port

    def is_alive(self) -> bool:
        """Whether it runs (or is paused)."""
        if self._child is not None:
            return self._child.poll() is None
        return self.process is not None

    @property
    def exit_code(self) -> int | None:
        """The code it ended with (negative: the signal), known to the Python process that started it."""
        return None if self._child is None else self._child.poll()

    def send(self, number: signal.Signals) -> None:
        """Send a signal; a process that ended meanwhile is no error."""
        process = self.process
        if process is not None:
            try:
                process.send_signal(number)
            except psutil.NoSuchProcess:
                return

    def wait_ended(self, timeout_seconds: float) -> None:
        """Return when it has ended; raise NotReadyError when it still runs then."""
        wait_until(lambda: not self.is_alive(), timeout_seconds, f"The end of {self.name}")

    def kill(self) -> None:
        """End it at once, with no chance to clean up."""
        self.send(signal.SIGKILL)
        self.wait_ended(KILL_SECONDS)
        self.pid_file.unlink(missing_ok=True)

    def stop(self, timeout_seconds: float, request: signal.Signals = signal.SIGTERM) -> int | None:
        """Ask it to end and return its exit code; kill it and raise DidNotStopError when it does not."""
        self.send(request)
        self.send(signal.SIGCONT)
        try:
            self.wait_ended(timeout_seconds)
        except NotReadyError:
            self.kill()
            raise DidNotStopError(self.name, timeout_seconds) from None
        self.pid_file.unlink(missing_ok=True)
        return self.exit_code

    def pause(self) -> None:
        """Freeze it, as a stalled machine would."""
        self.send(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a frozen process go on."""
        self.send(signal.SIGCONT)

    def require_alive(self) -> bool:
        """True; raise ProcessDiedError with the end of its log when it has ended."""
        if not self.is_alive():
            raise ProcessDiedError(self.name, self.log_file)
        return True


def _runs(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def recorded(directory: Path) -> list[ManagedProcess]:
    """The processes that have a pid file in this stack's directory."""
    return [ManagedProcess(directory, path.stem) for path in sorted((directory / "run").glob("*.json"))]


def unrecorded(directory: Path) -> Iterator[psutil.Process]:
    """Processes of this stack that no pid file knows: left behind by a command that was killed."""
    known = {process.pid for process in recorded(directory)}
    for process in psutil.process_iter():
        try:
            mine = process.environ().get(MARKER) == str(directory)
            inherited = process.pid == os.getpid() or _has_ancestor(process, known)
            if mine and not inherited and _runs(process):
                yield process
        except (psutil.Error, OSError):
            continue


def _has_ancestor(process: psutil.Process, pids: set[int | None]) -> bool:
    return process.pid in pids or any(parent.pid in pids for parent in process.parents())


def kill_unrecorded(directory: Path) -> list[str]:
    """End what unrecorded() finds and tell the commands that were ended."""
    ended = []
    leftovers = list(unrecorded(directory))
    for process in leftovers:
        try:
            ended.append(" ".join(process.cmdline()[:4]))
            process.kill()
        except psutil.Error:
            continue
    psutil.wait_procs(leftovers, timeout=KILL_SECONDS)
    return ended
