"""The order gate on a real PostgreSQL, through the very consumer code."""

import asyncio
import json
import random
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from chassis.testing import only
from contracts.credit_checked import CreditChecked
from contracts.master_data_changed import MasterDataChanged, Organisation
from credit.domain.arrivals import Arrival
from credit.domain.simulation import Changed, Decided, redecide
from credit.domain.simulation import Rule as SimulatedRule
from credit.repository import gate as gates
from credit.repository import saving
from credit.settings import periods
from sqlalchemy import text

from chassis import metrics

pytestmark = pytest.mark.stack

KEY = ("shop", "O-1")


def told(checks: list[CreditChecked]) -> list[tuple[int, int, str, str]]:
    return [(check.order_revision, check.check_number, check.operation, check.outcome) for check in checks]


def codes(check: CreditChecked) -> list[str]:
    return [reason.code for reason in check.reasons]


async def test_an_order_is_checked_occupied_passed_on_and_settled(bench: Any, make: Any) -> None:
    await bench.managed_customer(make, limit=2_400_000)
    [check] = await bench.checks(make.order(amount=1_201_000))
    assert told([check]) == [(1, 1, "submit", "approved")]
    assert check.order is not None
    assert check.order.total.amount == "12010.00"
    [limit, single] = check.metrics
    assert (limit.metric, limit.used.amount, limit.delta.amount, limit.result) == (
        "credit-limit",
        "0.00",
        "12010.00",
        "passed",
    )
    assert (single.metric, single.limit) == ("single-document-limit", None)
    assert await bench.status() == {
        "used": "12010.00",
        "settled": "0.00",
        "undecided": "12010.00",
        "available": "11990.00",
    }
    await bench.play(make.decision(check, "accepted"))
    assert (await bench.status())["settled"] == "12010.00"
    assert await bench.broken() == []


async def test_a_declined_order_gives_its_occupancy_back_once(bench: Any, make: Any) -> None:
    await bench.managed_customer(make)
    [check] = await bench.checks(make.order(amount=10_000))
    for _ in range(2):
        await bench.play(make.decision(check, "declined"))
    assert (await bench.status())["used"] == "0.00"
    assert len(await bench.rows("select * from occupancy_entry")) == 2
    [check] = await bench.checks(make.order(amount=10_000, revision=2))
    assert told([check]) == [(2, 2, "submit", "approved")]
    assert await bench.broken() == []


async def test_the_whole_life_of_an_order_may_come_in_one_batch(bench: Any, make: Any) -> None:
    await bench.managed_customer(make)
    checks = await bench.checks(
        make.order(revision=3), make.order(), make.order(revision=2), make.cancellation(revision=4)
    )
    assert told(checks) == [
        (1, 1, "submit", "approved"),
        (4, 2, "cancel", "approved"),
        (2, 3, "submit", "declined"),
        (3, 4, "submit", "declined"),
    ]
    assert (await bench.status())["used"] == "0.00"
    assert await bench.rows("select * from parked_revision") == []
    assert await bench.rows("select * from timer") == []
    assert await bench.broken() == []


async def test_a_revision_under_a_new_event_id_is_a_duplicate_or_a_conflict(bench: Any, make: Any) -> None:
    await bench.managed_customer(make)
    await bench.play(make.order())
    assert await bench.checks(make.order()) == []
    assert await bench.checks(make.order(amount=7)) == []
    assert await bench.dead_letters() == ["revision-conflict"]
    await bench.play(make.cancellation())
    assert await bench.checks(make.cancellation()) == []
    assert await bench.checks(make.order(revision=2)) == []
    assert await bench.dead_letters() == ["revision-conflict"] * 2
    assert await bench.broken() == []


async def test_the_same_order_in_another_spelling_is_a_duplicate(bench: Any, make: Any) -> None:
    await bench.managed_customer(make)
    await bench.play(make.order())

    async def written(event_id: bytes, body: bytes) -> list[Any]:
        attributes = {"specversion": b"1.0", "id": event_id, "source": b"shop", "type": b"order-submitted.v1"}
        headers = [(f"ce_{name}", value) for name, value in attributes.items()]
        return await bench.play_raw("order-submitted", b"A-1", body, headers)  # type: ignore[no-any-return]

    spelt = json.dumps(dict(reversed(json.loads(make.order().to_json()).items())), indent=2).encode()
    assert await written(b"E-2", spelt) == []
    assert await bench.dead_letters() == []
    assert await written(b"E-3", spelt.replace(b'"U-1"', b'"U-2"')) == []
    assert await bench.dead_letters() == ["revision-conflict"]
    assert len(await bench.rows("select * from inbox where source = 'shop'")) == 1


