"""The local SMS gateway answers and reports as Kannel does; where Kannel is installed, it is asked the same.

Nothing here says more of Kannel than what Kannel itself does.
"""

import queue
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from ops.local.faults import Fault
from ops.local.kannel import Kannel, is_installed
from ops.local.ports import Ports
from ops.local.sinks import SmsGateway

Environment = dict[str, str]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmsGateway]:
    running = SmsGateway(tmp_path_factory.mktemp("sms"), Ports.free())
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="module", params=["ours", "kannel"])
def environment(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Environment]:
    """What a sender knows of our gateway, and of a real Kannel."""
    if request.param == "ours":
        yield request.getfixturevalue("gateway").environment()
        return
    if not is_installed():
        pytest.skip("Kannel is not installed")
    kannel = Kannel(tmp_path_factory.mktemp("kannel"))
    kannel.start()
    yield kannel.environment()
    kannel.stop()


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


def headers(environment: Environment, **more: str) -> dict[str, str]:
    named = {
        "X-Kannel-Username": environment["COFFER_SMS_USERNAME"],
        "X-Kannel-Password": environment["COFFER_SMS_PASSWORD"],
        "X-Kannel-From": "Coffer",
        "X-Kannel-To": "+8613800000001",
        "Content-Type": "text/plain; charset=UTF-8",
    }
    return named | {f"X-Kannel-{name.replace('_', '-')}": value for name, value in more.items()}


def post(environment: Environment, text: str, **more: str) -> tuple[int, str]:
    url, named = environment["COFFER_SMS_URL"], headers(environment, **more)
    answer = httpx.post(url, headers=named, content=text.encode(), timeout=10)
    return answer.status_code, answer.text


class TestAsKannel:
    @pytest.mark.parametrize(
        ("changed", "status", "body"),
        [
            ({}, 202, "0: Accepted for delivery"),
            ({"To": "1380000001 1390000001"}, 202, "0: Accepted for delivery"),
            ({"DLR_Mask": "zz"}, 202, "0: Accepted for delivery"),
            ({"Password": "wrong"}, 403, "Authorization failed for sendsms"),
            ({"Username": "nobody"}, 403, "Authorization failed for sendsms"),
            ({"To": ""}, 400, "Empty receiver number not allowed, rejected"),
            ({"To": "ann"}, 400, "Number(s) has/have been denied by white- and/or black-lists."),
            ({"From": ""}, 400, "Sender missing and no global set, rejected"),
            ({"Coding": "9"}, 400, "Coding field misformed, rejected"),
        ],
    )
    def test_the_answer(
        self, environment: Environment, changed: dict[str, str], status: int, body: str
    ) -> None:
        assert post(environment, "hello", **changed) == (status, body)

    def test_a_query_does_the_same(self, environment: Environment) -> None:
        query = {"from": "Coffer", "to": "13900000002", "text": "quota low", "coding": "0"}
        query["username"] = environment["COFFER_SMS_USERNAME"]
        query["password"] = environment["COFFER_SMS_PASSWORD"]
        url = environment["COFFER_SMS_URL"]
        answer = httpx.get(url, params=query, timeout=10)
        assert (answer.status_code, answer.text) == (202, "0: Accepted for delivery")
        del query["to"]
        refusal = httpx.get(url, params=query, timeout=10)
        assert (refusal.status_code, refusal.text) == (400, "Missing receiver number, rejected")

    def test_reports_say_accepted_then_delivered(self, environment: Environment, reports: Reports) -> None:
        url = f"{reports.url}?token=t1&type=%d&id=%I&to=%p"
        post(environment, "hello", DLR_Mask="31", DLR_Url=url)
        both = [reports.next(), reports.next()]
        assert {report["type"] for report in both} == {"8", "1"}
        assert {report["token"] for report in both} == {"t1"}
        assert both[0]["id"] != both[1]["id"]

    def test_only_the_reports_of_the_mask_come(self, environment: Environment, reports: Reports) -> None:
        post(environment, "hello", DLR_Mask="3", DLR_Url=f"{reports.url}?type=%d")
        assert reports.next()["type"] == "1"

    def test_a_report_that_is_not_taken_comes_again(self, environment: Environment, reports: Reports) -> None:
        reports.codes = [500]
        post(environment, "hello", DLR_Mask="1", DLR_Url=f"{reports.url}?type=%d")
        assert [reports.next()["code"], reports.next()["code"]] == ["500", "200"]


class TestOurs:
    def test_a_message_is_kept_and_can_be_read(self, gateway: SmsGateway) -> None:
        post(gateway.environment(), "可用额度不足", Coding="2", Validity="60")
        [message] = gateway.wait_for("13800000001")
        assert (message["to"], message["from"]) == ("+8613800000001", "Coffer")
        assert (message["text"], message["parts"], message["validity"]) == ("可用额度不足", 1, "60")

    def test_several_receivers_get_one_each(self, gateway: SmsGateway) -> None:
        post(gateway.environment(), "hello", To="13900000002 13900000003")
        assert [message["to"] for message in gateway.messages()] == ["13900000002", "13900000003"]

    def test_what_is_refused_is_not_kept(self, gateway: SmsGateway) -> None:
        post(gateway.environment(), "hello", Password="wrong")
        assert gateway.messages() == []

    def test_other_reports_can_be_ordered(self, gateway: SmsGateway, reports: Reports) -> None:
        gateway.order_fault(Fault(phase="send", reports=(1, 8, 2)))
        post(gateway.environment(), "hello", DLR_Mask="31", DLR_Url=f"{reports.url}?type=%d&text=%A")
        received = [reports.next() for _ in range(3)]
        assert [report["type"] for report in received] == ["1", "8", "2"]
        assert "stat:DELIVRD" in received[0]["text"]
        assert "stat:UNDELIV" in received[2]["text"]

    def test_an_ordered_answer_comes_once_and_the_message_is_not_kept(self, gateway: SmsGateway) -> None:
        gateway.order_fault(Fault(phase="send", answer="503 Temporal failure, try again later."))
        assert post(gateway.environment(), "hello") == (503, "Temporal failure, try again later.")
        assert gateway.messages() == []
        assert post(gateway.environment(), "hello")[0] == 202

    def test_a_frozen_gateway_may_still_have_the_message(self, gateway: SmsGateway) -> None:
        gateway.order_fault(Fault(phase="send", delay_seconds=5))
        environment = gateway.environment()
        url, named = environment["COFFER_SMS_URL"], headers(environment)
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(url, headers=named, content=b"hello", timeout=httpx.Timeout(10, read=0.3))
        assert len(gateway.wait_for()) == 1

    def test_a_fault_that_makes_no_sense_is_refused(self, gateway: SmsGateway) -> None:
        answer = httpx.post(f"{gateway.url}/faults", json={"phase": "send", "colour": "red"}, timeout=10)
        assert answer.status_code == 400
        assert "colour" in answer.json()["error"]

    def test_messages_survive_a_kill(self, gateway: SmsGateway) -> None:
        post(gateway.environment(), "hello")
        gateway.kill()
        assert len(gateway.messages()) == 1
        gateway.start()
        post(gateway.environment(), "again")
        assert [message["number"] for message in gateway.messages()] == [1, 2]
