"""Bounds for annotated fields: how long a list or text may be, how large a number."""

from typing import Any

from pydantic import Field, StringConstraints


def at_most(number: int) -> Any:
    """A list, mapping or text of at most this many members."""
    return Field(max_length=number)


def of_length(fewest: int, most: int) -> Any:
    return Field(min_length=fewest, max_length=most)


def between(lowest: int, highest: int) -> Any:
    """A whole number, written without fraction, quotes or exponent."""
    return Field(ge=lowest, le=highest, strict=True)


def matching(pattern: str) -> Any:
    return StringConstraints(pattern=pattern)
