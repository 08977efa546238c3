"""Routes with a declared policy: queries on a read-only snapshot, commands in one transaction."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, TypeVar, cast

from fastapi import APIRouter, Security
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer
from starlette.requests import Request
from starlette.responses import Response

from chassis.http import bodies, idempotency
from chassis.http.conversation import READING, Conversation, Declaration, Handler
from chassis.http.policy import LOADED, Policy, Visible
from chassis.http.problems import MEDIA_TYPE, ProblemDocument

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])

bearer_scheme: Final = HTTPBearer(
    auto_error=False, bearerFormat="JWT", description="A token of the company's OpenID Connect issuer."
)


class PolicyMissing(TypeError):
    """A route was declared without saying who may call it."""

    def __init__(self, method: str, path: str) -> None:
        super().__init__(
            f"{method} {path} declares no policy; say who may call it: policy=Policy(action, roles)"
        )


class AccountParameterMissing(TypeError):
    """A policy names a parameter for the object's account that its route does not have."""

    def __init__(self, path: str, parameter: str) -> None:
        super().__init__(f"{path} has no path or query parameter {parameter!r}, which its policy names")


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
                dependencies=[*token_dependency(declaration), *options.pop("dependencies", ())],
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
        account = declaration.policy.account
        if account is not None and account != LOADED and account not in self._parameters():
            raise AccountParameterMissing(self.path, account)

    def get_route_handler(self) -> Handler:
        call_endpoint = super().get_route_handler()
        takes_json = self._takes_json()

        async def handle(request: Request) -> Response:
            return await Conversation(self.declaration, request, call_endpoint, takes_json).answer()

        return handle

    def _parameters(self) -> set[str]:
        return {*self.param_convertors, *(parameter.alias for parameter in self.dependant.query_params)}

    def _takes_json(self) -> bool:
        media = getattr(getattr(self.body_field, "field_info", None), "media_type", bodies.JSON)
        return self.body_field is not None and media == bodies.JSON


def token_dependency(declaration: Declaration) -> list[Any]:
    """Shows the token on the OpenAPI page; the conversation is what verifies it."""
    return [Security(bearer_scheme)] if declaration.needs_token else []


def problem_responses(declaration: Declaration) -> dict[int | str, dict[str, Any]]:
    """The refusals of a route, for its OpenAPI page."""
    statuses = {422: "A field is wrong"}
    if declaration.needs_token:
        statuses |= {401: "No or no valid token", 403: "The role is missing"}
    if declaration.policy.account is not None:
        statuses[404] = "Absent, or somebody else's"
    content = {MEDIA_TYPE: {"schema": {"$ref": f"#/components/schemas/{ProblemDocument.__name__}"}}}
    return {status: {"description": text, "content": content} for status, text in statuses.items()}


def documented(declaration: Declaration) -> dict[str, Any]:
    """What OpenAPI has no word for, and the header that the routing reads itself."""
    policy = declaration.policy
    extra: dict[str, Any] = {"x-action": policy.action, "x-roles": sorted(policy.roles)}
    if policy.proof is not None:
        extra = {"x-action": policy.action, "x-proof": policy.proof}
    if not declaration.is_reading and declaration.needs_token:
        extra["parameters"] = [
            {
                "name": idempotency.HEADER,
                "in": "header",
                "required": declaration.needs_key,
                "description": "New for each command, the same for a repeat; the first answer is given again.",
                "schema": {"type": "string", "maxLength": 200},
            }
        ]
    return extra
