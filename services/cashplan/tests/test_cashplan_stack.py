"""cashplan on a real PostgreSQL: batches through the consumer, commands and queries over HTTP, checks."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from cashplan.app import service
from cashplan.domain.collection import order_fact
from cashplan.domain.pool import next_item, order_key
from cashplan.flows.pool import PoolDesk, PoolNews
from cashplan.tables import METADATA
from chassis.database import statements
from chassis.http import OPEN_PATHS, unprotected_routes
from chassis.invariants import run_checks
from chassis.testing import Harness
from contracts.master_data_changed import Customer, Organisation
from contracts.money import Money
from contracts.order_decided import Explanation, LinePayment, OrderPosition
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis import UnitOfWork
from contracts import MasterDataChanged, OrderDecided

pytestmark = pytest.mark.stack

DECIDED_AT = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)


@pytest.fixture
async def harness(postgres_dsn: str) -> AsyncIterator[Harness]:
    async with Harness(service, postgres_dsn) as running:
        yield running


def decided(
    order_id: str = "SO-1", check: int = 1, total: str = "100.00", due: date | None = None, **others: Any
) -> OrderDecided:
    paid = others.pop("paid", {})
    currency = others.pop("currency", "CNY")
    payments = [
        LinePayment(account="A-1", account_type=kind, line_id="1", amount=Money(amount, currency))
        for kind, amount in paid.items()
    ]
    unpaid = Money(total, currency).minor - sum(payment.amount.minor for payment in payments)
    decision = OrderDecided(
        source="shop",
        order_id=order_id,
        order_revision=check,
        check_number=check,
        operation="submit",
        outcome="accepted",
        paying_account="A-1",
        currency=currency,
        customer="C-1",
        settlement_organisation="ORG-1",
        reasons=[],
        position=OrderPosition(
            total=Money(total, currency),
            payments=payments,
            unpaid=Money.of(unpaid, currency),
            due_date=due or date(2026, 4, 1),
        ),
        explanation=Explanation(text="", accounts=[], policy_version=0),
        decided_at=DECIDED_AT,
    )
    return replace(decision, **others)


def organisation(
    organisation_id: str = "ORG-1", version: int = 1, time_zone: str = "UTC", name: str = "One"
) -> MasterDataChanged:
    return MasterDataChanged(
        id=organisation_id,
        version=version,
        changed_at=DECIDED_AT,
        record=Organisation(
            kind="organisation", name=name, organisation_type="legal", parent=None, time_zone=time_zone
        ),
    )


POOL = "select source, document_id, version, entity, currency, amount_minor, is_closed from pool_item order by 1, 2"
HISTORY = (
    "select document_id, version, amount_minor, outcome from pool_item_history order by document_id, version"
)


async def findings(harness: Harness) -> list[str]:
    found = await run_checks(harness.context.database, service.all_checks)
    return [finding.check.name for finding in found if not finding.holds]


async def test_decided_orders_become_receipts_and_a_cancellation_closes_them(harness: Harness) -> None:
    await harness.play(
        decided("SO-1", total="100.00", paid={"cash": "60.00", "overdraft": "10.00"}),
        decided("SO-2", total="7.00"),
        decided("SO-2", check=2, total="0.00", operation="cancel", outcome="cancelled"),
    )
    rows = await harness.rows(POOL)
    assert [(row["document_id"], row["amount_minor"], row["is_closed"]) for row in rows] == [
        ("SO-1", 40_00, False),
        ("SO-2", 0, True),
    ]
    steps = await harness.rows(HISTORY)
    assert [(step["document_id"], step["version"], step["amount_minor"]) for step in steps] == [
        ("SO-1", 1, 40_00),
        ("SO-2", 1, 7_00),
        ("SO-2", 2, 0),
    ]
    assert await findings(harness) == []


async def test_replaying_and_older_checks_change_nothing(harness: Harness) -> None:
    decisions = [decided(check=check, total=f"{check}.00") for check in (1, 3, 2)]
    records = [harness.raw(decision) for decision in decisions]
    await harness.consume(records)
    before = await harness.rows(POOL), await harness.rows(HISTORY)
    await harness.spoil("delete from position; delete from inbox")
    again = harness.context = harness.instance()
    await again.consumer.consume(records)
    await harness.play(*decisions)
    assert (await harness.rows(POOL), await harness.rows(HISTORY)) == before
    assert [row["version"] for row in before[1]] == [1, 3]


async def test_any_order_and_repetition_give_the_same_pool(harness: Harness) -> None:
    random = Random(20260310)
    decisions = [
        decided(f"SO-{order}", check=check, total=f"{random.randrange(1000)}.00")
        for order in range(20)
        for check in range(1, 4)
    ]
    pools = []
    for number in range(3):
        arrived = [
            replace(each, source=f"shop-{number}") for each in (*decisions, *random.sample(decisions, 20))
        ]
        random.shuffle(arrived)
        for start in range(0, len(arrived), 11):
            await harness.play(*arrived[start : start + 11])
        rows = await harness.rows(POOL)
        pools.append([(r["document_id"], r["amount_minor"]) for r in rows if r["source"] == f"shop-{number}"])
    assert len(pools[0]) == 20
    assert pools[0] == pools[1] == pools[2]
    assert await findings(harness) == []


@pytest.mark.parametrize("orders", [1, 50, 500])
async def test_a_batch_takes_four_statements_however_long(harness: Harness, orders: int) -> None:
    seen: list[int] = []
    handle = service.subscriptions[0].handler

    async def counted(batch: Any) -> None:
        before = statements(batch.connection)
        await handle(batch)
        seen.append(statements(batch.connection) - before)

    object.__setattr__(service.subscriptions[0], "handler", counted)
    try:
        await harness.play(*(decided(f"SO-{order}", check=1 + order % 2) for order in range(orders)))
    finally:
        object.__setattr__(service.subscriptions[0], "handler", handle)
    assert seen == [4]


@pytest.mark.parametrize(("first", "second"), [(1, 2), (2, 1)])
async def test_transactions_that_meet_on_a_new_order_leave_the_higher_check(
    harness: Harness, first: int, second: int
) -> None:
    """The one that comes second waits for the order's row, and then sees what the first has written."""
    async with harness.connection() as later:
        async with harness.connection() as earlier:
            await take(earlier, first)
            writing = asyncio.create_task(take(later, second))
            await until_one_waits(harness)
        await writing
    assert [(row["version"], row["amount_minor"]) for row in await harness.rows(POOL)] == [(2, 2_00)]
    assert await findings(harness) == []


