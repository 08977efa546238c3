"""Usage rules, vouchers, holds and final payments, periods and common lines on a real PostgreSQL."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest
from chassis.testing import Harness, only
from contracts.money import Money
from contracts.order import DeliveredLine, DeliveryNotice, ReturnDocument, ReturnedLine

from contracts import CreditChecked, EntryPosted, OrderDecided, QuotaLow

pytestmark = pytest.mark.stack
NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
RULES = "/organisations/BUS-1/usage-rules"


@pytest.fixture
async def house(harness: Harness, make: Any) -> Harness:
    harness.now = NOW
    await harness.play(
        *make.master_data("A-1", "A-2", "M-1"),
        make.payment("A-1", "100.00", payment_id="P-1"),
        make.payment("M-1", "1.00", payment_id="P-2"),
    )
    return harness


@pytest.fixture
def maker(house: Harness, client_of: Any) -> httpx.AsyncClient:
    client: httpx.AsyncClient = client_of({"finance-maker", "finance-approver"}, "maker")
    return client


def cny(amount: str) -> dict[str, str]:
    return {"amount": amount, "currency": "CNY"}


def later(number: int, operation: str, **more: Any) -> CreditChecked:
    return CreditChecked(
        source="shop-east",
        order_id="SO-1",
        order_revision=number,
        check_number=number,
        paying_account="A-1",
        operation=operation,  # type: ignore[arg-type]
        outcome="approved",
        reasons=[],
        metrics=[],
        checked_at=NOW,
        **more,
    )


def notice(document_id: str, line: str, amount: str) -> DeliveryNotice:
    lines = [DeliveredLine(line_id=line, quantity="1", amount=Money(amount, "CNY"))]
    return DeliveryNotice(document_id=document_id, posted_on=date(2026, 3, 2), lines=lines)


def decided(events: Any) -> OrderDecided:
    return only(events, OrderDecided)[-1]


async def cash(house: Harness, account: str = "A-1") -> int:
    rows = await house.rows(f"select balance from fund_account where account = '{account}'")
    found: int = rows[0]["balance"]
    return found


async def test_a_rule_is_unique_while_it_is_valid_and_each_change_is_a_version(
    house: Harness, maker: httpx.AsyncClient, make: Any
) -> None:
    rule = {"currency": "CNY", "account_type": "cash", "valid_until": "2026-06-30"}
    made = await maker.post(RULES, json=rule)
    assert made.status_code == 201, made.text
    again = await maker.post(RULES, json={**rule, "valid_from": "2026-06-30"})
    assert again.json()["type"].endswith("usage-rule-exists")
    version = made.json()["version"]
    changed = await maker.put(f"{RULES}/{version}", json={**rule, "materials": ["M-9"]})
    assert changed.json()["version"] > version
    answer = decided(await house.play(make.check(make.order("A-1", "10.00"))))
    assert (answer.outcome, answer.explanation.accounts[0].code) == ("declined", "outside-material-scope")
    assert answer.explanation.usage_version == changed.json()["version"]
    assert (await maker.delete(f"{RULES}/{changed.json()['version']}")).json()["retired_by"] == "maker"
    order = make.order("A-1", "10.00", order_id="SO-2")
    assert decided(await house.play(make.check(order))).outcome == "accepted"
    assert (await maker.get(f"/usage-rules/{version}")).json()["materials"] == []


async def test_a_voucher_is_shared_until_nothing_remains_and_gets_its_refund(
    house: Harness, maker: httpx.AsyncClient, make: Any, broken: Any
) -> None:
    pool = {"pool_id": "VP-1", "account": "M-1", "amount": cny("100.00"), "valid_until": "2026-12-31"}
    assert (await maker.post("/voucher-pools", json=pool)).status_code == 201
    path = "/voucher-pools/VP-1/vouchers"
    too_much = {"voucher_id": "V-0", "amount": cny("100.01"), "members": ["A-1"]}
    assert (await maker.post(path, json=too_much)).json()["type"].endswith("beyond-voucher-pool")
    voucher = {"voucher_id": "V-1", "amount": cny("80.00"), "members": ["A-1", "A-2"]}
    assert (await maker.post(path, json=voucher)).status_code == 201
    await house.drain()
    first, second = make.order("A-2", "70.00"), make.order("A-1", "30.00", order_id="SO-2")
    events = await house.play(make.check(first), make.check(second))
    assert [one.outcome for one in only(events, OrderDecided)] == ["accepted", "accepted"]
    told = decided(events).explanation.text
    assert told.startswith("10.00 CNY from voucher V-1 (expires 2026-12-31), 20.00 CNY from cash")
    assert (await house.rows("select remaining from voucher"))[0]["remaining"] == 0
    await house.play(make.cancel("A-2"))
    assert (await house.rows("select remaining from voucher"))[0]["remaining"] == 70_00
    listed = (await maker.get("/accounts/A-1/vouchers?usable=true")).json()["items"]
    assert [(one["voucher_id"], one["remaining"]["amount"]) for one in listed] == [("V-1", "70.00")]
    coupon = {"voucher_id": "C-1", "kind": "coupon", "amount": cny("5.00"), "minimum_order": cny("20.00")}
    assert (await maker.post("/accounts/A-1/vouchers", json=coupon)).status_code == 201
    order = make.order("A-1", "20.00", order_id="SO-3")
    assert "5.00 CNY from coupon C-1" in decided(await house.play(make.check(order))).explanation.text
    assert await broken() == []


async def test_a_hold_is_captured_by_notices_and_expires_at_its_instant(
    house: Harness, maker: httpx.AsyncClient, make: Any, broken: Any
) -> None:
    await maker.post(RULES, json={"currency": "CNY", "account_type": "cash", "hold_hours": 48})
    answer = decided(await house.play(make.check(make.order("A-1", "60.00"))))
    assert answer.position is not None
    assert (answer.position.payments, answer.position.holds and answer.position.holds[0].amount.amount) == (
        [],
        "60.00",
    )
    assert await cash(house) == 100_00
    events = await house.play(later(2, "deliver", delivered=notice("DN-1", "1", "25.00")))
    assert (decided(events).outcome, await cash(house)) == ("captured", 75_00)
    house.now = NOW + timedelta(hours=48)
    quota = (await maker.get("/accounts/A-1/quota")).json()["quotas"][0]
    assert quota["quota"]["amount"] == "75.00"
    told = decided(await house.fire_timers(house.now))
    assert (told.outcome, told.check_number, told.sequel) == ("hold-expired", 2, 1)
    assert await house.fire_timers(house.now) == []
    final = decided(await house.play(later(3, "deliver", delivered=notice("DN-2", "1", "35.00"))))
    assert (final.outcome, await cash(house)) == ("final-paid", 40_00)
    order = (await maker.get("/orders/shop-east/SO-1")).json()
    assert [one["decision"]["outcome"] for one in order["decisions"]] == [
        "accepted",
        "captured",
        "hold-expired",
        "final-paid",
    ]
    assert await broken() == []


async def test_the_rest_is_paid_on_request_once(
    house: Harness, maker: httpx.AsyncClient, make: Any, broken: Any
) -> None:
    rule = {"currency": "CNY", "account_type": "cash", "lead_time_days": 30, "first_payment_percent": "33.33"}
    assert (await maker.post(RULES, json=rule)).status_code == 201
    order = make.order("A-1", "60.00", requested_delivery_date=date(2026, 5, 1))
    answer = decided(await house.play(make.check(order)))
    assert answer.position is not None
    assert answer.position.final_payment == Money("40.00", "CNY")
    paid = await maker.post("/orders/shop-east/SO-1/final-payment")
    assert paid.status_code == 200, paid.text
    told = decided(await house.drain())
    assert (told.outcome, told.sequel, await cash(house)) == ("final-paid", 1, 40_00)
    twice = await maker.post("/orders/shop-east/SO-1/final-payment")
    assert twice.json()["type"].endswith("nothing-left-to-pay")
    assert await broken() == []


async def test_change_return_and_close_come_through_the_gate(
    house: Harness, maker: httpx.AsyncClient, make: Any, broken: Any
) -> None:
    lines = [ReturnedLine(line_id="1", quantity="1", amount=Money("20.00", "CNY"))]
    document = ReturnDocument(
        document_id="R-1", posted_on=date(2026, 3, 2), lines=lines, total=Money("20.00", "CNY")
    )
    events = await house.play(
        make.check(make.order("A-1", "60.00")),
        later(2, "change", order=make.order("A-1", "80.00", revision=2)),
        later(3, "return", returned=document, stance="fact"),
        later(4, "close", stance="fact"),
    )
    assert [one.outcome for one in only(events, OrderDecided)] == [
        "accepted",
        "changed",
        "refunded",
        "closed",
    ]
    assert await cash(house) == 40_00
    await house.play(later(5, "cancel"))
    assert await cash(house) == 100_00
    assert await broken() == []


async def test_a_closed_period_moves_what_is_effective_in_it(
    house: Harness, maker: httpx.AsyncClient, make: Any, broken: Any
) -> None:
    close = await maker.post(
        "/organisations/ORG-SHANGHAI/period-closes", json={"closed_through": "2026-02-28"}
    )
    assert close.status_code == 200, close.text
    payment = make.payment("A-1", "5.00", payment_id="P-9")
    from dataclasses import replace

    events = await house.play(replace(payment, received_on=date(2026, 2, 20)))
    entry = only(events, EntryPosted)[0]
    assert (entry.effective_date, entry.moved_from) == (date(2026, 3, 1), date(2026, 2, 20))
    assert await broken() == []


async def test_members_share_one_common_line(
    house: Harness, maker: httpx.AsyncClient, make: Any, broken: Any
) -> None:
    opened = await maker.post(
        "/accounts/M-1/fund-accounts", json={"account_type": "overdraft", "currency": "CNY"}
    )
    assert opened.status_code == 201
    line = {"document_type": "line-increase", "document_id": "L-1", "account": "M-1", "amount": cny("50.00")}
    assert (await maker.post("/documents", json={**line, "submit": True})).status_code == 201
    other = {"Authorization": f"Bearer {house.token({'finance-approver'}, subject='other')}"}
    approved = await maker.post("/documents/line-increase/L-1/approve", headers=other)
    assert approved.status_code == 200, approved.text
    body = {"management_account": "M-1"}
    for member in ("A-1", "A-2"):
        assert (await maker.put(f"/accounts/{member}/common-lines/CNY", json=body)).status_code == 200
    events = await house.play(
        make.check(make.order("A-1", "130.00")), make.check(make.order("A-2", "20.01", order_id="SO-2"))
    )
    assert [one.outcome for one in only(events, OrderDecided)] == ["accepted", "declined"]
    rows = await house.rows("select balance from fund_account where account_type = 'overdraft'")
    assert rows[0]["balance"] == -30_00
    quota = (await maker.get("/accounts/A-1/quota")).json()["quotas"][0]
    assert (quota["quota"]["amount"], quota["terms"]["credit_limit"]["amount"]) == ("20.00", "50.00")
    await house.play(make.cancel("A-1"))
    assert await broken() == []


async def test_what_one_member_draws_of_a_common_line_lowers_the_quota_of_the_others(
    house: Harness, maker: httpx.AsyncClient, make: Any, broken: Any
) -> None:
    """A line of 50.00: A-1 draws 30.00 beside its own 100.00, so A-2 has 20.00 of it left and falls below 40.00."""
    await maker.post("/accounts/M-1/fund-accounts", json={"account_type": "overdraft", "currency": "CNY"})
    line = {"document_type": "line-increase", "document_id": "L-1", "account": "M-1", "amount": cny("50.00")}
    await maker.post("/documents", json={**line, "submit": True})
    other = {"Authorization": f"Bearer {house.token({'finance-approver'}, subject='other')}"}
    await maker.post("/documents/line-increase/L-1/approve", headers=other)
    for member in ("A-1", "A-2"):
        await maker.put(f"/accounts/{member}/common-lines/CNY", json={"management_account": "M-1"})
    before = (await maker.get("/accounts/A-2/quota")).json()["quotas"][0]["quota"]["amount"]
    threshold = {"threshold": cny(f"{Decimal(before) - 10}")}
    assert (await maker.put("/accounts/A-2/quota-alerts/CNY", json=threshold)).status_code == 200
    await house.fire_timers(NOW)
    await house.play(make.check(make.order("A-1", "130.00")))
    (told,) = only(await house.fire_timers(NOW), QuotaLow)
    assert (told.account, told.kind, told.quota.amount) == ("A-2", "opened", f"{Decimal(before) - 30}")
    await house.play(make.cancel("A-1"))
    (told,) = only(await house.fire_timers(NOW), QuotaLow)
    assert (told.account, told.kind) == ("A-2", "resolved")
    assert await broken() == []


async def test_an_organisation_has_its_own_account_types_and_may_switch_account_payment_off(
    house: Harness, maker: httpx.AsyncClient, make: Any, broken: Any
) -> None:
    kind = {"name": "Rebate", "pays_orders": True, "takes_online_top_ups": False}
    types = "/organisations/ORG-SHANGHAI/account-types"
    assert (await maker.put(f"{types}/rebate", json=kind)).status_code == 200
    assert (await maker.put(f"{types}/cash", json=kind)).status_code == 409
    for body in ({"account_types": ["rebate", "voucher", "cash"]},):
        assert (await maker.put("/deduction-orders/ORG-SHANGHAI", json=body)).status_code == 200
    opened = await maker.post(
        "/accounts/A-1/fund-accounts", json={"account_type": "rebate", "currency": "CNY"}
    )
    assert opened.status_code == 201
    answer = decided(await house.play(make.check(make.order("A-1", "10.00"))))
    assert answer.explanation.text == "10.00 CNY from cash; rebate has nothing left"
    off = {"account_payment": False}
    assert (await maker.put("/organisations/ORG-SHANGHAI/settings", json=off)).status_code == 200
    order = make.order("A-1", "10.00", order_id="SO-2")
    assert decided(await house.play(make.check(order))).reasons[0].code == "account-payment-off"
    assert await broken() == []
