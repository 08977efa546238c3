"""What surrounds every request: correlation id, figures, security headers, and the last resort."""

import re
from collections.abc import MutableMapping
from time import perf_counter
from typing import Any, Final
from uuid import uuid4

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chassis import metrics
from chassis.http.problems import Problem
from chassis.logs import correlated

CORRELATION_HEADER: Final = "X-Correlation-Id"
CORRELATION_ID: Final = re.compile(r"[A-Za-z0-9._:/-]{1,128}")
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
DOCUMENTATION: Final = frozenset({"/docs", "/docs/oauth2-redirect"})

API_CONTENT_POLICY: Final = "default-src 'none'; frame-ancestors 'none'"
DOCUMENTATION_CONTENT_POLICY: Final = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' https://cdn.jsdelivr.net; "
    "style-src 'self' 'unsafe-inline' https://cdn.jsdelivr.net; "
    "img-src 'self' data: https://fastapi.tiangolo.com; frame-ancestors 'none'"
)
SECURITY_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
}

log = structlog.get_logger(__name__)


class Envelope:
    """The outermost layer around the application."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        correlation_id = correlation_id_of(Headers(scope=scope))
        with correlated(correlation_id):
            await self._answer(scope, receive, Answering(send, scope, correlation_id))

    async def _answer(self, scope: Scope, receive: Receive, answering: "Answering") -> None:
        started = perf_counter()
        try:
            if holds_nul(scope):
                problem = Problem.bad_request("malformed-address", "The address contains the character NUL.")
                await problem.response()(scope, receive, answering)
            else:
                await self._app(scope, receive, answering)
        except ClientDisconnect:
            log.info("the caller hung up")
        except Exception:
            if answering.status is not None:
                raise
            await unexpected(scope).response()(scope, receive, answering)
        finally:
            count(scope, answering.status, perf_counter() - started)


class Answering:
    """Sends the answer with the headers that every answer has, and remembers its status."""

    def __init__(self, send: Send, scope: Scope, correlation_id: str) -> None:
        self._send = send
        self._is_documentation = scope["path"] in DOCUMENTATION
        self._correlation_id = correlation_id
        self.status: int | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self._add_headers(message)
        await self._send(message)

    def _add_headers(self, message: MutableMapping[str, Any]) -> None:
        headers = MutableHeaders(scope=message)
        headers[CORRELATION_HEADER] = self._correlation_id
        headers.setdefault("Cache-Control", "no-store")
        policy = DOCUMENTATION_CONTENT_POLICY if self._is_documentation else API_CONTENT_POLICY
        headers["Content-Security-Policy"] = policy
        for name, value in SECURITY_HEADERS.items():
            headers[name] = value


def correlation_id_of(headers: Headers) -> str:
    """The caller's correlation id where it is a plain one, else a new one."""
    given = headers.get(CORRELATION_HEADER, "")
    return given if CORRELATION_ID.fullmatch(given) else str(uuid4())


def holds_nul(scope: Scope) -> bool:
    """PostgreSQL takes no NUL in text, so that no identifier can contain one."""
    return "\x00" in scope["path"] or b"%00" in scope["query_string"]


def unexpected(scope: Scope) -> Problem:
    """Logs the exception being handled with its trace; the caller gets an id to quote."""
    error_id = str(uuid4())
    method = scope["method"][:20]
    log.exception("a request failed unexpectedly", error_id=error_id, method=method, route=route_of(scope))
    detail = f"Something went wrong on our side; quote the error id {error_id} when you report it."
    return Problem(500, "internal-error", detail=detail, extensions={"error_id": error_id})


def route_of(scope: Scope) -> str:
    """The route's template, never the path that was called: that would be a label per object."""
    return str(getattr(scope.get("route"), "path_format", "unmatched"))


def count(scope: Scope, status: int | None, seconds: float) -> None:
    route = route_of(scope)
    method = scope["method"] if scope["method"] in METHODS else "other"
    metrics.http_requests.labels(route=route, method=method, status=str(status or "none")).inc()
    metrics.http_request_seconds.labels(route=route, method=method).observe(seconds)
