"""The folder of one stack: the volume that the job `secrets` fills and of which each container sees its part.

A part may be read by every user in its container, because nobody else mounts it.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ops.local.services import ServiceDefinition

PASSWORD_BYTES = 24
READABLE = 0o644
OPEN_FOLDER = 0o755


@dataclass(frozen=True, slots=True)
class Folder:
    """Where each secret lies, by who needs it."""

    root: Path
    database_place: str = "postgres:5432"

    @property
    def admin_password(self) -> Path:
        """PostgreSQL's superuser: the server and the job `databases`."""
        return self.root / "postgres" / "password"

    @property
    def grafana_password(self) -> Path:
        """Grafana's administrator: Grafana alone."""
        return self.root / "grafana" / "admin-password"

    @property
    def issuer(self) -> Path:
        """The token issuer's key pair: the command `token` alone."""
        return self.root / "issuer"

    @property
    def mail(self) -> Path:
        """The mail server's own directory."""
        return self.root / "mail"

    @property
    def sms(self) -> Path:
        """The SMS gateway's own directory."""
        return self.root / "sms"

    def owner_dsn(self, service: ServiceDefinition) -> Path:
        """The address for the role that owns the tables: the jobs `databases` and `migrations`."""
        return self.root / "owners" / service.name

    def service(self, service: ServiceDefinition) -> Path:
        """What one service is given."""
        return self.root / "services" / service.name

    def application_dsn(self, service: ServiceDefinition) -> Path:
        """The address for the role that the service uses."""
        return self.service(service) / "database-dsn"

    def admin_dsn(self) -> str:
        """The address of the database server for its superuser."""
        password = self.admin_password.read_text().strip()
        return f"postgresql://postgres:{password}@{self.database_place}/postgres"


def new_password() -> str:
    """A random password that needs no escaping in an address."""
    return secrets.token_urlsafe(PASSWORD_BYTES)


def keep(path: Path, make: Callable[[], str]) -> str:
    """The file's text; made at first use, and never changed after."""
    if not path.exists():
        path.parent.mkdir(mode=OPEN_FOLDER, parents=True, exist_ok=True)
        temporary = path.with_name(path.name + ".new")
        temporary.write_text(make())
        temporary.chmod(READABLE)
        temporary.replace(path)
    return path.read_text()
