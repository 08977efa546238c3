"""Coupons and cards by file, and a fund account that is opened by hand with what it held before."""

from typing import Any

import httpx
import pytest
from chassis.testing import Harness

pytestmark = pytest.mark.stack
HEADING = "account,voucher_id,kind,currency,amount,minimum_order,valid_from,valid_until,materials\n"


@pytest.fixture
async def maker(harness: Harness, make: Any, client_of: Any) -> httpx.AsyncClient:
    await harness.play(*make.master_data("A-1", "A-2"))
    client: httpx.AsyncClient = client_of({"finance-maker"}, "maker")
    return client


async def test_a_file_of_coupons_and_cards_tells_first_and_posts_all_or_nothing(
    harness: Harness, maker: httpx.AsyncClient, make: Any, broken: Any
) -> None:
    good = (
        HEADING
        + "A-1,C-1,coupon,CNY,20.00,180.00,,2026-12-31,\n"
        + "A-2,K-1,card,CNY,500.00,,,,M-1;M-2\n"
        + "A-2,K-2,card,JPY,700,,2026-01-01,2099-12-31,\n"
    )
    told = (await maker.post("/voucher-imports", content=good)).json()
    assert (told["status"], told["postable"], told["refused"]) == ("previewed", 3, 0)
    assert told["total"] == [{"amount": "520.00", "currency": "CNY"}, {"amount": "700", "currency": "JPY"}]
    assert await harness.rows("select 1 from voucher") == []
    assert (await maker.post("/voucher-imports?post=true", content=good)).json()["status"] == "posted"
    listed = (await maker.get("/accounts/A-2/vouchers")).json()["items"]
    assert [(row["voucher_id"], row["remaining"]["amount"], row["materials"]) for row in listed] == [
        ("K-1", "500.00", ["M-1", "M-2"]),
        ("K-2", "700", []),
    ]
    again = await maker.post("/voucher-imports?post=true", content=good)
    assert (again.status_code, again.json()["type"]) == (409, "urn:coffer:problem:rows-refused")
    await harness.play(make.payment("A-2", "1.00"))
    assert await broken() == []


async def test_bad_rows_are_named_by_row_and_column(harness: Harness, maker: httpx.AsyncClient) -> None:
    text = (
        HEADING
        + "A-1,C-1,coupon,CNY,20.00,,,,\n"
        + "A-9,C-2,coupon,CNY,20.00,,,,\n"
        + "A-1,C-3,ticket,CNY,20.00,,,,\n"
        + "A-1,C-4,card,CNY,=1+1,,,,\n"
        + "A-1,C-5,card,XXQ,1.00,,,,\n"
        + "A-1,C-6,card,CNY,1.00,5.00,,,\n"
        + "A-1,C-7,card,CNY,1.00,,2026-03-02,2026-03-01,\n"
        + "A-1,C-1,card,CNY,1.00,,,,\n"
        + "A-1,C-8,card,CNY,0,,,,\n"
        + "A-1,C-9,card,JPY,1.5,,,yesterday,\n"
    )
    told = (await maker.post("/voucher-imports?post=true", content=text)).json()
    assert (told["type"], told["detail"]) == (
        "urn:coffer:problem:rows-refused",
        "9 of 10 rows cannot be posted; nothing is.",
    )
    faults = (await maker.post("/voucher-imports", content=text)).json()["faults"]
    assert [(fault["row"], fault["column"]) for fault in faults] == [
        (3, "account"),
        (4, "kind"),
        (5, "amount"),
        (6, "currency"),
        (7, "minimum_order"),
        (8, "valid_until"),
        (9, "voucher_id"),
        (10, "amount"),
        (11, "amount"),
    ]
    assert await harness.rows("select 1 from voucher") == []


async def test_a_fund_account_opened_by_hand_gets_its_initial_balance_once_and_by_two_people(
    harness: Harness, maker: httpx.AsyncClient, client_of: Any, broken: Any
) -> None:
    initial = {"amount": "120.00", "currency": "CNY"}
    body = {"account_type": "cash", "currency": "CNY", "initial_balance": initial}
    opened = (await maker.post("/accounts/A-1/fund-accounts", json=body)).json()
    assert opened["balance"]["amount"] == "0.00"
    path = f"/opening-balance-imports/{opened['opening_balance_import']}/approve"
    approver = client_of({"finance-approver"}, "approver")
    assert (await approver.post(path, json={})).json()["status"] == "posted"
    shown = (await maker.get("/accounts/A-1/balances")).json()["fund_accounts"]
    assert [(row["account_type"], row["balance"]["amount"]) for row in shown] == [("cash", "120.00")]
    assert (await maker.post("/accounts/A-1/fund-accounts", json=body)).status_code == 409
    rows = {"rows": [{"account": "A-1", "account_type": "cash", "currency": "CNY", "amount": initial}]}
    again = (await maker.post("/opening-balance-imports", json=rows)).json()
    assert [fault["code"] for fault in again["faults"]] == ["already-imported"]
    assert await broken() == []


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"initial_balance": {"amount": "1.00", "currency": "USD"}}, "initial_balance.currency"),
        ({"granted": {"amount": "1.00", "currency": "CNY"}}, "granted"),
        ({"initial_balance": {"amount": "0.00", "currency": "CNY"}}, "initial_balance"),
    ],
)
async def test_an_initial_balance_that_cannot_be_opens_nothing(
    harness: Harness, maker: httpx.AsyncClient, wrong: dict[str, Any], field: str
) -> None:
    body = {"account_type": "cash", "currency": "CNY", **wrong}
    answer = await maker.post("/accounts/A-1/fund-accounts", json=body)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)
    assert await harness.rows("select 1 from fund_account") == []
