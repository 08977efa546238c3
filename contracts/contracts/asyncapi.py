"""One AsyncAPI 3.0 document of every channel, message and operation, from the registered contracts."""

import sys
from itertools import groupby
from typing import Any

from contracts.event import EXTERNAL, REGISTRY, Contract

SCHEMA_FORMAT = "application/schema+json;version=draft-2020-12"
HEADER_CHARACTERS_MAX = 512
ANSWERED_BY = {"order-submitted": "order-decided", "order-cancelled": "order-decided"}
SERVICES = ("cashplan", "credit", "fund-pool", "notify", "sharing")
DEAD_LETTER_HEADERS = {
    "dead_letter_id": "Names the dead letter in its service; the same record has the same id.",
    "dead_letter_reason": "A stable code, such as not-json, invalid-field, id-conflict or processing-failed.",
    "dead_letter_detail": "A sentence: which field, and what would be right.",
    "dead_letter_topic": "Where the record came from.",
    "dead_letter_partition": "Its partition.",
    "dead_letter_offset": "Its offset.",
    "dead_letter_attempts": "How often it was tried.",
    "dead_letter_service": "Who could not apply it.",
}
ABOUT = (
    "What Coffer's services say to one another and to the systems around them, on Apache Kafka. "
    "One topic per event. The Kafka key is the id whose order must hold. The value is one JSON object in "
    "UTF-8. The CloudEvents 1.0 attributes travel in the headers (binary mode); the structured mode, "
    "application/cloudevents+json, is read too. Operations are named as Coffer sees them: it receives what "
    "systems around it publish."
)

Document = dict[str, Any]  # Any: an AsyncAPI document
Examples = dict[str, dict[str, Any]]  # Any: a golden example, by event type and name


def document(examples: Examples) -> Document:
    """The AsyncAPI document, with the golden examples in its messages."""
    contracts = [contract for _, contract in sorted(REGISTRY.items())]
    channels = {name: list(versions) for name, versions in groupby(contracts, lambda contract: contract.name)}
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Coffer", "version": "1.0.0", "description": ABOUT},
        "defaultContentType": "application/json",
        "channels": {name: _channel(versions) for name, versions in channels.items()} | _refusals(),
        "operations": {_operation_id(versions): _operation(versions) for versions in channels.values()}
        | _refusal_operations(),
        "components": {
            "messages": {
                contract.type: _message(contract, examples.get(contract.type, {})) for contract in contracts
            }
            | {"refused-record": _refused_record()}
        },
    }


def _channel(versions: list[Contract]) -> Document:
    newest = versions[-1]
    return {
        "address": newest.topic,
        "description": _sentence_about(newest),
        "messages": {version.type: {"$ref": f"#/components/messages/{version.type}"} for version in versions},
        "bindings": {"kafka": {"topic": newest.topic, "bindingVersion": "0.5.0"}},
    }


def _refusals() -> Document:
    """The two channels that each service has beside the events: what it refused, and what comes back to it."""
    service = {"service": {"enum": list(SERVICES), "description": "The service that refused the record."}}
    message = {"refused-record": {"$ref": "#/components/messages/refused-record"}}
    return {
        "dead-letter": {
            "address": "{service}.dead-letter",
            "description": "What a service could not apply, with its bytes as they came.",
            "parameters": service,
            "messages": message,
        },
        "redrive": {
            "address": "{service}.redrive",
            "description": "Dead letters that an operator sends back to the service alone, mended or not.",
            "parameters": service,
            "messages": message,
        },
    }


def _refusal_operations() -> Document:
    return {
        "send-dead-letter": {"action": "send", "channel": {"$ref": "#/channels/dead-letter"}},
        "receive-redrive": {"action": "receive", "channel": {"$ref": "#/channels/redrive"}},
    }


