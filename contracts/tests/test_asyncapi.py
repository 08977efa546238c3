import json
from pathlib import Path

import jsonschema
from contracts.gate import FOLDER

from contracts import REGISTRY

DOCUMENT = json.loads((FOLDER / "asyncapi.json").read_text(encoding="utf-8"))
OFFICIAL = Path(__file__).with_name("asyncapi-3.0.0.schema.json")  # of the npm package @asyncapi/specs 6.11.1


def test_the_document_is_valid_under_the_official_schema_of_asyncapi() -> None:
    validator = jsonschema.Draft7Validator(json.loads(OFFICIAL.read_text(encoding="utf-8")))
    assert [error.message for error in validator.iter_errors(DOCUMENT)] == []


def test_every_reference_leads_somewhere() -> None:
    for reference in references(DOCUMENT):
        if reference.startswith("#/"):
            target = DOCUMENT
            for step in reference.removeprefix("#/").split("/"):
                target = target[step]
        else:
            assert (FOLDER / reference).is_file()


def references(part: object) -> list[str]:
    if isinstance(part, list):
        return [found for item in part for found in references(item)]
    if not isinstance(part, dict):
        return []
    own = [part["$ref"]] if "$ref" in part else []
    return own + [found for item in part.values() for found in references(item)]


def test_every_event_has_a_channel_a_message_and_an_operation() -> None:
    for contract in REGISTRY.values():
        assert DOCUMENT["channels"][contract.topic]["address"] == contract.topic
        message = DOCUMENT["components"]["messages"][contract.type]
        assert message["headers"]["properties"]["ce_type"] == {"const": contract.type}
        operations = DOCUMENT["operations"].values()
        assert any(operation["channel"]["$ref"].endswith(f"/{contract.name}") for operation in operations)


def test_the_examples_carry_headers_that_the_headers_schema_takes() -> None:
    for contract in REGISTRY.values():
        message = DOCUMENT["components"]["messages"][contract.type]
        assert len(message["examples"]) >= 3
        for example in message["examples"]:
            jsonschema.Draft202012Validator(message["headers"]).validate(example["headers"])
