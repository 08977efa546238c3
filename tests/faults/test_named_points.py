"""SIGKILL at each named point, of every service at once, with two instances per group under a stream of orders."""

from functools import partial

import pytest

from ops.local.waiting import together
from ops.verify.services import SERVICES
from tests.faults.books import settle
from tests.faults.fleet import Fleet
from tests.faults.streams import Commander, Relationships, Stream

pytestmark = [pytest.mark.stack, pytest.mark.slow]

POINTS = {
    "before its commit": ("after-fetch", "before-write", "before-commit"),
    "after its commit": ("after-commit", "before-send", "after-send"),
}
OF_THE_RELAY = ("before-send", "after-send")
SILENT = "cashplan"


@pytest.mark.parametrize("stage", POINTS)
def test_kills_of_every_service_at_each_point_lose_and_double_nothing(
    fleet: Fleet, stream: Stream, commander: Commander, relationships: Relationships, stage: str
) -> None:
    with stream, commander:
        for point in POINTS[stage]:
            names = [name for name in SERVICES if name != SILENT or point not in OF_THE_RELAY]
            for name in names:
                fleet.arm(name, point)
            together(*(partial(fleet.victim, name, point) for name in names))
            print(f"killed {len(names)} at {point}")
            fleet.start_missing()
    settled = settle(fleet)
    relationships.check(settled.books)
    print(f"killed at each point {stage}: {settled} so far")
