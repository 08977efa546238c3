"""One request from its token to its answer."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import Any, Final, TypeVar
from uuid import uuid4

import structlog
from starlette.requests import Request
from starlette.responses import Response

from chassis import metrics, tracing
from chassis.errors import is_transient
from chassis.faults import Fault
from chassis.http import bodies, idempotency
from chassis.http.auth import Authenticator, Principal
from chassis.http.exchange import STATE, Exchange
from chassis.http.policy import ACCOUNT_USER, LOADED, Access, Policy, Visible, VisibleAccount, authorize
from chassis.http.ports import HttpContext
from chassis.http.problems import Problem
from chassis.work import Cause

READING: Final = frozenset({"GET"})
ATTEMPTS_MAX: Final = 4
RETRY_SECONDS_MAX: Final = 12.0
BACKOFF_SECONDS: Final = 0.05
NOBODY: Final = Principal("", frozenset())

FAULT: Final = Fault(
    "requests are given up after faults that pass",
    "requests are answered again",
    log=structlog.get_logger(__name__),
)

Handler = Callable[[Request], Coroutine[Any, Any, Response]]
R = TypeVar("R")


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

    @property
    def needs_token(self) -> bool:
        return self.policy.proof is None

    @property
    def needs_key(self) -> bool:
        return self.method == "POST" and self.needs_token


@dataclass(frozen=True, slots=True)
class Command:
    """A command as it was sent: who, under which key, and the body read once for all attempts."""

    principal: Principal
    key: str | None
    request_hash: bytes
    body: bytes
    document: Any


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


class Conversation:
    """Knows the caller, opens the snapshot or the transaction, runs the endpoint, and keeps the answer."""

    def __init__(
        self, declaration: Declaration, request: Request, call_endpoint: Handler, takes_json: bool
    ) -> None:
        self.declaration = declaration
        self.policy = declaration.policy
        self.request = request
        self.call_endpoint = call_endpoint
        self.takes_json = takes_json
        self.context: HttpContext = request.app.state.context
        self.cause_id = str(uuid4())

    async def answer(self) -> Response:
        principal = await self._authenticate()
        if self.declaration.is_reading:
            return await retried(partial(self._query, principal))
        command = await self._read_command(principal)
        try:
            return await retried(partial(self._command, command))
        except RefusedByAnswer as refused:
            return refused.response

    async def _authenticate(self) -> Principal:
        """Refuses what no object could allow, before anything is read or opened."""
        if not self.declaration.needs_token:
            return NOBODY
        authenticator: Authenticator = self.request.app.state.authenticator
        principal = await authenticator.principal(self.request.headers.get("authorization"))
        if self.policy.account is None or ACCOUNT_USER not in principal.roles:
            await authorize(principal, self.policy)
        return principal

    async def _query(self, principal: Principal) -> Response:
        async with AsyncExitStack() as stack:
            exchange = self._exchange(principal, stack)
            await self._authorize(exchange)
            return await self._run(exchange, self.request)

    async def _read_command(self, principal: Principal) -> Command:
        declaration = self.declaration
        key = (
            idempotency.key_of(self.request, required=declaration.needs_key)
            if declaration.needs_token
            else None
        )
        bytes_max = self.declaration.body_bytes_max or self.context.settings.http_body_bytes_max
        body = await bodies.read_body(self.request, bytes_max)
        request_hash = idempotency.request_hash(self.request, body)
        return Command(principal, key, request_hash, body, self._document(body))

    def _document(self, body: bytes) -> Any:
        if not self.takes_json or not body:
            return None
        if not bodies.is_json(bodies.media_type(self.request)):
            raise Problem.unsupported_media_type(bodies.JSON)
        return bodies.parse_json(body)

    async def _command(self, command: Command) -> Response:
        async with AsyncExitStack() as stack, self.context.open_work(self._cause()) as work:
            exchange = self._exchange(command.principal, stack)
            exchange.work = work
            await self._authorize(exchange)
            return await self._run_once(exchange, command)

    async def _run_once(self, exchange: Exchange, command: Command) -> Response:
        """Runs the endpoint and keeps its answer, or gives the answer kept under the command's key."""
        request = bodies.BufferedRequest(self.request.scope, command.body, command.document)
        if command.key is None:
            return refuse_errors(await self._run(exchange, request))
        connection, subject = await exchange.reader(), command.principal.subject
        kept = await idempotency.kept_answer(connection, subject, command.key, command.request_hash)
        if kept is not None:
            metrics.http_replayed.inc()
            return kept.response()
        response = refuse_errors(await self._run(exchange, request))
        await idempotency.keep_answer(connection, subject, command.key, idempotency.answer_of(response))
        return response

    def _cause(self) -> Cause:
        """The same for every attempt, so that deciding again gives the same event ids."""
        correlation_id = structlog.contextvars.get_contextvars().get("correlation_id", self.cause_id)
        incoming = tracing.well_formed(self.request.headers.get("traceparent"))
        return Cause(
            source=f"coffer/{self.context.name}",
            id=self.cause_id,
            correlation_id=correlation_id,
            traceparent=tracing.current_traceparent(incoming),
        )

    def _exchange(self, principal: Principal, stack: AsyncExitStack) -> Exchange:
        access = Access(principal, self.policy)
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

    async def _authorize(self, exchange: Exchange) -> None:
        if self.policy.account not in (None, LOADED):
            account = self._object_account(str(self.policy.account))
            await authorize(exchange.principal, self.policy, account, exchange.access.visible)

    def _object_account(self, parameter: str) -> str | None:
        value = self.request.path_params.get(parameter)
        return str(value) if value is not None else self.request.query_params.get(parameter)

    async def _run(self, exchange: Exchange, request: Request) -> Response:
        setattr(request.state, STATE, exchange)
        response = await self.call_endpoint(request)
        if self.policy.account == LOADED and not exchange.access.asked and response.status_code < 400:
            raise AuthorizationForgotten(self.policy.action)
        return response


def refuse_errors(response: Response) -> Response:
    if response.status_code >= 400:
        raise RefusedByAnswer(response)
    return response


async def retried(attempt: Callable[[], Awaitable[R]]) -> R:
    """Runs an attempt again, a bounded number of times, after a fault that passes; then Problem 503."""
    deadline = monotonic() + RETRY_SECONDS_MAX
    for number in range(1, ATTEMPTS_MAX + 1):
        try:
            answer = await attempt()
        except Exception as error:
            if not is_transient(error):
                raise
            if number == ATTEMPTS_MAX or monotonic() > deadline:
                FAULT.failed(error)
                raise Problem.unavailable("The database is busy or away; try again shortly.") from error
            metrics.retries.labels(what="request").inc()
        else:
            FAULT.passed()
            return answer
        await asyncio.sleep(BACKOFF_SECONDS * 2**number * (0.5 + random.random()))  # noqa: S311  # spreads
    raise AssertionError("unreachable: the last attempt returns or raises")
