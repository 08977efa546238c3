"""PostgreSQL arrays written as text: the driver looks at every element of a bound array several times."""

from collections.abc import Collection, Iterable, Sequence

from credit.domain.arrivals import OrderKey


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


def key_arrays(keys: Iterable[OrderKey]) -> dict[str, str]:
    """Order keys as the parameters `sources` and `order_ids`."""
    ordered = list(keys)
    return {"sources": quoted([key[0] for key in ordered]), "order_ids": quoted([key[1] for key in ordered])}


KEYS = f"{plain('sources', 'text')}, {plain('order_ids', 'text')}"
"""SQL for the arrays of `key_arrays`."""
