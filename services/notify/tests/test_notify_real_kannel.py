"""The SMS channel against a real Kannel with its fake SMSC, where they are installed."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote_to_bytes, urlsplit

import httpx
import pytest
from chassis.testing import only
from notify.channels.kannel import Gateway, KannelChannel
from notify.domain.answers import Answer, ReportMeaning, Verdict, gateway_report
from notify.domain.delivery import Channel
from notify.testing import HOST, outgoing, quota_low

from contracts import NotificationStatus

NOW = datetime(2026, 3, 10, 9, 0, tzinfo=UTC)
START_SECONDS = 15.0
FAKE_SMSC = shutil.which("fakesmsc") or "/usr/lib/kannel/test/fakesmsc"

pytestmark = [
    pytest.mark.stack,
    pytest.mark.skipif(
        not (shutil.which("bearerbox") and shutil.which("smsbox") and Path(FAKE_SMSC).exists()),
        reason="Kannel is not installed (packages kannel and kannel-extras)",
    ),
]

CONFIGURATION = """
group = core
admin-port = {admin}
admin-interface = 127.0.0.1
admin-password = change-me
smsbox-port = {smsbox}
smsbox-interface = 127.0.0.1
store-type = file
store-location = {folder}/store
dlr-storage = spool
dlr-spool = {folder}/dlr

group = smsc
smsc = fake
smsc-id = fake1
our-host = 127.0.0.1
port = {smsc}
connect-allow-ip = 127.0.0.1

group = smsbox
bearerbox-host = 127.0.0.1
bearerbox-port = {smsbox}
smsbox-id = sb1
sendsms-port = {sendsms}
sendsms-interface = 127.0.0.1
http-request-retry = {retries}
http-queue-delay = 1

group = sendsms-user
username = coffer
password = secret
max-messages = 10
concatenation = true

