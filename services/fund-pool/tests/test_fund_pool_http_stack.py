"""What people and programs ask over HTTP, on a real PostgreSQL."""

import csv
import io
import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from chassis.http import OPEN_PATHS, unprotected_routes
from chassis.testing import Harness, only
from contracts.order_decided import Explanation
from fund_pool import api
from fund_pool.app import service

from contracts import BalanceChanged, OrderDecided

pytestmark = pytest.mark.stack

T0 = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)
OPENING = {
    "rows": [
        {
            "account": "A-1",
            "account_type": "cash",
            "currency": "CNY",
            "amount": {"amount": "1200.00", "currency": "CNY"},
        },
        {
            "account": "A-1",
            "account_type": "overdraft",
            "currency": "CNY",
            "granted": {"amount": "5000.00", "currency": "CNY"},
            "used": {"amount": "2000.00", "currency": "CNY"},
            "effective_date": "2026-01-01",
        },
    ]
}


def key(value: str) -> dict[str, str]:
    return {"Idempotency-Key": value}


async def funded(harness: Harness, make: Any, *accounts: str) -> None:
    """100.00 of cash each, posted at T0."""
    harness.now = T0
    await harness.play(*make.master_data(*accounts))
    await harness.play(*(make.payment(account, "100.00") for account in accounts))


async def test_every_route_declares_its_policy(harness: Harness) -> None:
    assert unprotected_routes(harness.context.application(), open_paths=OPEN_PATHS) == []


@pytest.mark.parametrize(
    ("path", "roles"),
    [
        ("/accounts/A-1/balances", {"account-user"}),
        ("/accounts/A-1/quota", {"account-user"}),
        ("/accounts/A-1/quota-alerts", {"account-user"}),
        ("/accounts/A-1/quota-episodes", {"account-user"}),
        ("/accounts/A-1/statement?account_type=cash&currency=CNY", {"account-user"}),
        ("/accounts/A-1/statement/export?account_type=cash&currency=CNY", {"account-user"}),
        ("/accounts/A-1", {"account-user"}),
        ("/orders/shop-east/SO-1", {"account-user"}),
    ],
)
async def test_who_sees_an_account(harness: Harness, make: Any, path: str, roles: set[str]) -> None:
    await funded(harness, make, "A-1", "A-2", "M", "N")
    await harness.play(make.check(make.order("A-1", "1.00")))
    await harness.play(make.relationship("M", "A-1"), make.relationship("N", "A-1", state="ended"))

    async def status(roles: Iterable[str] = (), accounts: Iterable[str] = ()) -> int:
        async with harness.client(roles=roles, accounts=accounts) as client:
            return int((await client.get(path)).status_code)

    assert await status() == 401
    assert await status({"operator"}) == 403
    assert await status(roles, {"A-1"}) == 200
    assert await status(roles, {"A-2"}) == 404
    assert await status(roles, {"M"}) == 200
    assert await status(roles, {"N"}) == 404
    assert await status({"finance-maker"}) == 200
    assert await status({"auditor"}) == 200
    assert await status({"administrator"}) == 200
    await harness.play(make.relationship("M", "A-1", version=2, view="refused"))
    assert await status(roles, {"M"}) == 404


async def test_what_does_not_exist_is_not_found(harness: Harness, make: Any) -> None:
    await funded(harness, make, "A-1")
    async with harness.client(roles={"finance-maker"}) as client:
        for path in (
            "/accounts/A-9",
            "/accounts/A-9/balances",
            "/accounts/A-9/quota",
            "/accounts/A-1/statement?account_type=deposit&currency=CNY",
            "/orders/shop-east/SO-9",
            "/policy-versions/1",
            "/opening-balance-imports/01890000-0000-7000-8000-000000000000",
        ):
            answer = await client.get(path)
            assert (answer.status_code, answer.headers["content-type"]) == (
                404,
                "application/problem+json",
            ), path


async def test_balances_now_and_as_of_a_moment_of_posting(harness: Harness, make: Any) -> None:
    await funded(harness, make, "A-1")
    for hours, amount in ((1, "30.00"), (2, "20.00")):
        harness.now = T0 + hours * HOUR
        await harness.play(make.check(make.order("A-1", amount, order_id=f"SO-{hours}")))
    harness.now = T0 + 3 * HOUR
    await harness.play(make.cancel("A-1", 2, order_id="SO-1"))

    async with harness.client(roles={"finance-maker"}) as client:

        async def cash(moment: datetime | None) -> str | None:
            params = {"as_of": moment.isoformat()} if moment else {}
            answer = await client.get("/accounts/A-1/balances", params=params)
            return next((one["balance"]["amount"] for one in answer.json()["fund_accounts"]), None)

        assert await cash(None) == "80.00"
        expected = [None, "100.00", "70.00", "50.00", "80.00", "80.00"]
        moments = [T0 - HOUR, T0, T0 + HOUR, T0 + 2 * HOUR, T0 + 3 * HOUR, T0 + 99 * HOUR]
        assert [await cash(moment) for moment in moments] == expected
        assert await cash(T0 + HOUR - timedelta(microseconds=1)) == "100.00"
        answer = await client.get("/accounts/A-1/balances", params={"as_of": "2026-03-02T09:30:00"})
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["field"] == "as_of"


