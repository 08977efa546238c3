"""Initialization, and recalculation of everything: what is found, why, and what applying it leaves."""

import json
import random
from dataclasses import replace
from datetime import date
from typing import Any
from uuid import uuid4

import pytest
from credit import recalculation_desk

from .test_documents_stack import ordered, posted, upstream, used

pytestmark = pytest.mark.stack

WHY = {"reason": "the test says so"}


async def send(bench: Any, method: str, path: str, body: Any, status: int = 200) -> Any:
    async with bench.client({"credit-manager"}) as client:
        answer = await client.request(method, path, json=body, headers={"Idempotency-Key": str(uuid4())})
    assert answer.status_code == status, answer.text
    return answer.json()


async def get(bench: Any, path: str) -> Any:
    async with bench.client({"auditor"}) as client:
        answer = await client.get(path)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def worked_off(bench: Any) -> None:
    while await recalculation_desk.step(bench.context):
        pass


async def compared(bench: Any) -> tuple[str, list[dict[str, Any]]]:
    """A whole run; its id and what it found."""
    started = await send(bench, "POST", "/recalculations", WHY, 202)
    await worked_off(bench)
    run = await get(bench, f"/recalculations/{started['run_id']}")
    assert run["state"] == "compared"
    found = (await get(bench, f"/recalculations/{started['run_id']}/differences"))["items"]
    assert run["differences"] == len(found)
    return str(started["run_id"]), found


async def applied(bench: Any, run_id: str) -> None:
    await send(bench, "POST", f"/recalculations/{run_id}/apply", WHY, 202)
    await worked_off(bench)
    assert (await get(bench, f"/recalculations/{run_id}"))["state"] == "applied"


def what(found: list[dict[str, Any]]) -> list[tuple[str, str, str, str, str]]:
    return [
        (row["document_id"], row["stage"], row["stored"]["amount"], row["right"]["amount"], row["cause"])
        for row in found
    ]


async def traffic(bench: Any, make: Any) -> None:
    """Orders with and without documents, returns, receipts and reversals, of three customers, by chance."""
    chance = random.Random(11)
    for number in range(3):
        await bench.managed_customer(make, f"C-{number}", limit=None)
    for number in range(12):
        customer = f"C-{number % 3}"
        line = make.line("1", 10_000, quantity="10", price="10.00")
        [check] = await bench.checks(make.order(f"O-{number}", 10_000, lines=[line], customer=customer))
        await bench.play(make.decision(check, chance.choice(["accepted", "accepted", "declined"])))
        events = [
            posted(make, f"outbound D{number}", 4_000, upstream(f"sales-order O-{number}"), quantity="4"),
            posted(make, f"receivable R{number}", 4_000, upstream(f"outbound D{number}"), quantity="4"),
            posted(make, f"receipt P{number}", 1_500, upstream(f"receivable R{number}", amount=1_500)),
        ]
        chosen = [replace(event, customer=customer) for event in events[: chance.randint(0, 3)]]
        chance.shuffle(chosen)
        for event in chosen:
            await bench.play(event)
        if chosen and chance.random() < 0.3:
            await bench.play(replace(chosen[0], document_revision=2, operation="un-audit"))


async def test_after_any_traffic_nothing_differs_and_a_spoiled_row_is_named(bench: Any, make: Any) -> None:
    await traffic(bench, make)
    assert (await compared(bench))[1] == []
    [row] = await bench.rows(
        "select document_id, amount_minor from document_occupancy where stage = 'receivable' "
        "order by document_id limit 1"
    )
    await bench.spoil(
        f"update document_occupancy set amount_minor = 1 where document_id = '{row['document_id']}' "
        "and stage = 'receivable'"
    )
    run_id, found = await compared(bench)
    name = row["document_id"]
    right = f"{row['amount_minor'] / 100:.2f}"
    [first, *rest] = what(found)
    assert {first[0], *(one[0] for one in rest if one[1] == "receivable")} >= {name}
    assert (name, "receivable", "0.01", right, "stored amount differs") in what(found)
    await applied(bench, run_id)
    assert (await compared(bench))[1] == []
    assert await bench.broken() == []


@pytest.mark.parametrize(
    ("sql", "named"),
    [
        ("update credit_profile set used_minor = used_minor + 7 where object_id = 'C-1'", "used"),
        ("update occupancy set amount_minor = amount_minor + 7 where order_id = 'O-1'", "sales-order"),
    ],
)
async def test_a_spoiled_order_or_profile_is_named_and_put_right(
    bench: Any, make: Any, sql: str, named: str
) -> None:
    await bench.managed_customer(make, limit=None)
    await ordered(bench, make, 10_000, "10")
    await bench.spoil(sql)
    run_id, found = await compared(bench)
    stages = [row["stage"] for row in found]
    assert named in stages
    await applied(bench, run_id)
    assert await used(bench) == "100.00"
    assert (await compared(bench))[1] == []
    assert "used-equals-live-orders" not in await bench.broken()


