"""The contract gate: what is committed equals what the models say, and nothing released is broken.

The baseline are the files in `released/`: written by `release`, compared with the models by every check.
An older git commit as baseline would ask for a history that a shallow clone or an archive lacks, and would
forget a break once it is committed; `schemas/` would forget it once they are written anew.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema

from contracts import asyncapi
from contracts.codec import Malformed, decode, encode
from contracts.compatibility import differences
from contracts.event import REGISTRY, TYPES, latest
from contracts.schemas import Schema, schemas

FOLDER = Path(__file__).resolve().parents[1]
EXAMPLES_MIN = 3


class Broken(Exception):
    """The models break what is released; nothing was written."""

    def __init__(self, findings: list[str]) -> None:
        self.findings = findings
        super().__init__("\n".join(findings))


def write(folder: Path = FOLDER) -> list[Path]:
    """Writes the generated schemas and the AsyncAPI document; returns the files that changed."""
    return [path for path, text in _generated(folder).items() if _written(path, text)]


def release(folder: Path = FOLDER) -> list[Path]:
    """Makes the schemas of today the baseline of tomorrow; returns the files that changed.

    Errors: Broken, when the models break the baseline there is.
    """
    findings = [*_incompatible(folder)]
    if findings:
        raise Broken(findings)
    texts = {folder / "released" / name: _text(schema) for name, schema in schemas().items()}
    return [path for path, text in texts.items() if _written(path, text)]


def findings(folder: Path = FOLDER) -> list[str]:
    """Every reason, as a sentence, why the contracts may not be merged; empty = they may."""
    return [*_stale(folder), *_incompatible(folder), *_unreadable(folder), *_without_upcaster()]


def _generated(folder: Path) -> dict[Path, str]:
    texts = {folder / "schemas" / name: _text(schema) for name, schema in schemas().items()}
    return texts | {folder / "asyncapi.json": _text(asyncapi.document(_examples(folder)))}


def _stale(folder: Path) -> Iterator[str]:
    generated = _generated(folder)
    for path, text in generated.items():
        if not path.exists():
            yield f"{path.relative_to(folder)} is missing; run: python -m contracts schemas"
        elif path.read_text(encoding="utf-8") != text:
            yield f"{path.relative_to(folder)} is not what the models say; run: python -m contracts schemas"
    for path in sorted((folder / "schemas").glob("*.json")):
        if path not in generated:
            yield f"{path.relative_to(folder)} has no model"


def _incompatible(folder: Path) -> Iterator[str]:
    proposed = schemas()
    for path in sorted((folder / "released").glob("*.json")):
        if path.name in proposed:
            yield from map(str, differences(_json(path), proposed[path.name]))
        else:
            yield f"{path.stem}: the event was removed, and older producers and consumers know it"


def _unreadable(folder: Path) -> Iterator[str]:
    """Golden examples must read under schema and model, and come back as they were."""
    proposed = schemas()
    examples = _examples(folder)
    for event_type in sorted(TYPES):
        named = examples.get(event_type, {})
        if len(named) < EXAMPLES_MIN:
            yield f"{event_type}: has {len(named)} golden examples, needs {EXAMPLES_MIN}"
        for name, example in sorted(named.items()):
            for problem in _problems(event_type, example, proposed[f"{event_type}.json"]):
                yield f"{event_type}: example {name}: {problem}"


def _problems(event_type: str, example: Any, schema: Schema) -> Iterator[str]:  # Any: a JSON document
    validator = jsonschema.Draft202012Validator(schema)
    for error in validator.iter_errors(example):
        yield f"{error.json_path}: {error.message}"
    try:
        decode(event_type, json.dumps(example).encode())
        event = TYPES[event_type].adapter.validate_python(example)
    except Malformed as malformed:
        yield str(malformed)
        return
    for error in validator.iter_errors(json.loads(encode(event))):
        yield f"written again: {error.json_path}: {error.message}"
    if TYPES[event_type].adapter.validate_json(encode(event)) != event:
        yield "reads differently when it is written again"


def _without_upcaster() -> Iterator[str]:
    for (name, _), contract in sorted(REGISTRY.items()):
        newest = latest(name)
        if contract is not newest and contract.upcast is None:
            yield f"{contract.type}: has no upcaster, so handlers would see it beside {newest.type}"


def _examples(folder: Path) -> asyncapi.Examples:
    found: asyncapi.Examples = {}
    for path in sorted((folder / "examples").glob("*/*.json")):
        found.setdefault(path.parent.name, {})[path.stem] = _json(path)
    return found


def _json(path: Path) -> Any:  # Any: a JSON document
    return json.loads(path.read_text(encoding="utf-8"))


def _text(document: Any) -> str:  # Any: a JSON document
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"


def _written(path: Path, text: str) -> bool:
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return True
