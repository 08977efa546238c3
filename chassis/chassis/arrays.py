"""PostgreSQL arrays written as text: the driver looks at every element of a bound array several times."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final


def plain(name: str, kind: str) -> str:
    """SQL for an array parameter that arrives as text."""
    return f"cast(cast(:{name} as text) as {kind}[])"


def literal(values: Iterable[object]) -> str:
    """An array of numbers, words and ids of ours, which need no quoting."""
    return "{" + ",".join(["NULL" if value is None else str(value) for value in values]) + "}"


def nested(numbers: Collection[int]) -> str:
    """An array within an array of text; arrays of unequal length do not nest otherwise."""
    return f'"{literal(sorted(numbers))}"' if numbers else '"{}"'


def quoted(values: Sequence[str]) -> str:
    """An array of any text."""
    if not values:
        return "{}"
    together = "".join(values)
    if '"' in together or "\\" in together:
        values = [value.replace("\\", "\\\\").replace('"', '\\"') for value in values]
    return '{"' + '","'.join(values) + '"}'


def optional(values: Sequence[str | None]) -> str:
    """An array of any text, some of it missing."""
    if None not in values:
        return quoted([value for value in values if value is not None])
    return "{" + ",".join(["NULL" if value is None else quoted([value])[1:-1] for value in values]) + "}"


def moments(values: Sequence[datetime | None]) -> str:
    """An array of moments, most of them the same."""
    written = {value: str(value) for value in set(values)}
    return literal([value and written[value] for value in values])


WRITERS: Final[Mapping[str, Callable[[Sequence[Any]], Any]]] = {
    "text": optional,
    "timestamptz": moments,
    "bytea": list,
}
"""How an array of each kind is written; all others are numbers, words, ids or dates."""


class Columns:
    """Rows as array parameters, one for each named column with its SQL type."""

    def __init__(self, **kinds: str) -> None:
        self._writers = {name: WRITERS.get(kind, literal) for name, kind in kinds.items()}
        self.sql = ", ".join(
            f"cast(:{name} as bytea[])" if kind == "bytea" else plain(name, kind)
            for name, kind in kinds.items()
        )

    def parameters(self, rows: Iterable[tuple[Any, ...]]) -> dict[str, Any]:
        """The rows turned into one value for each name."""
        turned = list(zip(*rows, strict=True)) or [()] * len(self._writers)
        return {
            name: write(column) for (name, write), column in zip(self._writers.items(), turned, strict=True)
        }


def key_arrays(keys: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Keys of two parts as the parameters `sources` and `order_ids`."""
    ordered = list(keys)
    return {"sources": quoted([key[0] for key in ordered]), "order_ids": quoted([key[1] for key in ordered])}


KEYS: Final = f"{plain('sources', 'text')}, {plain('order_ids', 'text')}"
"""SQL for the arrays of `key_arrays`."""