async def test_a_structured_cloud_event_is_kept_as_the_order_it_holds(bench: Any, make: Any) -> None:
    await bench.managed_customer(make)
    attributes = {"specversion": "1.0", "id": "E-1", "source": "shop", "type": "order-submitted.v1"}
    body = json.dumps(attributes | {"data": json.loads(make.order().to_json())}).encode()
    headers = [("content-type", b"application/cloudevents+json")]
    [check] = await bench.play_raw("order-submitted", b"A-1", body, headers)
    assert check.outcome == "approved"
    assert await bench.checks(make.order()) == []
    [cancelled] = await bench.checks(make.cancellation())
    assert cancelled.order == check.order
    assert await bench.dead_letters() == []


async def test_a_customer_and_its_order_may_come_in_one_batch(bench: Any, make: Any) -> None:
    [check] = await bench.checks(make.order(), make.customer_record(credit_managed=False))
    assert (check.outcome, codes(check)) == ("approved", ["not-credit-managed"])


async def test_replaying_everything_without_positions_and_inbox_changes_nothing(
    bench: Any, make: Any
) -> None:
    await bench.managed_customer(make, limit=20_000)
    events = [make.order("O-1"), make.order("O-2"), make.order("O-3"), make.cancellation("O-1")]
    records = [bench.raw(event) for event in events]
    checks = only(await bench.consume(records), CreditChecked)
    decided = bench.raw(make.decision(checks[1], "accepted"))
    await bench.consume([decided])
    before = await bench.rows("select * from credit_profile")
    for spoil in ("delete from position", "delete from position; delete from inbox"):
        await bench.spoil(spoil)
        bench.context.consumer.positions.clear()
        assert await bench.consume([*records, decided]) == []
        assert await bench.rows("select * from credit_profile") == before
        assert await bench.dead_letters() == []
    assert await bench.broken() == []


async def test_what_waited_24_hours_is_refused(bench: Any, make: Any) -> None:
    await bench.managed_customer(make, limit=0)
    assert await bench.checks(make.order(revision=2), make.order(revision=3)) == []
    assert await bench.broken() == []
    [row] = await bench.rows("select clock_timestamp() as now")
    assert await bench.fire_timers(row["now"] + timedelta(hours=23)) == []
    refused = only(await bench.fire_timers(row["now"] + timedelta(hours=25)), CreditChecked)
    assert [codes(check) for check in refused] == [["predecessor-missing"]] * 2
    assert told(await bench.checks(make.order())) == [(1, 3, "submit", "declined")]
    assert told(await bench.checks(make.order(revision=4))) == [(4, 4, "submit", "declined")]
    assert await bench.broken() == []


async def test_a_new_submission_waits_for_the_decision_of_the_one_before(bench: Any, make: Any) -> None:
    await bench.managed_customer(make, limit=10_000)
    [first] = await bench.checks(make.order())
    assert await bench.checks(make.order(revision=2)) == []
    assert await bench.broken() == []
    second = await bench.checks(make.decision(first, "declined"))
    assert told(second) == [(2, 2, "submit", "approved")]
    assert await bench.rows("select * from timer") == []
    assert await bench.broken() == []


async def test_a_pending_order_that_nobody_approves_is_declined_after_7_days(bench: Any, make: Any) -> None:
    await bench.managed_customer(make, limit=0, enforcement="special-approval")
    [held] = await bench.checks(make.order())
    assert held.outcome == "pending-approval"
    await bench.play(make.decision(held, "pending-approval"))
    assert (await bench.status())["used"] == "0.00"
    [row] = await bench.rows("select clock_timestamp() as now")
    [expired] = only(await bench.fire_timers(row["now"] + timedelta(days=8)), CreditChecked)
    assert (expired.check_number, expired.outcome, codes(expired)) == (
        2,
        "declined",
        ["special-approval-expired"],
    )
    assert expired.order == held.order
    assert [row["state"] for row in await bench.rows("select state from pending_order")] == ["expired"]
    assert await bench.broken() == []


async def test_a_cancellation_ends_a_wait_for_approval(bench: Any, make: Any) -> None:
    await bench.managed_customer(make, limit=0, enforcement="special-approval")
    await bench.play(make.order())
    [cancelled] = await bench.checks(make.cancellation())
    assert told([cancelled]) == [(2, 2, "cancel", "approved")]
    assert await bench.rows("select * from timer") == []
    assert [row["state"] for row in await bench.rows("select state from pending_order")] == ["cancelled"]
    await bench.play(make.order("O-2"), make.cancellation("O-2"))
    assert await bench.broken() == []


