"""Request bodies: bounded, read once, and JSON without room for two readings."""

import asyncio
import math
from collections.abc import Iterator
from typing import Any, Final

import jiter
from starlette.requests import Request
from starlette.types import Message, Scope

from chassis.http.problems import Problem

JSON: Final = "application/json"
NUL: Final = "\x00"
READ_SECONDS_MAX: Final = 30.0


async def read_body(request: Request, bytes_max: int) -> bytes:
    """The whole body; raises Problem 413 once it is larger than `bytes_max`, 408 when it is slow."""
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > bytes_max:
        raise Problem.too_large(bytes_max)
    try:
        async with asyncio.timeout(READ_SECONDS_MAX):
            return await _collect(request, bytes_max)
    except TimeoutError:
        detail = f"The body did not arrive within {READ_SECONDS_MAX:g} seconds."
        raise Problem(408, "request-timeout", detail=detail) from None


async def _collect(request: Request, bytes_max: int) -> bytes:
    chunks = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > bytes_max:
            raise Problem.too_large(bytes_max)
        chunks.append(chunk)
    return b"".join(chunks)


def media_type(request: Request) -> str:
    """The Content-Type without parameters, in small letters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def is_json(media: str) -> bool:
    return media == JSON or (media.startswith("application/") and media.endswith("+json"))


def parse_json(body: bytes) -> Any:
    """The document; raises Problem 400 on what JSON readers disagree about.

    Refused: duplicate keys, NaN, infinities (also as 1e400), NUL, lone surrogates, bytes that are not UTF-8,
    more than 200 levels.
    """
    try:
        document = jiter.from_json(body, allow_inf_nan=False, catch_duplicate_keys=True)
    except ValueError as error:
        raise Problem.bad_request("malformed-json", f"The body is not valid JSON: {error}.") from None
    for value in _scalars(document):
        if isinstance(value, str) and NUL in value:
            raise Problem.bad_request("malformed-json", "The body contains the character NUL.")
        if isinstance(value, float) and not math.isfinite(value):
            raise Problem.bad_request("malformed-json", "The body contains a number that is too large.")
    return document


def _scalars(document: Any) -> Iterator[Any]:
    waiting = [document]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting.extend(value)
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
        else:
            yield value


class BufferedRequest(Request):
    """A request whose body has been read and parsed, so that it can be answered more than once."""

    def __init__(self, scope: Scope, body: bytes, document: Any) -> None:
        async def receive() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        super().__init__(scope, receive)
        self._document = document

    async def json(self) -> Any:
        return self._document