async def test_a_statement_opens_moves_and_closes(harness: Harness, make: Any) -> None:
    await funded(harness, make, "A-1")
    for hours in range(1, 6):
        harness.now = T0 + hours * HOUR
        await harness.play(make.check(make.order("A-1", "10.00", order_id=f"SO-{hours}")))
    span = {
        "account_type": "cash",
        "currency": "CNY",
        "since": (T0 + HOUR).isoformat(),
        "until": (T0 + 5 * HOUR).isoformat(),
    }
    async with harness.client(roles={"finance-maker"}) as client:
        pages, cursor = [], None
        while True:
            params: dict[str, Any] = {**span, "limit": 3} | ({"cursor": cursor} if cursor else {})
            page = (await client.get("/accounts/A-1/statement", params=params)).json()
            pages.append(page)
            cursor = page["next"]
            if cursor is None:
                break
        assert [len(page["movements"]) for page in pages] == [3, 1]
        assert {(page["opening"]["amount"], page["closing"]["amount"]) for page in pages} == {
            ("100.00", "60.00")
        }
        moved = [
            (one["entry_number"], one["amount"]["amount"], one["balance"]["amount"])
            for page in pages
            for one in page["movements"]
        ]
        assert moved == [
            (2, "-10.00", "90.00"),
            (3, "-10.00", "80.00"),
            (4, "-10.00", "70.00"),
            (5, "-10.00", "60.00"),
        ]
        assert pages[0]["movements"][0]["document"] == "shop-east/SO-1/1"

        answer = await client.get("/accounts/A-1/statement/export", params={**span, "format": "csv"})
        rows = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))
        assert answer.headers["content-type"] == "text/csv; charset=utf-8"
        assert [row[6] for row in rows] == [
            "balance",
            "100.00",
            "90.00",
            "80.00",
            "70.00",
            "60.00",
            "60.00",
            "",
        ]
        assert rows[-1][0::5] == ["total", "-40.00"]
        wrong = await client.get(
            "/accounts/A-1/statement", params={**span, "since": span["until"], "until": span["since"]}
        )
        assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (422, "until")


async def test_opening_balances_are_drafted_previewed_and_approved_by_another_person(
    harness: Harness, make: Any, broken: Any
) -> None:
    await harness.play(*make.master_data("A-1"))
    async with (
        harness.client(roles={"finance-maker", "finance-approver"}, subject="ming") as maker,
        harness.client(roles={"finance-approver"}, subject="anna") as approver,
    ):
        drafted = await maker.post("/opening-balance-imports", json=OPENING, headers=key("d-1"))
        assert drafted.status_code == 201, drafted.text
        draft = drafted.json()
        assert (draft["status"], draft["rows"], draft["postable"], draft["refused"]) == ("draft", 2, 2, 0)
        path = f"/opening-balance-imports/{draft['import_id']}"
        assert await harness.rows("select 1 from fund_account") == []

        own = await maker.post(f"{path}/approve", json={}, headers=key("a-1"))
        assert (own.status_code, own.json()["type"]) == (403, "urn:coffer:problem:same-person")
        approved = await approver.post(f"{path}/approve", json={}, headers=key("a-1"))
        assert (approved.status_code, approved.json()["status"]) == (200, "posted")
        again = await approver.post(f"{path}/approve", json={}, headers=key("a-1"))
        assert again.json() == approved.json()
        twice = await approver.post(f"{path}/approve", json={}, headers=key("a-2"))
        assert (twice.status_code, twice.json()["type"]) == (409, "urn:coffer:problem:already-decided")

        moved = [(e.account_type, e.change.amount) for e in only(await harness.drain(), BalanceChanged)]
        assert moved == [("cash", "1200.00"), ("overdraft", "-2000.00")]
        found = (await approver.get("/accounts/A-1/balances")).json()["fund_accounts"]
        overdraft = next(one for one in found if one["account_type"] == "overdraft")
        shown = [overdraft[name]["amount"] for name in ("granted", "used", "usable")]
        assert shown == ["5000.00", "2000.00", "3000.00"]
        quota = (await approver.get("/accounts/A-1/quota")).json()["quotas"][0]
        assert (quota["quota"]["amount"], quota["terms"]["unsettled"]["amount"]) == ("4200.00", "2000.00")
        listed = (await approver.get("/opening-balance-imports")).json()["items"]
        assert [(one["status"], one["made_by"], one["decided_by"]) for one in listed] == [
            ("posted", "ming", "anna")
        ]
        rows = (await approver.get(f"{path}/rows")).json()["items"]
        assert [(row["fate"], row["entry_number"]) for row in rows] == [("posted", 1), ("posted", 2)]
    assert await broken() == []