def _refused_record() -> Document:
    properties = {name: {"type": "string", "description": text} for name, text in DEAD_LETTER_HEADERS.items()}
    return {
        "name": "refused-record",
        "title": "refused-record",
        "summary": "Key, value and headers of the record as they came, and why it could not be applied",
        "contentType": "application/octet-stream",
        "headers": {"type": "object", "properties": properties},
        "payload": {"description": "Any bytes, or none."},
    }


def _operation(versions: list[Contract]) -> Document:
    newest = versions[-1]
    operation: Document = {
        "action": "receive" if EXTERNAL in newest.producers else "send",
        "summary": _sentence_about(newest),
        "channel": {"$ref": f"#/channels/{newest.name}"},
        "messages": [{"$ref": f"#/channels/{newest.name}/messages/{version.type}"} for version in versions],
        "tags": [{"name": producer} for producer in newest.producers],
    }
    if newest.name in ANSWERED_BY:
        operation["reply"] = {"channel": {"$ref": f"#/channels/{ANSWERED_BY[newest.name]}"}}
    return operation


def _operation_id(versions: list[Contract]) -> str:
    return f"{_operation(versions)['action']}-{versions[-1].name}"


def _message(contract: Contract, examples: dict[str, Any]) -> Document:  # Any: a golden example
    return {
        "name": contract.type,
        "title": contract.type,
        "summary": _sentence_about(contract),
        "contentType": "application/json",
        "headers": _headers(contract),
        "payload": {
            "schemaFormat": SCHEMA_FORMAT,
            "schema": {"$ref": f"./schemas/{contract.type}.json"},
        },
        "correlationId": {"location": "$message.header#/correlation_id"},
        "bindings": {
            "kafka": {
                "key": {"type": "string", "description": f"The event's {contract.key}, in UTF-8."},
                "bindingVersion": "0.5.0",
            }
        },
        "examples": [
            {"name": name, "headers": _example_headers(contract, name), "payload": payload}
            for name, payload in sorted(examples.items())
        ],
    }


def _headers(contract: Contract) -> Document:
    text = {"type": "string", "minLength": 1, "maxLength": HEADER_CHARACTERS_MAX}
    return {
        "type": "object",
        "required": ["ce_specversion", "ce_id", "ce_source", "ce_type"],
        "properties": {
            "ce_specversion": {"const": "1.0"},
            "ce_id": {**text, "description": "Unique within ce_source; the same id again is the same event."},
            "ce_source": {**text, **_source(contract)},
            "ce_type": {"const": contract.type},
            "ce_time": {"type": "string", "format": "date-time", "description": "RFC 3339 with offset."},
            "ce_subject": {**text, "description": "Taken as it is."},
            "content-type": {"const": "application/json"},
            "correlation_id": {
                **text,
                "description": "Travels on to every event that follows; else ce_id does.",
            },
            "causation_id": {**text, "description": "The ce_id of the event that led to this one."},
            "traceparent": {**text, "description": "W3C Trace Context."},
        },
    }


def _source(contract: Contract) -> Document:
    if EXTERNAL in contract.producers:
        return {
            "not": {"pattern": "^coffer/"},
            "description": "Names the publishing system; coffer/... is kept for Coffer.",
        }
    return {"enum": [f"coffer/{producer}" for producer in contract.producers]}


def _example_headers(contract: Contract, name: str) -> Document:
    external = EXTERNAL in contract.producers
    return {
        "ce_specversion": "1.0",
        "ce_id": f"example-{name}",
        "ce_source": "shop-east" if external else f"coffer/{contract.producers[0]}",
        "ce_type": contract.type,
        "ce_time": "2026-11-02T09:30:00+08:00",
        "content-type": "application/json",
    }


def _sentence_about(contract: Contract) -> str:
    """What the event's module says of it in its first line, without the event's name."""
    first_line = (sys.modules[contract.model.__module__].__doc__ or contract.type).splitlines()[0]
    sentence = first_line.removeprefix(f"{contract.name}: ")
    return sentence[0].upper() + sentence[1:]
