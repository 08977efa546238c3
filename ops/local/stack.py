"""One stack: broker, database, mail server, SMS gateway and services, in a directory of its own.

`make up`, the demonstration, the tests and the benchmark all use this class, each with its own directory
and ports. Everything listens on 127.0.0.1 only.
"""

import contextlib
import fcntl
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from ops.local import roles, topics
from ops.local.errors import DidNotStopError, StackError, last_lines
from ops.local.external import BROKER_VARIABLE, DATABASE_VARIABLE
from ops.local.ports import HOST, Ports, require_free
from ops.local.processes import MARKER, ManagedProcess, kill_unrecorded, recorded
from ops.local.secret import secret, write_private
from ops.local.servers import VARIABLE as KIND_VARIABLE
from ops.local.servers import servers
from ops.local.services import SERVICES, ServiceDefinition, ServiceProcess, dsn_for
from ops.local.sinks import MailServer, SmsGateway
from ops.local.tokens import TTL_SECONDS, TokenIssuer
from ops.local.topics import Topic
from ops.local.waiting import together

ROOT = Path(__file__).resolve().parents[2]
DEFAULT_DIRECTORY = ROOT / ".local"
TESTS_DIRECTORY = DEFAULT_DIRECTORY / "tests"
INFRASTRUCTURE = ("kafka", "postgres", "mail", "sms")
MIGRATION_SECONDS = 300
SERVICE_STOP_SECONDS = 15.0
# What a stack makes in its directory; other things there are left alone.
OWN_NAMES = ("env", "issuer", "kafka", "logs", "mail", "mail-certificate", "postgres", "run", "secrets.json",
             "sms.ndjson", "stack.json")  # fmt: skip


def silent(_text: str) -> None:
    """Say nothing."""


