"""credit over HTTP, on a real PostgreSQL."""

from typing import Any

import pytest
from chassis.http import OPEN_PATHS, unprotected_routes
from chassis.testing import only
from contracts.credit_checked import CreditChecked

pytestmark = pytest.mark.stack

PROBLEM = "urn:coffer:problem:"
PROFILE = "/customers/C-1/profiles/CNY"
WAITING = "/pending-orders/shop/O-1"


def key(value: str = "K-1") -> dict[str, str]:
    return {"Idempotency-Key": value}


async def test_every_route_says_who_may_call_it(bench: Any) -> None:
    assert unprotected_routes(bench.context.application(), open_paths=OPEN_PATHS) == []


async def test_every_body_has_an_example(bench: Any) -> None:
    document = bench.context.application().openapi()
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if method in ("put", "post"):
                content = operation["requestBody"]["content"]["application/json"]
                name = content["schema"].get("$ref", "").rsplit("/", 1)[-1]
                schema = document["components"]["schemas"].get(name, {})
                assert (
                    content.get("examples") or content["schema"].get("examples") or schema.get("examples")
                ), path


@pytest.mark.parametrize(
    ("method", "path", "wrong_role"),
    [
        ("GET", "/customers", "operator"),
        ("GET", "/profiles", "order-system"),
        ("GET", "/pending-orders", "account-user"),
        ("PUT", "/customers/C-1", "credit-approver"),
        ("PUT", PROFILE, "auditor"),
        ("POST", f"{WAITING}/approve", "credit-manager"),
        ("POST", f"{WAITING}/reject", "finance-approver"),
        ("GET", "/orders/shop/O-1", "operator"),
    ],
)
async def test_no_token_is_401_and_a_wrong_role_403(
    bench: Any, method: str, path: str, wrong_role: str
) -> None:
    async with bench.client() as client:
        assert (await client.request(method, path, json={}, headers=key())).status_code == 401
    async with bench.client({wrong_role}) as client:
        answer = await client.request(method, path, json={}, headers=key())
    assert answer.status_code == 403
    assert answer.headers["content-type"] == "application/problem+json"


async def test_customers_and_organisations_are_set_and_read(bench: Any) -> None:
    organisation = {
        "name": "East",
        "organisation_type": "business",
        "time_zone": "Asia/Shanghai",
        "version": 5,
    }
    async with bench.client({"credit-manager"}) as client:
        made = await client.put("/customers/C-1", json={"name": "华信 Trading"})
        assert (made.status_code, made.json()["version"], made.json()["credit_managed"]) == (200, 1, True)
        assert made.json()["changed_by"] == "tester"
        again = await client.put("/customers/C-1", json={"name": "Huaxin", "credit_managed": False})
        assert again.json()["version"] == 2
        assert (await client.get("/customers/C-1")).json() == again.json()
        assert (await client.put("/organisations/BO-1", json=organisation)).status_code == 200
        assert [row["version"] for row in (await client.get("/organisations")).json()["items"]] == [5]
        old = await client.put("/organisations/BO-1", json=organisation | {"version": 4})
        assert (old.status_code, old.json()["type"]) == (409, f"{PROBLEM}version-conflict")
        assert old.json()["errors"][0]["field"] == "version"
        assert (await client.get("/organisations/BO-2")).status_code == 404
        bad = await client.put("/organisations/BO-2", json=organisation | {"time_zone": "Mars/Base"})
        assert (bad.status_code, bad.json()["errors"][0]["field"]) == (422, "time_zone")


async def test_customers_whom_no_profile_covers_can_be_listed(bench: Any, make: Any) -> None:
    await bench.managed_customer(make, "C-1")
    records = [make.customer_record(f"C-{number}", credit_managed=number != 3) for number in (2, 3, 4)]
    await bench.play(*records)
    async with bench.client({"auditor"}) as client:
        page = (await client.get("/customers?without_profile=true&limit=1")).json()
        assert [row["customer_id"] for row in page["items"]] == ["C-2"]
        rest = (await client.get(f"/customers?without_profile=true&cursor={page['next']}")).json()
    assert [row["customer_id"] for row in rest["items"]] == ["C-4"]
    assert rest["next"] is None