@pytest.mark.parametrize(
    ("event", "code"),
    [
        ({"customer": "C-nobody"}, "unknown-customer"),
        ({"customer": "C-free"}, "no-profile"),
        ({"currency": "USD"}, "no-exchange-rate"),
    ],
)
async def test_what_cannot_be_checked_is_declined_with_its_reason(
    bench: Any, make: Any, event: dict[str, Any], code: str
) -> None:
    await bench.managed_customer(make)
    await bench.play(make.customer_record("C-free"))
    [check] = await bench.checks(make.order(**event))
    assert (check.outcome, codes(check)) == ("declined", [code])


async def test_a_decision_on_a_declined_check_is_put_down_and_a_contradiction_reported(
    bench: Any, make: Any
) -> None:
    await bench.managed_customer(make, limit=0)
    [check] = await bench.checks(make.order())
    await bench.play(make.decision(check, "declined"))
    assert [row["outcome"] for row in await bench.rows("select outcome from check_decision")] == ["declined"]
    await bench.play(make.decision(check, "declined"))
    await bench.play(make.decision(check, "accepted"))
    await bench.play(make.decision(replace(check, check_number=2), "declined"))
    assert await bench.dead_letters() == ["decision-conflict", "unknown-check"]
    assert await bench.broken() == []


async def test_an_order_that_does_not_add_up_is_passed_on_as_declined(bench: Any, make: Any) -> None:
    await bench.managed_customer(make)
    [check] = await bench.checks(make.order(lines=[make.line("1", 9_999)]))
    assert (check.outcome, codes(check), check.metrics) == ("declined", ["total-mismatch"], [])
    assert (await bench.status())["used"] == "0.00"


async def test_master_data_is_full_state_and_the_highest_version_wins(bench: Any, make: Any) -> None:
    await bench.play(
        make.customer_record(version=2, name="new"), make.customer_record(version=1, name="old"),
        make.customer_record(version=3, name="newer", credit_managed=False),
    )  # fmt: skip
    await bench.play(make.customer_record(version=3, name="newer", credit_managed=False))
    await bench.play(make.customer_record(version=2, name="late"))
    [row] = await bench.rows("select name, version, credit_managed from customer")
    assert row == {"name": "newer", "version": 3, "credit_managed": False}
    assert await bench.dead_letters() == []
    await bench.play(make.customer_record(version=3, name="another"))
    assert await bench.dead_letters() == ["version-conflict"]
    zone = Organisation(
        kind="organisation", name="East", organisation_type="business", time_zone="Asia/Shanghai"
    )
    await bench.play(MasterDataChanged(id="BO-1", version=1, changed_at=make.now, record=zone))
    assert [row["time_zone"] for row in await bench.rows("select time_zone from organisation")] == [
        "Asia/Shanghai"
    ]


async def test_of_32_orders_at_once_exactly_those_pass_that_fit(bench: Any, make: Any) -> None:
    """32 instances, each with one order of 100.00, on one limit of 1,000.00."""
    await bench.managed_customer(make, limit=100_000)
    instances = [bench.instance() for _ in range(32)]
    records = [bench.raw(make.order(f"O-{number}"), partition=number) for number in range(32)]
    await asyncio.gather(
        *(instance.consumer.consume([record]) for instance, record in zip(instances, records, strict=True))
    )
    for instance in instances:
        await instance.database.close()
    outcomes = [check.outcome for check in only(await bench.drain(), CreditChecked)]
    assert (outcomes.count("approved"), outcomes.count("declined")) == (10, 22)
    assert (await bench.status())["available"] == "0.00"
    assert await bench.broken() == []


async def test_64_checks_at_once_by_two_instances_on_a_shared_group_never_pass_its_limit(
    bench: Any, make: Any
) -> None:
    """8 customers of one group with 1,000.00: of 64 orders of 60.00 from both ends, 16 pass, and nobody deadlocks."""
    customers = [f"C-{number}" for number in range(8)]
    for customer in customers:
        await bench.play(make.customer_record(customer, customer_group="G-1"))
        await bench.set_limits(customer, make.limits(40_000))
    async with bench.client({"credit-manager"}) as client:
        shared = await client.put("/profiles/group/*/customer-group/G-1/CNY", json=make.limits(100_000))
        assert shared.status_code == 200, shared.text
    instances = [bench.instance() for _ in range(2)]
    records = [
        bench.raw(
            make.order(
                f"O-{number}", 6_000, customer=customers[number % 8 if number % 2 else 7 - number % 8]
            ),
            partition=number,
        )
        for number in range(64)
    ]
    await asyncio.gather(
        *(instances[number % 2].consumer.consume([record]) for number, record in enumerate(records))
    )
    for instance in instances:
        await instance.database.close()
    checks = only(await bench.drain(), CreditChecked)
    passed = [check for check in checks if check.outcome == "approved"]
    assert (len(checks), len(passed)) == (64, 16)
    [group] = await bench.rows("select used_minor from credit_profile where object_type = 'customer-group'")
    assert group["used_minor"] == 96_000
    [database] = await bench.rows("select deadlocks from pg_stat_database where datname = current_database()")
    assert database["deadlocks"] == 0
    assert await bench.dead_letters() == []
    assert await bench.broken() == []


