"""Each invariant holds after a day's work, and is seen to break when the data is spoiled."""

from datetime import UTC, datetime
from typing import Any

import pytest
from notify.invariants import CHECKS
from notify.testing import quota_low

pytestmark = pytest.mark.stack

SPOILED = {
    "notice-has-deliveries": ["delete from delivery_content", "delete from delivery"],
    "carried-delivery-has-a-carrier": ["update delivery set carried_by = gen_random_uuid()"],
    "overdue-inhibits-quota-low": [
        "update delivery set state = 'accepted', reason = null where channel = 'sms'",
        "update spell set opened_at = '2020-01-01T00:00:00Z'",
    ],
    "delivery-ends-or-goes-on": [
        "update delivery set ended_at = null where state = 'sent' and channel = 'email'"
    ],
    "delivery-not-forgotten": [
        "update delivery set due_at = now() - interval '6 minutes' where due_at is not null"
    ],
    "unknown-has-deadline": [
        "update delivery set state = 'unknown', due_at = null, ended_at = null where channel = 'sms'"
    ],
    "delivery-end-is-told": ["update delivery set status_event_id = null where ended_at is not null"],
    "delivery-moves-forward": ["update delivery_history set state = 'failed' where step = 2"],
    "delivery-equals-its-history": ["delete from delivery_history where step = 2"],
    "delivery-that-goes-out-has-an-address": [
        "delete from delivery_content",
        "update delivery set state = 'sending' where channel = 'sms'",
    ],
    "episode-follows-its-notices": ["update episode set step = -1"],
}


async def work(office: Any) -> None:
    """A notice by both channels: the mail has ended, the SMS waits for its report."""
    office.harness.now = datetime.now(UTC)
    await office.contact()
    await office.harness.play(quota_low(office.now))
    await office.send()
    await office.harness.drain()


def test_every_invariant_is_spoiled_below() -> None:
    assert sorted(SPOILED) == sorted(check.name for check in CHECKS)


@pytest.mark.parametrize("name", sorted(SPOILED))
async def test_a_broken_invariant_is_found(office: Any, findings: Any, name: str) -> None:
    await work(office)
    assert await findings() == []
    for statement in SPOILED[name]:
        await office.harness.spoil(statement)
    assert name in await findings()
