"""The HTTP side that the mail server and the SMS gateway share: what was received, and faults to order."""

import asyncio
import html
from collections.abc import Callable, Sequence
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route

from ops.local.faults import Fault, FaultList, Journal
from ops.local.ports import HOST

PAGE_ROWS = 500


def control_routes(journal: Journal, faults: FaultList, clear: Callable[[], None]) -> list[BaseRoute]:
    """GET and DELETE /messages, GET, POST and DELETE /faults, GET /livez, and a page for people."""

    async def livez(_request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def messages(request: Request) -> Response:
        wanted = request.query_params.get("to", "")
        return JSONResponse(journal.select(lambda record: wanted in record["to"]))

    async def forget_messages(_request: Request) -> Response:
        clear()
        return Response(status_code=204)

    async def list_faults(_request: Request) -> Response:
        return JSONResponse(faults.as_json())

    async def add_fault(request: Request) -> Response:
        try:
            faults.add(Fault.from_json(await request.json()))
        except (TypeError, ValueError) as problem:
            return JSONResponse({"error": str(problem)}, status_code=400)
        return Response(status_code=201)

    async def forget_faults(_request: Request) -> Response:
        faults.clear()
        return Response(status_code=204)

    async def page(_request: Request) -> Response:
        return HTMLResponse(_page(journal.records[-PAGE_ROWS:]))

    return [
        Route("/livez", livez),
        Route("/messages", messages),
        Route("/messages", forget_messages, methods=["DELETE"]),
        Route("/faults", list_faults),
        Route("/faults", add_fault, methods=["POST"]),
        Route("/faults", forget_faults, methods=["DELETE"]),
        Route("/", page),
    ]


def _page(records: Sequence[dict[str, Any]]) -> str:
    columns = list(records[-1]) if records else []
    head = "".join(f"<th>{html.escape(name)}</th>" for name in columns)
    rows = "".join(
        "<tr>" + "".join(f"<td>{html.escape(str(record.get(name, '')))}</td>" for name in columns) + "</tr>"
        for record in reversed(records)
    )
    return (
        "<!doctype html><meta charset=utf-8><title>Received</title>"
        "<style>body{font:14px sans-serif}td,th{padding:4px 8px;text-align:left;vertical-align:top;"
        f"border-bottom:1px solid #ddd}}</style><table><tr>{head}</tr>{rows}</table>"
        + ("" if records else "<p>Nothing received yet.</p>")
    )


async def serve(routes: Sequence[BaseRoute], port: int, host: str = "") -> None:
    """Answer HTTP, on 127.0.0.1 unless told otherwise, until the process is asked to stop."""
    configuration = uvicorn.Config(
        Starlette(routes=routes),
        host=host or HOST,
        port=port,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(configuration)
    await asyncio.shield(server.serve())