async def test_a_repeated_opening_balance_is_refused_and_the_rest_is_posted_when_told(
    harness: Harness, make: Any, broken: Any
) -> None:
    await harness.play(*make.master_data("A-1", "A-2"))
    async with (
        harness.client(roles={"finance-maker"}, subject="ming") as maker,
        harness.client(roles={"finance-approver"}, subject="anna") as approver,
    ):
        first = (await maker.post("/opening-balance-imports", json=OPENING, headers=key("d-1"))).json()
        await approver.post(
            f"/opening-balance-imports/{first['import_id']}/approve", json={}, headers=key("a-1")
        )
        new = {**OPENING["rows"][0], "account": "A-2"}
        rows = {"rows": [*OPENING["rows"], new, {**new, "account": "A-9"}]}
        second = (await maker.post("/opening-balance-imports", json=rows, headers=key("d-2"))).json()
        assert [(fault["row"], fault["column"], fault["code"]) for fault in second["faults"]] == [
            (1, "account", "already-imported"),
            (2, "account", "already-imported"),
            (4, "account", "unknown-account"),
        ]
        path = f"/opening-balance-imports/{second['import_id']}/approve"
        refused = await approver.post(path, json={}, headers=key("a-2"))
        assert refused.status_code == 409
        assert [error["field"] for error in refused.json()["errors"]] == [
            "rows[0].account",
            "rows[1].account",
            "rows[3].account",
        ]
        posted = await approver.post(path, json={"leave_out_refused": True}, headers=key("a-2"))
        assert (posted.json()["postable"], posted.json()["refused"]) == (1, 3)
    balances = await harness.rows("select account, balance from fund_account where account_type = 'cash'")
    assert {row["account"]: row["balance"] for row in balances} == {"A-1": 1200_00, "A-2": 1200_00}
    assert await broken() == []


async def test_an_import_can_be_rejected(harness: Harness, make: Any, broken: Any) -> None:
    await harness.play(*make.master_data("A-1"))
    async with harness.client(roles={"finance-maker", "finance-approver"}) as client:
        draft = (await client.post("/opening-balance-imports", json=OPENING, headers=key("d"))).json()
        path = f"/opening-balance-imports/{draft['import_id']}"
        rejected = await client.post(f"{path}/reject", headers=key("r"))
        assert (rejected.status_code, rejected.json()["status"]) == (200, "rejected")
        assert (await client.get(path)).json()["status"] == "rejected"
    assert await harness.rows("select 1 from journal_entry") == []
    assert await broken() == []


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"amount": {"amount": "1.001", "currency": "CNY"}}, "rows[0].amount.amount"),
        ({"amount": {"amount": "-1.00", "currency": "CNY"}}, "rows[0].amount.amount"),
        ({"amount": {"amount": "NaN", "currency": "CNY"}}, "rows[0].amount.amount"),
        ({"amount": {"amount": "1.00", "currency": "USD"}}, "rows[0].amount.currency"),
        ({"currency": "XYZ"}, "rows[0].currency"),
        ({"account": ""}, "rows[0].account"),
        ({"surplus": 1}, "rows[0].surplus"),
        ({"effective_date": "yesterday"}, "rows[0].effective_date"),
    ],
)
async def test_a_bad_row_is_refused_with_the_field_that_is_wrong(
    harness: Harness, change: dict[str, Any], field: str
) -> None:
    body = {"rows": [{**OPENING["rows"][0], **change}]}
    async with harness.client(roles={"finance-maker"}) as client:
        answer = await client.post("/opening-balance-imports", json=body, headers=key("d"))
    assert answer.status_code == 422
    assert field in [error["field"] for error in answer.json()["errors"]], answer.text


