"""The local SMS gateway: speaks Kannel's sendsms and delivery reports, and keeps what it was sent.

GET with query parameters and POST with X-Kannel headers are both taken; the answers are Kannel's. A message
asks for reports with `dlr-mask` and `dlr-url`, whose `%` escapes are filled in.
"""

import asyncio
import logging
import re
import secrets
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import httpx
import typer
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from ops.local.control import control_routes, serve
from ops.local.faults import Fault, FaultList, Journal
from ops.local.gsm import carry
from ops.local.ports import HOST
from ops.local.secret import USERNAME, secret

PARTS_MAX = 10
REPORTS = (8, 1)  # accepted by the centre, then delivered
REPORT_DELAY_SECONDS = 0.05
REPORT_ATTEMPTS = 30
REPORT_RETRY_SECONDS = 2.0
REPORT_TIMEOUT_SECONDS = 10.0
RECEIVED = (200, 202)
REPORT_TEXTS = {
    1: "id:{id} sub:001 dlvrd:001 submit date:{date} done date:{date} stat:DELIVRD err:000 text:",
    2: "id:{id} sub:001 dlvrd:000 submit date:{date} done date:{date} stat:UNDELIV err:001 text:",
    4: "BUFFERED",
    8: "ACK/",
    16: "NACK/Rejected",
}
NUMBER = re.compile(r"[0-9+-]+")
CODINGS = ("0", "1", "2")

logger = logging.getLogger("coffer.sms")


@dataclass(frozen=True, slots=True)
class Submission:
    """One request to send, in Kannel's own words."""

    username: str
    password: str
    sender: str
    receivers: tuple[str, ...] | None
    text: str
    coding: str
    report_mask: int
    report_url: str
    validity: str

    @property
    def is_addressed(self) -> bool:
        """Whether every receiver looks like a number."""
        return all(NUMBER.fullmatch(receiver) for receiver in self.receivers or ())


def from_query(parameters: Mapping[str, str]) -> Submission:
    """Read sendsms's query parameters."""
    return _submission(parameters, parameters.get("text", ""))


def from_headers(headers: Mapping[str, str], body: bytes) -> Submission:
    """Read the X-Kannel headers, with the text as the body."""
    charset = re.search(r"charset=([\w-]+)", headers.get("content-type", ""))
    text = body.decode(charset.group(1) if charset else "utf-8", "replace")
    prefix = "x-kannel-"
    named = {
        name.lower().removeprefix(prefix): value for name, value in headers.items() if prefix in name.lower()
    }
    return _submission(named, text)


def _submission(values: Mapping[str, str], text: str) -> Submission:
    mask = values.get("dlr-mask", "0")
    return Submission(
        username=values.get("username", values.get("user", "")),
        password=values.get("password", values.get("pass", "")),
        sender=values.get("from", ""),
        receivers=tuple(values["to"].split()) if "to" in values else None,
        text=text,
        coding=values.get("coding", "0"),
        report_mask=int(mask) if mask.isdecimal() else 0,
        report_url=values.get("dlr-url", ""),
        validity=values.get("validity", ""),
    )