async def test_a_profile_keeps_its_limit_and_its_history(bench: Any, make: Any) -> None:
    await bench.managed_customer(make, limit=2_400_000)
    changed = await bench.set_limits(
        "C-1", make.limits(None, single_document_limit={"limit": "unlimited", "enforcement": "warn"})
    )
    assert (changed["version"], changed["credit_limit"]["limit"]) == (2, None)
    assert changed["single_document_limit"] == {"limit": "unlimited", "enforcement": "warn"}
    async with bench.client({"auditor"}) as client:
        assert (await client.get(PROFILE)).json() == changed
        assert (await client.get(f"/profiles/{changed['profile_id']}")).json() == changed
        assert (await client.get("/profiles?customer=C-1&currency=CNY")).json()["items"] == [changed]
        versions = (await client.get(f"/profiles/{changed['profile_id']}/versions")).json()["items"]
    assert [row["version"] for row in versions] == [2, 1]
    assert versions[1]["credit_limit"]["limit"] == {"amount": "24000.00", "currency": "CNY"}
    assert (versions[1]["changed_by"], versions[1]["reason"]) == ("tester", "the test says so")
    assert await bench.broken() == []


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"credit_limit": {"limit": None, "enforcement": "explode"}}, "credit_limit.enforcement"),
        ({"credit_limit": {"limit": {"amount": "-1.00", "currency": "CNY"}}}, "credit_limit.limit"),
        ({"credit_limit": {"limit": {"amount": "1.001", "currency": "CNY"}}}, "credit_limit.limit"),
        ({"credit_limit": {"limit": {"amount": "1.00", "currency": "USD"}}}, "credit_limit.limit.currency"),
        ({"credit_limit": {"limit": "infinite"}}, "credit_limit.limit"),
        ({"credit_limit": {}}, "credit_limit.limit"),
        ({"reason": "  "}, "reason"),
        ({"limit": 5}, "limit"),
    ],
)
async def test_a_wrong_profile_is_refused_naming_the_field(
    bench: Any, make: Any, change: dict[str, Any], field: str
) -> None:
    await bench.play(make.customer_record())
    async with bench.client({"credit-manager"}) as client:
        answer = await client.put(PROFILE, json=make.limits(100) | change)
    assert answer.status_code == 422
    assert any(error["field"].startswith(field) for error in answer.json()["errors"]), answer.text


async def test_a_profile_needs_its_customer_and_the_version_that_was_read(bench: Any, make: Any) -> None:
    async with bench.client({"credit-manager"}) as client:
        assert (await client.put(PROFILE, json=make.limits(100))).status_code == 404
        assert (await client.get(PROFILE)).status_code == 404
        await bench.managed_customer(make)
        stale = await client.put(PROFILE, json=make.limits(100, version=0))
        assert (stale.status_code, stale.json()["type"]) == (409, f"{PROBLEM}version-conflict")
        assert (await client.put(PROFILE, json=make.limits(100, version=1))).status_code == 200


async def test_the_status_tells_what_is_used_available_and_pending(bench: Any, make: Any) -> None:
    await bench.managed_customer(make, limit=10_000, enforcement="special-approval")
    first, *_ = await bench.checks(
        make.order("O-1", 6_000), make.order("O-2", 3_000), make.order("O-3", 5_000)
    )
    await bench.play(make.decision(first, "accepted"))
    assert await bench.status() == {
        "used": "90.00",
        "settled": "60.00",
        "undecided": "30.00",
        "available": "10.00",
    }
    async with bench.client({"treasurer"}) as client:
        [status] = (await client.get("/customers/C-1/status")).json()["items"]
        profile_id = status["profile"]["profile_id"]
        assert (await client.get(f"/profiles/{profile_id}/status")).json() == status
        entries = (await client.get(f"/profiles/{profile_id}/entries?limit=1")).json()
        older = (await client.get(f"/profiles/{profile_id}/entries?cursor={entries['next']}")).json()
        occupying = (await client.get(f"/profiles/{profile_id}/occupancy")).json()["items"]
    assert (status["pending"]["orders"], status["pending"]["total"]["amount"]) == (1, "50.00")
    assert status["pending"]["oldest"][0]["order_id"] == "O-3"
    assert [row["used_after"]["amount"] for row in entries["items"] + older["items"]] == ["90.00", "60.00"]
    assert entries["items"][0]["permit"] == "within-limit"
    assert [(row["order_id"], row["occupied"]["amount"], row["settled"]["amount"]) for row in occupying] == [
        ("O-1", "60.00", "60.00"),
        ("O-2", "30.00", "0.00"),
    ]


@pytest.mark.parametrize(("limit", "available"), [(None, None), ("unlimited", "unlimited"), (0, "0.00")])
async def test_available_says_null_and_unlimited_in_words(
    bench: Any, make: Any, limit: Any, available: str | None
) -> None:
    await bench.managed_customer(make, limit=limit)
    assert (await bench.status())["available"] == available


async def test_an_approval_lets_a_pending_order_go_on_once(bench: Any, make: Any) -> None:
    await bench.managed_customer(make, limit=5_000, enforcement="special-approval")
    await bench.right("ada")
    await bench.play(make.order())
    async with bench.client({"credit-approver"}, subject="ada") as client:
        [waiting] = (await client.get("/pending-orders?customer=C-1")).json()["items"]
        assert (waiting["order_id"], waiting["state"], waiting["total"]["amount"]) == (
            "O-1",
            "pending",
            "100.00",
        )
        detail = (await client.get(WAITING)).json()
        assert [reason["code"] for reason in detail["reasons"]] == ["credit-limit-exceeded"]
        for _ in range(2):
            answer = await client.post(f"{WAITING}/approve", json={"reason": "good payer"}, headers=key())
            assert answer.status_code == 200
            approved = answer.json()
            assert (approved["state"], approved["person"], approved["reason"]) == (
                "approved",
                "ada",
                "good payer",
            )
        assert answer.headers["Idempotency-Replayed"] == "true"
        other = await client.post(f"{WAITING}/approve", json={"reason": "another"}, headers=key())
        assert other.status_code == 422
        late = await client.post(f"{WAITING}/reject", json={"reason": "too late"}, headers=key("K-2"))
        assert (late.status_code, late.json()["type"]) == (409, f"{PROBLEM}not-pending")
    [check] = only(await bench.drain(), CreditChecked)
    assert (check.check_number, check.order_revision, check.outcome) == (2, 1, "approved")
    assert [reason.code for reason in check.reasons] == ["special-approval", "credit-limit-exceeded"]
    assert check.metrics[0].result == "waived"
    assert (await bench.status())["used"] == "100.00"
    assert await bench.rows("select * from timer") == []
    assert await bench.broken() == []


