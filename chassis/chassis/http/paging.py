"""Lists in pages: a cursor holds the place after which the next page begins.

A cursor is checked against its list and its parts against their types, so that a damaged one, or one of
another list, is refused. It opens nothing: it only says where to go on in a list that the caller may read
anyway.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Annotated, Any, Final, Generic, TypeVar, cast

import orjson
from fastapi import Depends, Query
from pydantic import BaseModel, Field, TypeAdapter, ValidationError
from starlette.requests import Request

from chassis.http.problems import Problem

LIMIT_DEFAULT: Final = 50
LIMIT_MAX: Final = 500
CURSOR_CHARACTERS_MAX: Final = 4_000
CHECK_BYTES: Final = 8

T = TypeVar("T")
Row = TypeVar("Row")


class CursorPage(BaseModel, Generic[T]):
    """One page of a list; `next` is the cursor of the following page, null on the last one."""

    items: list[T]
    next: str | None = Field(default=None, description="Send it as `cursor` to get the next page.")


class PageRequest:
    """Which page of a list is asked for; read one row more than `limit` and hand them to `page`."""

    def __init__(self, scope: str, limit: int, cursor: str | None) -> None:
        self.limit = limit
        self._scope = scope
        self._cursor = cursor

    @property
    def rows(self) -> int:
        """How many rows to read: one more than the page holds, to know whether another page follows."""
        return self.limit + 1

    def narrow(self, order: str) -> None:
        """Ties cursors to an order of the list: a place in one means nothing in another."""
        self._scope = f"{self._scope} {order}"

    def after(self, *types: type[Any]) -> tuple[Any, ...] | None:
        """The key of the last row of the page before, its parts of these types; None for the first page.

        Errors: Problem 400 `bad-cursor`.
        """
        if self._cursor is None:
            return None
        return decode_cursor(self._scope, self._cursor, types)

    def page(
        self, rows: Sequence[Row], key: Callable[[Row], tuple[Any, ...]]
    ) -> tuple[Sequence[Row], str | None]:
        """The rows of this page and the cursor of the next one, from up to `limit` + 1 rows."""
        if len(rows) <= self.limit:
            return rows, None
        kept = rows[: self.limit]
        return kept, encode_cursor(self._scope, key(kept[-1]))


def page_request(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=LIMIT_MAX, description="Items per page.")] = LIMIT_DEFAULT,
    cursor: Annotated[
        str | None, Query(max_length=CURSOR_CHARACTERS_MAX, description="`next` of the page before.")
    ] = None,
) -> PageRequest:
    return PageRequest(request.url.path, limit, cursor)


Page = Annotated[PageRequest, Depends(page_request)]


def encode_cursor(scope: str, parts: tuple[Any, ...]) -> str:
    """The opaque cursor of a place in the list `scope`."""
    content = orjson.dumps(parts, default=str)
    return urlsafe_b64encode(_check(scope, content) + content).decode().rstrip("=")


def decode_cursor(scope: str, cursor: str, types: tuple[type[Any], ...]) -> tuple[Any, ...]:
    """The place that a cursor holds; raises Problem 400 when it is damaged or of another list."""
    try:
        packed = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        check, content = packed[:CHECK_BYTES], packed[CHECK_BYTES:]
        if check != _check(scope, content):
            raise _bad_cursor()
        adapter = TypeAdapter(tuple[types])  # type: ignore[valid-type]  # a tuple type made at run time
        return cast(tuple[Any, ...], adapter.validate_json(content))
    except (Base64Error, ValidationError, ValueError):
        raise _bad_cursor() from None


def _check(scope: str, content: bytes) -> bytes:
    return blake2b(scope.encode() + b"\n" + content, digest_size=CHECK_BYTES).digest()


def _bad_cursor() -> Problem:
    message = "is not a cursor of this list; begin again without one"
    return Problem.bad_request(
        "bad-cursor", f"cursor {message}.", errors=[{"field": "cursor", "message": message}]
    )
