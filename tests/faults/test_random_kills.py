"""SIGKILL of any instance at any moment: the moments and the victims follow from a seed."""

from random import Random

import pytest

from ops.local.waiting import wait_until
from tests.faults.books import settle
from tests.faults.fleet import SEED, Fleet
from tests.faults.streams import Commander, Relationships, Stream

pytestmark = [pytest.mark.stack, pytest.mark.slow]

KILLS = 12
MESSAGES_BETWEEN = (20, 90)
STREAM_SECONDS = 60.0


def test_kills_at_random_moments_lose_and_double_nothing(
    fleet: Fleet, stream: Stream, commander: Commander, relationships: Relationships
) -> None:
    print(f"seed {SEED}")
    random = Random(SEED)
    with stream, commander:
        for _ in range(KILLS):
            moment = stream.sent + random.randint(*MESSAGES_BETWEEN)
            wait_until(lambda moment=moment: stream.sent >= moment, STREAM_SECONDS, "The stream")  # type: ignore[misc]
            key = random.choice(sorted(fleet.ports))
            fleet.processes[key].kill()
            fleet.start(*key)
        fleet.wait_ready()
    settled = settle(fleet)
    standing = settled.books.relationships()
    assert relationships.wrong == []
    assert {standing[key] for key in relationships.ended} <= {(3, "ended")}
    print(f"killed {KILLS} at random: {settled} so far")
