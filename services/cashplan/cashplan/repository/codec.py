"""Domain objects as compact JSON bytes for columns that are read whole and never searched."""

from collections.abc import Hashable, Mapping, Sequence
from datetime import date
from functools import lru_cache
from typing import Any, TypeVar, cast

import orjson
from pydantic import TypeAdapter

from cashplan.domain.cells import CellKey, cell_of
from cashplan.domain.documents import (
    DocumentKey,
    DocumentLine,
    DocumentState,
    Posted,
    Settlement,
    Upstream,
)
from cashplan.domain.filings import Content
from cashplan.domain.grids import DetailRow

T = TypeVar("T")


@lru_cache(maxsize=500)
def adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def dump(kind: Any, value: Any) -> bytes:
    """The JSON of a value of this type."""
    return adapter(kind).dump_json(value)


def load(kind: type[T], body: bytes) -> T:
    """The value that `dump` wrote."""
    loaded: T = adapter(cast(Hashable, kind)).validate_json(body)
    return loaded


def load_any(kind: Any, body: bytes) -> Any:
    """The same for types that are no classes, such as lists."""
    return adapter(kind).validate_json(body)


def dump_figures(figures: Mapping[CellKey, int]) -> bytes:
    return orjson.dumps({key.text(): minor for key, minor in figures.items()})


def load_figures(body: bytes) -> dict[CellKey, int]:
    return {cell_of(text): minor for text, minor in orjson.loads(body).items()}


def dump_details(details: Mapping[str, Sequence[DetailRow]]) -> bytes:
    return orjson.dumps({sheet: [_row(row) for row in rows] for sheet, rows in details.items()})


def _row(row: DetailRow) -> list[Any]:
    return [
        row.row_id,
        row.item,
        row.period,
        row.currency,
        row.minor,
        row.members,
        dict(row.fields),
        list(row.sources),
    ]


def load_details(body: bytes) -> dict[str, list[DetailRow]]:
    return {sheet: [_detail(values) for values in rows] for sheet, rows in orjson.loads(body).items()}


def _detail(values: list[Any]) -> DetailRow:
    row_id, item, period, currency, minor, members, fields, sources = values
    return DetailRow(
        row_id=row_id,
        item=item,
        period=period,
        currency=currency,
        minor=minor,
        members=members,
        fields=fields,
        sources=tuple(sources),
    )


def dump_content(content: Content) -> bytes:
    """A filing's content: cells by sheet, detail rows, remarks, and the sources of fetched cells."""
    cells: dict[str, dict[str, int]] = {}
    for (sheet, key), minor in content.cells.items():
        cells.setdefault(sheet, {})[key.text()] = minor
    remarks = [[*place, text] for place, text in content.remarks.items()]
    sources = [[sheet, key.text(), list(keys)] for (sheet, key), keys in content.sources.items()]
    body = {
        "cells": cells,
        "details": orjson.Fragment(dump_details(content.details)),
        "remarks": remarks,
        "sources": sources,
        "formulas": [[sheet, key.text(), text] for (sheet, key), text in content.formulas.items()],
    }
    return orjson.dumps(body)


def load_content(body: bytes) -> Content:
    stored = orjson.loads(body)
    return Content(
        cells={
            (sheet, cell_of(text)): minor
            for sheet, cells in stored["cells"].items()
            for text, minor in cells.items()
        },
        details={sheet: [_detail(values) for values in rows] for sheet, rows in stored["details"].items()},
        remarks={(sheet, row, column): text for sheet, row, column, text in stored["remarks"]},
        sources={(sheet, cell_of(text)): tuple(keys) for sheet, text, keys in stored["sources"]},
        formulas={(sheet, cell_of(key)): text for sheet, key, text in stored["formulas"]},
    )


def dump_posted(posted: Posted) -> bytes:
    """A document after one operation; its key lies beside it."""
    head = [posted.revision, posted.operation, posted.stance, posted.party, posted.currency]
    return orjson.dumps([*head, posted.day, posted.due_day, *_lines(posted.lines)])


def load_posted(key: DocumentKey, body: bytes) -> Posted:
    revision, operation, stance, party, currency, day, due_day, shared, lines = orjson.loads(body)
    return Posted(
        key=key,
        revision=revision,
        operation=operation,
        stance=stance,
        party=party,
        currency=currency,
        day=date.fromisoformat(day),
        due_day=date.fromisoformat(due_day),
        lines=_loaded_lines(shared, lines),
    )


def dump_state(state: DocumentState) -> bytes:
    """The state of a document under control; its key lies beside it."""
    settled = [[*each.key, each.operations, each.currency, dict(each.amounts)] for each in state.settled]
    return orjson.dumps(
        [
            state.revision,
            state.heard,
            state.confirmed,
            state.operations,
            state.party,
            state.currency,
            state.day,
            state.due_day,
            *_lines(state.lines),
            settled,
            dict(state.moved),
            dict(state.released),
            dict(state.rates),
        ]
    )


def load_state(key: DocumentKey, body: bytes) -> DocumentState:
    (revision, heard, confirmed, operations, party, currency, day, due_day, shared, lines, settled,
     moved, released, rates) = orjson.loads(body)  # fmt: skip
    return DocumentState(
        key=key,
        revision=revision,
        operations=tuple(operations),
        party=party,
        currency=currency,
        day=date.fromisoformat(day),
        due_day=date.fromisoformat(due_day),
        lines=_loaded_lines(shared, lines),
        settled=tuple(_settlement(*each) for each in settled),
        moved={place: date.fromisoformat(each) for place, each in moved.items()},
        released=released,
        rates=rates,
        confirmed=confirmed,
        heard=heard,
    )


def _settlement(
    source: str, document_type: str, document_id: str, operations: list[str], currency: str, amounts: Any
) -> Settlement:
    key = DocumentKey(source, document_type, document_id)
    return Settlement(key=key, operations=tuple(operations), currency=currency, amounts=amounts)


def _lines(lines: Sequence[DocumentLine]) -> tuple[dict[str, str], list[Any]]:
    """The attributes that all lines share, and each line with its own."""
    shared = dict(lines[0].attributes) if lines else {}
    for line in lines[1:]:
        if line.attributes is not lines[0].attributes:
            shared = dict(shared.items() & line.attributes.items())
    return shared, [
        [
            line.line_id,
            line.minor,
            dict(line.attributes.items() - shared.items()) if len(line.attributes) > len(shared) else {},
            [[*each.key, each.line_id, each.minor] for each in line.upstream],
        ]
        for line in lines
    ]


def _loaded_lines(shared: Mapping[str, str], lines: list[Any]) -> tuple[DocumentLine, ...]:
    return tuple(
        DocumentLine(
            line_id=line_id,
            minor=minor,
            attributes={**shared, **own} if own else shared,
            upstream=tuple(
                Upstream(DocumentKey(*each[:3]), line_id=each[3], minor=each[4]) for each in upstream
            ),
        )
        for line_id, minor, own, upstream in lines
    )
