"""Ports: defaults that a variable changes, free ones for tests, and a sentence where one is taken."""

import os
import socket
from collections.abc import Iterator
from dataclasses import astuple

import pytest

from ops.local.errors import PortBusyError, StackError
from ops.local.ports import FREE_PORTS, HOST, Ports, free_ports, require_free


@pytest.fixture
def taken_port() -> Iterator[int]:
    [port] = free_ports(1)
    with socket.create_server((HOST, port)):
        yield port


def test_a_busy_port_is_told_with_who_needs_it_who_has_it_and_what_changes_it(taken_port: int) -> None:
    with pytest.raises(PortBusyError) as refusal:
        require_free(taken_port, "Kafka", "kafka")
    sentence = str(refusal.value)
    assert sentence.startswith(f"Port {taken_port} is needed by Kafka, but process {os.getpid()} (")
    assert sentence.endswith("stop that, or choose another port with COFFER_PORT_KAFKA=NUMBER.")
    assert "\n" not in sentence


def test_a_variable_changes_one_port_and_leaves_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COFFER_PORT_FUND_POOL", "9001")
    ports = Ports.from_environment()
    assert (ports.fund_pool, ports.credit, ports.kafka) == (9001, 8002, 19092)


@pytest.mark.parametrize("text", ["", "http", "0", "65536", "-1", "８００１"])
def test_a_port_that_is_no_port_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("COFFER_PORT_SMS", text)
    with pytest.raises(StackError, match=r"COFFER_PORT_SMS is .* give a port number between 1 and 65535"):
        Ports.from_environment()


def test_free_ports_differ_and_lie_below_those_of_outgoing_connections() -> None:
    numbers = astuple(Ports.free())
    assert len(set(numbers)) == len(numbers)
    assert all(number in FREE_PORTS for number in numbers)
