"""The local SMS gateway answers as Kannel's sendsms does, and reports as the message asked."""

import queue
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from ops.local.faults import Fault
from ops.local.ports import Ports
from ops.local.sinks import SmsGateway


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmsGateway]:
    running = SmsGateway(tmp_path_factory.mktemp("sms"), Ports.free())
    running.start()
    yield running
    running.stop()


@pytest.fixture(autouse=True)
def _clean(gateway: SmsGateway) -> None:
    gateway.clear()
    gateway.clear_faults()


class Reports:
    """Takes delivery reports, and answers each with the next of its codes."""

    def __init__(self) -> None:
        self.queue: queue.Queue[dict[str, str]] = queue.Queue()
        self.codes: list[int] = []
        reports = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                code = reports.codes.pop(0) if reports.codes else 200
                self.send_response(code)
                self.end_headers()
                parts = parse_qs(urlsplit(self.path).query)
                reports.queue.put({name: values[0] for name, values in parts.items()} | {"code": str(code)})

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/reports"

    def next(self) -> dict[str, str]:
        return self.queue.get(timeout=10)


@pytest.fixture
def reports() -> Iterator[Reports]:
    taker = Reports()
    thread = threading.Thread(target=taker.server.serve_forever)
    thread.start()
    yield taker
    taker.server.shutdown()
    thread.join()
    taker.server.server_close()


def headers(gateway: SmsGateway, **more: str) -> dict[str, str]:
    environment = gateway.environment()
    named = {
        "X-Kannel-Username": environment["COFFER_SMS_USERNAME"],
        "X-Kannel-Password": environment["COFFER_SMS_PASSWORD"],
        "X-Kannel-From": "Coffer",
        "X-Kannel-To": "+8613800000001",
        "Content-Type": "text/plain; charset=UTF-8",
    }
    return named | {f"X-Kannel-{name.replace('_', '-')}": value for name, value in more.items()}


def post(gateway: SmsGateway, text: str, **more: str) -> tuple[int, str]:
    url = gateway.environment()["COFFER_SMS_URL"]
    answer = httpx.post(url, headers=headers(gateway, **more), content=text.encode(), timeout=10)
    return answer.status_code, answer.text


def test_a_posted_message_is_accepted_and_kept(gateway: SmsGateway) -> None:
    assert post(gateway, "可用额度不足", Coding="2", Validity="60") == (202, "0: Accepted for delivery")
    [message] = gateway.wait_for("13800000001")
    assert (message["to"], message["from"]) == ("+8613800000001", "Coffer")
    assert (message["text"], message["parts"], message["validity"]) == ("可用额度不足", 1, "60")


def test_a_query_does_the_same(gateway: SmsGateway) -> None:
    environment = gateway.environment()
    query = {"from": "Coffer", "to": "13900000002 13900000003", "text": "quota low", "coding": "0"}
    query |= {"username": environment["COFFER_SMS_USERNAME"], "password": environment["COFFER_SMS_PASSWORD"]}
    answer = httpx.get(environment["COFFER_SMS_URL"], params=query, timeout=10)
    assert (answer.status_code, answer.text) == (202, "0: Accepted for delivery")
    assert [message["to"] for message in gateway.messages()] == ["13900000002", "13900000003"]


@pytest.mark.parametrize(
    ("changed", "status", "body"),
    [
        ({"Password": "wrong"}, 403, "Authorization failed for sendsms"),
        ({"Username": "nobody"}, 403, "Authorization failed for sendsms"),
        ({"To": ""}, 400, "Missing receiver number, rejected"),
        ({"To": "ann"}, 400, "Garbage 'to' field, rejected."),
        ({"From": ""}, 400, "Sender missing and no global set, rejected"),
    ],
)
def test_what_is_wrong_is_refused(
    gateway: SmsGateway, changed: dict[str, str], status: int, body: str
) -> None:
    assert post(gateway, "hello", **changed) == (status, body)
    assert gateway.messages() == []


def test_reports_come_as_asked_accepted_first_then_delivered(gateway: SmsGateway, reports: Reports) -> None:
    url = f"{reports.url}?token=t%2B1&type=%d&text=%A&to=%p&id=%I"
    post(gateway, "hello", DLR_Mask="31", DLR_Url=url)
    first, second = reports.next(), reports.next()
    assert (first["type"], second["type"]) == ("8", "1")
    assert first["token"] == second["token"] == "t+1"
    assert second["to"] == "+8613800000001"
    assert "stat:DELIVRD" in second["text"]
    assert first["id"] != second["id"]


def test_only_the_reports_of_the_mask_come(gateway: SmsGateway, reports: Reports) -> None:
    post(gateway, "hello", DLR_Mask="3", DLR_Url=f"{reports.url}?type=%d")
    assert reports.next()["type"] == "1"


def test_a_report_that_is_not_taken_comes_again(gateway: SmsGateway, reports: Reports) -> None:
    reports.codes = [500]
    post(gateway, "hello", DLR_Mask="1", DLR_Url=f"{reports.url}?type=%d")
    assert [reports.next()["code"], reports.next()["code"]] == ["500", "200"]


def test_other_reports_can_be_ordered(gateway: SmsGateway, reports: Reports) -> None:
    gateway.order_fault(Fault(phase="send", reports=(1, 8, 2)))
    post(gateway, "hello", DLR_Mask="31", DLR_Url=f"{reports.url}?type=%d")
    assert [reports.next()["type"] for _ in range(3)] == ["1", "8", "2"]


def test_an_ordered_answer_comes_and_the_message_is_not_kept(gateway: SmsGateway) -> None:
    gateway.order_fault(Fault(phase="send", answer="503 Temporal failure, try again later."))
    assert post(gateway, "hello") == (503, "Temporal failure, try again later.")
    assert gateway.messages() == []
    assert post(gateway, "hello")[0] == 202


def test_a_frozen_gateway_may_still_have_the_message(gateway: SmsGateway) -> None:
    gateway.order_fault(Fault(phase="send", delay_seconds=5))
    environment = gateway.environment()
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(environment["COFFER_SMS_URL"], headers=headers(gateway), content=b"hello", timeout=0.3)
    assert len(gateway.wait_for()) == 1


def test_a_fault_that_makes_no_sense_is_refused(gateway: SmsGateway) -> None:
    answer = httpx.post(f"{gateway.url}/faults", json={"phase": "send", "colour": "red"}, timeout=10)
    assert answer.status_code == 400
    assert "colour" in answer.json()["error"]


def test_messages_survive_a_kill(gateway: SmsGateway) -> None:
    post(gateway, "hello")
    gateway.kill()
    assert len(gateway.messages()) == 1
    gateway.start()
    post(gateway, "again")
    assert [message["number"] for message in gateway.messages()] == [1, 2]
