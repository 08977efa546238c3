"""Errors over HTTP as problem+json (RFC 9457): a stable type, a plain sentence, the offending fields."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import orjson
import structlog
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from typing_extensions import TypedDict

MEDIA_TYPE: Final = "application/problem+json"
TYPE_PREFIX: Final = "urn:coffer:problem:"
ERRORS_MAX: Final = 100


class FieldError(TypedDict):
    """One offending field, as a path such as `lines[0].amount`, and what is wrong in plain words."""

    field: str
    message: str


class ProblemDocument(BaseModel):
    """What a refused request answers; `type` is stable, `detail` is for people."""

    type: str
    title: str
    status: int
    detail: str
    correlation_id: str | None = None
    errors: list[FieldError] | None = None


class Problem(Exception):
    """A refusal that the caller sees; raised anywhere in a request, it also rolls the transaction back."""

    def __init__(
        self,
        status: int,
        type: str,
        title: str | None = None,
        detail: str = "",
        *,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
        extensions: Mapping[str, Any] | None = None,
    ) -> None:
        self.status = status
        self.type = type
        self.title = title or type.replace("-", " ").capitalize()
        self.detail = detail
        self.errors = list(errors[:ERRORS_MAX])
        self.headers = dict(headers or {})
        self.extensions = dict(extensions or {})
        super().__init__(f"{status} {type}: {detail}")

    @classmethod
    def bad_request(cls, type: str, detail: str, *, errors: Sequence[FieldError] = ()) -> "Problem":
        return cls(400, type, detail=detail, errors=errors)

    @classmethod
    def unauthenticated(cls, type: str, detail: str, *, challenge: str) -> "Problem":
        return cls(401, type, detail=detail, headers={"WWW-Authenticate": challenge})

    @classmethod
    def forbidden(cls, detail: str, *, type: str = "forbidden") -> "Problem":
        return cls(403, type, detail=detail)

    @classmethod
    def not_found(
        cls, detail: str = "There is nothing here under this name.", *, type: str = "not-found"
    ) -> "Problem":
        return cls(404, type, detail=detail)

    @classmethod
    def conflict(cls, type: str, detail: str, *, errors: Sequence[FieldError] = ()) -> "Problem":
        return cls(409, type, detail=detail, errors=errors)

    @classmethod
    def too_large(cls, bytes_max: int) -> "Problem":
        return cls(
            413, "body-too-large", detail=f"The body is larger than {bytes_max} bytes, the most this takes."
        )

    @classmethod
    def unsupported_media_type(cls, expected: str) -> "Problem":
        return cls(
            415, "unsupported-media-type", detail=f"Send the body as {expected} and say so in Content-Type."
        )

    @classmethod
    def invalid(cls, errors: Sequence[FieldError], *, type: str = "invalid-request") -> "Problem":
        """422: every offending field with its reason."""
        detail = "; ".join(f"{error['field']} {error['message']}" for error in errors[:3])
        return cls(422, type, detail=f"{detail}." if detail else "The request is not valid.", errors=errors)

    @classmethod
    def unavailable(cls, detail: str, *, retry_after_seconds: int = 5) -> "Problem":
        return cls(503, "unavailable", detail=detail, headers={"Retry-After": str(retry_after_seconds)})

    def document(self) -> dict[str, Any]:
        """The members of the answer, without those that say nothing."""
        correlation_id = structlog.contextvars.get_contextvars().get("correlation_id")
        members = {
            "type": TYPE_PREFIX + self.type,
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            **self.extensions,
            "errors": self.errors or None,
            "correlation_id": correlation_id,
        }
        return {name: value for name, value in members.items() if value is not None}

    def response(self) -> Response:
        body = orjson.dumps(self.document(), default=str)
        return Response(body, self.status, headers=self.headers, media_type=MEDIA_TYPE)


async def answer_problem(_: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return error.response()


async def answer_http_exception(request: Request, error: Exception) -> Response:
    """Turns what the framework itself refuses (404, 405, ...) into a problem."""
    assert isinstance(error, HTTPException)
    phrase = HTTPStatus(error.status_code).phrase
    problem = Problem(
        error.status_code,
        phrase.lower().replace(" ", "-"),
        title=phrase,
        detail=_framework_detail(request, error),
        headers=error.headers,
    )
    return problem.response()


def _framework_detail(request: Request, error: HTTPException) -> str:
    if error.status_code == HTTPStatus.NOT_FOUND:
        return f"No resource has the path {request.url.path[:200]}."
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = (error.headers or {}).get("Allow", "")
        return (
            f"{request.method[:20]} is not possible here; use {allowed}." if allowed else "Not possible here."
        )
    return str(error.detail)


async def answer_invalid_request(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return Problem.invalid([field_error(found) for found in error.errors()]).response()


def field_error(error: Mapping[str, Any]) -> FieldError:
    """One of pydantic's errors in plain words; the rejected value is never repeated."""
    return {"field": _field_path(error["loc"]), "message": _message(error)}


def _field_path(location: Sequence[str | int]) -> str:
    steps = location[1:] if len(location) > 1 else location
    if location[0] == "body":
        steps = [step for step in steps if not _is_union_tag(step)]
    path = ""
    for step in steps:
        path += f"[{step}]" if isinstance(step, int) else f".{step}"
    return path.removeprefix(".")


def _is_union_tag(step: str | int) -> bool:
    """Whether pydantic put this step in for a branch of a union that it tried: no field has such a name."""
    return isinstance(step, str) and (not step[:1].islower() or any(mark in step for mark in "([-"))


PLAIN_MESSAGES: Final = {
    "missing": "is required",
    "extra_forbidden": "is not a known field",
    "json_invalid": "is not valid JSON",
    "model_attributes_type": "must be a JSON object",
    "dict_type": "must be a JSON object",
    "list_type": "must be a JSON array",
    "none_required": "must be null",
}


def _message(error: Mapping[str, Any]) -> str:
    plain = PLAIN_MESSAGES.get(error["type"])
    if plain is not None:
        return plain
    text = str(error["msg"]).removeprefix("Value error, ").removeprefix("Assertion failed, ")
    for opening in (
        "Input should ",
        "String should ",
        "Value should ",
        "List should ",
        "Decimal input should ",
    ):
        text = text.replace(opening, "must ")
    return text[:300].rstrip(".")