async def test_the_deduction_order_of_organisation_and_customer_is_versioned(
    harness: Harness, make: Any, broken: Any
) -> None:
    await harness.play(*make.master_data("A-1"))
    async with (
        harness.client(roles={"finance-maker"}, subject="ming") as maker,
        harness.client(roles={"finance-approver", "treasurer"}, subject="anna") as approver,
    ):
        draft = (await maker.post("/opening-balance-imports", json=OPENING, headers=key("d"))).json()
        await approver.post(
            f"/opening-balance-imports/{draft['import_id']}/approve", json={}, headers=key("a")
        )
        path = "/deduction-orders/ORG-SHANGHAI"

        async def decided(number: int) -> Explanation:
            check = make.check(make.order("A-1", "100.00", order_id=f"SO-{number}"))
            (event,) = only(await harness.play(check), OrderDecided)
            return event.explanation

        assert (await decided(1)).text == "100.00 CNY from cash; overdraft not used"
        assert (await approver.get(path)).json()["version"] == 0
        assert (await maker.put(path, json={"account_types": ["cash"]})).status_code == 403
        first = await approver.put(path, json={"account_types": ["overdraft", "cash"]})
        assert first.json()["version"] == 1
        explanation = await decided(2)
        assert (explanation.text, explanation.policy_version) == (
            "100.00 CNY from overdraft; cash not used",
            1,
        )
        await approver.put(f"{path}/customers/C-1", json={"account_types": ["cash"]})
        explanation = await decided(3)
        assert (explanation.text, explanation.policy_version) == ("100.00 CNY from cash", 2)
        back = await approver.delete(f"{path}/customers/C-1")
        assert (back.json()["account_types"], back.json()["version"]) == (["overdraft", "cash"], 1)
        assert (await decided(4)).policy_version == 1
        versions = (await approver.get(f"{path}/versions")).json()["items"]
        assert [(one["version"], one["customer"], one["account_types"]) for one in versions] == [
            (3, "C-1", None),
            (2, "C-1", ["cash"]),
            (1, None, ["overdraft", "cash"]),
        ]
        assert (await approver.get("/policy-versions/2")).json()["changed_by"] == "anna"
        wrong = await approver.put(path, json={"account_types": ["cash", "deposit"]})
        assert wrong.status_code == 422
        assert wrong.json()["errors"] == [
            {"field": "account_types[1]", "message": "deposit does not pay for orders"}
        ]
    assert await broken() == []


async def test_an_order_can_be_asked_for_with_every_decision(harness: Harness, make: Any) -> None:
    await funded(harness, make, "A-1")
    order = make.order("A-1", "30.00")
    first = only(await harness.play(make.check(order)), OrderDecided)
    second = only(await harness.play(make.cancel("A-1", 2)), OrderDecided)
    async with harness.client(roles={"order-system"}) as client:
        found = (await client.get("/orders/shop-east/SO-1")).json()
    assert (found["status"], found["check_number"], found["position"]["total"]["amount"]) == (
        "cancelled",
        2,
        "0.00",
    )
    told = [OrderDecided.adapter.validate_python(one["decision"], strict=False) for one in found["decisions"]]
    assert told == first + second
    assert [one["entry_number"] for one in found["decisions"]] == [2, 3]


async def test_a_dry_run_answers_as_the_decision_would_and_posts_nothing(
    harness: Harness, make: Any, broken: Any
) -> None:
    await funded(harness, make, "A-1", "A-2")
    order = make.order("A-1", "30.00")
    body = json.loads(make.check(order).to_json())["order"]
    async with harness.client(roles={"account-user"}, accounts={"A-1"}) as client:
        dry = (await client.post("/order-dry-runs", json=body, headers=key("d-1"))).json()
        (decided,) = only(await harness.play(make.check(order)), OrderDecided)
        assert dry["explanation"]["text"] == decided.explanation.text
        assert (dry["outcome"], dry["unpaid"]["amount"]) == ("accepted", "0.00")
        big = json.loads(make.check(make.order("A-1", "99.00")).to_json())["order"]
        dry = (await client.post("/order-dry-runs", json=big, headers=key("d-2"))).json()
        assert (dry["outcome"], dry["reasons"][0]["code"]) == ("declined", "insufficient-funds")
        other = json.loads(make.check(make.order("A-2", "1.00")).to_json())["order"]
        assert (await client.post("/order-dry-runs", json=other, headers=key("d-3"))).status_code == 404
    assert len(await harness.rows("select 1 from journal_entry where account = 'A-1'")) == 2
    assert await broken() == []


