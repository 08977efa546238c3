"""Every list: filtered, sorted, in pages, and as a file, by one mechanism."""

import csv
import io
from collections.abc import AsyncIterator
from typing import Any

import httpx
import openpyxl
import pytest
from chassis.listing import Asked
from chassis.testing import Harness
from fund_pool.repository import lists as listings

LISTINGS = [getattr(listings, name) for name in listings.__all__]


@pytest.fixture
async def finance(harness: Harness, make: Any, client_of: Any) -> AsyncIterator[httpx.AsyncClient]:
    """Finance, with a management account, three members, payments, an order, a bill and a voucher in the books."""
    members = ["A-1", "A-2", "A-3"]
    await harness.play(*make.master_data("M-1", *members), *(make.related("M-1", one) for one in members))
    await harness.play(
        make.payment("M-1", "900.00", payment_id="P-M"),
        make.payment("A-1", "10.00", payment_id="P-1"),
        make.payment("A-2", "30.00", payment_id="P-2"),
        make.payment("A-3", "20.00", payment_id="P-3"),
        make.payment("A-1", "700", "JPY", payment_id="P-4"),
        make.payment("NOBODY", "5.00", payment_id="P-5"),
        make.check(make.order("A-2", "12.00")),
    )
    client = client_of({"finance-maker"}, "maker")
    async with client:
        await client.post(
            "/allocations", json=make.allocation("allocate", ("A-1", "100.00"), ("A-3", "50.00"))
        )
        card = {"voucher_id": "K-1", "kind": "card", "amount": {"amount": "9.00", "currency": "CNY"}}
        await client.post("/accounts/A-1/vouchers", json=card)
        for number, kind in enumerate(["other-credit", "other-debit", "other-credit"], start=1):
            body = {
                "document_type": kind,
                "document_id": f"D-{number}",
                "account": "A-1",
                "amount": {"amount": f"{number}.00", "currency": "CNY"},
                "reason": "a test",
            }
            assert (await client.post("/documents", json=body)).status_code == 201
        yield client


async def every(client: httpx.AsyncClient, path: str, **wanted: Any) -> list[dict[str, Any]]:
    """All rows of a list, a page at a time."""
    rows: list[dict[str, Any]] = []
    following: str | None = ""
    while following is not None:
        parameters = {**wanted, "limit": 2} | ({"cursor": following} if following else {})
        answer = await client.get(path, params=parameters)
        assert answer.status_code == 200, answer.text
        rows += answer.json()["items"]
        following = answer.json()["next"]
    return rows


async def purses(client: httpx.AsyncClient, **wanted: Any) -> list[tuple[str, str]]:
    rows = await every(client, "/fund-accounts", **wanted)
    return [(row["account"], row["balance"]["amount"]) for row in rows]


async def test_a_list_is_filtered_sorted_and_paged(finance: httpx.AsyncClient) -> None:
    assert await purses(finance, currency="CNY", sort="-balance") == [
        ("M-1", "750.00"),
        ("A-1", "110.00"),
        ("A-3", "70.00"),
        ("A-2", "18.00"),
    ]
    assert await purses(finance, currency="CNY", balance_min="18.00", balance_max="70") == [
        ("A-2", "18.00"),
        ("A-3", "70.00"),
    ]
    assert await purses(finance, account=["A-1", "A-3"], account_name="account a", sort="-account") == [
        ("A-3", "70.00"),
        ("A-1", "700"),
        ("A-1", "110.00"),
    ]
    assert await purses(finance, opened_at_since="2100-01-01T00:00:00Z") == []


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        ({"balance_min": "1.00"}, "balance_min"),
        ({"balance_min": "1.00", "currency": ["CNY", "JPY"]}, "balance_min"),
        ({"balance_min": "1.005", "currency": "CNY"}, "balance_min"),
        ({"balance_min": "1e3", "currency": "CNY"}, "query.balance_min"),
        ({"opened_at_since": "2026-03-02T09:30:00"}, "opened_at_since"),
        ({"sort": "line_source"}, "query.sort"),
    ],
)
async def test_a_wrong_filter_names_itself(finance: httpx.AsyncClient, wanted: Any, field: str) -> None:
    answer = await finance.get("/fund-accounts", params=wanted)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"].endswith(field.rpartition(".")[2])