async def take(connection: AsyncConnection, check: int) -> None:
    """What the handler does with one decision, in a transaction of its own."""
    decision = decided(check=check, total=f"{check}.00")
    desk = PoolDesk(UnitOfWork(service="cashplan", connection=connection, now=DECIDED_AT))
    await desk.load([order_key(decision)], [])
    item = next_item(desk.items.get(order_key(decision)), decision)
    if item is not None:
        fact = order_fact(item, "submit", "accepted", DECIDED_AT.date())
        desk.apply(PoolNews(fact, f"event-{check}", DECIDED_AT))
    await desk.save()


async def until_one_waits(harness: Harness) -> None:
    waiting = (
        "select pid from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
    )
    async with asyncio.timeout(4):
        while not await harness.rows(waiting):  # noqa: ASYNC110 the condition lies in the database
            await asyncio.sleep(0.01)


async def test_an_order_nobody_has_seen_leaves_no_item_to_show(harness: Harness) -> None:
    unseen = decided(
        total="0.00",
        position=None,
        settlement_organisation=None,
        customer=None,
        currency="CNY",
        operation="cancel",
    )
    await harness.play(replace(unseen, currency=None))
    async with harness.client(roles={"treasurer"}) as client:
        assert (await client.get("/pool-items")).json() == {"items": [], "next": None}
    assert await findings(harness) == []


