"""The five services as processes of a stack, and what each is told by its environment."""

import http.client
import importlib.util
import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from ops.local.errors import StackError
from ops.local.ports import HOST, Ports, free_ports
from ops.local.processes import ManagedProcess
from ops.local.waiting import wait_until

READY_SECONDS = 60.0
STOP_SECONDS = 10.0
PROBE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class ServiceDefinition:
    """Where the code of a service is, and what its database is called."""

    name: str

    @property
    def module(self) -> str:
        """The import name, which is also that of the database and of its application role."""
        return self.name.replace("-", "_")

    @property
    def owner(self) -> str:
        """The role that owns the tables and runs the migrations."""
        return f"{self.module}_owner"

    def is_installed(self) -> bool:
        """Whether the package is there and can be run."""
        try:
            return importlib.util.find_spec(f"{self.module}.__main__") is not None
        except ModuleNotFoundError:
            return False

    def port(self, ports: Ports, instance: int) -> int:
        """The fixed port of the first instance; a free one for any other."""
        if instance == 1 and hasattr(ports, self.module):
            return int(getattr(ports, self.module))
        return free_ports(1)[0]


SERVICES = tuple(ServiceDefinition(name) for name in ("fund-pool", "credit", "cashplan", "sharing", "notify"))


class ServiceProcess:
    """One running instance of a service."""

    def __init__(self, managed: ManagedProcess) -> None:
        self.managed = managed

    @property
    def name(self) -> str:
        """Service and instance, such as `credit-1`."""
        return self.managed.name

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self.managed.pid

    @property
    def port(self) -> int:
        """Its HTTP port on 127.0.0.1."""
        port = self.managed.port
        if port is None:
            raise StackError(f"{self.name} was never started.")
        return port

    @property
    def url(self) -> str:
        """Where its HTTP API is."""
        return f"http://{HOST}:{self.port}"

    @property
    def log_file(self) -> Path:
        """Where its output goes."""
        return self.managed.log_file

    @property
    def exit_code(self) -> int | None:
        """The code it ended with (negative: the signal), known to the Python process that started it."""
        return self.managed.exit_code

    def is_alive(self) -> bool:
        """Whether it runs (or is paused)."""
        return self.managed.is_alive()

    def kill(self) -> None:
        """SIGKILL, and return when it is gone."""
        self.managed.kill()

    def stop(self, timeout_seconds: float = STOP_SECONDS) -> int | None:
        """SIGTERM; return its exit code, or kill it and raise DidNotStopError when the time is over."""
        return self.managed.stop(timeout_seconds)

    def pause(self) -> None:
        """SIGSTOP."""
        self.managed.pause()

    def resume(self) -> None:
        """SIGCONT."""
        self.managed.resume()

    def is_ready(self) -> bool:
        """Whether /readyz says so."""
        return self.readiness()[0] == 200

    def readiness(self) -> tuple[int, dict[str, object]]:
        """Status and body of /readyz; status 0 where nothing answers."""
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=PROBE_SECONDS) as answer:  # noqa: S310
                return answer.status, _document(answer.read())
        except urllib.error.HTTPError as answer:
            with answer:
                return answer.code, _document(answer.read())
        except (OSError, http.client.HTTPException):
            return 0, {}

    def wait_ready(self, timeout_seconds: float = READY_SECONDS) -> "ServiceProcess":
        """Return when it is ready; raise ProcessDiedError with the end of its log if it ended instead."""
        wait_until(
            lambda: self.managed.require_alive() and self.is_ready(),
            timeout_seconds,
            f"Readiness of {self.name} ({self.log_file})",
        )
        return self


def _document(body: bytes) -> dict[str, object]:
    try:
        document = json.loads(body)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def dsn_for(admin_dsn: str, user: str, password: str, database: str) -> str:
    """The address of a database for one of its roles, on the server of the administrator's address."""
    parts = urlsplit(admin_dsn)
    place = f"{parts.hostname or HOST}:{parts.port or 5432}"
    return urlunsplit(("postgresql", f"{user}:{password}@{place}", f"/{database}", parts.query, ""))