async def test_batches_of_two_instances_on_the_same_profiles_lock_in_one_order(bench: Any, make: Any) -> None:
    """Each batch touches all profiles, from opposite ends; what passed never exceeds any limit."""
    customers = [f"C-{number}" for number in range(10)]
    for customer in customers:
        await bench.managed_customer(make, customer, limit=50_000)
    instances = [bench.instance() for _ in range(2)]
    batches = [
        [
            bench.raw(make.order(f"O-{half}-{turn}-{customer}", customer=customer), partition=half)
            for customer in (customers if half else reversed(customers))
            for turn in range(5)
        ]
        for half in range(2)
    ]
    await asyncio.gather(
        *(instance.consumer.consume(batch) for instance, batch in zip(instances, batches, strict=True))
    )
    for instance in instances:
        await instance.database.close()
    outcomes = [check.outcome for check in only(await bench.drain(), CreditChecked)]
    assert (outcomes.count("approved"), outcomes.count("declined")) == (50, 50)
    assert await bench.broken() == []


@pytest.mark.parametrize("first", ["submission", "cancellation"])
async def test_a_submission_and_its_cancellation_in_two_open_transactions_end_cancelled(
    bench: Any, make: Any, first: str
) -> None:
    await bench.managed_customer(make)
    arrivals: list[Arrival] = [make.submission(), make.cancelling(revision=2)]
    if first == "cancellation":
        arrivals.reverse()
    holds, waits = asyncio.Event(), asyncio.Event()

    async def decide(arrival: Arrival, *, leads: bool) -> None:
        if not leads:
            await holds.wait()
        async with bench.context.database.transaction() as connection:
            if not leads:
                waits.set()
            gate = await gates.locked_gate(connection, [arrival], make.now, periods())
            if leads:
                holds.set()
                await waits.wait()
                await _until_somebody_waits(bench)
            gate.apply(arrival)
            await saving.save(connection, gate, make.now)

    await asyncio.gather(decide(arrivals[0], leads=True), decide(arrivals[1], leads=False))
    [order] = await bench.rows("select status, checks from sales_order")
    assert order == {"status": "cancelled", "checks": 2}
    assert (await bench.status())["used"] == "0.00"
    assert await bench.broken() == []


async def _until_somebody_waits(bench: Any) -> None:
    """Until the other transaction stands at the lock that this one holds."""
    waiting = "select 1 from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
    while not await bench.rows(waiting):  # noqa: ASYNC110  # the database has no event to wait for
        await asyncio.sleep(0.01)


async def test_a_batch_costs_the_same_number_of_statements_whatever_its_size(bench: Any, make: Any) -> None:
    customers = [f"C-{number}" for number in range(20)]
    for customer in customers:
        await bench.managed_customer(make, customer)

    async def statements(*events: Any) -> tuple[float, list[CreditChecked]]:
        before = metrics.batch_statements._sum.get()
        checks = await bench.checks(*events)
        return metrics.batch_statements._sum.get() - before, checks

    def orders(prefix: str, number: int) -> list[Any]:
        return [
            make.order(f"{prefix}-{place}", 100, customer=customers[place % 20]) for place in range(number)
        ]

    one, first = await statements(*orders("A", 1))
    many, checks = await statements(*orders("B", 200))
    assert one == many == 6, "admit, lock orders, lock profiles, organisations, save, finish"
    one, _ = await statements(make.decision(first[0], "accepted"))
    many, _ = await statements(*(make.decision(check, "accepted") for check in checks))
    assert one == many == 6, "settling reads the occupancy besides"
    everything = [
        *orders("C", 50),
        *(make.order(f"D-{place}", revision=2) for place in range(50)),
        *(make.cancellation(f"B-{place}", 2) for place in range(50)),
        *(make.order(f"A-{place}", 100, customer=customers[place]) for place in range(1)),
    ]
    mixed, _ = await statements(*everything)
    assert mixed <= 10


