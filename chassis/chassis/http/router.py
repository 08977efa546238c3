"""Routes with a declared policy: queries on a read-only snapshot, commands in one transaction."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import Any, Final, TypeVar, cast
from uuid import uuid4

import structlog
from fastapi import APIRouter, Security
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer
from starlette.requests import Request
from starlette.responses import Response

from chassis import metrics, tracing
from chassis.errors import is_transient
from chassis.http import bodies, idempotency
from chassis.http.auth import Authenticator, Principal
from chassis.http.exchange import STATE, Exchange
from chassis.http.policy import ACCOUNT_USER, LOADED, Access, Policy, Visible, VisibleAccount, authorize
from chassis.http.ports import HttpContext
from chassis.http.problems import MEDIA_TYPE, Problem, ProblemDocument
from chassis.work import Cause

READING: Final = frozenset({"GET"})
ATTEMPTS_MAX: Final = 4
RETRY_SECONDS_MAX: Final = 12.0
BACKOFF_SECONDS: Final = 0.05

log = structlog.get_logger(__name__)

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])
Handler = Callable[[Request], Coroutine[Any, Any, Response]]

bearer_scheme: Final = HTTPBearer(
    auto_error=False, bearerFormat="JWT", description="A token of the company's OpenID Connect issuer."
)


class PolicyMissing(TypeError):
    """A route was declared without saying who may call it."""

    def __init__(self, method: str, path: str) -> None:
        super().__init__(
            f"{method} {path} declares no policy; say who may call it: policy=Policy(action, roles)"
        )


class AuthorizationForgotten(RuntimeError):
    """An endpoint whose policy leaves the account to it did not ask `Access` about any."""

    def __init__(self, action: str) -> None:
        super().__init__(
            f"{action}: the endpoint loaded an object without asking Access.require for its account"
        )


class RefusedByAnswer(Exception):
    """Rolls a command back whose endpoint returned a refusal instead of raising one."""

    def __init__(self, response: Response) -> None:
        self.response = response
        super().__init__(f"answered {response.status_code}")


@dataclass(frozen=True, slots=True)
class Declaration:
    """What a route declares beside its path."""

    method: str
    policy: Policy
    visible: Visible | None
    body_bytes_max: int | None

    @property
    def is_reading(self) -> bool:
        return self.method in READING


class Router:
    """A service's routes; `visible` tells which other accounts a principal's accounts let it see."""

    def __init__(
        self, *, prefix: str = "", tags: Sequence[str] | None = None, visible: Visible | None = None
    ) -> None:
        self.api = APIRouter(prefix=prefix, tags=list(tags or ()))
        self._visible = visible

    def get(self, path: str, *, policy: Policy, **options: Any) -> Callable[[Endpoint], Endpoint]:
        """A query: reads one snapshot, changes nothing. `options` are FastAPI's."""
        return self._route("GET", path, policy, options)

    def post(self, path: str, *, policy: Policy, **options: Any) -> Callable[[Endpoint], Endpoint]:
        """A command: one transaction; an Idempotency-Key is required. `body_bytes_max` bounds the body."""
        return self._route("POST", path, policy, options)

    def put(self, path: str, *, policy: Policy, **options: Any) -> Callable[[Endpoint], Endpoint]:
        """A command that sets a whole thing: one transaction; an Idempotency-Key is possible."""
        return self._route("PUT", path, policy, options)

    def patch(self, path: str, *, policy: Policy, **options: Any) -> Callable[[Endpoint], Endpoint]:
        """A command that changes a part: one transaction; an Idempotency-Key is possible."""
        return self._route("PATCH", path, policy, options)

    def delete(self, path: str, *, policy: Policy, **options: Any) -> Callable[[Endpoint], Endpoint]:
        """A command that ends a thing: one transaction; an Idempotency-Key is possible."""
        return self._route("DELETE", path, policy, options)

    def _route(
        self, method: str, path: str, policy: Policy, options: dict[str, Any]
    ) -> Callable[[Endpoint], Endpoint]:
        if not isinstance(policy, Policy):
            raise PolicyMissing(method, path)
        declaration = Declaration(
            method=method,
            policy=policy.for_reading() if method in READING else policy,
            visible=policy.visible or self._visible,
            body_bytes_max=options.pop("body_bytes_max", None),
        )

        def declare(endpoint: Endpoint) -> Endpoint:
            self.api.add_api_route(
                path,
                endpoint,
                methods=[method],
                route_class_override=cast(type[APIRoute], partial(Route, declaration=declaration)),
                dependencies=[Security(bearer_scheme), *options.pop("dependencies", ())],
                responses={**problem_responses(declaration), **options.pop("responses", {})},
                openapi_extra={**documented(declaration), **options.pop("openapi_extra", {})},
                **options,
            )
            return endpoint

        return declare


