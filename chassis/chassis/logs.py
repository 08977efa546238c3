"""Structured logs on standard output: one line per fact, with service, instance and correlation id."""

import logging
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import Any, Final, Literal

import orjson
import structlog
from structlog.typing import Processor

LogFormat = Literal["json", "text"]

LIMITED_LOGGERS: Final = ("aiokafka", "faststream", "kafka")
REPEAT_SECONDS_MIN: Final = 30.0
DISTINCT_MESSAGES_MAX: Final = 256
QUIET_LOGGERS: Final = ("httpx", "httpcore", "asyncio", "uvicorn.access", "urllib3", "opentelemetry")
HIDDEN: Final = "<hidden>"

SECRETS: Final = re.compile(
    r"""
    (?P<token>\beyJ[\w-]+\.[\w-]+(?:\.[\w-]*)?)
    | (?P<bearer>(?<=[Bb]earer\ )[\w.~+/=-]+)
    | (?P<parameter>(?<=password=)[^&\s"]+)
    | (?P<login>(?<=://)[^/\s:@"]+:[^/\s@"]+(?=@))
    | (?P<email>[\w.+-]+@[\w-]+(?:\.[\w-]+)+)
    | (?P<phone>(?<![\w+])\+\d{8,15}\b)
    """,
    re.VERBOSE,
)
VARYING: Final = re.compile(r"0x[0-9a-f]+|\d+")

Event = MutableMapping[str, Any]


def configure(service: str, instance: str, *, level: str = "INFO", format: LogFormat = "json") -> None:
    """Routes structlog and the standard library's loggers through one handler on standard output."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(["suppressed"]),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _names(service, instance),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _renderer(format)],
    )
    _install(formatter, level)


def _install(formatter: logging.Formatter, level: str) -> None:
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(formatter)
    handler.addFilter(RepeatFilter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in QUIET_LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", *LIMITED_LOGGERS):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True


def _names(service: str, instance: str) -> Callable[[Any, str, Event], Event]:
    def add_names(_: Any, __: str, event: Event) -> Event:
        event["service"] = service
        event["instance"] = instance
        return event

    return add_names


def _renderer(form: LogFormat) -> Callable[[Any, str, Event], str]:
    """Renders one line; what looks like a token, password, e-mail address or phone number is hidden in it."""
    text = structlog.dev.ConsoleRenderer(colors=False)

    def render(logger: Any, name: str, event: Event) -> str:
        line = _as_json(event) if form == "json" else str(text(logger, name, event))
        return hide_secrets(line)

    return render


def _as_json(event: Mapping[str, Any]) -> str:
    return orjson.dumps(event, default=repr, option=orjson.OPT_NON_STR_KEYS).decode()


def hide_secrets(line: str) -> str:
    """The line with tokens, passwords, e-mail addresses and phone numbers hidden."""
    return SECRETS.sub(HIDDEN, line)


@contextmanager
def correlated(correlation_id: str) -> Iterator[None]:
    """Every log line inside carries this correlation id."""
    with structlog.contextvars.bound_contextvars(correlation_id=correlation_id):
        yield


class RepeatFilter(logging.Filter):
    """Lets each message of a talkative library through once in 30 seconds, with the count of the others.

    aiokafka logs 80 lines a second while a broker is down; numbers in a message do not make it another one.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._monotonic = monotonic
        self._seen: dict[tuple[str, int, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if not record.name.startswith(LIMITED_LOGGERS):
            return True
        now = self._monotonic()
        key = (record.name, record.levelno, VARYING.sub("#", record.getMessage())[:200])
        passed_at, suppressed = self._seen.get(key, (None, 0))
        if passed_at is not None and now - passed_at < REPEAT_SECONDS_MIN:
            self._seen[key] = (passed_at, suppressed + 1)
            return False
        if suppressed:
            record.suppressed = suppressed
        self._remember(key, now)
        return True

    def _remember(self, key: tuple[str, int, str], now: float) -> None:
        self._seen.pop(key, None)
        if len(self._seen) >= DISTINCT_MESSAGES_MAX:
            self._seen.pop(next(iter(self._seen)))
        self._seen[key] = (now, 0)