async def test_a_changed_rule_is_the_first_cause_and_nothing_changes_before_it_is_applied(
    bench: Any, make: Any
) -> None:
    """An outbound of 40 of an order of 100: under a rule without outbounds the order keeps its 100."""
    await bench.managed_customer(make, limit=None)
    rule: dict[str, Any] = {
        "name": "own",
        "types": [{"document_type": name} for name in ("sales-order", "outbound")],
        **WHY,
    }
    await send(bench, "PUT", "/check-rules/own", rule)
    body = {"check_rule": "own", "credit_limit": {"limit": None, "enforcement": "reject"}, **WHY}
    await send(bench, "PUT", "/profiles/group/*/customer/C-1/CNY", body)
    await ordered(bench, make, 10_000, "10")
    await bench.play(posted(make, "outbound D", 4_400, upstream("sales-order O-1"), quantity="4"))
    assert await used(bench) == "104.00"
    await send(bench, "PUT", "/check-rules/own", rule | {"types": [{"document_type": "sales-order"}]})
    run_id, found = await compared(bench)
    assert what(found) == [
        ("D", "outbound", "44.00", "0.00", "rule changed"),
        ("O-1", "sales-order", "60.00", "100.00", "rule changed"),
    ]
    assert await used(bench) == "104.00"
    busy = await send(bench, "POST", f"/recalculations/{run_id}/apply", WHY, 202)
    assert busy["state"] == "applying"
    await send(bench, "POST", "/recalculations", WHY, 409)
    await worked_off(bench)
    assert await used(bench) == "100.00"
    assert await bench.broken() == []


async def test_open_documents_are_looked_at_and_taken_over_once(bench: Any, make: Any) -> None:
    """A receivable of 120 and a receipt of 20 up to the enabling date: 100 are used, also when they come again."""
    await bench.managed_customer(make, limit=20_000)
    receivable = posted(make, "receivable R", 12_000, quantity="12")
    receipt = posted(make, "receipt P", 2_000, upstream("receivable R", amount=2_000))
    body: dict[str, Any] = {
        "documents": [json.loads(one.to_json()) for one in (receivable, receipt)],
        "preview": True,
        **WHY,
    }
    await send(bench, "POST", "/initializations", body, 409)
    await send(bench, "PUT", "/parameters", {"enabled_on": "2026-03-02"})
    preview = await send(bench, "POST", "/initializations", body)
    assert (preview["stored"], [one["outcome"] for one in preview["documents"]]) == (False, ["taken"] * 2)
    [profile] = preview["profiles"]
    assert (profile["before"]["amount"], profile["after"]["amount"]) == ("0.00", "100.00")
    assert await used(bench) == "0.00"
    done = await send(bench, "POST", "/initializations", body | {"preview": False})
    assert (done["stored"], await used(bench)) == (True, "100.00")
    later = replace(receivable, changed_by="erp-again")
    await bench.play(later, receipt)
    assert (await used(bench), await bench.dead_letters()) == ("100.00", [])
    again = await send(bench, "POST", "/initializations", body | {"preview": False})
    assert [one["outcome"] for one in again["documents"]] == ["known", "known"]
    late = replace(posted(make, "receivable X", 100), document_date=date(2026, 3, 3))
    refused = await send(
        bench,
        "POST",
        "/initializations",
        body | {"preview": False, "documents": [json.loads(late.to_json()), json.loads(receipt.to_json())]},
    )
    assert (refused["stored"], refused["documents"][0]["outcome"]) == (False, "refused")
    assert "after the enabling date" in refused["documents"][0]["reason"]
    assert (await compared(bench))[1] == []
    assert await bench.broken() == []


async def test_an_order_in_another_currency_is_released_by_the_rate_it_was_checked_by(
    bench: Any, make: Any
) -> None:
    """USD 100 at 7: 700 used. At 8, 40 are delivered: 60 x 7 + 40 x 8 = 740."""
    await bench.managed_customer(make, limit=None)
    bench.now = make.now
    await send(bench, "PUT", "/exchange-rates/USD/CNY/2026-01-01", {"rate": "7"})
    line = make.line("1", 10_000, "USD", quantity="100", price="1.00")
    [check] = await bench.checks(make.order("O-1", 10_000, currency="USD", lines=[line]))
    await bench.play(make.decision(check, "accepted"))
    assert await used(bench) == "700.00"
    await send(bench, "PUT", "/exchange-rates/USD/CNY/2026-03-01", {"rate": "8"})
    link = upstream("sales-order O-1")
    await bench.play(posted(make, "outbound D", 4_000, link, quantity="40", currency="USD"))
    assert await used(bench) == "740.00"
    assert (await compared(bench))[1] == []
    assert await bench.broken() == []
