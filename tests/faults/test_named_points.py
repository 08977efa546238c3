"""SIGKILL at each named point, of every service at once, with two instances per group under a stream of orders."""

import pytest

from ops.local.waiting import together
from ops.verify.services import SERVICES
from tests.faults.books import settle
from tests.faults.fleet import Fleet
from tests.faults.streams import Commander, Relationships, Stream

pytestmark = [pytest.mark.stack, pytest.mark.slow]

POINTS = ("after-fetch", "before-write", "before-commit", "after-commit", "before-send", "after-send")


@pytest.mark.parametrize("point", POINTS)
def test_a_kill_of_every_service_at_this_point_loses_and_doubles_nothing(
    fleet: Fleet, stream: Stream, commander: Commander, relationships: Relationships, point: str
) -> None:
    publishing = [
        name for name in SERVICES if point not in ("before-send", "after-send") or name != "cashplan"
    ]
    with stream, commander:
        for name in publishing:
            fleet.arm(name, point)
        together(*(lambda name=name: fleet.victim(name, point) for name in publishing))
        fleet.start_missing()
    settled = settle(fleet)
    assert relationships.wrong == []
    standing = settled.books.relationships()
    assert {standing[key] for key in relationships.ended} <= {(3, "ended")}
    print(f"killed {len(publishing)} at {point}: {settled} so far")