async def test_an_approval_is_refused_when_something_else_fails_by_now(bench: Any, make: Any) -> None:
    await bench.managed_customer(make, limit=5_000, enforcement="special-approval")
    await bench.play(make.order())
    single = {"limit": {"amount": "99.99", "currency": "CNY"}, "enforcement": "reject"}
    await bench.set_limits("C-1", make.limits(5_000, "special-approval", single_document_limit=single))
    async with bench.client({"credit-approver"}) as client:
        answer = await client.post(f"{WAITING}/approve", json={"reason": "good payer"}, headers=key())
        assert (answer.status_code, answer.json()["type"]) == (409, f"{PROBLEM}approval-refused")
        assert "single-document limit" in answer.json()["detail"]
        assert (await client.get(WAITING)).json()["state"] == "pending"
        rejected = await client.post(f"{WAITING}/reject", json={"reason": "too big"}, headers=key())
        assert (rejected.status_code, rejected.json()["state"]) == (200, "rejected")
    [check] = only(await bench.drain(), CreditChecked)
    assert (check.outcome, check.reasons[0].text) == ("declined", "tester refused special approval: too big")
    assert await bench.broken() == []


async def test_orders_that_never_came_are_not_found(bench: Any) -> None:
    async with bench.client({"credit-approver"}) as client:
        for path in ("/orders/shop/O-1", "/orders/shop/O-1/checks", WAITING):
            assert (await client.get(path)).status_code == 404
        answer = await client.post(f"{WAITING}/approve", json={"reason": "why not"}, headers=key())
    assert answer.status_code == 404
    assert await bench.rows("select * from sales_order") == []


async def test_every_decision_of_an_order_can_be_read(bench: Any, make: Any) -> None:
    await bench.managed_customer(make, limit=0)
    [check] = await bench.checks(make.order("O/1"))
    await bench.play(make.decision(check, "declined"), make.cancellation("O/1"))
    async with bench.client({"auditor"}) as client:
        order = (await client.get("/orders/shop/O/1")).json()
        assert (order["status"], order["checks"], order["last_revision"]) == ("cancelled", 2, 2)
        checks = (await client.get("/orders/shop/O/1/checks")).json()["items"]
    assert [(row["check_number"], row["outcome"], row["decided"]) for row in checks] == [
        (1, "declined", "declined"),
        (2, "approved", None),
    ]
    assert checks[0]["metrics"][0]["result"] == "rejected"
    assert checks[0]["event_source"] == "test/order-system"


async def test_an_account_user_sees_the_orders_of_its_own_accounts_only(bench: Any, make: Any) -> None:
    await bench.managed_customer(make)
    await bench.play(make.order(), make.order("O-2", revision=2))
    async with bench.client({"account-user"}, accounts=("A-1",)) as client:
        assert (await client.get("/orders/shop/O-1")).status_code == 200
        assert (await client.get("/orders/shop/O-2")).status_code == 404
        assert (await client.get("/orders/shop/O-3")).status_code == 404
    async with bench.client({"account-user"}, accounts=("A-2",)) as client:
        assert (await client.get("/orders/shop/O-1/checks")).status_code == 404


async def test_a_dry_run_tells_what_would_happen_and_occupies_nothing(bench: Any, make: Any) -> None:
    await bench.managed_customer(make, limit=10_000)
    async with bench.client({"order-system"}) as client:

        async def asked(event: Any, name: str) -> dict[str, Any]:
            answer = await client.post(
                "/orders/dry-run",
                content=event.to_json(),
                headers={**key(name), "content-type": "application/json"},
            )
            assert answer.status_code == 200, answer.text
            return answer.json()  # type: ignore[no-any-return]

        fits = await asked(make.order(), "K-1")
        assert (fits["outcome"], fits["would_occupy"][0]["amount"]["amount"]) == ("approved", "100.00")
        exceeds = await asked(make.order(amount=10_001), "K-2")
        assert (exceeds["outcome"], exceeds["would_occupy"]) == ("declined", [])
        assert (await bench.status())["used"] == "0.00"
        assert await bench.rows("select * from sales_order") == []
        await bench.play(make.cancellation())
        assert (await asked(make.order(), "K-3"))["reasons"][0]["code"] == "cancelled"
        bad = await client.post("/orders/dry-run", json={"source": "shop"}, headers=key("K-4"))
        assert bad.status_code == 422
