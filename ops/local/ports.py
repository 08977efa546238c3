"""The ports of one stack, all on 127.0.0.1."""

import os
import random
import socket
from dataclasses import dataclass, fields

import psutil

from ops.local.errors import NotReadyError, PortBusyError, StackError
from ops.local.waiting import wait_until

HOST = "127.0.0.1"
# Below the range from which the system takes ports for outgoing connections: a port found free here is
# still free when a broker is restarted on it.
FREE_PORTS = range(20_000, 32_000)
RELEASE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Ports:
    """One port per part of the stack; the defaults are those of `make up`."""

    kafka: int = 19092
    kafka_controller: int = 19093
    postgres: int = 15432
    smtp: int = 11025
    mailbox: int = 11080
    sms: int = 13013
    fund_pool: int = 8001
    credit: int = 8002
    cashplan: int = 8003
    sharing: int = 8004
    notify: int = 8005

    @classmethod
    def from_environment(cls) -> "Ports":
        """The defaults, each changed by a variable such as COFFER_PORT_KAFKA."""
        return cls(**{field.name: _from_environment(field.name, field.default) for field in fields(cls)})

    @classmethod
    def free(cls) -> "Ports":
        """Ports that nobody uses now, for a stack of one's own."""
        names = [field.name for field in fields(cls)]
        return cls(**dict(zip(names, free_ports(len(names)), strict=True)))


def _from_environment(name: str, default: object) -> int:
    variable = variable_of(name)
    text = os.environ.get(variable, str(default))
    if not (text.isascii() and text.isdecimal()) or not 0 < int(text) < 65536:
        raise StackError(f"{variable} is {text!r}: give a port number between 1 and 65535.")
    return int(text)


def variable_of(name: str) -> str:
    """The environment variable that changes a port."""
    return f"COFFER_PORT_{name.upper()}"


def free_ports(count: int) -> list[int]:
    """Different ports that are free now."""
    candidates = random.sample(FREE_PORTS, len(FREE_PORTS))
    found = []
    for port in candidates:
        if is_free(port):
            found.append(port)
        if len(found) == count:
            return found
    raise StackError(f"No {count} free ports were found between {FREE_PORTS.start} and {FREE_PORTS.stop}.")


def is_free(port: int) -> bool:
    """Whether a server could listen on this port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def is_listening(port: int) -> bool:
    """Whether a server accepts connections on this port."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((HOST, port)) == 0


def require_free(port: int, needed_by: str, name: str) -> None:
    """Refuse, naming the holder, when a port is taken; one that was just killed may take a moment to let go."""
    try:
        wait_until(lambda: is_free(port), RELEASE_SECONDS, "a free port")
    except NotReadyError:
        raise PortBusyError(port, needed_by, variable_of(name), _holder(port)) from None


def _holder(port: int) -> str:
    try:
        for connection in psutil.net_connections("tcp"):
            if connection.laddr and connection.laddr.port == port and connection.pid:
                return f"process {connection.pid} ({psutil.Process(connection.pid).name()})"
    except psutil.Error:
        pass
    return "another process"