class Gateway:
    """Takes submissions, keeps them, and reports on them."""

    def __init__(self, directory: Path, password: str) -> None:
        self.password = password
        self.faults = FaultList()
        self.journal = Journal(directory / "sms.ndjson")
        self._http = httpx.AsyncClient(timeout=REPORT_TIMEOUT_SECONDS)
        self._reports: set[asyncio.Task[None]] = set()

    async def send(self, submission: Submission) -> Response:
        """Answer one request as Kannel does."""
        refusal = self._refusal(submission)
        if refusal is not None:
            return refusal
        fault = self.faults.take("send", " ".join(submission.receivers or ()))
        if fault is None or not fault.refuses:
            self._accept(submission, fault)
        if fault is not None:
            await asyncio.sleep(fault.delay_seconds)
        return _answer(fault.answer if fault and fault.answer else "202 0: Accepted for delivery")

    def _refusal(self, submission: Submission) -> Response | None:
        known = submission.username == USERNAME
        if not known or not secrets.compare_digest(submission.password.encode(), self.password.encode()):
            return _answer("403 Authorization failed for sendsms")
        for is_wrong, sentence in (
            (submission.receivers is None, "Missing receiver number, rejected"),
            (submission.receivers == (), "Empty receiver number not allowed, rejected"),
            (not submission.sender, "Sender missing and no global set, rejected"),
            (submission.coding not in CODINGS, "Coding field misformed, rejected"),
            (not submission.is_addressed, "Number(s) has/have been denied by white- and/or black-lists."),
        ):
            if is_wrong:
                return _answer(f"400 {sentence}")
        return None

    def _accept(self, submission: Submission, fault: Fault | None) -> None:
        carried = carry(submission.text, submission.coding, PARTS_MAX)
        for receiver in submission.receivers or ():
            self.journal.append(
                {
                    "number": len(self.journal.records) + 1,
                    "received_at": datetime.now(UTC).isoformat(),
                    "from": submission.sender,
                    "to": receiver,
                    "text": carried.text,
                    "parts": carried.parts,
                    "coding": submission.coding,
                    "validity": submission.validity,
                    "report_url": submission.report_url,
                }
            )
            self._report_later(submission, receiver, fault)

    def _report_later(self, submission: Submission, receiver: str, fault: Fault | None) -> None:
        types = REPORTS if fault is None or fault.reports is None else fault.reports
        wanted = [number for number in types if number & submission.report_mask]
        if not wanted or not submission.report_url:
            return
        delay = REPORT_DELAY_SECONDS
        if fault is not None and fault.report_delay_seconds is not None:
            delay = fault.report_delay_seconds
        task = asyncio.create_task(self._report(submission, receiver, wanted, delay))
        self._reports.add(task)
        task.add_done_callback(self._reports.discard)

    async def _report(self, submission: Submission, receiver: str, types: list[int], delay: float) -> None:
        for number in types:
            await asyncio.sleep(delay)
            await self._call(report_url(submission, receiver, number))

    async def _call(self, url: str) -> None:
        """Deliver a report; only 200 and 202 count as received."""
        for attempt in range(REPORT_ATTEMPTS):
            if attempt:
                await asyncio.sleep(REPORT_RETRY_SECONDS)
            try:
                if (await self._http.get(url)).status_code in RECEIVED:
                    return
            except httpx.HTTPError as problem:
                logger.warning("a report was not taken: %s", problem)
        logger.warning("a report was given up after %d attempts", REPORT_ATTEMPTS)


def report_url(submission: Submission, receiver: str, number: int) -> str:
    """The address to call for one report, its escapes filled in."""
    now, identity = datetime.now(UTC), str(uuid.uuid4())
    answer = REPORT_TEXTS.get(number, "").format(id=identity, date=now.strftime("%y%m%d%H%M"))
    values = {
        "d": str(number),
        "A": answer,
        "p": receiver,
        "P": submission.sender,
        "t": now.strftime("%Y-%m-%d %H:%M"),
        "T": str(int(time.time())),
        "I": identity,
        "F": identity,
        "i": "local",
        "n": USERNAME,
        "%": "%",
    }
    return re.sub(
        r"%([dApPtTIFin%])", lambda match: quote(values[match.group(1)], safe=""), submission.report_url
    )


def _answer(text: str) -> Response:
    status, _, body = text.partition(" ")
    return PlainTextResponse(body, status_code=int(status))


async def run(directory: Path, port: int, host: str = "") -> None:
    """Serve until the process is asked to stop."""
    gateway = Gateway(directory, secret(directory, "sms"))

    async def sendsms(request: Request) -> Response:
        if request.method == "GET":
            return await gateway.send(from_query(request.query_params))
        return await gateway.send(from_headers(request.headers, await request.body()))

    routes = [
        Route("/cgi-bin/sendsms", sendsms, methods=["GET", "POST"]),
        *control_routes(gateway.journal, gateway.faults, gateway.journal.clear),
    ]
    await serve(routes, port, host)


def main(directory: Path, port: int, host: str = HOST) -> None:
    """Run the SMS gateway of the stack in this directory."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    asyncio.run(run(directory, port, host))


if __name__ == "__main__":
    typer.run(main)
