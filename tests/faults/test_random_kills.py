"""SIGKILL at random moments, of any instance of any service, under a stream of orders and commands."""

import time
from random import Random

import pytest

from ops.local.waiting import together
from ops.verify.services import SERVICES
from tests.faults.books import settle
from tests.faults.fleet import INSTANCES, Fleet
from tests.faults.settings import KILLS, ROUNDS, SECONDS, SEED
from tests.faults.streams import Commander, Relationships, Stream

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.timeout(300 + 3 * SECONDS)]


@pytest.mark.parametrize("number", range(1, ROUNDS + 1))
def test_kills_at_random_moments_lose_and_double_nothing(
    fleet: Fleet, stream: Stream, commander: Commander, relationships: Relationships, number: int
) -> None:
    random = Random(SEED + number)
    moments = {name: sorted(random.uniform(0, SECONDS) for _ in range(KILLS)) for name in SERVICES}
    hit = {name: [random.choice(INSTANCES) for _ in range(KILLS)] for name in SERVICES}
    with stream, commander:
        began = time.monotonic()
        together(
            *(
                lambda name=name: _kill_at(fleet, name, began, zip(moments[name], hit[name], strict=True))
                for name in SERVICES
            )
        )
        fleet.wait_ready()
    settled = settle(fleet)
    relationships.check(settled.books)
    print(f"killed {len(SERVICES) * KILLS} at random moments of {SECONDS:g} s: {settled} so far")


def _kill_at(fleet: Fleet, name: str, began: float, kills: "zip[tuple[float, int]]") -> None:
    """Kills an instance at each moment, wherever it stands, and starts it again at once."""
    for moment, instance in kills:
        time.sleep(max(0.0, began + moment - time.monotonic()))
        fleet.processes[name, instance].kill()
        fleet.start(name, instance)
