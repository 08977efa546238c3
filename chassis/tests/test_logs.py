import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog
from chassis.logs import RepeatFilter, hide_secrets

from chassis import logs

Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture(autouse=True)
def restored_loggers() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def configured(capsys: pytest.CaptureFixture[str]) -> Lines:
    logs.configure("credit", "credit-1", level="INFO")
    return lambda: [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_line_names_service_instance_and_correlation(capsys: pytest.CaptureFixture[str]) -> None:
    lines = configured(capsys)
    with logs.correlated("order-7"):
        structlog.get_logger("credit.handlers").info("decided", order="7", outcome="已批准")
    (line,) = lines()
    assert line["event"] == "decided"
    assert line["outcome"] == "已批准"
    assert (line["service"], line["instance"], line["correlation_id"]) == ("credit", "credit-1", "order-7")
    assert (line["level"], line["logger"]) == ("info", "credit.handlers")


def test_loggers_of_libraries_take_the_same_way(capsys: pytest.CaptureFixture[str]) -> None:
    lines = configured(capsys)
    with logs.correlated("order-7"):
        logging.getLogger("sqlalchemy.pool").warning("pool is %s", "empty")
    (line,) = lines()
    assert line["event"] == "pool is empty"
    assert (line["service"], line["correlation_id"]) == ("credit", "order-7")


def test_an_exception_is_one_line_with_its_trace(capsys: pytest.CaptureFixture[str]) -> None:
    lines = configured(capsys)
    try:
        raise ValueError("no such rule")
    except ValueError:
        structlog.get_logger("x").exception("failed")
    (line,) = lines()
    assert "ValueError: no such rule" in line["exception"]


def test_addresses_that_an_http_client_calls_are_not_logged(capsys: pytest.CaptureFixture[str]) -> None:
    lines = configured(capsys)
    logging.getLogger("httpx").info("HTTP Request: GET http://sms/cgi-bin/sendsms?password=x&to=%2B861")
    assert lines() == []


@pytest.mark.parametrize(
    ("line", "hidden"),
    [
        ("token eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln end", "token <hidden> end"),
        ("Authorization: Bearer abc.def", "Authorization: Bearer <hidden>"),
        ("GET /sendsms?username=u&password=p%26q&to=1", "GET /sendsms?username=u&password=<hidden>&to=1"),
        ("postgresql://credit:secret@db:5432/credit", "postgresql://<hidden>@db:5432/credit"),
        ("Key (address)=(wang.wei@example.com.cn) exists", "Key (address)=(<hidden>) exists"),
        ("call +8613912345678 back", "call <hidden> back"),
        ("2026-03-01T10:00:00+08:00 offset 12345678901", "2026-03-01T10:00:00+08:00 offset 12345678901"),
    ],
)
def test_secrets_and_personal_data_are_hidden(line: str, hidden: str) -> None:
    assert hide_secrets(line) == hidden


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def record(message: str, *arguments: object, name: str = "aiokafka.conn") -> logging.LogRecord:
    return logging.LogRecord(name, logging.ERROR, "", 0, message, arguments, None)


def test_a_repeated_message_of_the_kafka_client_passes_once_in_30_seconds() -> None:
    clock = Clock()
    limited = RepeatFilter(clock)
    passed = [limited.filter(record("Connect attempt %d to node %s failed", n, 1)) for n in range(2_400)]
    assert sum(passed) == 1
    clock.now += 30
    later = record("Connect attempt %d to node %s failed", 9_999, 1)
    assert limited.filter(later)
    assert later.__dict__["suppressed"] == 2_399


def test_another_message_and_another_logger_pass() -> None:
    limited = RepeatFilter(Clock())
    assert limited.filter(record("node away"))
    assert limited.filter(record("group away"))
    assert all(limited.filter(record("order decided", name="credit")) for _ in range(3))


def test_the_memory_of_messages_is_bounded() -> None:
    limited = RepeatFilter(Clock())
    for number in range(1_000):
        limited.filter(record("x" * (number % 190 + 1) + chr(0x4E00 + number)))
    assert len(limited._seen) == logs.DISTINCT_MESSAGES_MAX