class Route(APIRoute):
    """A route that authenticates, authorizes and opens the transaction before its endpoint runs."""

    def __init__(self, *arguments: Any, declaration: Declaration, **options: Any) -> None:
        self.declaration = declaration
        super().__init__(*arguments, **options)

    def get_route_handler(self) -> Handler:
        call_endpoint = super().get_route_handler()

        async def handle(request: Request) -> Response:
            return await Conversation(self, request, call_endpoint).answer()

        return handle

    @property
    def expects_json(self) -> bool:
        media = getattr(getattr(self.body_field, "field_info", None), "media_type", bodies.JSON)
        return self.body_field is not None and media == bodies.JSON


class Conversation:
    """One request from its token to its answer."""

    def __init__(self, route: Route, request: Request, call_endpoint: Handler) -> None:
        self.route = route
        self.declaration = route.declaration
        self.request = request
        self.call_endpoint = call_endpoint
        self.context: HttpContext = request.app.state.context
        self.cause_id = str(uuid4())

    async def answer(self) -> Response:
        principal = await self._authenticate()
        if self.declaration.is_reading:
            return await retried(partial(self._query, principal))
        return await self._command(principal)

    async def _authenticate(self) -> Principal:
        """Knows the caller and refuses what no object could allow, before anything is read or opened."""
        authenticator: Authenticator = self.request.app.state.authenticator
        principal = await authenticator.principal(self.request.headers.get("authorization"))
        policy = self.declaration.policy
        if policy.account is None or ACCOUNT_USER not in principal.roles:
            await authorize(principal, policy)
        return principal

    async def _query(self, principal: Principal) -> Response:
        async with AsyncExitStack() as stack:
            exchange = self._exchange(principal, stack)
            return await self._run(exchange, self.request)

    async def _command(self, principal: Principal) -> Response:
        key = idempotency.key_of(self.request, required=self.declaration.method == "POST")
        limit = self.declaration.body_bytes_max or self.context.settings.http_body_bytes_max
        body = await bodies.read_body(self.request, limit)
        document = self._document(body)
        request_hash = idempotency.request_hash(self.request, body)
        try:
            return await retried(partial(self._attempt, principal, key, request_hash, body, document))
        except RefusedByAnswer as refused:
            return refused.response

    def _document(self, body: bytes) -> Any:
        if not self.route.expects_json or not body:
            return None
        if not bodies.is_json(bodies.media_type(self.request)):
            raise Problem.unsupported_media_type(bodies.JSON)
        return bodies.parse_json(body)

    async def _attempt(
        self, principal: Principal, key: str | None, request_hash: bytes, body: bytes, document: Any
    ) -> Response:
        async with AsyncExitStack() as stack, self.context.open_work(self._cause()) as work:
            exchange = self._exchange(principal, stack)
            exchange.work = work
            request = bodies.BufferedRequest(self.request.scope, body, document)
            if key is None:
                return refuse_errors(await self._run(exchange, request))
            kept = await idempotency.kept_answer(work.connection, principal.subject, key, request_hash)
            if kept is not None:
                metrics.http_replayed.inc()
                return kept.response()
            response = refuse_errors(await self._run(exchange, request))
            answer = idempotency.answer_of(response)
            await idempotency.keep_answer(work.connection, principal.subject, key, answer)
            return response

    def _cause(self) -> Cause:
        correlation_id = structlog.contextvars.get_contextvars().get("correlation_id", self.cause_id)
        incoming = self.request.headers.get("traceparent")
        return Cause(
            source=f"coffer/{self.context.name}",
            id=self.cause_id,
            correlation_id=correlation_id,
            traceparent=tracing.current_traceparent(incoming),
        )

    def _exchange(self, principal: Principal, stack: AsyncExitStack) -> Exchange:
        access = Access(principal, self.declaration.policy)
        exchange = Exchange(self.context, principal, access, stack)
        access.visible = self._visible_accounts(exchange)
        return exchange

    def _visible_accounts(self, exchange: Exchange) -> VisibleAccount | None:
        visible = self.declaration.visible
        if visible is None:
            return None

        async def is_visible(account: str) -> bool:
            return await visible(await exchange.reader(), exchange.principal.accounts, account)

        return is_visible

    async def _run(self, exchange: Exchange, request: Request) -> Response:
        setattr(request.state, STATE, exchange)
        policy, access = self.declaration.policy, exchange.access
        if policy.account is not None and policy.account != LOADED:
            await authorize(exchange.principal, policy, self._object_account(policy.account), access.visible)
        response = await self.call_endpoint(request)
        if policy.account == LOADED and not access.asked and response.status_code < 400:
            raise AuthorizationForgotten(policy.action)
        return response

    def _object_account(self, parameter: str) -> str | None:
        value = self.request.path_params.get(parameter)
        return str(value) if value is not None else self.request.query_params.get(parameter)