async def test_a_misstated_position_is_dead_lettered_and_its_neighbours_count(harness: Harness) -> None:
    wrong = decided("SO-BAD")
    assert wrong.position is not None
    wrong = replace(wrong, position=replace(wrong.position, unpaid=Money("1.00", "CNY")))
    await harness.play(decided("SO-1"), wrong, decided("SO-2"))
    assert [row["document_id"] for row in await harness.rows(POOL)] == ["SO-1", "SO-2"]
    letters = await harness.rows("select reason from dead_letter")
    assert [letter["reason"] for letter in letters] == ["position-misstated"]


async def test_the_newest_organisation_counts_and_other_master_data_does_not(harness: Harness) -> None:
    customer = MasterDataChanged(
        id="C-1", version=1, changed_at=DECIDED_AT, record=Customer(kind="customer", name="Customer")
    )
    await harness.play(
        organisation(version=2, name="Second"), customer, organisation(version=1, name="First")
    )
    await harness.play(organisation(version=1, name="First again"))
    rows = await harness.rows("select organisation_id, version, name from organisation")
    assert rows == [{"organisation_id": "ORG-1", "version": 2, "name": "Second"}]


async def store_account(client: Any, account_id: str = "BANK-1", **changed: Any) -> Any:
    body = {"entity": "ORG-1", "currency": "CNY", "bank": "ICBC", "name": "Main", **changed}
    return await client.put(f"/position-accounts/{account_id}", json=body)


async def enter(client: Any, amount: str, as_of: date, key: str, account_id: str = "BANK-1") -> Any:
    return await client.post(
        f"/position-accounts/{account_id}/balances",
        json={"as_of": as_of.isoformat(), "balance": {"amount": amount, "currency": "CNY"}},
        headers={"Idempotency-Key": key},
    )


def today() -> date:
    return datetime.now(UTC).date()


async def test_the_position_counts_balances_and_open_items_day_by_day(harness: Harness) -> None:
    day = today()
    await harness.play(
        organisation(),
        decided("SO-OVERDUE", total="40.00", due=day - timedelta(days=9)),
        decided("SO-NEXT", total="10.00", due=day + timedelta(days=2)),
        decided("SO-PAID", total="500.00", due=day, paid={"cash": "500.00"}),
        decided("SO-FAR", total="900.00", due=day + timedelta(days=90)),
        decided("SO-USD", total="5.00", due=day, currency="USD"),
    )
    async with harness.client(roles={"treasurer"}) as client:
        minimum = {"amount": "145.00", "currency": "CNY"}
        assert (await store_account(client, minimum_balance=minimum)).status_code == 200
        assert (await enter(client, "70.00", day - timedelta(days=3), "k1")).status_code == 201
        assert (await enter(client, "100.00", day - timedelta(days=1), "k2")).status_code == 201
        last = day + timedelta(days=3)
        answer = await client.get("/position", params={"entity": "ORG-1", "to": last.isoformat()})
        cny, usd = answer.json()["items"]
    assert [each["closing"]["amount"] for each in cny["days"]] == ["140.00", "140.00", "150.00", "150.00"]
    assert cny["days"][0]["overdue_receipts"]["amount"] == cny["overdue_receipts"]["amount"] == "40.00"
    assert cny["first_day_below_minimum"] == day.isoformat()
    assert cny["first_day_below_zero"] is None
    assert (cny["gap"]["amount"], cny["lowest"]["balance"]["amount"]) == ("5.00", "140.00")
    assert cny["accounts"][0]["as_of"] == (day - timedelta(days=1)).isoformat()
    assert [each["closing"]["amount"] for each in usd["days"]] == ["5.00"] * 4


