"""What machines ask a service: does it live, is it ready, how does it fare. Served without a token."""

import asyncio
from collections.abc import Sequence
from typing import Final

import orjson
from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import Response

from chassis import metrics
from chassis.http.ports import HttpContext, Readiness

READINESS_SECONDS_MAX: Final = 5.0

router: Final = APIRouter(tags=["operations"])


@router.get("/livez", summary="Whether the process lives", response_class=Response)
async def livez() -> Response:
    return Response(b"ok\n", media_type="text/plain")


@router.get(
    "/readyz", summary="Whether the service does its work, and what it lacks", response_class=Response
)
async def readyz(request: Request) -> Response:
    checks = await _checks(request.app.state.context)
    is_ready = all(check.ok for check in checks)
    metrics.ready.set(is_ready)
    document = {
        "ready": is_ready,
        "checks": [{"name": check.name, "ok": check.ok, "sentence": check.sentence} for check in checks],
    }
    return Response(orjson.dumps(document), 200 if is_ready else 503, media_type="application/json")


async def _checks(context: HttpContext) -> Sequence[Readiness]:
    try:
        async with asyncio.timeout(READINESS_SECONDS_MAX):
            return await context.readiness()
    except TimeoutError:
        sentence = f"The checks did not answer within {READINESS_SECONDS_MAX:g} s."
        return [Readiness("checks", ok=False, sentence=sentence)]


@router.get("/metrics", summary="Figures for Prometheus", response_class=Response)
async def prometheus_metrics() -> Response:
    return Response(metrics.exposition(), media_type=CONTENT_TYPE_LATEST)
