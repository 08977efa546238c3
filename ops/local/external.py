"""A broker and a database that somebody else runs, named by the environment."""

import os
from urllib.parse import urlsplit

from ops.local import broker, database
from ops.local.errors import NotOursError, NotReadyError, StackError
from ops.local.waiting import run, wait_until

BROKER_VARIABLE = "KAFKA_BOOTSTRAP_SERVERS"
DATABASE_VARIABLE = "POSTGRES_DSN"
ANSWER_SECONDS = 30.0


class ExternalBroker:
    """The broker that KAFKA_BOOTSTRAP_SERVERS names."""

    kind = "external"

    @property
    def bootstrap_servers(self) -> str:
        return os.environ[BROKER_VARIABLE]

    def require_ports(self) -> None:
        """It has its ports already."""

    def start(self) -> None:
        try:
            wait_until(self.is_alive, ANSWER_SECONDS, "An answer of the broker")
        except NotReadyError:
            raise StackError(
                f"No broker answers at {self.bootstrap_servers}: start it, or unset {BROKER_VARIABLE}."
            ) from None

    def is_alive(self) -> bool:
        return run(broker.answers(self.bootstrap_servers))

    def stop(self) -> None:
        raise NotOursError(BROKER_VARIABLE)

    def kill(self) -> None:
        raise NotOursError(BROKER_VARIABLE)


class ExternalDatabase:
    """The server that POSTGRES_DSN names, by a role that may make databases and roles."""

    kind = "external"

    @property
    def admin_dsn(self) -> str:
        return os.environ[DATABASE_VARIABLE]

    def require_ports(self) -> None:
        """It has its ports already."""

    def start(self) -> None:
        try:
            wait_until(self.is_alive, ANSWER_SECONDS, "An answer of the database")
        except NotReadyError:
            where = urlsplit(self.admin_dsn).hostname
            raise StackError(
                f"No PostgreSQL lets us in at {where}: start it, correct {DATABASE_VARIABLE}, or unset it."
            ) from None

    def is_alive(self) -> bool:
        return run(database.answers(self.admin_dsn))

    def stop(self, *, immediate: bool = False) -> None:
        raise NotOursError(DATABASE_VARIABLE)