async def test_a_corrected_balance_counts_and_its_history_stays(harness: Harness) -> None:
    await harness.play(organisation())
    day = today()
    async with harness.client(roles={"treasurer"}, subject="lin") as client:
        await store_account(client)
        first = await enter(client, "100.00", day, "k1")
        assert (await enter(client, "100.00", day, "k1")).json() == first.json()
        assert (await enter(client, "100.00", day, "k2")).json()["entry_number"] == 1
        assert (await enter(client, "90.00", day, "k3")).json()["entry_number"] == 2
        assert (await enter(client, "10.00", day - timedelta(days=1), "k4")).json()["entry_number"] == 3
        history = (await client.get("/position-accounts/BANK-1/balances")).json()["items"]
        position = (await client.get("/position")).json()["items"][0]
    assert [(entry["balance"]["amount"], entry["entered_by"]) for entry in history] == [
        ("100.00", "lin"),
        ("90.00", "lin"),
        ("10.00", "lin"),
    ]
    assert position["accounts"][0]["balance"]["amount"] == "90.00"
    assert await findings(harness) == []


async def test_today_is_local_to_the_entity(harness: Harness) -> None:
    """26 hours lie between the two zones, so that their dates always differ."""
    await harness.play(
        organisation("ORG-EAST", time_zone="Pacific/Kiritimati"),
        organisation("ORG-WEST", time_zone="Etc/GMT+12"),
        decided("SO-1", settlement_organisation="ORG-EAST"),
        decided("SO-2", settlement_organisation="ORG-WEST"),
    )
    async with harness.client(roles={"treasurer"}) as client:
        east, west = (await client.get("/position")).json()["items"]
    assert date.fromisoformat(east["today"]) > date.fromisoformat(west["today"])
    assert east["days"][0]["day"] == east["today"]
    assert east["overdue_receipts"]["amount"] == "100.00"


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"to": "2000-01-01"}, "to"),
        ({"to": "2999-01-01"}, "to"),
        ({"from": "2999-01-02", "to": "2999-01-01"}, "to"),
        ({"from": "yesterday"}, "from"),
        ({"currency": "yuan"}, "currency"),
    ],
)
async def test_a_wrong_range_says_which_field(
    harness: Harness, parameters: dict[str, str], field: str
) -> None:
    await harness.play(decided())
    async with harness.client(roles={"treasurer"}) as client:
        answer = await client.get("/position", params=parameters)
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]


async def test_pool_items_are_filtered_and_paged(harness: Harness) -> None:
    due = date(2026, 4, 1)
    await harness.play(
        *(decided(f"SO-{n:02}", due=due + timedelta(days=n), customer=f"C-{n % 2}") for n in range(10)),
        decided("SO-CLOSED", total="0.00"),
        decided("SO-ELSEWHERE", settlement_organisation="ORG-2"),
    )
    async with harness.client(roles={"finance-maker"}) as client:

        async def ids(**parameters: str) -> list[str]:
            found, cursor = [], None
            while True:
                query = {"limit": "4", **parameters, **({"cursor": cursor} if cursor else {})}
                page = (await client.get("/pool-items", params=query)).json()
                found += [item["document_id"] for item in page["items"]]
                if (cursor := page["next"]) is None:
                    return found

        everything = await ids()
        assert everything == [*(f"SO-{n:02}" for n in range(10)), "SO-CLOSED", "SO-ELSEWHERE"]
        assert await ids(entity="ORG-2") == ["SO-ELSEWHERE"]
        assert await ids(state="closed") == ["SO-CLOSED"]
        assert await ids(counterparty="C-0") == ["SO-00", "SO-02", "SO-04", "SO-06", "SO-08"]
        assert await ids(due_from="2026-04-03", due_to="2026-04-04", state="open") == ["SO-02", "SO-03"]
        refused = await client.get("/pool-items", params={"due_from": "2026-04-03", "due_to": "2026-04-02"})
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "due_to")
        assert (await client.get("/pool-items", params={"cursor": "nonsense"})).status_code == 400


