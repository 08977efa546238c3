"""Rules, scopes, terms, rates, freezing and recalculation over HTTP, and what they do to the next document."""

from datetime import date
from typing import Any
from uuid import uuid4

import pytest
from contracts.master_data_changed import MasterDataChanged, Organisation
from credit.domain.terms import Temporary
from credit.repository.profiles import add_temporary

from .test_documents_stack import ordered, posted, upstream, used

pytestmark = pytest.mark.stack

RULE = {
    "name": "Orders warn, outbounds reject",
    "types": [
        {"document_type": "sales-order", "enforcement": {"credit-limit": "warn"}},
        {"document_type": "outbound", "enforcement": {"credit-limit": "reject"}},
        {"document_type": "receivable", "checked": False},
        {"document_type": "receipt", "checked": False},
    ],
    "reason": "the test says so",
}


def limit(amount: str, currency: str = "CNY", **changes: Any) -> dict[str, Any]:
    setting = {"limit": {"amount": amount, "currency": currency}, "enforcement": None}
    return {"credit_limit": setting, "reason": "the test says so"} | changes


async def put(bench: Any, path: str, body: dict[str, Any], status: int = 200) -> Any:
    async with bench.client({"credit-manager"}) as client:
        answer = await client.put(path, json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


async def post(bench: Any, path: str, body: dict[str, Any], status: int = 200) -> Any:
    async with bench.client({"credit-manager"}) as client:
        answer = await client.post(path, json=body, headers={"Idempotency-Key": str(uuid4())})
    assert answer.status_code == status, answer.text
    return answer.json()


async def test_an_order_warns_and_its_outbound_is_rejected(bench: Any, make: Any) -> None:
    await bench.play(make.customer_record())
    await put(bench, "/check-rules/split", RULE)
    await put(bench, "/profiles/group/*/customer/C-1/CNY", limit("50.00", check_rule="split"))
    line = make.line("1", 10_000, quantity="10", price="10.00")
    [check] = await bench.checks(make.order(amount=10_000, lines=[line]))
    assert check.outcome == "warned"
    await bench.play(make.decision(check, "accepted"))
    ask = posted(make, "outbound D", 12_000, upstream("sales-order O-1"), quantity="10", stance="request")
    events = await bench.play(ask)
    assert [(event.outcome, [r.code for r in event.reasons]) for event in events] == [
        ("declined", ["credit-limit-exceeded"])
    ]
    assert await bench.broken() == []


async def test_all_scopes_and_objects_are_evaluated_and_the_most_severe_outcome_wins(
    bench: Any, make: Any
) -> None:
    for name, kind, parent in (("SA-1", "business", "L-1"), ("L-1", "legal", None)):
        record = Organisation(
            kind="organisation",
            name=name,
            organisation_type=kind,  # type: ignore[arg-type]
            parent=parent,
            time_zone="Asia/Shanghai",
        )
        await bench.play(MasterDataChanged(id=name, version=1, changed_at=make.now, record=record))
    await bench.play(make.customer_record(customer_group="G-1"))
    warn = {"limit": {"amount": "1.00", "currency": "CNY"}, "enforcement": "warn"}
    paths = [
        "/profiles/group/*/customer/C-1/CNY",
        "/profiles/group/*/customer-group/G-1/CNY",
        "/profiles/legal/L-1/customer/C-1/CNY",
        "/profiles/business/SA-1/customer/C-1/CNY",
        "/profiles/group/*/salesperson/P-1/CNY",
        "/profiles/group/*/sales-department/D-1/CNY",
        "/profiles/group/*/sales-organisation/SA-1/CNY",
    ]
    for path in paths:
        await put(bench, path, {"credit_limit": warn, "reason": "test"})
    await put(
        bench,
        "/profiles/group/*/customer-material/C-1/CNY?part=M-1",
        {"credit_limit": warn, "reason": "test"},
    )
    await put(bench, "/profiles/legal/L-2/customer/C-1/CNY", limit("0.00"))
    order = {"salesperson": "P-1", "sales_department": "D-1"}
    [check] = await bench.checks(make.order(amount=10_000, **order))
    assert check.outcome == "warned"
    assert len({metric.profile_id for metric in check.metrics}) == 8
    rejecting = {"limit": {"amount": "0.00", "currency": "CNY"}, "enforcement": "reject"}
    await put(bench, paths[4], {"credit_limit": rejecting, "reason": "test"})
    [check] = await bench.checks(make.order("O-2", amount=10_000, **order))
    assert check.outcome == "declined"
    assert len(check.reasons) == 8
    assert await bench.broken() == []


async def test_another_currency_is_converted_at_the_dated_rate_and_none_is_guessed(
    bench: Any, make: Any
) -> None:
    await bench.play(make.customer_record())
    await put(bench, "/profiles/group/*/customer/C-1/CNY", limit("720.00"))
    [check] = await bench.checks(make.order("O-1", 10_000, currency="USD"))
    assert [reason.code for reason in check.reasons] == ["no-exchange-rate"]
    await put(bench, "/exchange-rates/USD/CNY/2026-01-01", {"rate": "7.2"})
    await put(bench, "/exchange-rates/USD/CNY/2999-01-01", {"rate": "9"})
    [check] = await bench.checks(make.order("O-2", 10_000, currency="USD"))
    assert (check.outcome, check.metrics[0].delta.amount) == ("approved", "720.00")
    assert await bench.broken() == []


async def test_coefficient_and_temporary_credit_raise_the_limit_of_the_day(bench: Any, make: Any) -> None:
    """(100 x 1.2 + 30) x 200 % = 300."""
    await bench.play(make.customer_record())
    body = limit("100.00", coefficient={"factor": "1.2"}, ratio_percent=200)
    profile = await put(bench, "/profiles/group/*/customer/C-1/CNY", body)
    async with bench.connection() as connection:
        temporary = Temporary(3_000, date(2020, 1, 1), date(2099, 12, 31))
        await add_temporary(connection, profile["profile_id"], temporary)
    [check] = await bench.checks(make.order(amount=30_000))
    assert (check.outcome, check.metrics[0].limit.amount) == ("approved", "300.00")
    body = limit("100.00", validity={"valid_to": "2020-01-01"})
    await put(bench, "/profiles/group/*/customer/C-1/CNY", body)
    [check] = await bench.checks(make.order("O-2", amount=100))
    assert check.metrics[0].limit.amount == "0.00"


async def test_overdue_receivables_hold_what_adds(bench: Any, make: Any) -> None:
    await bench.play(make.customer_record())
    setting = {"limit": {"amount": "50.00", "currency": "CNY"}, "enforcement": "reject"}
    body = {"credit_limit": {"limit": None}, "overdue_limit": setting, "overdue_days": 10, "reason": "test"}
    profile = await put(bench, "/profiles/group/*/customer/C-1/CNY", body)
    await bench.play(posted(make, "receivable R", 6_000, due_date=make.now.date()))
    [check] = await bench.checks(make.order(amount=100))
    assert [reason.code for reason in check.reasons] == ["overdue-limit-exceeded", "overdue-days-exceeded"]
    await bench.play(posted(make, "receipt P", 6_000, upstream("receivable R", amount=6_000)))
    [check] = await bench.checks(make.order("O-2", amount=100))
    assert check.outcome == "approved"
    async with bench.client({"auditor"}) as client:
        answer = await client.get(f"/profiles/{profile['profile_id']}/terms")
    assert answer.json()["used_by_stage"] == [
        {"stage": "sales-order", "amount": {"amount": "1.00", "currency": "CNY"}}
    ]


async def test_freezing_by_hand_and_unfreezing(bench: Any, make: Any) -> None:
    await bench.play(make.customer_record())
    profile = await put(bench, "/profiles/group/*/customer/C-1/CNY", limit("100.00"))
    path = f"/profiles/{profile['profile_id']}"
    await post(bench, f"{path}/freeze", {"reason": "bankruptcy filed"})
    [check] = await bench.checks(make.order(amount=100))
    assert [reason.code for reason in check.reasons] == ["credit-frozen"]
    await post(bench, f"{path}/unfreeze", {"reason": "it was another firm"})
    [check] = await bench.checks(make.order("O-2", amount=100))
    assert check.outcome == "approved"


@pytest.mark.parametrize(
    ("formula", "says"),
    [
        ("amount / 0", "divides by zero"),
        ("amount + " + "1 + " * 2500 + "1", "at most 2000"),
        ("[1].map(x, x)[0]", "no loops"),
        ("turnover * 2", "turnover is no field"),
    ],
)
async def test_a_wrong_formula_is_refused_when_it_is_saved(bench: Any, formula: str, says: str) -> None:
    body = RULE | {"types": [{"document_type": "custom", "amount_formula": formula}]}
    answer = await put(bench, "/check-rules/broken", body, status=422)
    assert says in str(answer["errors"])
    assert await bench.rows("select * from check_rule") == []


async def test_a_custom_document_takes_what_its_formula_says(bench: Any, make: Any) -> None:
    await bench.play(make.customer_record())
    types = [
        {"document_type": "sales-order", "enforcement": {"credit-limit": "reject"}},
        {
            "document_type": "custom",
            "sub_type": "guarantee",
            "checked": False,
            "amount_formula": "-amount / 2",
        },
    ]
    await put(bench, "/check-rules/custom", RULE | {"types": types})
    await put(bench, "/profiles/group/*/customer/C-1/CNY", limit("10.00", check_rule="custom"))
    await bench.play(posted(make, "custom G", 10_000, sub_type="guarantee"))
    assert await used(bench) == "-50.00"
    [check] = await bench.checks(make.order(amount=6_000))
    assert check.outcome == "approved"
    assert await bench.broken() == []


async def test_recalculation_finds_nothing_and_then_the_spoiled_row(bench: Any, make: Any) -> None:
    await bench.managed_customer(make, limit=None)
    await ordered(bench, make, 10_000, "10")
    await bench.play(posted(make, "outbound D", 4_800, upstream("sales-order O-1"), quantity="4"))
    answer = await post(bench, "/customers/C-1/recalculation", {"apply": False})
    assert (answer["documents"], answer["differences"]) == (1, [])
    await bench.spoil("update document_occupancy set amount_minor = 4700")
    await bench.spoil(
        "update credit_profile set used_minor = used_minor - 100, settled_minor = settled_minor - 100"
    )
    answer = await post(bench, "/customers/C-1/recalculation", {"apply": True})
    [difference] = answer["differences"]
    assert (difference["document_id"], difference["stored"]["amount"], difference["right"]["amount"]) == (
        "D",
        "47.00",
        "48.00",
    )
    assert difference["cause"] == "stored amount differs"
    assert await used(bench) == "108.00"
