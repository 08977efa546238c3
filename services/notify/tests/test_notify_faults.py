"""A fault that stops several steps is told once when it begins and once when it is over."""

from notify.faults import FaultLog
from structlog.testing import capture_logs


def test_several_steps_that_fail_by_one_fault_are_told_once() -> None:
    faults = FaultLog()
    with capture_logs() as lines:
        for step in ("claiming by sms", "claiming by email", "claiming by sms"):
            faults.failed(step, OSError())
        faults.succeeded("claiming by sms")
        faults.succeeded("claiming by email", "attempting")
        faults.succeeded("claiming by sms")
    assert [(line["event"], line.get("step")) for line in lines] == [
        ("sending waits for a fault to pass", "claiming by sms"),
        ("sending goes on", None),
    ]