def refuse_errors(response: Response) -> Response:
    if response.status_code >= 400:
        raise RefusedByAnswer(response)
    return response


R = TypeVar("R")


async def retried(attempt: Callable[[], Awaitable[R]]) -> R:
    """Runs an attempt again, a bounded number of times, after a fault that passes; then Problem 503."""
    deadline = monotonic() + RETRY_SECONDS_MAX
    for number in range(1, ATTEMPTS_MAX + 1):
        try:
            return await attempt()
        except Exception as error:
            if not is_transient(error):
                raise
            if number == ATTEMPTS_MAX or monotonic() > deadline:
                log.warning(
                    "a request is given up after faults that pass", attempts=number, error=repr(error)
                )
                raise Problem.unavailable("The database is busy or away; try again shortly.") from error
            metrics.retries.labels(what="request").inc()
        await asyncio.sleep(BACKOFF_SECONDS * 2**number * (0.5 + random.random()))  # noqa: S311  # spreads
    raise AssertionError("unreachable: the last attempt returns or raises")


def problem_responses(declaration: Declaration) -> dict[int | str, dict[str, Any]]:
    """The refusals of a route, for its OpenAPI page."""
    statuses = {401: "No or no valid token", 403: "The role is missing", 422: "A field is wrong"}
    if declaration.policy.account is not None:
        statuses[404] = "Absent, or somebody else's"
    content = {MEDIA_TYPE: {"schema": {"$ref": f"#/components/schemas/{ProblemDocument.__name__}"}}}
    return {status: {"description": text, "content": content} for status, text in statuses.items()}


def documented(declaration: Declaration) -> dict[str, Any]:
    """What OpenAPI has no word for, and the header that the routing reads itself."""
    policy = declaration.policy
    extra: dict[str, Any] = {"x-action": policy.action, "x-roles": sorted(policy.roles)}
    if not declaration.is_reading:
        extra["parameters"] = [
            {
                "name": idempotency.HEADER,
                "in": "header",
                "required": declaration.method == "POST",
                "description": "New for each command, the same for a repeat; the first answer is given again.",
                "schema": {"type": "string", "maxLength": 200},
            }
        ]
    return extra