class Stack:
    """A stack that is started, asked, disturbed and stopped; every method returns when it is done."""

    def __init__(
        self,
        directory: Path | str = DEFAULT_DIRECTORY,
        ports: Ports | None = None,
        *,
        kind: str | None = None,
        prefer_docker: bool = False,
        say: Callable[[str], None] = silent,
    ) -> None:
        """The stack of this directory, whether it runs already or not; `kind` as servers() has it."""
        self.directory = Path(directory).resolve()
        self.say = say
        saved = self._saved()
        self.ports = Ports(**saved["ports"]) if saved else ports or Ports.from_environment()
        self.broker, self.database = servers(
            self.directory, self.ports, saved.get("kind", kind), prefer_docker=prefer_docker, say=say
        )
        self.mail = MailServer(self.directory, self.ports)
        self.sms = SmsGateway(self.directory, self.ports)
        self.issuer = TokenIssuer(self.directory)

    @classmethod
    def for_tests(cls, name: str = "stack", say: Callable[[str], None] = silent) -> "Stack":
        """A stack of one's own on free ports, in containers where Docker answers; discard() removes it.

        Stacks that earlier test runs left behind when they were killed are removed first.
        """
        remove_abandoned()
        directory = TESTS_DIRECTORY / f"{os.getpid()}-{name}"
        directory.mkdir(parents=True, exist_ok=True)
        started_at = psutil.Process().create_time()
        (directory / "owner.json").write_text(json.dumps({"pid": os.getpid(), "started_at": started_at}))
        return cls(directory, Ports.free(), prefer_docker=True, say=say)

    @property
    def bootstrap_servers(self) -> str:
        """Where the broker is."""
        return self.broker.bootstrap_servers

    @property
    def admin_dsn(self) -> str:
        """The database server's address for a role that may do everything."""
        return self.database.admin_dsn

    def dsn(self, service: str, *, owner: bool = False) -> str:
        """The address of a service's database: for the application's role, or for the owner of the tables."""
        definition = ServiceDefinition(service)
        user = definition.owner if owner else definition.module
        return dsn_for(self.admin_dsn, user, self._database_password, definition.module)

    def url(self, service: str) -> str:
        """Where the first instance of a service answers HTTP."""
        return f"http://{HOST}:{getattr(self.ports, ServiceDefinition(service).module)}"

    def token(
        self, *roles: str, accounts: Sequence[str] = (), subject: str = "", ttl_seconds: int = TTL_SECONDS
    ) -> str:
        """A bearer token for these roles."""
        return self.issuer.mint(roles, accounts=accounts, subject=subject, ttl_seconds=ttl_seconds)

    def services(self) -> list[ServiceProcess]:
        """The service processes that were started and not stopped; one that died is among them."""
        return [
            ServiceProcess(managed)
            for managed in recorded(self.directory)
            if managed.name not in INFRASTRUCTURE
        ]

    def up(self) -> None:
        """Start what does not run, and return when every installed service is ready."""
        with self._alone():
            self._say_leftovers()
            installed = [service.name for service in SERVICES if service.is_installed()]
            self._require_ports(installed)
            self.start_infrastructure()
            self._timed("The topics are there", self.create_topics)
            self._timed("The databases are there", self.create_databases)
            self._timed("The databases have their tables", lambda: self.migrate_all(installed))
            self._timed("The services are ready", lambda: self.start_services(installed))
            self.write_environment_file()

    def start_infrastructure(self) -> None:
        """Start broker, database, mail server and SMS gateway where they do not run, all at once."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self._save()
        self.issuer.prepare()
        together(
            lambda: self._timed("Kafka is ready", self.broker.start),
            lambda: self._timed("PostgreSQL is ready", self.database.start),
            lambda: self._timed("The mail server is ready", self.mail.start),
            lambda: self._timed("The SMS gateway is ready", self.sms.start),
        )

    def create_topics(self, more: Sequence[Topic] = (), *, fresh: bool = False) -> None:
        """Make the declared topics and some more; fresh: with no records, whatever was in them."""
        topics.create(self.bootstrap_servers, [*topics.declared(), *more], fresh=fresh)

    def create_databases(self, services: Sequence[str] | None = None, *, fresh: bool = False) -> None:
        """Make the databases and roles of the services; fresh: with no tables, whatever was in them."""
        names = [service.name for service in SERVICES] if services is None else services
        definitions = [ServiceDefinition(name) for name in names]
        roles.create(self.admin_dsn, definitions, self._database_password, fresh=fresh)

    def migrate(self, service: str) -> None:
        """Bring a service's tables up to date, as their owner."""
        definition = ServiceDefinition(service)
        log_file = self.directory / "logs" / f"{service}-migrate.log"
        log_file.parent.mkdir(parents=True, exist_ok=True)
        environment = os.environ | self.service_environment(service, "migrate", 0)
        environment |= {"COFFER_MIGRATION_DSN": self.dsn(service, owner=True), MARKER: str(self.directory)}
        command = [sys.executable, "-m", definition.module, "migrate"]
        if _exit_code(command, environment, log_file) != 0:
            raise StackError(f"The migration of {service} failed; {log_file} says:\n{last_lines(log_file)}")

    def migrate_all(self, services: Sequence[str]) -> None:
        """Migrate several services at once."""
        together(*(partial(self.migrate, name) for name in services))

    def start_service(
        self,
        name: str,
        instance: int = 1,
        extra_env: Mapping[str, str] | None = None,
        argv: Sequence[str] | None = None,
        port: int | None = None,
    ) -> ServiceProcess:
        """Start one instance of a service and return at once; wait_ready() waits for it.

        argv: what Python runs instead of `-m <service> serve`. port: by default the fixed one for the
        first instance and a free one for the others.
        """
        definition = ServiceDefinition(name)
        managed = ManagedProcess(self.directory, f"{name}-{instance}")
        if managed.is_alive():
            raise StackError(f"{managed.name} runs already.")
        port = port or definition.port(self.ports, instance)
        require_free(port, f"the service {name}", definition.module)
        environment = self.service_environment(name, str(instance), port) | dict(extra_env or {})
        arguments = ("-m", definition.module, "serve") if argv is None else argv
        managed.start([sys.executable, *arguments], environment=environment, folder=ROOT, port=port)
        return ServiceProcess(managed)

    def start_services(self, names: Sequence[str]) -> list[ServiceProcess]:
        """Start the first instance of each service that does not run, and wait until all are ready."""
        for name in self._not_running(names):
            self.start_service(name)
        started = [ServiceProcess(ManagedProcess(self.directory, f"{name}-1")) for name in names]
        together(*(service.wait_ready for service in started))
        return started

    def service_environment(self, name: str, instance: str, port: int) -> dict[str, str]:
        """All that an instance of a service is told."""
        return {
            BROKER_VARIABLE: self.bootstrap_servers,
            "COFFER_DATABASE_DSN": self.dsn(name),
            "COFFER_HTTP_HOST": HOST,
            "COFFER_HTTP_PORT": str(port),
            "COFFER_INSTANCE": f"{name}-{instance}",
            "COFFER_SMS_REPORT_URL": f"http://{HOST}:{port}",
            "PYTHONUNBUFFERED": "1",
            **self.issuer.environment(),
            **self.mail.environment(),
            **self.sms.environment(),
        }

    def start_broker(self) -> None:
        """Start the broker again, and return when it answers."""
        self.broker.start()

    def stop_broker(self) -> None:
        """Shut the broker down in order."""
        self.broker.stop()

    def kill_broker(self) -> None:
        """SIGKILL to the broker."""
        self.broker.kill()

    def start_postgres(self) -> None:
        """Start the database again, and return when it answers."""
        self.database.start()

    def stop_postgres(self, *, immediate: bool = False) -> None:
        """Shut the database down; immediate: as a crash would, with recovery at the next start."""
        self.database.stop(immediate=immediate)

    def stop(self) -> None:
        """Stop everything that this stack started; raise DidNotStopError if something had to be killed."""
        with self._alone():
            stubborn = self._stop_services() + self._stop_infrastructure()
            kill_unrecorded(self.directory)
            (self.directory / "env").unlink(missing_ok=True)
            (self.directory / "stack.json").unlink(missing_ok=True)
        if stubborn:
            raise stubborn[0]

    def wipe(self) -> None:
        """Forget everything: topics, databases, messages, keys and logs. The stack must not run."""
        for server in (self.broker, self.database):
            remove = getattr(server, "remove", None) or getattr(server, "wipe", None)
            if remove is not None:
                remove()
        for name in OWN_NAMES:
            path = self.directory / name
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)

    def discard(self) -> None:
        """Stop it and remove its directory."""
        try:
            self.stop()
        finally:
            self.wipe()
            shutil.rmtree(self.directory, ignore_errors=True)

    def environment(self) -> dict[str, str]:
        """What a client from outside needs: addresses, and the token of an administrator."""
        week = 7 * 86_400
        addresses = {f"COFFER_{service.module.upper()}_URL": self.url(service.name) for service in SERVICES}
        databases = {f"COFFER_{service.module.upper()}_DSN": self.dsn(service.name) for service in SERVICES}
        return {
            BROKER_VARIABLE: self.bootstrap_servers,
            DATABASE_VARIABLE: self.admin_dsn,
            KIND_VARIABLE: self.broker.kind,
            **addresses,
            "COFFER_TOKEN": self.token("administrator", subject="administrator", ttl_seconds=week),
            **databases,
            **self.issuer.environment(),
            **self.mail.environment(),
            **self.sms.environment(),
            "COFFER_MAILBOX_URL": self.mail.url,
            "COFFER_SMS_INBOX_URL": self.sms.url,
        }

    def write_environment_file(self) -> Path:
        """Write `env`, to be sourced by a shell."""
        lines = [f"export {name}={shlex.quote(value)}" for name, value in self.environment().items()]
        path = self.directory / "env"
        write_private(path, "\n".join(lines) + "\n")
        return path

    @property
    def _database_password(self) -> str:
        return secret(self.directory, "services")

    def _saved(self) -> dict[str, Any]:
        """Kind and ports of the running stack, or nothing where none runs."""
        path = self.directory / "stack.json"
        running = any(managed.is_alive() for managed in recorded(self.directory))
        try:
            saved: dict[str, Any] = json.loads(path.read_text()) if running else {}
        except (OSError, ValueError):
            return {}
        return saved

    def _save(self) -> None:
        kinds = {self.broker.kind, self.database.kind}
        kind = kinds.pop() if len(kinds) == 1 else "auto"
        state = {"kind": kind, "ports": asdict(self.ports)}
        write_private(self.directory / "stack.json", json.dumps(state, indent=2))

    def _not_running(self, names: Sequence[str]) -> list[str]:
        alive = {service.name for service in self.services() if service.is_alive()}
        return [name for name in names if f"{name}-1" not in alive]

    def _require_ports(self, names: Sequence[str]) -> None:
        """Refuse before anything is started, rather than half-way."""
        for part in (self.broker, self.database, self.mail, self.sms):
            part.require_ports()
        for name in self._not_running(names):
            definition = ServiceDefinition(name)
            require_free(definition.port(self.ports, 1), f"the service {name}", definition.module)

    def _say_leftovers(self) -> None:
        for command in kill_unrecorded(self.directory):
            self.say(f"Ended what an earlier run left behind: {command}")

    def _timed(self, title: str, action: Callable[[], object]) -> None:
        began = time.monotonic()
        action()
        self.say(f"{title} ({time.monotonic() - began:.1f} s)")

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Let one command change this stack at a time."""
        self.directory.mkdir(parents=True, exist_ok=True)
        with (self.directory / "lock").open("w") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self.say("Another command works on this stack: waiting for it ...")
                fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    def _stop_services(self) -> list[DidNotStopError]:
        return stop_all([partial(service.stop, SERVICE_STOP_SECONDS) for service in self.services()])

    def _stop_infrastructure(self) -> list[DidNotStopError]:
        own = [server for server in (self.broker, self.database) if server.kind != "external"]
        return stop_all([self.mail.stop, self.sms.stop, *(server.stop for server in own)])


def _exit_code(command: Sequence[str], environment: Mapping[str, str], log_file: Path) -> int:
    """Run a short program to its end; -1 if it takes too long."""
    with log_file.open("wb") as log:
        try:
            return subprocess.run(
                command,
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                timeout=MIGRATION_SECONDS,
                check=False,
            ).returncode
        except subprocess.TimeoutExpired:
            return -1


def stop_all(actions: Sequence[Callable[[], object]]) -> list[DidNotStopError]:
    """Stop several things at once, and return what had to be killed."""
    stubborn: list[DidNotStopError] = []

    def guarded(action: Callable[[], object]) -> None:
        try:
            action()
        except DidNotStopError as problem:
            stubborn.append(problem)

    together(*(partial(guarded, action) for action in actions))
    return stubborn


def remove_abandoned(folder: Path = TESTS_DIRECTORY) -> None:
    """Remove the test stacks whose owner is gone."""
    for owner_file in folder.glob("*/owner.json"):
        if not _owner_lives(owner_file):
            with contextlib.suppress(StackError):
                Stack(owner_file.parent).discard()


def _owner_lives(owner_file: Path) -> bool:
    try:
        owner = json.loads(owner_file.read_text())
        process = psutil.Process(owner["pid"])
        return bool(abs(process.create_time() - owner["started_at"]) < 2)
    except (OSError, ValueError, KeyError, psutil.Error):
        return False