async def test_a_cursor_of_another_order_is_refused(finance: httpx.AsyncClient) -> None:
    first = (await finance.get("/fund-accounts", params={"limit": 1, "sort": "-balance"})).json()
    answer = await finance.get("/fund-accounts", params={"cursor": first["next"], "sort": "account"})
    assert (answer.status_code, answer.json()["type"]) == (400, "urn:coffer:problem:bad-cursor")


async def test_a_list_is_limited_to_the_accounts_of_whoever_asks(
    finance: httpx.AsyncClient, client_of: Any
) -> None:
    async with client_of({"account-user"}, "dealer", {"A-1"}) as dealer:
        for path in ("/fund-accounts", "/documents", "/orders", "/quota-alerts", "/allocation-records"):
            accounts = {row.get("account", row.get("member_account")) for row in await every(dealer, path)}
            assert accounts <= {"A-1"}, path
        assert await purses(dealer) == [("A-1", "110.00"), ("A-1", "700")]
        assert (await dealer.get("/unmatched-payments")).status_code == 403


async def test_a_grant_hides_documents_from_other_roles(finance: httpx.AsyncClient, client_of: Any) -> None:
    async with client_of({"administrator"}, "root") as root:
        await root.put("/grants/other-debit/view", json={"roles": ["treasurer"]})
    shown = {row["document_type"] for row in await every(finance, "/documents")}
    assert shown == {"other-credit"}
    async with client_of({"treasurer"}, "treasurer") as treasurer:
        assert len(await every(treasurer, "/documents", status="draft")) == 3


@pytest.mark.parametrize(
    ("name", "action", "method", "path"),
    [
        ("usage-rule", "view", "GET", "/organisations/BUS-1/usage-rules"),
        ("deduction-order", "view", "GET", "/deduction-orders/ORG-SHANGHAI"),
        ("account-type", "make", "PUT", "/organisations/ORG-SHANGHAI/account-types/rebate"),
        ("voucher-pool", "make", "POST", "/voucher-pools"),
        ("opening-balance", "make", "POST", "/opening-balance-imports"),
        ("opening-balance", "view", "GET", "/opening-balance-imports/export"),
        ("fund-account", "make", "POST", "/accounts/A-1/fund-accounts"),
        ("allocation", "make", "POST", "/allocations"),
        ("quota-alert", "make", "POST", "/quota-alerts"),
        ("balance", "view", "GET", "/accounts/A-1/balances"),
    ],
)
async def test_a_master_record_is_granted_per_action(
    finance: httpx.AsyncClient, client_of: Any, name: str, action: str, method: str, path: str
) -> None:
    """Whoever lacks the granted role is refused by the grant, before or after a look at the body."""
    document = (await finance.get("/openapi.json")).json()
    template = next(one for one in document["paths"] if _matches(one, path))
    content = document["paths"][template][method.lower()].get("requestBody", {}).get("content", {})
    reference = content.get("application/json", {}).get("schema", {}).get("$ref", "").rpartition("/")[2]
    body = document["components"]["schemas"][reference]["examples"][0] if reference else None
    async with client_of({"administrator"}, "root") as root:
        assert (await root.put(f"/grants/{name}/{action}", json={"roles": ["treasurer"]})).status_code == 200
        assert (await root.put(f"/grants/nothing/{action}", json={"roles": []})).status_code == 422
    answer = await finance.request(method, path, json=body)
    assert (answer.status_code, answer.json()["type"]) == (403, "urn:coffer:problem:not-granted")
    async with client_of({"administrator"}, "root") as root:
        assert (await root.delete(f"/grants/{name}/{action}")).status_code == 204
    assert (await finance.request(method, path, json=body)).status_code != 403