async def test_random_traffic_through_storage_keeps_every_invariant(bench: Any, make: Any) -> None:
    """Random batches of submissions, cancellations, decisions, approvals and time, against the bare record."""
    chance = random.Random(20260302)
    await bench.managed_customer(make, "C-1", limit=30_000)
    await bench.managed_customer(make, "C-2", limit=10_000, enforcement="special-approval")
    await bench.right()
    await bench.managed_customer(make, "C-3", limit=10_000, enforcement="warn")
    checks: list[CreditChecked] = []
    decisions: dict[tuple[str, int], str] = {}
    undecided: list[CreditChecked] = []
    for _ in range(60):
        batch = [_random_event(chance, make) for _ in range(chance.randint(1, 8))]
        chance.shuffle(undecided)
        for check in undecided[: chance.randint(0, 4)]:
            outcome = chance.choice(["accepted", "declined"])
            outcome = decisions.setdefault((check.order_id, check.check_number), outcome)
            batch.insert(chance.randint(0, len(batch)), make.decision(check, outcome))
        new = await bench.checks(*batch)
        if chance.random() < 0.3:
            new += await _judge_some(bench, chance)
        if chance.random() < 0.1:
            [row] = await bench.rows("select clock_timestamp() as now")
            new += only(await bench.fire_timers(row["now"] + timedelta(days=8)), CreditChecked)
        checks += new
        undecided += [
            check for check in new if check.operation == "submit" and check.outcome in ("approved", "warned")
        ]
    for customer in ("C-1", "C-2", "C-3"):
        [row] = await bench.rows(f"select used_minor from credit_profile where object_id = '{customer}'")
        assert row["used_minor"] == _exposure(checks, decisions, customer)
    assert len(checks) > 150
    assert await bench.broken() == []
    assert await _reproduced(bench) > 50


async def _reproduced(bench: Any) -> int:
    """Decides every stored check anew from the numbers that it was decided by; returns how many there were."""
    unchanged = SimulatedRule({"credit-limit": Changed(), "single-document-limit": Changed()})
    stored = await bench.rows("select source, order_id, check_number, outcome, findings from credit_check")
    reproduced = 0
    for row in stored:
        metrics = json.loads(row["findings"]).get("metrics") or []
        if metrics and not any(metric["result"] == "waived" for metric in metrics):
            decided = Decided(row["source"], row["order_id"], row["check_number"], row["outcome"], metrics)
            assert redecide(unchanged, decided)[0] == row["outcome"]
            reproduced += 1
    return reproduced


def _random_event(chance: random.Random, make: Any) -> Any:
    number = chance.randint(1, 90)
    order_id, revision = f"O-{number}", chance.choice([1, 1, 1, 1, 2, 3])
    if chance.random() < 0.15:
        return make.cancellation(order_id, revision + 1)
    return make.order(order_id, chance.choice([4_000, 6_000]), revision, customer=f"C-{number % 3 + 1}")


async def _judge_some(bench: Any, chance: random.Random) -> list[CreditChecked]:
    async with bench.client({"credit-approver"}) as client:
        waiting = (await client.get("/pending-orders")).json()["items"]
        for order in chance.sample(waiting, min(2, len(waiting))):
            verb = chance.choice(["approve", "reject"])
            answer = await client.post(
                f"/pending-orders/{order['source']}/{order['order_id']}/{verb}",
                json={"reason": "chance"},
                headers={"Idempotency-Key": str(chance.random())},
            )
            assert answer.status_code == 200, answer.text
    return only(await bench.drain(), CreditChecked)


def _exposure(checks: list[CreditChecked], decisions: dict[tuple[str, int], str], customer: str) -> int:
    """From nothing but what was passed on and decided."""
    total = 0
    orders = {
        check.order_id for check in checks if check.order is not None and check.order.customer == customer
    }
    for order_id in orders:
        own = [check for check in checks if check.order_id == order_id]
        if any(check.operation == "cancel" and check.outcome == "approved" for check in own):
            continue
        live = [
            check.order.total.minor
            for check in own
            if check.order is not None
            and check.operation == "submit"
            and check.outcome in ("approved", "warned")
            and decisions.get((order_id, check.check_number)) != "declined"
        ]
        total += max(live, default=0)
    return total


async def test_a_recorded_decision_can_be_read_back_whole(bench: Any, make: Any) -> None:
    await bench.managed_customer(make, limit=100)
    [check] = await bench.checks(make.order())
    async with bench.connection() as connection:
        rows = await connection.execute(text("select body, findings from credit_check"))
        body, found = rows.one()
    from credit.repository.bodies import findings, stored_order

    assert stored_order(body, 1) == make.order()
    assert findings(found).metrics == check.metrics
    assert findings(found).reasons == check.reasons
