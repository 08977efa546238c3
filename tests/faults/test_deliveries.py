"""SIGKILL during an SMTP and an SMS send: before the request, and after the provider's acceptance."""

from functools import partial

import pytest

from ops.local.faults import Fault
from ops.local.waiting import together
from tests.faults.books import doubled_messages, settle
from tests.faults.fleet import Fleet
from tests.faults.streams import Stream, publish_now
from tests.faults.traffic import BANK, LOW, LOW_ORDER, SHOP, message, order, payment

pytestmark = [pytest.mark.stack, pytest.mark.slow]

CHANNELS = ("sms", "email")


def test_a_kill_during_a_send_doubles_only_what_was_accepted_and_not_yet_noted(
    fleet: Fleet, stream: Stream
) -> None:
    doubled_before = doubled_messages(fleet)
    with stream:
        for moment in ("before-request", "after-acceptance"):
            points = [f"{channel}-{moment}" for channel in CHANNELS]
            for point in points:
                fleet.arm("notify", point)
            together(*(partial(fleet.victim, "notify", point) for point in points))
            fleet.start_missing()
    settled = settle(fleet)
    doubled = settled.messages_twice - doubled_before
    print(
        f"killed 2 before the request and 2 after the acceptance: {doubled} messages doubled; {settled} so far"
    )


def test_what_was_taken_and_not_noted_is_said_once_more_where_no_report_tells_that_it_came(
    fleet: Fleet,
) -> None:
    publish_now(fleet.stack.bootstrap_servers, fleet.traffic.rest())
    fleet.drain()
    doubled_before = doubled_messages(fleet)
    fleet.stack.sms.order_fault(Fault(phase="send", reports=(), times=0))
    fleet.arm("notify", "email-after-acceptance")
    low = message(order(LOW[0], fleet.traffic.next_id("SO"), LOW_ORDER), fleet.traffic.next_id("shop"), SHOP)
    publish_now(fleet.stack.bootstrap_servers, [low])
    fleet.victim("notify", "email-after-acceptance")
    fleet.start_missing()
    settled = settle(fleet)
    fleet.stack.sms.clear_faults()
    print(f"killed 1 after its acceptance: {settled.messages_twice - doubled_before} message doubled")
    assert settled.messages_twice - doubled_before == 1
    back = payment(LOW[0], fleet.traffic.next_id("P"), LOW_ORDER)
    publish_now(fleet.stack.bootstrap_servers, [message(back, fleet.traffic.next_id("bank"), BANK)])