async def test_fund_accounts_are_opened_by_hand_and_their_validity_set(harness: Harness, make: Any) -> None:
    await harness.play(*make.master_data("A-1"))
    async with harness.client(roles={"finance-maker"}) as client:
        body = {"account_type": "deposit", "currency": "JPY", "valid_from": "2026-01-01"}
        opened = await client.post("/accounts/A-1/fund-accounts", json=body, headers=key("o-1"))
        assert (opened.status_code, opened.json()["balance"]["amount"]) == (201, "0")
        again = await client.post("/accounts/A-1/fund-accounts", json=body, headers=key("o-2"))
        assert (again.status_code, again.json()["type"]) == (409, "urn:coffer:problem:already-open")
        path = "/accounts/A-1/fund-accounts/deposit/JPY/validity"
        closed = await client.put(path, json={"valid_from": "2026-01-01", "valid_until": "2026-01-31"})
        assert closed.json()["valid_until"] == "2026-01-31"
        wrong = await client.put(path, json={"valid_from": "2026-02-01", "valid_until": "2026-01-31"})
        assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (422, "valid_until")
        unknown = await client.post(
            "/accounts/A-1/fund-accounts", json={**body, "account_type": "gold"}, headers=key("o-3")
        )
        assert (unknown.status_code, unknown.json()["errors"][0]["field"]) == (422, "account_type")
    async with harness.client(roles={"account-user"}, accounts={"A-1"}) as client:
        assert (
            await client.post("/accounts/A-1/fund-accounts", json=body, headers=key("o-4"))
        ).status_code == 403


async def test_a_key_is_needed_replayed_and_bound_to_its_body(harness: Harness, make: Any) -> None:
    await harness.play(*make.master_data("A-1"))
    body = {"account_type": "deposit", "currency": "CNY"}
    path = "/accounts/A-1/fund-accounts"
    async with harness.client(roles={"finance-maker"}) as client:
        assert (await client.post(path, json=body)).status_code == 400
        first = await client.post(path, json=body, headers=key("k"))
        again = await client.post(path, json=body, headers=key("k"))
        assert (first.status_code, again.json()) == (201, first.json())
        other = await client.post(path, json={**body, "currency": "JPY"}, headers=key("k"))
        assert other.status_code == 422


async def test_a_managed_account_does_not_set_its_own_alert(harness: Harness, make: Any) -> None:
    await harness.play(*make.master_data("A-1", "M"), make.relationship("M", "A-1"))
    body = {"threshold": {"amount": "50.00", "currency": "CNY"}}
    path = "/accounts/A-1/quota-alerts/CNY"
    async with (
        harness.client(roles={"account-user"}, accounts={"A-1"}) as member,
        harness.client(roles={"account-user"}, accounts={"M"}) as management,
        harness.client(roles={"account-user"}, accounts={"X"}) as stranger,
    ):
        assert (await member.put(path, json=body)).status_code == 403
        assert (await management.put(path, json=body)).status_code == 200
        assert (await stranger.put(path, json=body)).status_code == 404
        wrong = await management.put(path, json={"threshold": {"amount": "50", "currency": "JPY"}})
        assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (422, "threshold.currency")


async def test_master_data_can_be_told_over_http(harness: Harness, make: Any) -> None:
    async with harness.client(roles={"order-system"}) as client:
        organisation = {
            "kind": "organisation",
            "name": "上海",
            "organisation_type": "legal",
            "time_zone": "Asia/Shanghai",
        }
        account = {
            "kind": "account",
            "name": "Blue",
            "customer": "C-1",
            "settlement_organisation": "ORG-SHANGHAI",
        }
        right = {"kind": "user-right", "user": "U-1", "account": "A-1", "right": "use-balance"}
        for path, record in (
            ("/organisations/ORG-SHANGHAI", organisation),
            ("/accounts/A-1", account),
            ("/user-rights/R-1", right),
        ):
            answer = await client.put(path, json={"version": 1, "record": record})
            assert answer.status_code == 200, answer.text
        wrong = {"version": 1, "record": {**organisation, "time_zone": "Moon/Base"}}
        assert (await client.put("/organisations/X", json=wrong)).status_code == 422
    await harness.play(make.payment("A-1", "10.00"))
    (decided,) = only(await harness.play(make.check(make.order("A-1", "10.00"))), OrderDecided)
    assert decided.outcome == "accepted"


async def test_the_openapi_page_has_an_example_for_every_command(harness: Harness) -> None:
    async with harness.client(roles={"auditor"}) as client:
        document = (await client.get("/openapi.json")).json()
    schemas = document["components"]["schemas"]
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            body = operation.get("requestBody", {}).get("content", {}).get("application/json")
            if body is not None:
                schema = schemas.get(body.get("schema", {}).get("$ref", "").rsplit("/", 1)[-1], {})
                assert "example" in body or schema.get("examples"), f"{method} {path}"
    assert len(api.ROUTERS) == len(service.routers)
