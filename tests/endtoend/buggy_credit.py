"""credit with a bug for tests: it raises on one order. `python -m tests.endtoend.buggy_credit serve`."""

import os

from credit import handlers
from credit.app import service
from credit.domain.arrivals import Arrival

from chassis import Record

POISONED_VARIABLE = "TEST_POISONED_ORDER"


def main() -> None:
    """Runs credit with the bug; importing this module leaves credit as it is."""
    sound_arrival_of = handlers.arrival_of

    def arrival_of(record: Record[handlers.OrderEvent]) -> Arrival:
        if record.event.order_id == os.environ[POISONED_VARIABLE]:
            raise ZeroDivisionError("a bug that the tests bring along")
        return sound_arrival_of(record)

    handlers.arrival_of = arrival_of
    service.main()


if __name__ == "__main__":
    main()
