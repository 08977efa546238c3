"""SIGTERM finishes the batch, leaves the group and closes the pool; a wrong setting ends a start in one sentence."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from ops.local.services import ServiceProcess
from ops.local.waiting import together, wait_until
from ops.verify.services import SERVICES
from tests.faults.books import settle
from tests.faults.fleet import ENDED_IN_ORDER, STOP_SECONDS, Fleet, LogTail
from tests.faults.streams import publish_now
from tests.faults.traffic import COLD, ERP, master_data, message

pytestmark = [pytest.mark.stack, pytest.mark.slow]

MEMBERS_GONE_SECONDS = 3.0
VERSION = 1_000_000
WRONG = {
    "credit": ("COFFER_HTTP_PORT", "eight thousand"),
    "fund-pool": ("KAFKA_BOOTSTRAP_SERVERS", "not a broker"),
    "cashplan": ("COFFER_DATABASE_DSN", "mysql://root@localhost/cashplan"),
    "sharing": ("COFFER_BATCH_RECORDS_MAX", "0"),
    "notify": ("COFFER_SMTP_PORT", "99999"),
}


def test_sigterm_finishes_the_batch_leaves_the_group_and_closes_the_pool_within_10_seconds(
    fleet: Fleet,
) -> None:
    together(*(partial(_stop_in_order, fleet.processes[name, 2]) for name in SERVICES))
    for name in SERVICES:
        fleet.arm(name, "before-commit", "hold")
    account, version = COLD[-1], VERSION
    [_, changed, _] = master_data(account, version)
    [place] = publish_now(
        fleet.stack.bootstrap_servers, [message(changed, fleet.traffic.next_id("erp"), ERP)]
    )
    held = [fleet.victim(name, "before-commit") for name in SERVICES]
    tails = [LogTail(process) for process in held]
    together(
        *(
            partial(_stop_while_held, fleet, name, process)
            for name, process in zip(SERVICES, held, strict=True)
        )
    )
    for tail in tails:
        assert tail.says("stopped"), tail.lines()
        assert not tail.says("left the group by force"), tail.lines()
    for name in SERVICES:
        applied = fleet.rows(
            name,
            "select next_offset from position where topic = $1 and partition = $2",
            place.topic,
            place.partition,
        )
        assert applied[0][0] > place.offset, f"{name} left its batch behind"
        assert fleet.rows(name, SESSIONS, f"{name}-%") == []
    wait_until(
        lambda: not any(members for _, members in fleet.groups().values()),
        MEMBERS_GONE_SECONDS,
        "The leave of all members, without their session's end",
    )
    fleet.start_missing()
    settle(fleet)


SESSIONS = "select from pg_stat_activity where datname = current_database() and application_name like $1"


def _stop_in_order(process: ServiceProcess) -> None:
    code = process.stop(STOP_SECONDS)
    assert code in ENDED_IN_ORDER, f"{process.name} ended with {code}"


def _stop_while_held(fleet: Fleet, name: str, process: ServiceProcess) -> None:
    """SIGTERM in the middle of a transaction, which may go on a moment later."""
    with ThreadPoolExecutor(1) as pool:
        tail = LogTail(process)
        stopping = pool.submit(_stop_in_order, process)
        wait_until(lambda: tail.says("Shutting down"), STOP_SECONDS, f"{process.name} hears SIGTERM")
        fleet.release(name, "before-commit")
        stopping.result()


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_setting_ends_the_start_with_one_sentence_and_code_2(fleet: Fleet, name: str) -> None:
    variable, value = WRONG[name]
    code, output = fleet.command(name, "serve", environment={variable: value})
    [sentence] = output.splitlines()
    assert code == 2, sentence
    assert sentence.startswith(variable)
    assert "must be" in sentence
