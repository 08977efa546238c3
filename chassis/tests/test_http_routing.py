import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any

import httpx
import pytest
import structlog
from chassis.http import (
    LOADED,
    Context,
    CurrentAccess,
    CurrentPrincipal,
    CursorPage,
    Page,
    Policy,
    Problem,
    Reader,
    Readiness,
    Router,
    Work,
    bodies,
    unprotected_routes,
)
from chassis.http.fakes import FakeContext, application, client
from chassis.http.router import AccountParameterMissing, PolicyMissing
from fastapi import APIRouter, Body, FastAPI, Response
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import StreamingResponse

from chassis import tracing

router = Router(tags=["sample"])

READ = Policy("thing:read", roles={"finance"})
OWN = Policy("balance:read", roles={"finance"}, account="account")
WRITE = Policy("thing:write", roles={"finance-maker"})


class Line(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    amount: str = Field(pattern=r"^\d+\.\d\d$")


class Order(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    id: str = Field(min_length=1, max_length=10)
    lines: list[Line] = Field(min_length=1)
    priority: int = 0


@router.get("/things/{name}", policy=READ)
async def thing(name: str, principal: CurrentPrincipal, context: Context) -> dict[str, str]:
    return {"name": name, "caller": principal.subject, "service": context.name}


@router.get("/things", policy=READ)
async def things(page: Page, reader: Reader, same: Reader, amount_min: int = 0) -> CursorPage[int]:
    assert reader is same
    return CursorPage(items=list(range(amount_min, page.limit)))


@router.get("/accounts/{account}/balance", policy=OWN)
async def balance(account: str) -> str:
    return account


@router.get("/balances", policy=OWN)
async def balance_by_query(account: str) -> str:
    return account


@router.get("/entries/{entry}", policy=Policy("entry:read", roles={"finance"}, account=LOADED))
async def entry(entry: str, access: CurrentAccess) -> str:
    if entry != "forgotten":
        await access.require("A-1")
    return entry


@router.get("/wrong", policy=READ)
async def wrong(work: Work) -> None:
    raise AssertionError("a query has no unit of work")


@router.get("/bug", policy=READ)
async def bug() -> None:
    raise ZeroDivisionError("secret detail")


@router.put("/orders/{name}", policy=WRITE)
async def put_order(name: str, body: Order, work: Work) -> dict[str, Any]:
    return {"name": name, "id": body.id, "now": work.now}


@router.delete("/orders/{name}", policy=WRITE, status_code=204)
async def delete_order(name: str, work: Work) -> None:
    if name == "posted":
        raise Problem.conflict("order-posted", "Order posted has an entry in the ledger; reverse it instead.")


@router.patch("/orders/{name}", policy=WRITE)
async def refuse_by_answer(name: str, work: Work) -> Response:
    return Response(b"{}", 409, media_type="application/problem+json")


@router.post("/orders", policy=WRITE)
async def post_order(body: Order, work: Work) -> str:
    return body.id


@router.put("/uploads/{name}", policy=WRITE, body_bytes_max=2_000)
async def upload(name: str, body: Annotated[bytes, Body(media_type="text/csv")], work: Work) -> int:
    return len(body)


@pytest.fixture(autouse=True)
def logged() -> Iterator[list[Any]]:
    with structlog.testing.capture_logs() as lines:
        yield lines


@pytest.fixture
def context() -> FakeContext:
    return FakeContext()


@pytest.fixture
def app(context: FakeContext) -> FastAPI:
    return application(context, router)


@pytest.fixture
async def finance(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with client(app, "finance") as connected:
        yield connected


@pytest.fixture
async def maker(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with client(app, "finance-maker") as connected:
        yield connected


ORDER = {"id": "O-1", "lines": [{"amount": "12.50"}]}


def problem(response: httpx.Response, status: int, type: str) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = response.json()
    assert document["type"] == f"urn:coffer:problem:{type}"
    assert document["status"] == status
    assert document["title"]
    assert document["detail"].endswith(".")
    assert document["correlation_id"] == response.headers["x-correlation-id"]
    return document


async def test_a_query_is_answered_to_who_may_ask(finance: httpx.AsyncClient) -> None:
    response = await finance.get("/things/pen")
    assert response.status_code == 200
    assert response.json() == {"name": "pen", "caller": "wang", "service": "sample"}


async def test_no_token_is_401(app: FastAPI) -> None:
    async with client(app) as nobody:
        for response in (await nobody.get("/things/pen"), await nobody.put("/orders/a", json=ORDER)):
            problem(response, 401, "not-authenticated")
            assert response.headers["www-authenticate"] == 'Bearer realm="coffer"'


async def test_a_bad_token_is_401(app: FastAPI) -> None:
    async with client(app) as nobody:
        response = await nobody.get("/things/pen", headers={"Authorization": "Bearer a.b.c"})
    problem(response, 401, "invalid-token")
    assert 'error="invalid_token"' in response.headers["www-authenticate"]


async def test_a_wrong_role_is_403_before_the_body_is_looked_at(app: FastAPI, context: FakeContext) -> None:
    async with client(app, "finance") as finance:
        problem(await finance.put("/orders/a", content=b"{"), 403, "forbidden")
    assert context.outcomes == []


async def test_somebody_elses_object_is_404(app: FastAPI) -> None:
    async with client(app, "account-user", accounts=["A-1"]) as user:
        assert (await user.get("/accounts/A-1/balance")).json() == "A-1"
        problem(await user.get("/accounts/B-1/balance"), 404, "not-found")
        assert (await user.get("/balances?account=A-1")).json() == "A-1"
        problem(await user.get("/balances?account=B-1"), 404, "not-found")
        problem(await user.get("/balances"), 404, "not-found")
        problem(await user.get("/things/pen"), 403, "forbidden")
    async with client(app, "account-user") as nobody:
        problem(await nobody.get("/entries/E-1"), 404, "not-found")


async def test_the_first_of_two_query_values_is_no_way_around(app: FastAPI) -> None:
    async with client(app, "account-user", accounts=["A-1"]) as user:
        for address in ("/balances?account=A-1&account=B-1", "/balances?account=B-1&account=A-1"):
            response = await user.get(address)
            assert response.status_code == 404 or response.json() == "A-1"


async def test_an_endpoint_that_forgets_to_ask_for_the_account_fails_closed(app: FastAPI) -> None:
    async with client(app, "account-user", accounts=["A-1"]) as user:
        assert (await user.get("/entries/E-1")).json() == "E-1"
        problem(await user.get("/entries/forgotten"), 500, "internal-error")


async def test_the_auditor_reads_and_the_administrator_does_all(app: FastAPI) -> None:
    async with client(app, "auditor") as auditor:
        assert (await auditor.get("/things/pen")).status_code == 200
        problem(await auditor.put("/orders/a", json=ORDER), 403, "forbidden")
    async with client(app, "administrator") as administrator:
        assert (await administrator.put("/orders/a", json=ORDER)).status_code == 200


async def test_a_query_opens_one_snapshot_and_only_when_it_needs_one(
    finance: httpx.AsyncClient, context: FakeContext
) -> None:
    await finance.get("/things/pen")
    assert context.snapshots.opened == 0
    await finance.get("/things?limit=3")
    assert context.snapshots.opened == 1


async def test_members_are_seen_through_the_services_own_rule(context: FakeContext) -> None:
    async def visible(_: object, own: frozenset[str], account: str) -> bool:
        return "M" in own and account == "M-1"

    management = Router(visible=visible)
    management.get("/accounts/{account}", policy=OWN)(balance)
    async with client(application(context, management), "account-user", accounts=["M"]) as manager:
        assert (await manager.get("/accounts/M-1")).json() == "M-1"
        problem(await manager.get("/accounts/N-1"), 404, "not-found")


async def test_a_command_commits(maker: httpx.AsyncClient, context: FakeContext) -> None:
    response = await maker.put("/orders/a", json=ORDER)
    assert response.json() == {"name": "a", "id": "O-1", "now": "2026-03-01T09:00:00Z"}
    assert (await maker.delete("/orders/a")).status_code == 204
    assert context.outcomes == ["committed", "committed"]


async def test_a_refused_command_rolls_back(maker: httpx.AsyncClient, context: FakeContext) -> None:
    document = problem(await maker.delete("/orders/posted"), 409, "order-posted")
    assert document["detail"] == "Order posted has an entry in the ledger; reverse it instead."
    assert (await maker.patch("/orders/a")).status_code == 409
    assert context.outcomes == ["rolled back", "rolled back"]


async def test_events_of_a_command_carry_its_correlation_and_trace(
    maker: httpx.AsyncClient, context: FakeContext
) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    headers = {"X-Correlation-Id": "order-7", "traceparent": trace}
    response = await maker.put("/orders/a", json=ORDER, headers=headers)
    (cause,) = context.causes
    assert (cause.source, cause.correlation_id, cause.traceparent) == ("coffer/sample", "order-7", trace)
    assert response.headers["x-correlation-id"] == "order-7"


async def test_a_malformed_trace_is_not_handed_on(maker: httpx.AsyncClient, context: FakeContext) -> None:
    await maker.put("/orders/a", json=ORDER, headers={"traceparent": "x" * 5_000})
    assert context.causes[0].traceparent is None


async def test_a_traced_request_hands_its_own_span_on(context: FakeContext) -> None:
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    exporter = InMemorySpanExporter()
    tracing.use_processor("sample", "sample-1", SimpleSpanProcessor(exporter))
    try:
        async with client(application(context, router), "finance-maker") as maker:
            headers = {"traceparent": f"00-{trace_id}-b7ad6b7169203331-01"}
            await maker.put("/orders/a", json=ORDER, headers=headers)
            await maker.get("/livez")
    finally:
        tracing.shutdown()
    (span,) = exporter.get_finished_spans()
    assert span.name == "PUT /orders/{name}"
    assert span.context is not None
    assert context.causes[0].traceparent == f"00-{trace_id}-{span.context.span_id:016x}-01"


async def test_a_body_that_does_not_arrive_is_given_up(
    maker: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def stalled() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    monkeypatch.setattr(bodies, "READ_SECONDS_MAX", 0.02)
    problem(await maker.put("/orders/a", content=stalled()), 408, "request-timeout")


@pytest.mark.parametrize("given", ["", "a b", "x" * 129, "<script>"])
async def test_an_odd_correlation_id_is_replaced(finance: httpx.AsyncClient, given: str) -> None:
    response = await finance.get("/things/pen", headers={"X-Correlation-Id": given})
    assert re.fullmatch(r"[0-9a-f-]{36}", response.headers["x-correlation-id"])


async def test_the_correlation_id_does_not_outlive_its_request(finance: httpx.AsyncClient) -> None:
    await asyncio.gather(*(finance.get("/things/pen") for _ in range(3)))
    assert "correlation_id" not in structlog.contextvars.get_contextvars()


async def test_a_command_without_its_key_is_400(maker: httpx.AsyncClient) -> None:
    document = problem(await maker.post("/orders", json=ORDER), 400, "idempotency-key-missing")
    assert document["errors"] == [{"field": "Idempotency-Key", "message": "is required"}]


@pytest.mark.parametrize("key", ["", "a b", "x" * 201])
async def test_a_malformed_key_is_400(maker: httpx.AsyncClient, key: str) -> None:
    response = await maker.post("/orders", json=ORDER, headers={"Idempotency-Key": key})
    problem(response, 400, "idempotency-key-malformed")


@pytest.mark.parametrize(
    ("body", "field", "message"),
    [
        ({"lines": [{"amount": "1.00"}]}, "id", "is required"),
        ({**ORDER, "id": ""}, "id", "must have at least 1 character"),
        ({**ORDER, "id": "x" * 11}, "id", "must have at most 10 characters"),
        ({**ORDER, "lines": []}, "lines", "must have at least 1 item after validation, not 0"),
        ({**ORDER, "lines": "x"}, "lines", "must be a JSON array"),
        ({**ORDER, "lines": [{"amount": "1"}]}, "lines[0].amount", r"must match pattern '^\d+\.\d\d$'"),
        ({**ORDER, "lines": [{"amount": 1.5}]}, "lines[0].amount", "must be a valid string"),
        ({**ORDER, "priority": "high"}, "priority", "must be a valid integer"),
        ({**ORDER, "colour": 1}, "colour", "is not a known field"),
        ([], "body", "must be a JSON object"),
        (None, "body", "is required"),
    ],
)
async def test_a_bad_body_says_which_field_and_why(
    maker: httpx.AsyncClient, context: FakeContext, body: object, field: str, message: str
) -> None:
    response = await maker.put("/orders/a", json=body)
    document = problem(response, 422, "invalid-request")
    assert document["errors"] == [{"field": field, "message": message}]
    assert document["detail"] == f"{field} {message}."
    assert "committed" not in context.outcomes


async def test_every_wrong_field_is_told_at_once(maker: httpx.AsyncClient) -> None:
    document = problem(await maker.put("/orders/a", json={"lines": [{}, {}]}), 422, "invalid-request")
    assert [error["field"] for error in document["errors"]] == ["id", "lines[0].amount", "lines[1].amount"]


async def test_a_rejected_value_is_not_repeated(maker: httpx.AsyncClient) -> None:
    response = await maker.put("/orders/a", json={**ORDER, "priority": "wang@example.com"})
    assert "wang" not in response.text


@pytest.mark.parametrize(
    ("address", "field"),
    [("/things?limit=0", "limit"), ("/things?limit=501", "limit"), ("/things?amount_min=x", "amount_min")],
)
async def test_a_bad_query_says_which_field(finance: httpx.AsyncClient, address: str, field: str) -> None:
    document = problem(await finance.get(address), 422, "invalid-request")
    assert [error["field"] for error in document["errors"]] == [field]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"{", "EOF while parsing"),
        (b'{"id": "a", "id": "b"}', 'duplicate key "id"'),
        (b'{"priority": NaN}', "expected value"),
        (b'{"priority": 1e400}', "a number that is too large"),
        (b'{"id": "a\\u0000"}', "the character NUL"),
        (b'{"a\\u0000": 1}', "the character NUL"),
        (b'{"id": "\\ud800"}', "hex escape"),
        (b'{"id": "\xff"}', "unicode"),
        (b"[" * 100_000, "recursion limit"),
    ],
)
async def test_json_with_two_readings_is_refused(maker: httpx.AsyncClient, body: bytes, reason: str) -> None:
    response = await maker.put("/orders/a", content=body, headers={"Content-Type": "application/json"})
    assert reason in problem(response, 400, "malformed-json")["detail"]


@pytest.mark.parametrize("media", ["text/plain", "application/x-www-form-urlencoded", ""])
async def test_another_media_type_is_415(maker: httpx.AsyncClient, media: str) -> None:
    response = await maker.put("/orders/a", content=b"{}", headers={"Content-Type": media})
    problem(response, 415, "unsupported-media-type")


async def test_a_body_above_its_bound_is_413(maker: httpx.AsyncClient) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b" " * 65_536

    large = b" " * (1024 * 1024 + 1)
    problem(await maker.put("/orders/a", content=large), 413, "body-too-large")
    problem(await maker.put("/orders/a", content=endless()), 413, "body-too-large")
    csv = {"Content-Type": "text/csv"}
    assert (await maker.put("/uploads/a", content=b"x" * 2_000, headers=csv)).json() == 2_000
    problem(await maker.put("/uploads/a", content=b"x" * 2_001, headers=csv), 413, "body-too-large")


async def test_what_the_framework_refuses_is_a_problem_too(finance: httpx.AsyncClient) -> None:
    assert "/nowhere" in problem(await finance.get("/nowhere"), 404, "not-found")["detail"]
    response = await finance.post("/things/pen")
    problem(response, 405, "method-not-allowed")
    assert response.headers["allow"] == "GET"


async def test_nul_in_the_address_is_refused(finance: httpx.AsyncClient) -> None:
    problem(await finance.get("/things/a%00b"), 400, "malformed-address")
    problem(await finance.get("/things?cursor=%00"), 400, "malformed-address")


async def test_a_bug_is_a_500_with_an_id_and_its_trace_in_the_log(
    finance: httpx.AsyncClient, logged: list[Any]
) -> None:
    response = await finance.get("/bug")
    document = problem(response, 500, "internal-error")
    assert "secret" not in response.text
    (line,) = [line for line in logged if line["log_level"] == "error"]
    assert line["error_id"] == document["error_id"]
    assert line["exc_info"]


async def test_a_query_cannot_change_anything(finance: httpx.AsyncClient, context: FakeContext) -> None:
    problem(await finance.get("/wrong"), 500, "internal-error")
    assert context.causes == []


async def test_a_fault_that_passes_is_tried_again(maker: httpx.AsyncClient, context: FakeContext) -> None:
    context.faults = [ConnectionResetError("gone"), TimeoutError()]
    assert (await maker.put("/orders/a", json=ORDER)).status_code == 200
    assert context.outcomes == ["rolled back", "rolled back", "committed"]
    assert len({cause.id for cause in context.causes}) == 1


async def test_a_fault_that_stays_is_503_after_a_bounded_number_of_attempts(
    maker: httpx.AsyncClient, context: FakeContext
) -> None:
    context.faults = [ConnectionResetError("gone") for _ in range(10)]
    response = await maker.put("/orders/a", json=ORDER)
    problem(response, 503, "unavailable")
    assert int(response.headers["retry-after"]) > 0
    assert context.outcomes == ["rolled back"] * 4


async def test_every_answer_has_security_headers(finance: httpx.AsyncClient) -> None:
    for response in (await finance.get("/things/pen"), await finance.get("/nowhere")):
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["content-security-policy"].startswith("default-src 'none'")


async def test_requests_are_counted_by_route_and_not_by_address(finance: httpx.AsyncClient) -> None:
    await finance.get("/things/one-of-millions")
    await finance.get("/nowhere/one-of-millions")
    await finance.request("BREW", "/things/pen")
    exposition = (await finance.get("/metrics")).text
    assert 'coffer_http_requests_total{method="GET",route="/things/{name}",status="200"}' in exposition
    assert 'coffer_http_requests_total{method="GET",route="unmatched",status="404"}' in exposition
    assert 'coffer_http_requests_total{method="other",route="/things/{name}",status="405"}' in exposition
    assert "one-of-millions" not in exposition


async def test_liveness_readiness_and_figures_need_no_token(app: FastAPI, context: FakeContext) -> None:
    context.checks = [Readiness("database", ok=True, sentence="answers")]
    async with client(app) as nobody:
        assert (await nobody.get("/livez")).text == "ok\n"
        ready = await nobody.get("/readyz")
        assert ready.status_code == 200
        assert ready.json()["checks"] == [{"name": "database", "ok": True, "sentence": "answers"}]
        assert (await nobody.get("/metrics")).headers["content-type"].startswith("text/plain")
        context.checks = [*context.checks, Readiness("consumer", ok=False, sentence="waits for the broker")]
        waiting = await nobody.get("/readyz")
    assert waiting.status_code == 503
    assert waiting.json()["ready"] is False


async def test_the_documentation_tells_roles_keys_and_problems(app: FastAPI) -> None:
    async with client(app) as nobody:
        assert (await nobody.get("/docs")).status_code == 200
        document = (await nobody.get("/openapi.json")).json()
    post = document["paths"]["/orders"]["post"]
    assert post["x-roles"] == ["administrator", "finance-maker"]
    (key,) = [parameter for parameter in post["parameters"] if parameter["name"] == "Idempotency-Key"]
    assert key["required"] is True
    assert "application/problem+json" in post["responses"]["422"]["content"]
    assert post["security"] == [{"HTTPBearer": []}]
    assert "errors" in document["components"]["schemas"]["ProblemDocument"]["properties"]
    assert document["info"]["title"] == "Coffer sample"


def test_a_route_without_a_policy_cannot_be_declared() -> None:
    with pytest.raises(PolicyMissing, match="GET /open declares no policy"):
        Router().get("/open", policy=None)(balance)  # type: ignore[arg-type]


async def test_a_caller_without_a_token_may_be_known_by_something_else(context: FakeContext) -> None:
    callback = Router()
    policy = Policy.without_token("report:take", proof="the secret in the path")

    @callback.post("/reports/{secret}", policy=policy)
    async def take(secret: str, work: Work) -> str:
        if secret != "s3cret":
            raise Problem.not_found()
        return "OK"

    app = application(context, callback)
    async with client(app) as gateway:
        assert (await gateway.post("/reports/s3cret")).json() == "OK"
        problem(await gateway.post("/reports/guess"), 404, "not-found")
        operation = (await gateway.get("/openapi.json")).json()["paths"]["/reports/{secret}"]["post"]
    assert operation["x-proof"] == "the secret in the path"
    assert "security" not in operation
    assert unprotected_routes(app) == []


def test_a_policy_names_a_parameter_that_its_route_has() -> None:
    with pytest.raises(AccountParameterMissing, match="/balances has no path or query parameter 'account'"):
        Router().get("/balances", policy=OWN)(things)


def test_a_route_beside_the_router_is_found(context: FakeContext) -> None:
    app = application(context, router)
    assert unprotected_routes(app) == []
    sneaked = APIRouter()
    sneaked.get("/open")(balance)
    app.include_router(sneaked)
    assert unprotected_routes(app) == ["GET /open"]


async def test_a_query_may_answer_with_a_stream(context: FakeContext) -> None:
    streaming = Router()

    @streaming.get("/export", policy=READ)
    async def export() -> StreamingResponse:
        return StreamingResponse(iter([b"a", b"b"]))

    async with client(application(context, streaming), "finance") as finance:
        assert (await finance.get("/export")).content == b"ab"