async def test_the_history_of_an_item_is_told(harness: Harness) -> None:
    await harness.play(decided(), decided(check=2, total="0.00", operation="cancel", outcome="cancelled"))
    async with harness.client(roles={"auditor"}) as client:
        steps = (await client.get("/pool-items/history?source=shop&order_id=SO-1")).json()["items"]
        missing = await client.get("/pool-items/history?source=shop&order_id=SO-9")
    assert [(step["item"]["amount"]["amount"], step["outcome"]) for step in steps] == [
        ("100.00", "accepted"),
        ("0.00", "cancelled"),
    ]
    assert missing.status_code == 404


@pytest.mark.parametrize(
    ("changed", "status", "field"),
    [
        ({"entity": "ORG-UNKNOWN"}, 422, "entity"),
        ({"currency": "ZZZ"}, 422, "currency"),
        ({"minimum_balance": {"amount": "5.00", "currency": "USD"}}, 422, "minimum_balance.currency"),
        ({"minimum_balance": {"amount": "-5.00", "currency": "CNY"}}, 422, "minimum_balance"),
        ({"colour": "red"}, 422, "colour"),
        ({"currency": "USD"}, 409, "entity"),
    ],
)
async def test_a_wrong_account_says_which_field(
    harness: Harness, changed: dict[str, Any], status: int, field: str
) -> None:
    await harness.play(organisation())
    async with harness.client(roles={"treasurer"}) as client:
        await store_account(client)
        answer = await store_account(client, **changed)
    assert answer.status_code == status
    assert answer.json()["errors"][0]["field"].startswith(field)


async def test_a_wrong_balance_says_which_field(harness: Harness) -> None:
    await harness.play(organisation())
    async with harness.client(roles={"treasurer"}) as client:
        await store_account(client)
        future = await enter(client, "1.00", today() + timedelta(days=1), "k1")
        decimals = await enter(client, "1.005", today(), "k2")
        missing = await enter(client, "1.00", today(), "k3", account_id="BANK-9")
        other = await client.post(
            "/position-accounts/BANK-1/balances",
            json={"as_of": today().isoformat(), "balance": {"amount": "1.00", "currency": "USD"}},
            headers={"Idempotency-Key": "k4"},
        )
    assert (future.status_code, future.json()["errors"][0]["field"]) == (422, "as_of")
    assert decimals.status_code == 422
    assert decimals.json()["errors"][0]["field"].startswith("balance")
    assert (other.status_code, other.json()["errors"][0]["field"]) == (422, "balance.currency")
    assert missing.status_code == 404


async def test_an_inactive_account_counts_in_no_position(harness: Harness) -> None:
    await harness.play(organisation())
    async with harness.client(roles={"treasurer"}) as client:
        await store_account(client)
        await enter(client, "100.00", today(), "k1")
        await store_account(client, active=False)
        assert (await client.get("/position")).json()["items"] == []
        assert (await client.get("/position-accounts/BANK-1")).json()["active"] is False
        listed = await client.get("/position-accounts", params={"entity": "ORG-1", "currency": "CNY"})
        assert [account["account_id"] for account in listed.json()["items"]] == ["BANK-1"]


async def test_organisations_also_come_by_http(harness: Harness) -> None:
    async with harness.client(roles={"order-system"}) as client:
        body = {"version": 2, "name": "One", "time_zone": "Asia/Shanghai"}
        assert (await client.put("/organisations/ORG-1", json=body)).json()["version"] == 2
        older = await client.put("/organisations/ORG-1", json={**body, "version": 1, "time_zone": "UTC"})
        assert older.json()["time_zone"] == "Asia/Shanghai"
        wrong = await client.put("/organisations/ORG-1", json={**body, "time_zone": "Mars/Olympus"})
        assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (422, "time_zone")
        assert (await client.get("/organisations/ORG-9")).status_code == 404


@pytest.mark.parametrize(
    "path", ["/pool-items", "/position", "/position-accounts", "/position-accounts/BANK-1"]
)
async def test_no_token_and_a_wrong_role_are_refused(harness: Harness, path: str) -> None:
    async with (
        harness.client() as nobody,
        harness.client(roles={"account-user"}, accounts={"A-1"}) as customer,
    ):
        assert (await nobody.get(path)).status_code == 401
        assert (await customer.get(path)).status_code == 403