async def test_a_file_has_the_filtered_rows_and_a_total_per_currency(finance: httpx.AsyncClient) -> None:
    answer = await finance.get("/fund-accounts/export", params={"format": "csv", "sort": "balance"})
    rows = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))
    shown = [(row[0], row[5], row[8]) for row in rows]
    assert shown[1:] == [
        ("A-2", "18.00", "CNY"),
        ("A-3", "70.00", "CNY"),
        ("A-1", "110.00", "CNY"),
        ("M-1", "750.00", "CNY"),
        ("A-1", "700", "JPY"),
        ("total", "948.00", "CNY"),
        ("total", "700", "JPY"),
    ]


async def test_an_excel_file_has_typed_cells_a_frozen_heading_and_totals(finance: httpx.AsyncClient) -> None:
    answer = await finance.get("/fund-accounts/export", params={"currency": "CNY"})
    sheet = openpyxl.load_workbook(io.BytesIO(answer.content)).worksheets[0]
    assert (sheet.freeze_panes, sheet.max_row) == ("A2", 6)
    assert [sheet.cell(6, column).value for column in (1, 6, 9)] == ["total", 948, "CNY"]
    assert sheet.cell(2, 6).number_format == "#,##0.00"


PATHS = [
    *(f"/accounts/A-1/{name}" for name in ("entries", "holds", "open-items", "transfer-books", "vouchers")),
    *(f"/accounts/A-1/{name}" for name in ("voucher-pools", "quota-episodes", "reconciliations", "assets")),
    *("/documents", "/allocation-records", "/allocation-requests", "/unmatched-payments", "/orders"),
    *("/fund-accounts", "/quota-alerts", "/grants", "/opening-balance-imports"),
    *("/organisations/BUS-1/usage-rules", "/deduction-orders/ORG-SHANGHAI/versions"),
]


async def test_every_list_pages_sorts_and_exports(finance: httpx.AsyncClient) -> None:
    """Each of its sorts is asked for, page by page and as a file: SQL that is wrong would be found."""
    document = (await finance.get("/openapi.json")).json()
    for path in PATHS:
        (template,) = (
            one for one in document["paths"] if _matches(one, path) and f"{one}/export" in document["paths"]
        )
        sort = next(one for one in document["paths"][template]["get"]["parameters"] if one["name"] == "sort")
        unsorted = await every(finance, path)
        for order in sort["schema"]["enum"]:
            sorted_rows = await every(finance, path, sort=order)
            assert sorted(map(str, sorted_rows)) == sorted(map(str, unsorted)), (path, order)
        answer = await finance.get(f"{path}/export", params={"format": "csv"})
        assert answer.status_code == 200, answer.text
        lines = [line for line in answer.text.splitlines()[1:] if not line.startswith("total")]
        assert len(lines) == len(unsorted), path


def _matches(template: str, path: str) -> bool:
    ours, theirs = template.split("/"), path.split("/")
    return len(ours) == len(theirs) and all(
        left.startswith("{") or left == right for left, right in zip(ours, theirs, strict=True)
    )


@pytest.mark.parametrize("listing", LISTINGS, ids=lambda listing: listing.name)
def test_a_list_asks_for_what_is_behind_a_place_by_its_key(listing: Any) -> None:
    """No offset: the last page costs what the first one does."""
    asked: Asked[Any] = Asked(listing)
    sql, parameters = asked._statement(tuple("x" for _ in asked.place), 50)
    assert "offset" not in sql
    assert sql.count(":listing_after_") == len(asked.place)
    assert {name for name in parameters if name.startswith("listing_after")} == {
        f"listing_after_{number}" for number in range(len(asked.place))
    }
