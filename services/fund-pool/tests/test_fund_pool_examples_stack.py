"""The examples of the OpenAPI page work when they are pasted: every command is sent as it stands there."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

import httpx
import pytest
from chassis.testing import Harness

pytestmark = pytest.mark.stack

ORGANISATION: Final = "ORG-SHANGHAI"
COMMANDS: Final = ("post", "put", "patch", "delete")


@dataclass
class Page:
    """The OpenAPI page with clients that send what it shows, and what has been sent."""

    document: dict[str, Any]
    maker: httpx.AsyncClient
    approver: httpx.AsyncClient
    root: httpx.AsyncClient
    sent: set[tuple[str, str]] = field(default_factory=set)

    def examples(self, operation: dict[str, Any]) -> tuple[str, list[Any]]:
        """The media type of a command's body with its examples; one without a body has an empty one."""
        content = operation.get("requestBody", {}).get("content", {})
        if not content:
            return "", [None]
        media, body = next(iter(content.items()))
        if "example" in body:
            return media, [body["example"]]
        name = body["schema"]["$ref"].rpartition("/")[2]
        return media, self.document["components"]["schemas"][name]["examples"]

    async def send(self, method: str, path: str, *, who: str = "maker", **parts: Any) -> list[Any]:
        """Sends every example of a command; `parts` fill its path, `query` and `change` the rest."""
        query, change = parts.pop("query", {}), parts.pop("change", {})
        media, examples = self.examples(self.document["paths"][path][method])
        self.sent.add((method, path))
        answers = []
        for example in examples:
            client: httpx.AsyncClient = getattr(self, who)
            body: dict[str, Any] = {}
            if media == "application/json":
                body = {"json": example | change}
            elif media:
                body = {"content": example.encode(), "headers": {"Content-Type": media}}
            answer = await client.request(method.upper(), path.format(**parts), params=query, **body)
            assert answer.is_success, f"{method} {path} with {example}: {answer.text}"
            answers.append(answer.json() if answer.content else None)
        return answers


async def set_up(page: Page, harness: Harness, make: Any) -> None:
    await page.send("put", "/organisations/{organisation}", who="root", organisation=ORGANISATION)
    await page.send("put", "/accounts/{account}", who="root", account="A-1001")
    await page.send("put", "/user-rights/{right}", who="root", right="U-1001@A-1001")
    members = ("A-1002", "A-1003")
    await harness.play(
        *(make.account(one) for one in members), *(make.related("A-1001", one) for one in members)
    )
    await page.send("put", "/organisations/{organisation}/settings", organisation=ORGANISATION)
    types = "/organisations/{organisation}/account-types/{code}"
    await page.send("put", types, organisation=ORGANISATION, code="rebate")
    await page.send("put", "/deduction-orders/{organisation}", who="root", organisation=ORGANISATION)
    own = "/deduction-orders/{organisation}/customers/{customer}"
    for method in ("put", "delete"):
        await page.send(method, own, who="root", organisation=ORGANISATION, customer="C-1001")
    for method in ("put", "delete"):
        await page.send(method, "/grants/{name}/{action}", who="root", name="withdrawal", action="approve")


async def balances(page: Page, harness: Harness, make: Any) -> None:
    for account in ("A-1001", "A-1002"):
        await page.send("post", "/accounts/{account}/fund-accounts", account=account)
    (draft,) = await page.send("post", "/opening-balance-imports")
    reject, approve = (f"/opening-balance-imports/{{import_id}}/{what}" for what in ("reject", "approve"))
    await page.send("post", reject, import_id=draft["import_id"])
    (draft,) = await page.send("post", "/opening-balance-imports/file")
    await page.send("post", approve, who="approver", import_id=draft["import_id"])
    purse = {"account": "A-1001", "account_type": "cash", "currency": "CNY"}
    await page.send("put", "/accounts/{account}/fund-accounts/{account_type}/{currency}/validity", **purse)
    line = "/accounts/{account}/fund-accounts/overdraft/{currency}/line-source"
    await page.send("put", line, account="A-1002", currency="CNY")
    await page.send("put", "/accounts/{account}/quota-alerts/{currency}", account="A-1001", currency="CNY")
    await page.send("post", "/quota-alerts")
    for method in ("put", "delete"):
        path = "/accounts/{account}/common-lines/{currency}"
        await page.send(method, path, account="A-1003", currency="CNY")
    statement = {"account_type": "cash", "currency": "CNY", "since": "2026-03-01", "until": "2026-03-31"}
    await page.send("post", "/accounts/{account}/reconciliations", account="A-1001", query=statement)


