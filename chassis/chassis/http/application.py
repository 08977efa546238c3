"""Puts a service's HTTP side together."""

from collections.abc import Callable, Iterable, MutableMapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Final

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi.routing import iter_route_contexts
from fastapi.telemetry import TelemetryConfig
from starlette.exceptions import HTTPException

from chassis import metrics, tracing
from chassis.http import health
from chassis.http.auth import Authenticator, KeySet
from chassis.http.middleware import Envelope
from chassis.http.ports import HttpContext
from chassis.http.problems import (
    Problem,
    ProblemDocument,
    answer_http_exception,
    answer_invalid_request,
    answer_problem,
)
from chassis.http.router import Route, Router
from chassis.settings import Settings

OPERATIONS_PATHS: Final = frozenset({"/livez", "/readyz", "/metrics"})
DOCUMENTATION_PATHS: Final = frozenset({"/openapi.json", "/docs", "/docs/oauth2-redirect"})
OPEN_PATHS: Final = OPERATIONS_PATHS | DOCUMENTATION_PATHS

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


def build_app(
    context: HttpContext,
    routers: Iterable[Router],
    lifespan: Lifespan | None = None,
    *,
    authenticator: Authenticator | None = None,
    version: str = "1.0.0",
) -> FastAPI:
    """The ASGI application of a service; `context` is at `app.state.context`."""
    app = FastAPI(
        title=f"Coffer {context.name}",
        version=version,
        lifespan=lifespan,
        redoc_url=None,
        redirect_slashes=False,
        telemetry=telemetry(),
    )
    metrics.build.info({"service": context.name, "version": version})
    app.state.context = context
    app.state.authenticator = authenticator or authenticator_of(context.settings)
    app.add_exception_handler(Problem, answer_problem)
    app.add_exception_handler(HTTPException, answer_http_exception)
    app.add_exception_handler(RequestValidationError, answer_invalid_request)
    app.add_middleware(Envelope)
    for router in routers:
        app.include_router(router.api)
    app.include_router(health.router)
    app.openapi = lambda: openapi(app)  # type: ignore[method-assign]  # FastAPI's documented way to extend it
    return app


def authenticator_of(settings: Settings) -> Authenticator:
    """Verifies tokens of the issuer that the settings name."""
    return Authenticator(settings.oidc_issuer, settings.oidc_audience, KeySet(settings.oidc_jwks))


def telemetry() -> TelemetryConfig:
    """FastAPI's request spans go where Coffer's go; its metrics and logs, which may hold bodies, are off."""
    provider = tracing.provider()
    config: TelemetryConfig = {
        "tracing": provider is not None,
        "metrics": False,
        "logs": False,
        "operation_spans": False,
        "auto_configure": False,
        "exclude": is_operations,
    }
    if provider is not None:
        config["tracer_provider"] = provider
    return config


def is_operations(scope: MutableMapping[str, Any]) -> bool:
    return scope.get("path") in OPERATIONS_PATHS


def unprotected_routes(app: FastAPI, *, open_paths: frozenset[str] = OPEN_PATHS) -> list[str]:
    """Routes that declare no policy and are not among the paths that need none."""
    return [
        f"{','.join(sorted(context.methods or ()))} {context.path}"
        for context in iter_route_contexts(app.routes)
        if not isinstance(context.original_route, Route) and context.path not in open_paths
    ]


def openapi(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document with the shape of a problem in it."""
    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version=app.version, routes=app.routes)
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        problem = ProblemDocument.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas.update(problem.pop("$defs", {}))
        schemas[ProblemDocument.__name__] = problem
        app.openapi_schema = document
    return app.openapi_schema