async def test_who_only_reads_enters_nothing(harness: Harness) -> None:
    async with harness.client(roles={"auditor", "finance-maker"}) as client:
        assert (await store_account(client)).status_code == 403
        assert (await enter(client, "1.00", today(), "k1")).status_code == 403


ITEM = "document_type, source, document_id, version, direction, entity, currency, counterparty, account, due_date"
STEP = f"{ITEM}, document_minor, settled_minor, covered_minor, operation, outcome, event_id, decided_at"
STATE = f"{ITEM}, document_minor, settled_minor, covered_minor, attributes, step, changed_at"
WITHOUT_CONSTRAINTS = """
do $$ declare found record; begin
    for found in select conname from pg_constraint
        where conrelid = 'pool_item'::regclass and contype in ('c', 'p')
    loop execute format('alter table pool_item drop constraint %I', found.conname); end loop;
end $$;
"""
SPOILED = [
    ("pool-item-equals-its-history", "update pool_item set settled_minor = settled_minor + 1"),
    ("pool-item-equals-its-history", "delete from pool_item_history"),
    ("pool-item-equals-its-history", "delete from pool_item"),
    (
        "pool-item-not-negative",
        f"{WITHOUT_CONSTRAINTS} update pool_item set settled_minor = document_minor + 1",
    ),
    (
        "pool-item-once",
        f"""{WITHOUT_CONSTRAINTS} insert into pool_item ({STATE})
        select {STATE} from pool_item""",
    ),
    (
        "pool-item-step-once",
        f"""insert into pool_item_history ({STEP}, step, recorded_at)
        select {STEP}, step, recorded_at + interval '1 second' from pool_item_history""",
    ),
    ("pool-item-has-a-place", f"{WITHOUT_CONSTRAINTS} update pool_item set entity = null"),
    ("position-balance-entries-gapless", "delete from position_balance where entry_number = 1"),
]


@pytest.mark.parametrize(("check", "sql"), SPOILED, ids=[name for name, _ in SPOILED])
async def test_each_check_reports_spoiled_data(harness: Harness, check: str, sql: str) -> None:
    await harness.play(organisation(), decided(), decided("SO-2", paid={"cash": "30.00"}))
    async with harness.client(roles={"treasurer"}) as client:
        await store_account(client)
        await enter(client, "1.00", today(), "k1")
        await enter(client, "2.00", today(), "k2")
    assert await findings(harness) == []
    await harness.spoil(sql)
    assert check in await findings(harness)


PLANNED_ELSEWHERE = {
    "parked-documents-are-counted",
    "plan-cell-equals-holdings",
    "plan-cell-equals-execution-record",
    "effective-plan-has-its-filing",
    "elimination-not-above-either-side",
    "pool-chain-brings-once",
}
"""Spoiled where plans and chains are made."""


def test_every_check_is_spoiled_once() -> None:
    assert {check.name for check in service.checks} == {name for name, _ in SPOILED} | PLANNED_ELSEWHERE


async def test_every_route_declares_a_policy_and_shows_examples(harness: Harness) -> None:
    app = harness.context.application()
    assert unprotected_routes(app, open_paths=OPEN_PATHS) == []
    schemas = app.openapi()["components"]["schemas"]
    for name in (
        "PoolItemView",
        "ItemStep",
        "AccountBody",
        "Account",
        "BalanceBody",
        "Balance",
        "PositionView",
    ):
        assert schemas[name]["examples"], name


async def test_the_tables_are_what_the_migrations_make(harness: Harness) -> None:
    def differences(connection: Connection) -> list[Any]:
        own = set(METADATA.tables)

        def is_own(_: object, name: str | None, kind: str, *__: object) -> bool:
            return kind != "table" or name in own

        context = MigrationContext.configure(connection, opts={"include_object": is_own})
        return list(compare_metadata(context, METADATA))

    async with harness.connection() as connection:
        assert await connection.run_sync(differences) == []