async def documents(page: Page, harness: Harness, make: Any) -> None:
    await page.send("post", "/documents/preview")
    made = await page.send("post", "/documents")
    first = {name: made[0][name] for name in ("document_type", "document_id")}
    await page.send("post", "/documents/{document_type}/{document_id}/approve", who="approver", **first)
    for number, (steps, who) in enumerate(
        [(("submit", "reject"), "approver"), (("withdraw",), "maker")], start=1
    ):
        body = {
            "document_type": "other-credit",
            "document_id": f"OC-{number}",
            "account": "A-1001",
            "amount": {"amount": "1.00", "currency": "CNY"},
            "reason": "a draft",
        }
        assert (await page.maker.post("/documents", json=body)).status_code == 201
        for step in steps:
            path = f"/documents/{{document_type}}/{{document_id}}/{step}"
            by = who if step != "submit" else "maker"
            await page.send("post", path, who=by, document_type="other-credit", document_id=f"OC-{number}")
    await page.send("post", "/accounts/{account}/top-ups", account="A-1001")
    await harness.play(make.payment(None, "80.00", payment_id="P-7"))
    await page.send("post", "/unmatched-payments/{payment_id}/place", payment_id="P-7")


async def allocations(page: Page, harness: Harness, make: Any) -> None:
    await page.send("post", "/allocations/preview")
    await page.send("post", "/allocations")
    approval = "/organisations/{organisation}/allocation-approval/{currency}"
    await page.send("put", approval, organisation=ORGANISATION, currency="CNY")
    above = {"above": {"amount": "1.00", "currency": "CNY"}}
    await page.maker.put(approval.format(organisation=ORGANISATION, currency="CNY"), json=above)
    for what in ("approve", "reject"):
        (waiting,) = await page.send("post", "/allocations")
        path = f"/allocation-requests/{{request_id}}/{what}"
        await page.send("post", path, who="approver", request_id=waiting["batch_id"])


async def orders(page: Page, harness: Harness, make: Any) -> None:
    await page.send("post", "/order-dry-runs")
    rules = "/organisations/{organisation}/usage-rules"
    (rule,) = await page.send("post", rules, organisation="BUS-1")
    order = make.order("A-1001", "90.00", user="U-1001", requested_delivery_date=date(2026, 5, 1))
    await harness.play(make.check(order))
    path = "/orders/{source}/{order_id}/final-payment"
    await page.send("post", path, source="shop-east", order_id="SO-1")
    (rule,) = await page.send("put", f"{rules}/{{version}}", organisation="BUS-1", version=rule["version"])
    await page.send("delete", f"{rules}/{{version}}", organisation="BUS-1", version=rule["version"])


async def vouchers(page: Page, harness: Harness, make: Any) -> None:
    await page.send("post", "/voucher-pools")
    await page.send("post", "/voucher-pools/{pool_id}/vouchers", pool_id="VP-2026")
    await page.send("post", "/voucher-imports", query={"post": True})
    change = {"voucher_id": "C-2"}
    await page.send("post", "/accounts/{account}/vouchers", account="A-1001", change=change)


async def periods(page: Page, harness: Harness, make: Any) -> None:
    path = "/organisations/{organisation}/period-closes"
    await page.send("post", path, who="approver", organisation=ORGANISATION)


PARTS: Final[list[Callable[..., Awaitable[None]]]] = [
    set_up,
    balances,
    documents,
    allocations,
    orders,
    vouchers,
    periods,
]


async def test_every_example_works_when_it_is_pasted(
    harness: Harness, make: Any, client_of: Any, broken: Any
) -> None:
    async with (
        client_of({"finance-maker", "treasurer"}, "maker") as maker,
        client_of({"finance-approver"}, "approver") as approver,
        client_of({"administrator"}, "root") as root,
    ):
        document = (await root.get("/openapi.json")).json()
        page = Page(document, maker, approver, root)
        for part in PARTS:
            await part(page, harness, make)
    commands = {
        (method, path)
        for path, methods in document["paths"].items()
        for method in methods
        if method in COMMANDS
    }
    assert page.sent == commands
    assert await broken() == []
