"""Commands on a real PostgreSQL: one effect per key, also for requests at the same moment."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import date
from typing import Any

import asyncpg
import httpx
import pytest
import structlog
from chassis.http import Policy, Problem, Reader, Router, Work
from chassis.testing import Harness
from contracts.money import Money
from pydantic import BaseModel, ConfigDict
from sqlalchemy import text

from chassis import Service
from contracts import PaymentReceived

pytestmark = pytest.mark.stack

router = Router()
POLICY = Policy("payment:count", roles={"finance"})
KEY = "Idempotency-Key"
REPLAYED = "idempotency-replayed"
WAIT_SECONDS_MAX = 10.0

Hook = Callable[[], Awaitable[None]]


async def nothing() -> None:
    return


class Hooks:
    """What a test lets happen inside the commands."""

    in_command: Hook = staticmethod(nothing)
    between_reads: Hook = staticmethod(nothing)
    started = 0


class Payment(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    account: str
    refuse: bool = False


COUNT = text(
    """
    insert into counted (account, payments) values (:account, 1)
    on conflict (account) do update set payments = counted.payments + 1
    returning payments
    """
)


@router.post("/payments", policy=POLICY, status_code=201)
async def count_payment(body: Payment, work: Work) -> dict[str, Any]:
    Hooks.started += 1
    number = (await work.connection.execute(COUNT, {"account": body.account})).scalar_one()
    work.emit(
        PaymentReceived(
            payment_id=f"{body.account}-{number}",
            payer=body.account,
            account=body.account,
            amount=Money("1.00", "CNY"),
            received_on=date(2026, 3, 1),
        )
    )
    await Hooks.in_command()
    if body.refuse:
        raise Problem.conflict("account-closed", f"Account {body.account} is closed.")
    return {"account": body.account, "payments": number, "at": work.now, "name": "王伟"}


@router.put("/payments/{account}", policy=POLICY)
async def set_payments(account: str, work: Work) -> int:
    return int((await work.connection.execute(COUNT, {"account": account})).scalar_one())


@router.put("/own/{account}", policy=Policy("payment:count", roles={"finance"}, account="account"))
async def set_own_payments(account: str, work: Work) -> int:
    return int((await work.connection.execute(COUNT, {"account": account})).scalar_one())


@router.delete("/payments/{account}", policy=POLICY, status_code=204)
async def delete_payments(account: str, work: Work) -> None:
    await work.connection.execute(text("delete from counted where account = :account"), {"account": account})


@router.put("/transfers/{first}/{second}", policy=POLICY)
async def count_both(first: str, second: str, work: Work) -> str:
    await work.connection.execute(COUNT, {"account": first})
    await Hooks.in_command()
    await work.connection.execute(COUNT, {"account": second})
    return "both"


@router.put("/impatient/{account}", policy=POLICY)
async def impatient(account: str, work: Work) -> str:
    Hooks.started += 1
    await work.connection.execute(text("set local lock_timeout = '20ms'"))
    await work.connection.execute(COUNT, {"account": account})
    return account


@router.get("/snapshot", policy=POLICY)
async def snapshot(reader: Reader) -> list[int]:
    count = text("select count(*) from counted")
    before = (await reader.execute(count)).scalar_one()
    await Hooks.between_reads()
    return [before, (await reader.execute(count)).scalar_one()]


@router.get("/writing", policy=POLICY)
async def writing(reader: Reader) -> None:
    await reader.execute(COUNT, {"account": "A"})


service = Service(name="sample", package="sample_service", routers=(router,))


@pytest.fixture(autouse=True)
def hooks() -> type[Hooks]:
    Hooks.in_command, Hooks.between_reads, Hooks.started = nothing, nothing, 0
    return Hooks


@pytest.fixture
async def harness(postgres_dsn: str) -> AsyncIterator[Harness]:
    async with Harness(service, postgres_dsn) as fresh:
        yield fresh


@pytest.fixture
async def caller(harness: Harness) -> AsyncIterator[httpx.AsyncClient]:
    async with harness.client(roles={"finance"}) as connected:
        yield connected


async def pay(caller: httpx.AsyncClient, account: str, key: str, **fields: Any) -> httpx.Response:
    return await caller.post("/payments", json={"account": account, **fields}, headers={KEY: key})


async def counted(harness: Harness) -> dict[str, int]:
    return {row["account"]: row["payments"] for row in await harness.rows("select * from counted")}


async def events(harness: Harness) -> int:
    rows = await harness.rows("select count(*) as n from outbox")
    return int(rows[0]["n"])


async def until_waiting_for_a_lock(harness: Harness, sessions: int = 1) -> None:
    waiting = """
        select count(*) as n from pg_stat_activity
        where wait_event_type = 'Lock' and datname = current_database()
    """
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        while (await harness.rows(waiting))[0]["n"] < sessions:  # noqa: ASYNC110  # the server has no event for it
            await asyncio.sleep(0.005)


async def test_a_command_and_its_event_commit_together(harness: Harness, caller: httpx.AsyncClient) -> None:
    response = await pay(caller, "A", "k1")
    assert response.status_code == 201
    assert REPLAYED not in response.headers
    assert (await counted(harness), await events(harness)) == ({"A": 1}, 1)


async def test_a_replayed_key_returns_the_first_answer_byte_for_byte(
    harness: Harness, caller: httpx.AsyncClient
) -> None:
    first = await pay(caller, "A", "k1")
    await pay(caller, "A", "k2")
    again = await pay(caller, "A", "k1")
    assert again.content == first.content
    assert (again.status_code, again.headers["content-type"]) == (201, first.headers["content-type"])
    assert again.headers[REPLAYED] == "true"
    assert (await counted(harness), await events(harness)) == ({"A": 2}, 2)


async def test_the_same_key_with_another_body_is_422(harness: Harness, caller: httpx.AsyncClient) -> None:
    await pay(caller, "A", "k1")
    response = await pay(caller, "B", "k1")
    assert response.status_code == 422
    assert response.json()["type"] == "urn:coffer:problem:idempotency-key-reused"
    assert response.json()["errors"][0]["field"] == KEY
    assert await counted(harness) == {"A": 1}


async def test_the_same_key_for_another_address_or_method_is_422(
    harness: Harness, caller: httpx.AsyncClient
) -> None:
    headers = {KEY: "k1"}
    assert (await caller.put("/payments/A", headers=headers)).json() == 1
    assert (await caller.put("/payments/A", headers=headers)).json() == 1
    assert (await caller.put("/payments/B", headers=headers)).status_code == 422
    assert (await caller.delete("/payments/A", headers=headers)).status_code == 422
    assert (await caller.put("/payments/A?again=1", headers=headers)).status_code == 422
    assert await counted(harness) == {"A": 1}


async def test_an_empty_answer_is_replayed_too(caller: httpx.AsyncClient) -> None:
    answers = [await caller.delete("/payments/A", headers={KEY: "k1"}) for _ in range(2)]
    assert [(answer.status_code, answer.content) for answer in answers] == [(204, b""), (204, b"")]
    assert REPLAYED in answers[1].headers


async def test_each_caller_has_keys_of_its_own(harness: Harness, caller: httpx.AsyncClient) -> None:
    await pay(caller, "A", "k1")
    async with harness.client(roles={"finance"}, subject="somebody-else") as other:
        assert REPLAYED not in (await pay(other, "A", "k1")).headers
    assert await counted(harness) == {"A": 2}


async def test_a_replay_needs_the_role_still(harness: Harness, caller: httpx.AsyncClient) -> None:
    await pay(caller, "A", "k1")
    async with harness.client(roles={"treasurer"}) as demoted:
        assert (await pay(demoted, "A", "k1")).status_code == 403


async def test_a_replay_needs_the_account_still(harness: Harness) -> None:
    headers = {KEY: "k1"}
    async with harness.client(roles={"account-user"}, accounts=["A"]) as owner:
        assert (await owner.put("/own/A", headers=headers)).json() == 1
        assert REPLAYED in (await owner.put("/own/A", headers=headers)).headers
    async with harness.client(roles={"account-user"}, accounts=["B"]) as stranger:
        assert (await stranger.put("/own/A", headers=headers)).status_code == 404


async def test_without_a_key_a_put_runs_each_time(harness: Harness, caller: httpx.AsyncClient) -> None:
    assert [(await caller.put("/payments/A")).json() for _ in range(2)] == [1, 2]


async def test_a_refusal_leaves_no_effect_no_event_and_no_key(
    harness: Harness, caller: httpx.AsyncClient
) -> None:
    refused = await pay(caller, "A", "k1", refuse=True)
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:coffer:problem:account-closed")
    assert (await counted(harness), await events(harness)) == ({}, 0)
    assert await harness.rows("select * from idempotency") == []
    mended = await pay(caller, "A", "k1")
    assert mended.status_code == 201
    assert REPLAYED not in mended.headers


async def test_an_invalid_body_leaves_the_key_free(harness: Harness, caller: httpx.AsyncClient) -> None:
    assert (await pay(caller, "A", "k1", colour="red")).status_code == 422
    assert (await pay(caller, "A", "k1")).status_code == 201


async def test_a_bug_leaves_no_effect_and_the_key_free(
    harness: Harness, caller: httpx.AsyncClient, hooks: type[Hooks]
) -> None:
    async def fail() -> None:
        raise ZeroDivisionError

    hooks.in_command = fail
    with structlog.testing.capture_logs():
        assert (await pay(caller, "A", "k1")).status_code == 500
    assert (await counted(harness), await events(harness)) == ({}, 0)
    hooks.in_command = nothing
    assert (await pay(caller, "A", "k1")).status_code == 201


async def test_the_same_key_at_the_same_moment_waits_and_is_replayed(
    harness: Harness, caller: httpx.AsyncClient, hooks: type[Hooks]
) -> None:
    async def until_the_other_waits() -> None:
        await until_waiting_for_a_lock(harness)

    hooks.in_command = until_the_other_waits
    first, second = await asyncio.gather(pay(caller, "A", "k1"), pay(caller, "A", "k1"))
    assert first.content == second.content
    assert sorted([REPLAYED in first.headers, REPLAYED in second.headers]) == [False, True]
    assert hooks.started == 1
    assert (await counted(harness), await events(harness)) == ({"A": 1}, 1)


async def test_one_of_two_bodies_with_one_key_at_the_same_moment_is_422(
    harness: Harness, caller: httpx.AsyncClient, hooks: type[Hooks]
) -> None:
    async def until_the_other_waits() -> None:
        await until_waiting_for_a_lock(harness)

    hooks.in_command = until_the_other_waits
    answers = await asyncio.gather(pay(caller, "A", "k1"), pay(caller, "B", "k1"))
    assert sorted(answer.status_code for answer in answers) == [201, 422]
    assert sum((await counted(harness)).values()) == 1


async def test_the_waiting_request_runs_when_the_first_is_refused(
    harness: Harness, caller: httpx.AsyncClient, hooks: type[Hooks]
) -> None:
    is_running = asyncio.Event()

    async def wait_once() -> None:
        hooks.in_command = nothing
        is_running.set()
        await until_waiting_for_a_lock(harness)

    hooks.in_command = wait_once
    first = asyncio.create_task(pay(caller, "A", "k1", refuse=True))
    await is_running.wait()
    second = await pay(caller, "A", "k1")
    assert (await first).status_code == 409
    assert second.status_code == 201
    assert await counted(harness) == {"A": 1}


async def test_twenty_requests_with_one_key_have_one_effect(
    harness: Harness, caller: httpx.AsyncClient
) -> None:
    answers = await asyncio.gather(*(pay(caller, "A", "k1") for _ in range(20)))
    assert {answer.content for answer in answers} == {answers[0].content}
    assert [REPLAYED in answer.headers for answer in answers].count(False) == 1
    assert (await counted(harness), await events(harness)) == ({"A": 1}, 1)


async def test_a_deadlock_is_tried_again(
    harness: Harness, caller: httpx.AsyncClient, hooks: type[Hooks]
) -> None:
    arrivals: list[None] = []
    both_have_one_lock = asyncio.Event()

    async def meet() -> None:
        arrivals.append(None)
        if len(arrivals) == 2:
            both_have_one_lock.set()
        await both_have_one_lock.wait()

    hooks.in_command = meet
    answers = await asyncio.gather(caller.put("/transfers/A/B"), caller.put("/transfers/B/A"))
    assert [answer.status_code for answer in answers] == [200, 200]
    assert len(arrivals) == 3
    assert await counted(harness) == {"A": 2, "B": 2}


async def test_a_row_locked_for_long_is_503_after_bounded_attempts(
    harness: Harness, caller: httpx.AsyncClient, hooks: type[Hooks]
) -> None:
    async with harness.connection() as other:
        await other.execute(COUNT, {"account": "A"})
        response = await caller.put("/impatient/A")
    assert response.status_code == 503
    assert response.headers["retry-after"] == "5"
    assert hooks.started == 4
    assert (await caller.put("/impatient/A")).status_code == 200


async def test_a_command_survives_the_end_of_its_session(
    harness: Harness, caller: httpx.AsyncClient, hooks: type[Hooks], postgres_dsn: str
) -> None:
    async def end_every_session() -> None:
        hooks.in_command = nothing
        administrator = await asyncpg.connect(postgres_dsn)
        sessions = "select pg_terminate_backend(pid) from pg_stat_activity where datname = $1"
        await administrator.execute(sessions, harness.database_name)
        await administrator.close()

    hooks.in_command = end_every_session
    assert (await pay(caller, "A", "k1")).status_code == 201
    assert (await counted(harness), await events(harness)) == ({"A": 1}, 1)


async def test_a_query_reads_one_snapshot_and_cannot_write(
    harness: Harness, caller: httpx.AsyncClient, hooks: type[Hooks]
) -> None:
    async def change() -> None:
        hooks.between_reads = nothing
        await caller.put("/payments/A")

    hooks.between_reads = change
    assert (await caller.get("/snapshot")).json() == [0, 0]
    assert (await caller.get("/snapshot")).json() == [1, 1]
    with structlog.testing.capture_logs():
        assert (await caller.get("/writing")).status_code == 500
    assert await counted(harness) == {"A": 1}
