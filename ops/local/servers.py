"""Where a stack's broker and database run: here, in containers, or at somebody else's."""

import os
from collections.abc import Callable
from pathlib import Path

from ops.local.broker import NativeBroker
from ops.local.containers import ContainerBroker, ContainerDatabase, unusable
from ops.local.database import NativeDatabase
from ops.local.errors import StackError
from ops.local.external import BROKER_VARIABLE, DATABASE_VARIABLE, ExternalBroker, ExternalDatabase
from ops.local.ports import Ports
from ops.local.providers import Broker, Database

VARIABLE = "COFFER_STACK"
KINDS = ("auto", "native", "docker", "external")

Servers = tuple[Broker, Database]


def servers(
    directory: Path, ports: Ports, kind: str | None, *, prefer_docker: bool, say: Callable[[str], None]
) -> Servers:
    """The broker and the database of a stack.

    kind: native, docker, external or auto; by default what COFFER_STACK says, else auto: the servers that
    KAFKA_BOOTSTRAP_SERVERS and POSTGRES_DSN name, containers where preferred and possible, else native.
    """
    wanted = kind or os.environ.get(VARIABLE, "auto")
    if wanted not in KINDS:
        raise StackError(f"{VARIABLE} is {wanted!r}: it must be one of {', '.join(KINDS)}.")
    if wanted == "external":
        return _external()
    if wanted == "auto":
        own = _containers_if_usable(directory, ports, say) if prefer_docker else _native(directory, ports)
        return _external_where_named(own)
    return _containers(directory, ports) if wanted == "docker" else _native(directory, ports)


def _native(directory: Path, ports: Ports) -> Servers:
    return NativeBroker(directory, ports), NativeDatabase(directory, ports)


def _containers(directory: Path, ports: Ports) -> Servers:
    reason = unusable()
    if reason:
        raise StackError(f"{reason} Start an engine, or use {VARIABLE}=native.")
    return ContainerBroker(directory, ports), ContainerDatabase(directory, ports)


def _containers_if_usable(directory: Path, ports: Ports, say: Callable[[str], None]) -> Servers:
    if BROKER_VARIABLE in os.environ and DATABASE_VARIABLE in os.environ:
        return _native(directory, ports)
    reason = unusable()
    if reason:
        say(f"{reason} Broker and database run as plain processes.")
        return _native(directory, ports)
    return ContainerBroker(directory, ports), ContainerDatabase(directory, ports)


def _external() -> Servers:
    for variable in (BROKER_VARIABLE, DATABASE_VARIABLE):
        if variable not in os.environ:
            raise StackError(f"{VARIABLE} is external, so {variable} must name a server.")
    return ExternalBroker(), ExternalDatabase()


def _external_where_named(own: Servers) -> Servers:
    broker = ExternalBroker() if os.environ.get(BROKER_VARIABLE) else own[0]
    database = ExternalDatabase() if os.environ.get(DATABASE_VARIABLE) else own[1]
    return broker, database
