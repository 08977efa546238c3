import json
from typing import Any

import jsonschema
import pytest
from contracts.codec import Malformed, decode
from contracts.gate import FOLDER

from contracts import REGISTRY, CreditChecked, OrderSubmitted
from contracts.schemas import Schema, field_descriptions, schema, schemas


def objects(document: Any) -> list[Schema]:
    if isinstance(document, list):
        return [found for part in document for found in objects(part)]
    if not isinstance(document, dict):
        return []
    nested = [found for part in document.values() for found in objects(part)]
    return [document, *nested] if document.get("type") == "object" else nested


@pytest.mark.parametrize("name", sorted(schemas()))
def test_schemas_are_2020_12_and_forbid_unknown_fields_everywhere(name: str) -> None:
    document = schemas()[name]
    jsonschema.Draft202012Validator.check_schema(document)
    assert document["$id"] == f"urn:coffer:{name.removesuffix('.json')}"
    assert all(found["additionalProperties"] is False for found in objects(document))


def test_the_kafka_key_is_a_required_text_field() -> None:
    for contract in REGISTRY.values():
        document = schema(contract)
        assert document["x-kafka-key"] in document["required"]
        assert document["properties"][contract.key]["type"] == "string"


def test_fields_are_described_by_the_text_below_them_also_inherited_ones() -> None:
    assert "Kafka key" in field_descriptions(OrderSubmitted)["paying_account"]
    assert "Kafka key" in schema(OrderSubmitted.contract)["properties"]["paying_account"]["description"]


def test_nested_models_forbid_unknown_fields_too() -> None:
    example = json.loads((FOLDER / "examples/credit-checked.v1/fullest.json").read_text(encoding="utf-8"))
    validator = jsonschema.Draft202012Validator(schema(CreditChecked.contract))
    assert validator.is_valid(example)
    example["order"]["lines"][0]["colour"] = "red"
    assert not validator.is_valid(example)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("order_revision", "1"),
        ("order_revision", 0),
        ("audited", "true"),
        ("order_date", "1793577600"),
        ("order_date", 1793577600),
        ("source", ""),
        ("source", "a b"),
        ("lines", []),
        ("total", {"amount": "1e3", "currency": "CNY"}),
        ("total", {"amount": "٣", "currency": "CNY"}),
        ("total", {"amount": 3, "currency": "CNY"}),
        ("total", {"amount": "-3", "currency": "CNY"}),
        ("payment_method", "Account"),
    ],
)
def test_schema_and_codec_refuse_alike(field: str, value: Any) -> None:
    example = json.loads((FOLDER / "examples/order-submitted.v1/smallest.json").read_text(encoding="utf-8"))
    changed = example | {field: value}
    assert not jsonschema.Draft202012Validator(schema(OrderSubmitted.contract)).is_valid(changed)
    with pytest.raises(Malformed):
        decode("order-submitted.v1", json.dumps(changed).encode())
