"""A Kafka record as the services see it: CloudEvents headers read, body decoded, coordinates kept."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from hashlib import blake2b
from typing import Any, Final, Generic, Protocol, TypeVar

import orjson
from contracts.codec import Malformed, decode, read_object
from contracts.event import EXTERNAL, REGISTRY, Event

from chassis.errors import Refused

EXTERNAL_BYTES_MAX: Final = 1024 * 1024
EVENT_BYTES_MAX: Final = 4 * EXTERNAL_BYTES_MAX
HEADER_CHARACTERS_MAX: Final = 512
STRUCTURED: Final = "application/cloudevents+json"
SPECVERSION: Final = "1.0"
REQUIRED: Final = ("ce_specversion", "ce_id", "ce_source", "ce_type")

Headers = Sequence[tuple[str, bytes | None]]
E_co = TypeVar("E_co", bound=Event, covariant=True)


class RawRecord(Protocol):
    """What the consumer needs of a Kafka record (aiokafka's ConsumerRecord has it)."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Headers: ...


@dataclass(slots=True)
class Record(Generic[E_co]):
    """One decoded event with its CloudEvents attributes and Kafka coordinates."""

    event: E_co
    id: str
    source: str
    type: str
    time: datetime
    correlation_id: str
    traceparent: str | None
    hash: bytes
    raw: RawRecord

    @property
    def topic(self) -> str:
        return self.raw.topic

    @property
    def partition(self) -> int:
        return self.raw.partition

    @property
    def offset(self) -> int:
        return self.raw.offset


@dataclass(slots=True)
class Envelope:
    """The CloudEvents attributes of a record, in binary or structured mode, and its body."""

    id: str
    source: str
    type: str
    time: datetime
    correlation_id: str
    traceparent: str | None
    body: bytes


def read(raw: RawRecord, redrive_topic: str) -> Record[Event]:
    """Decodes one raw record; raises Refused with a stable reason when it is malformed."""
    envelope = _envelope(raw)
    try:
        event = decode(envelope.type, envelope.body)
    except Malformed as malformed:
        raise Refused(malformed.reason, malformed.detail) from None
    _admit(event, envelope, raw.topic, redrive_topic)
    return Record(
        event=event,
        id=envelope.id,
        source=envelope.source,
        type=envelope.type,
        time=envelope.time,
        correlation_id=envelope.correlation_id,
        traceparent=envelope.traceparent,
        hash=blake2b(envelope.body, digest_size=16).digest(),
        raw=raw,
    )


def _envelope(raw: RawRecord) -> Envelope:
    headers = _text_headers(raw.headers)
    value = raw.value
    if value is None:
        raise Refused("null-value", "the record has no value; a value is one JSON object in UTF-8")
    bytes_max = _bytes_max(raw.topic)
    if len(value) > bytes_max:
        raise Refused("too-large", f"the value has {len(value)} bytes; at most {bytes_max} are read")
    if headers.get("content-type", "").startswith(STRUCTURED):
        return _structured(raw, value, headers)
    if "ce_type" not in headers and not value:
        raise Refused("empty", "the value is empty; a value is one JSON object in UTF-8")
    return _from_attributes(raw, value, headers, headers)


@cache
def _bytes_max(topic: str) -> int:
    contract = REGISTRY.get((topic, 1))
    return EXTERNAL_BYTES_MAX if contract and EXTERNAL in contract.producers else EVENT_BYTES_MAX


def _structured(raw: RawRecord, value: bytes, headers: dict[str, str]) -> Envelope:
    try:
        outer = read_object(value)
    except Malformed as malformed:
        raise Refused(malformed.reason, malformed.detail) from None
    if "data" not in outer:
        raise Refused("invalid-field", "data: a structured CloudEvent is an object with its event in data")
    attributes = {f"ce_{name}": value for name, value in outer.items()}
    return _from_attributes(raw, orjson.dumps(outer["data"]), attributes, headers)


def _from_attributes(
    raw: RawRecord, body: bytes, attributes: Mapping[str, Any], headers: Mapping[str, str]
) -> Envelope:
    missing = [name for name in REQUIRED if not attributes.get(name)]
    if missing:
        names = ", ".join(missing)
        raise Refused("missing-header", f"{names}: every record carries the CloudEvents 1.0 attributes")
    version = attributes["ce_specversion"]
    if version != SPECVERSION:
        raise Refused("bad-header", f"ce_specversion: is {version!r}, must be {SPECVERSION}")
    event_id = _bounded("ce_id", attributes["ce_id"])
    return Envelope(
        id=event_id,
        source=_bounded("ce_source", attributes["ce_source"]),
        type=_bounded("ce_type", attributes["ce_type"]),
        time=_time(attributes.get("ce_time"), raw.timestamp),
        correlation_id=headers.get("correlation_id") or event_id,
        traceparent=headers.get("traceparent"),
        body=body,
    )


def _bounded(name: str, value: object) -> str:
    if not isinstance(value, str) or len(value) > HEADER_CHARACTERS_MAX or not value.isprintable():
        raise Refused(
            "bad-header", f"{name}: must be printable text of at most {HEADER_CHARACTERS_MAX} characters"
        )
    return value


def _time(value: object, timestamp_ms: int) -> datetime:
    if not value:
        return datetime.fromtimestamp(max(timestamp_ms, 0) / 1000, UTC)
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise Refused("bad-header", f"ce_time: is {str(value)[:40]!r}, must be RFC 3339 with an offset")
    return moment


def _text_headers(headers: Headers) -> dict[str, str]:
    """Headers as text; the first of a repeated one counts; those Coffer does not read may hold any bytes."""
    texts: dict[str, str] = {}
    for name, value in headers:
        if name in texts or value is None:
            continue
        try:
            texts[name] = value.decode()
        except UnicodeDecodeError:
            if name.startswith("ce_") or name in ("content-type", "correlation_id", "traceparent"):
                raise Refused("bad-header", f"{name}: is not UTF-8") from None
    for name in ("correlation_id", "traceparent"):
        if name in texts:
            texts[name] = _bounded(name, texts[name])
    return texts


def _admit(event: Event, envelope: Envelope, topic: str, redrive_topic: str) -> None:
    if topic not in (event.contract.topic, redrive_topic):
        raise Refused(
            "wrong-topic", f"ce_type: {envelope.type} belongs on {event.contract.topic}, not on {topic}"
        )
    producers = event.contract.producers
    if EXTERNAL in producers:
        admitted = not envelope.source.startswith("coffer/")
    else:
        admitted = envelope.source in {f"coffer/{producer}" for producer in producers}
    if not admitted:
        expected = (
            "a source of your own, not coffer/..." if EXTERNAL in producers else f"coffer/{producers[0]}"
        )
        raise Refused("source-not-admitted", f"ce_source: is {envelope.source}, must be {expected}")


def pack_headers(headers: Iterable[tuple[str, bytes | None]]) -> bytes:
    """Kafka headers as one bytes value for a table; any bytes survive the round trip."""
    return orjson.dumps(
        [[name, None if value is None else value.decode("latin-1")] for name, value in headers]
    )


def unpack_headers(packed: bytes) -> list[tuple[str, bytes | None]]:
    return [
        (name, None if value is None else value.encode("latin-1")) for name, value in orjson.loads(packed)
    ]
