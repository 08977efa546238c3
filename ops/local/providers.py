"""What a stack expects of its broker and its database, wherever they run."""

from typing import Protocol


class Broker(Protocol):
    """A Kafka broker."""

    @property
    def bootstrap_servers(self) -> str:
        """host:port, several separated by commas."""

    @property
    def kind(self) -> str:
        """How it runs: native, docker or external."""

    def require_ports(self) -> None:
        """Refuse, naming the holder, if it does not run and its ports are taken."""

    def start(self) -> None:
        """Start it where it does not run, and return when it answers."""

    def stop(self) -> None:
        """Shut it down in order."""

    def kill(self) -> None:
        """End it at once, as a crash would."""

    def is_alive(self) -> bool:
        """Whether it runs."""


class Database(Protocol):
    """A PostgreSQL server."""

    @property
    def admin_dsn(self) -> str:
        """A connection string of a role that may make databases and roles."""

    @property
    def kind(self) -> str:
        """How it runs: native, docker or external."""

    def require_ports(self) -> None:
        """Refuse, naming the holder, if it does not run and its port is taken."""

    def start(self) -> None:
        """Start it where it does not run, and return when it answers."""

    def stop(self, *, immediate: bool = False) -> None:
        """Shut it down; immediate: as a crash would, with recovery at the next start."""

    def is_alive(self) -> bool:
        """Whether it runs."""