group = sms-service
keyword = default
text = none
max-messages = 0
"""


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server((HOST, 0)) for _ in range(count)]
    ports = [held.getsockname()[1] for held in sockets]
    for held in sockets:
        held.close()
    return ports


class Kannel:
    """A Kannel of its own: bearerbox, smsbox and a fake SMSC that logs what it receives."""

    def __init__(self, folder: Path, retries: int = 3) -> None:
        self.folder = folder
        self.retries = retries
        self.admin, self.smsbox, self.smsc, self.sendsms = free_ports(4)
        self.configuration = folder / "kannel.conf"
        (folder / "dlr").mkdir(parents=True)
        ports = {"admin": self.admin, "smsbox": self.smsbox, "smsc": self.smsc, "sendsms": self.sendsms}
        self.configuration.write_text(CONFIGURATION.format(folder=folder, retries=retries, **ports))
        self.processes: list[subprocess.Popen[bytes]] = []

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.sendsms}/cgi-bin/sendsms"

    def start(self, *command: str) -> None:
        with (self.folder / f"{Path(command[0]).name}.log").open("wb") as log:
            self.processes.append(
                subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True, cwd=self.folder)
            )

    async def start_all(self) -> None:
        self.start("bearerbox", str(self.configuration))
        await listening(self.smsbox)
        self.start("smsbox", str(self.configuration))
        await listening(self.sendsms)
        await listening(self.smsc)
        self.start_smsc()

    def start_smsc(self) -> None:
        self.start(FAKE_SMSC, "-H", HOST, "-r", str(self.smsc), "-m", "0", "1 1 text x")

    def received(self) -> str:
        return (self.folder / "fakesmsc.log").read_text(errors="replace")

    def stop(self) -> None:
        for process in reversed(self.processes):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


async def listening(port: int) -> None:
    for _ in range(int(START_SECONDS / 0.05)):
        with socket.socket() as probe:
            if probe.connect_ex((HOST, port)) == 0:
                return
        await asyncio.sleep(0.05)
    raise TimeoutError(port)


@pytest.fixture
def kannel(tmp_path: Path) -> Iterator[Kannel]:
    started = Kannel(tmp_path)
    yield started
    started.stop()


@asynccontextmanager
async def reports() -> AsyncIterator[tuple[str, list[tuple[int, str]]]]:
    """The address of a receiver of delivery reports, and what it received: status and reply."""
    taken: list[tuple[int, str]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        query = parse_qs(urlsplit(head.split(" ")[1]).query)
        taken.append((int(query["status"][0]), query.get("reply", [""])[0]))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nOK")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, HOST, 0)
    try:
        yield f"http://{HOST}:{server.sockets[0].getsockname()[1]}", taken
    finally:
        server.close()


async def send(kannel: Kannel, report_url: str, text: str, **changes: Any) -> Answer:
    values: dict[str, Any] = {"password": "secret", "address": "+8613800138000", **changes}
    gateway = Gateway(
        url=kannel.url,
        username="coffer",
        password=values["password"],
        sender="Coffer",
        report_url=report_url,
        validity_minutes=240,
        seconds_max=5.0,
    )
    message = outgoing(Channel.SMS, values["address"], NOW)
    channel = KannelChannel(gateway)
    try:
        async with channel.prepare(message) as ready:
            return await ready.transmit(text.encode())
    finally:
        await channel.close()


async def until(condition: Any, seconds: float = 15.0) -> None:
    for _ in range(int(seconds / 0.05)):
        if condition():
            return
        await asyncio.sleep(0.05)
    raise TimeoutError


async def test_texts_arrive_whole_and_are_reported(kannel: Kannel) -> None:
    await kannel.start_all()
    async with reports() as (url, taken):
        answer = await send(kannel, url, "The available quota is low.")
        assert (answer.verdict, answer.code) == (Verdict.ACCEPTED, 202)
        await until(lambda: "The available quota is low." in kannel.received())
        chinese = await send(kannel, url, "可用额度不足")
        assert chinese.verdict is Verdict.ACCEPTED
        await until(lambda: " ucs-2 " in kannel.received())
        carried = kannel.received().partition(" ucs-2 ")[2].partition(">")[0]
        assert unquote_to_bytes(carried.replace("+", " ")).decode("utf-16-be") == "可用额度不足"
        await until(lambda: any(gateway_report(*one).meaning is ReportMeaning.DELIVERED for one in taken))
    assert "+8613800138000" in kannel.received()


async def test_refusals_are_understood(kannel: Kannel) -> None:
    await kannel.start_all()
    refused = await send(kannel, "http://127.0.0.1:1", "x", password="wrong")
    assert (refused.verdict, refused.reason, refused.alarm) == (
        Verdict.PERMANENT,
        "authorization-failed",
        True,
    )
    garbage = await send(kannel, "http://127.0.0.1:1", "x", address="nobody")
    assert (garbage.verdict, garbage.reason) == (Verdict.PERMANENT, "request-refused")


async def test_what_is_queued_is_taken_and_what_is_frozen_is_unclear(kannel: Kannel) -> None:
    kannel.start("bearerbox", str(kannel.configuration))
    await listening(kannel.smsbox)
    kannel.start("smsbox", str(kannel.configuration))
    await listening(kannel.sendsms)
    queued = await send(kannel, "http://127.0.0.1:1", "waits for its SMSC")
    assert (queued.verdict, queued.text) == (Verdict.ACCEPTED, "3: Queued for later delivery")
    smsbox = kannel.processes[1]
    os.killpg(smsbox.pid, signal.SIGSTOP)
    assert (await send(kannel, "http://127.0.0.1:1", "frozen")).verdict is Verdict.UNCLEAR
    os.killpg(smsbox.pid, signal.SIGKILL)
    for process in kannel.processes[:1]:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert (await send(kannel, "http://127.0.0.1:1", "gone")).reason in ("unreachable", "no-answer")


class Postman:
    """Stands between Kannel's reports and notify; `script` says what becomes of each, then all are passed on.

    `hold` passes a report on once `let_go` is set, `swallow` passes it on without telling Kannel, `lose` does neither.
    """

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client
        self.script: list[str] = []
        self.came = 0
        self.passed: list[str] = []
        self.let_go = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        target = urlsplit((await reader.readuntil(b"\r\n\r\n")).decode().split(" ")[1])
        self.came += 1
        action = self.script.pop(0) if self.script else "pass"
        status = 503
        if action == "hold":
            await self.let_go.wait()
        if action != "lose":
            status = (await self.client.get(f"{target.path}?{target.query}")).status_code
            self.passed.append(target.path)
        if action != "swallow":
            writer.write(f"HTTP/1.1 {status} x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
            await writer.drain()
        writer.close()


@asynccontextmanager
async def between(office: Any, kannel: Kannel) -> AsyncIterator[Postman]:
    """notify sends by this Kannel, whose reports reach it through a postman."""
    await kannel.start_all()
    async with office.harness.client() as client:
        postman = Postman(client)
        server = await asyncio.start_server(postman.serve, HOST, 0)
        office.sms = kannel
        office.report_url = f"http://{HOST}:{server.sockets[0].getsockname()[1]}"
        try:
            yield postman
        finally:
            postman.let_go.set()
            server.close()


async def sms_states(office: Any) -> list[tuple[str, str | None]]:
    rows = await office.harness.rows(
        "select state, reason from delivery where channel = 'sms' order by created_at, recipient"
    )
    return [(row["state"], row["reason"]) for row in rows]


async def history(office: Any) -> list[str]:
    rows = await office.harness.rows(
        "select h.state from delivery_history h join delivery d on d.account = h.account and d.id = h.delivery_id "
        "where d.channel = 'sms' order by h.step"
    )
    return [row["state"] for row in rows]


def at_the_centre(kannel: Kannel) -> int:
    """How many messages the centre has got."""
    return kannel.received().count("+8613800138000")


async def test_a_late_report_still_settles_what_was_unknown(office: Any, kannel: Kannel) -> None:
    """The deadline passes while the report is held: unknown; when it comes: delivered. One message arrived."""
    await office.contact()
    async with between(office, kannel) as postman:
        postman.script.append("hold")
        await office.harness.play(quota_low(office.now))
        await office.send()
        await until(lambda: postman.came == 1)
        assert await sms_states(office) == [("sent", None)]
        office.wait(hours=5)
        await office.send()
        assert await sms_states(office) == [("unknown", "no-report")]
        postman.let_go.set()
        await until(lambda: postman.passed)
        assert await sms_states(office) == [("delivered", None)]
    assert await history(office) == ["accepted", "sending", "sending", "sent", "unknown", "delivered"]
    assert at_the_centre(kannel) == 1
    told = [status.state for status in only(await office.harness.drain(), NotificationStatus)]
    assert told[-1:] == ["delivered"]


async def test_a_report_that_kannel_sends_again_counts_and_changes_nothing(
    office: Any, kannel: Kannel, findings: Any
) -> None:
    office.harness.now = datetime.now(UTC)
    await office.contact()
    async with between(office, kannel) as postman:
        postman.script.append("swallow")
        await office.harness.play(quota_low(office.now))
        await office.send()
        await until(lambda: len(postman.passed) == 2)
        assert len(set(postman.passed)) == 1, "the same report of the same delivery"
    assert await office.harness.rows("select status, times from delivery_report") == [
        {"status": 1, "times": 2}
    ]
    assert await history(office) == ["accepted", "sending", "sending", "sent", "delivered"]
    assert at_the_centre(kannel) == 1
    assert await findings() == []


async def test_reports_out_of_order_settle_each_its_own(office: Any, kannel: Kannel) -> None:
    """The first message's report comes behind the second's, and the third's before our commit of its answer."""
    await office.contact()
    async with between(office, kannel) as postman:
        postman.script.append("hold")
        await office.harness.play(quota_low(office.now))
        await office.send()
        await until(lambda: postman.came == 1)
        office.wait(minutes=1)
        await office.harness.play(quota_low(office.now, episode_id="E-2"))
        await office.send()
        await until(lambda: len(postman.passed) == 1)
        assert await sms_states(office) == [("sent", None), ("delivered", None)]
        office.wait(minutes=1)
        await office.harness.play(quota_low(office.now, episode_id="E-3"))
        sender = office.sender()
        [third] = (await sender.claim([Channel.SMS], 10)).to_send
        message = sender.writer.write(third, sender.random)
        async with sender.channels[Channel.SMS].prepare(third) as ready:
            assert await sender.begin_attempt(third, message)
            answer = await ready.transmit(message.body)
        await until(lambda: len(postman.passed) == 2)
        assert (await sms_states(office))[2] == ("delivered", None)
        assert await sender.record_answer(third, answer)
        assert (await sms_states(office))[2] == ("delivered", None), (
            "the answer that comes behind moves nothing back"
        )
        postman.let_go.set()
        await until(lambda: len(postman.passed) == 3)
        assert await sms_states(office) == [("delivered", None)] * 3
    assert at_the_centre(kannel) == 3


async def test_a_missing_report_ends_as_unknown_and_is_listed(
    office: Any, tmp_path: Path, findings: Any
) -> None:
    """A Kannel that asks once only, and nobody listens: unknown at the deadline, never sent again by itself."""
    kannel = Kannel(tmp_path / "once", retries=0)
    office.harness.now = datetime.now(UTC) - timedelta(hours=5)
    await office.contact()
    try:
        async with between(office, kannel) as postman:
            postman.script.extend(["lose"] * 20)
            await office.harness.play(quota_low(office.now))
            await office.send()
            await until(lambda: postman.came == 1)
            office.wait(hours=4, minutes=16)
            await office.send()
            await office.send()
            async with office.harness.client({"operator"}) as client:
                listed = (await client.get("/deliveries", params={"state": "unknown"})).json()["items"]
        assert [(one["channel"], one["reason"]) for one in listed] == [("sms", "no-report")]
        assert postman.passed == []
        assert at_the_centre(kannel) == 1
        assert await findings() == []
    finally:
        kannel.stop()
