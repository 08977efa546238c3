"""A fault that passes is told when it begins, once a minute while it lasts, and when it is over."""

from chassis.faults import Fault
from structlog.testing import capture_logs


def test_a_fault_is_told_once_a_minute_whatever_its_words_and_its_end_once() -> None:
    moment = 0.0
    fault = Fault("waits", "goes on", monotonic=lambda: moment)
    with capture_logs() as lines:
        for second in range(90):
            moment = float(second)
            fault.failed(OSError(f"refused by {second % 3}"))
        fault.passed()
        fault.passed()
    assert [(line["event"], line.get("error")) for line in lines] == [
        ("waits", "OSError: refused by 0"),
        ("waits", "OSError: refused by 0"),
        ("goes on", None),
    ]


def test_the_next_fault_is_told_at_once() -> None:
    fault = Fault("waits", "goes on", monotonic=lambda: 0.0)
    with capture_logs() as lines:
        for _ in range(2):
            fault.failed(OSError("refused"))
            fault.passed()
    assert [line["event"] for line in lines] == ["waits", "goes on"] * 2
