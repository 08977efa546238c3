"""Rows as arrays, the form in which many rows travel in one statement."""

from collections.abc import Iterable, Sequence
from typing import Any


def columns(names: Sequence[str], rows: Iterable[tuple[Any, ...]]) -> dict[str, list[Any]]:
    """Rows turned into one array per name."""
    turned = list(zip(*rows, strict=True))
    return {name: list(turned[index]) if turned else [] for index, name in enumerate(names)}
