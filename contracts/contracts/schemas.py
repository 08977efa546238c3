"""JSON Schemas (2020-12) of the event models, for producers: unknown fields are forbidden.

Field descriptions are the models' attribute docstrings, read from the source when the schemas are written, so
that a running service pays nothing for them.
"""

import ast
import inspect
import sys
from collections.abc import Iterator
from dataclasses import is_dataclass
from itertools import pairwise
from typing import Any, get_args, get_type_hints

from contracts.event import REGISTRY, Contract

DIALECT = "https://json-schema.org/draft/2020-12/schema"

Schema = dict[str, Any]  # Any: a JSON Schema document

PER_CURRENCY = (
    "A decimal string of ASCII digits without exponent or thousands separator, with at most as many "
    "decimals as the currency has by ISO 4217: none for JPY, two for CNY and USD, three for KWD. The "
    "pattern shows the widest case; an amount with more decimals than its currency is refused."
)
PER_ISO_4217 = "A current ISO 4217 code of a currency with minor units: CNY, USD, JPY, KWD ..."


def schema(contract: Contract) -> Schema:
    """The producer's JSON Schema of one event version."""
    document: Schema = contract.adapter.json_schema()
    definitions = document.get("$defs", {})
    for part in (document, *definitions.values()):
        _close(part)
    models = {model.__name__: model for model in _models(contract.model)}
    for name, definition in [*definitions.items(), (contract.model.__name__, document)]:
        _describe(definition, models[name])
    return {
        "$schema": DIALECT,
        "$id": f"urn:coffer:{contract.type}",
        "title": contract.type,
        "description": _about(contract.model),
        "x-kafka-topic": contract.topic,
        "x-kafka-key": contract.key,
        **{key: document[key] for key in ("type", "properties", "required", "additionalProperties")},
        **({"$defs": definitions} if definitions else {}),
    }


def schemas() -> dict[str, Schema]:
    """Every registered version's schema by its file name, such as `order-submitted.v1.json`."""
    return {f"{contract.type}.json": schema(contract) for _, contract in sorted(REGISTRY.items())}


def _close(part: Schema) -> None:
    """Forbids unknown fields in an object and in the objects inside it, and says what a currency allows."""
    members = part.get("properties", {})
    if members:
        part["additionalProperties"] = False
    if "currency" in members:
        members["currency"]["description"] = PER_ISO_4217
    if members.keys() == {"amount", "currency"}:
        members["amount"]["description"] = PER_CURRENCY
    for member in members.values():
        member.pop("title", None)
        member.pop("discriminator", None)  # OpenAPI's; the branches' own `kind` says the same
        for inner in (member, *member.get("anyOf", ())):
            _close(inner)


def _describe(definition: Schema, model: type[Any]) -> None:
    definition["description"] = _about(model)
    descriptions = field_descriptions(model)
    for name in definition["properties"].keys() & descriptions.keys():
        definition["properties"][name]["description"] = descriptions[name]


def _about(model: type[Any]) -> str:
    return inspect.cleandoc(model.__doc__ or "")


def field_descriptions(model: type[Any]) -> dict[str, str]:
    """What a model and its bases say below their fields, by field name."""
    found: dict[str, str] = {}
    for base in reversed(model.__mro__):
        if is_dataclass(base):
            found |= _docstrings_below_fields(base)
    return found


def _docstrings_below_fields(model: type[Any]) -> dict[str, str]:
    tree = ast.parse(inspect.getsource(sys.modules[model.__module__]))
    body = next(
        node.body for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.name == model.__name__
    )
    return {
        field.target.id: inspect.cleandoc(text.value.value)
        for field, text in pairwise(body)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }


def _models(annotation: Any) -> Iterator[type[Any]]:  # Any: whatever stands in a type annotation
    """The dataclasses that an annotation is made of, itself first."""
    if isinstance(annotation, type) and is_dataclass(annotation):
        yield annotation
        for hint in get_type_hints(annotation).values():
            yield from _models(hint)
    for argument in get_args(annotation):
        yield from _models(argument)
