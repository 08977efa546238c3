"""The pool on a real PostgreSQL: chains, hand and Excel, recurring items, batches, and what reaches a sheet."""

from datetime import UTC, date, datetime
from io import BytesIO
from typing import Any

import openpyxl
import pytest
from contracts.document_posted import Upstream
from contracts.money import Money
from contracts.order_decided import Explanation, LinePayment, OrderPosition

from contracts import OrderDecided

pytestmark = pytest.mark.stack

WEEK = "2026-11-W46"
DAY = date(2026, 11, 10)
OPEN = "select document_id, amount_minor from pool_item where not is_closed order by 1"


def alone(types: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**each, "roll_up": False, "roll_up_nodes": []} for each in types]


def order(total: str, paid: str = "0.00", check: int = 1) -> OrderDecided:
    unpaid = Money(total, "CNY").minor - Money(paid, "CNY").minor
    payment = LinePayment(account="C-1", account_type="cash", line_id="1", amount=Money(paid, "CNY"))
    return OrderDecided(
        source="shop",
        order_id="SO-1",
        order_revision=check,
        check_number=check,
        operation="submit",
        outcome="accepted",
        paying_account="C-1",
        currency="CNY",
        customer="CUST",
        settlement_organisation="A",
        reasons=[],
        position=OrderPosition(
            total=Money(total, "CNY"), payments=[payment], unpaid=Money.of(unpaid, "CNY"), due_date=DAY
        ),
        explanation=Explanation(text="", accounts=[], policy_version=0),
        decided_at=datetime(2026, 10, 20, 8, tzinfo=UTC),
    )


def of_order(amount: str | None = None) -> list[Upstream]:
    money = Money(amount, "CNY") if amount else None
    return [Upstream(document_type="sales-order", source="shop", document_id="SO-1", amount=money)]


def of(kind: str, document_id: str) -> list[Upstream]:
    return [Upstream(document_type=kind, document_id=document_id)]  # type: ignore[arg-type]


async def opened(group: Any) -> dict[str, int]:
    return {row["document_id"]: row["amount_minor"] for row in await group.harness.rows(OPEN)}


async def test_order_receivable_and_receipt_are_one_inflow(group: Any, post: Any) -> None:
    """Of 100, 60 were paid from cash: 40 are to come, first by the order, then by its receivable."""
    await group.harness.play(order("100.00", paid="60.00"))
    assert await opened(group) == {"SO-1": 40_00}
    receivable = post("receivable", "AR-1", "70.00", DAY, upstream=of_order(), settlement_organisation="A")
    await group.harness.play(receivable)
    assert await opened(group) == {"AR-1": 40_00}
    await group.harness.play(post("receipt", "RC-1", "15.00", DAY, upstream=of("receivable", "AR-1")))
    assert await opened(group) == {"AR-1": 25_00}
    recall = post(
        "receivable", "AR-1", "70.00", DAY, upstream=of_order(), revision=2, operation="recall",
        settlement_organisation="A",
    )  # fmt: skip
    await group.harness.play(recall)
    assert await opened(group) == {"SO-1": 40_00}
    assert await group.findings() == []


async def test_any_order_of_arrival_gives_the_same_pool(group: Any, post: Any) -> None:
    events = [
        order("100.00", paid="60.00"),
        post("receivable", "AR-1", "25.00", DAY, upstream=of_order(), settlement_organisation="A"),
        post(
            "receivable",
            "AR-2",
            "30.00",
            date(2026, 11, 11),
            upstream=of_order(),
            settlement_organisation="A",
        ),
        post("receipt", "RC-1", "5.00", DAY, upstream=of("receivable", "AR-1")),
    ]
    pools = []
    for arrangement in (events, events[::-1], [events[i] for i in (2, 0, 3, 1)]):
        await group.harness.spoil("truncate pool_item, pool_item_history, pool_document, pool_link")
        for event in arrangement:
            await group.harness.play(event)
        pools.append(await opened(group))
        assert await group.findings() == []
    assert pools[0] == {"AR-1": 20_00, "AR-2": 15_00}
    assert pools[0] == pools[1] == pools[2]


async def test_a_chain_that_brings_too_much_is_reported(group: Any, post: Any) -> None:
    await group.harness.play(
        order("100.00"),
        post("receivable", "AR-1", "70.00", DAY, upstream=of_order(), settlement_organisation="A"),
    )
    assert await group.findings() == []
    await group.harness.spoil("update pool_item set covered_minor = 0")
    assert "pool-chain-brings-once" in await group.findings()


async def test_payment_requests_come_by_facts_only(group: Any, post: Any) -> None:
    await group.harness.play(post("payment-request", "R1", "60.00", DAY, stance="request"))
    assert await opened(group) == {}
    await group.harness.play(
        post("payment-request", "R1", "60.00", DAY), post("payment", "P1", "20.00", DAY, settles="R1")
    )
    assert await opened(group) == {"R1": 40_00}
    await group.harness.play(post("payment-request", "R1", "60.00", DAY, revision=2, operation="close"))
    assert await opened(group) == {}


async def test_collection_rules_filter_and_rename(group: Any, post: Any) -> None:
    rule = {
        "id": "large",
        "name": "Large requests of project 1",
        "document_type": "payment-request",
        "where": {"project": ["P-1"]},
        "at_least": {"amount": "50.00", "currency": "CNY"},
        "item": "purchases",
        "days": 3,
    }
    await group.ask("ada", "PUT", "/collection-rules", [rule])
    await group.harness.play(
        post("payment-request", "R1", "60.00", DAY), post("payment-request", "R2", "49.99", DAY)
    )
    (item,) = await group.harness.rows("select document_id, item, due_date from pool_item")
    assert item == {"document_id": "R1", "item": "purchases", "due_date": date(2026, 11, 13)}


def manual(amount: str, **others: Any) -> dict[str, Any]:
    money = {"amount": amount, "currency": "CNY"}
    return {
        "entity": "A",
        "direction": "out",
        "currency": "CNY",
        "amount": money,
        "due_date": "2026-11-10",
        "purpose": "Deposit",
        **others,
    }


async def test_items_by_hand_are_changed_and_closed(group: Any) -> None:
    await group.ask("max", "PUT", "/pool-items/by-hand/M1", manual("10.00"))
    await group.ask("max", "PUT", "/pool-items/by-hand/M1", manual("12.00"))
    await group.ask("max", "PUT", "/pool-items/by-hand/M1", manual("12.00"))
    assert await opened(group) == {"M1": 12_00}
    (history,) = await group.harness.rows("select max(step) as steps from pool_item_history")
    assert history["steps"] == 2
    closed = await group.ask("max", "PUT", "/pool-items/by-hand/M1", manual("12.00", closed=True))
    assert closed["state"] == "closed"
    assert await group.findings() == []


async def upload(
    group: Any, subject: str, method: str, path: str, body: bytes, expect: int | None = None
) -> Any:
    return await group.ask(subject, method, path, expect=expect, files={"file": ("plan.xlsx", body)})


def table(*rows: list[Any]) -> bytes:
    book = openpyxl.Workbook()
    page: Any = book.active
    page.append(["id", "entity", "direction", "currency", "amount", "due_date", "purpose"])
    for row in rows:
        page.append(row)
    file = BytesIO()
    book.save(file)
    return file.getvalue()


async def test_items_come_by_excel_all_or_none(group: Any) -> None:
    good = ["M1", "A", "out", "CNY", 12.5, "2026-11-10", "Rent"]
    wrong = table(
        good,
        ["M2", "A", "up", "CNY", 1, "2026-11-10", "x"],
        ["M3", "A", "in", "CNY", "much", "2026-11-10", "x"],
    )
    refused = await upload(group, "max", "POST", "/pool-items/import", wrong, expect=422)
    assert [error["field"] for error in refused["errors"]] == ["row 3", "row 4"]
    assert await opened(group) == {}
    done = await upload(group, "max", "POST", "/pool-items/import", table(good))
    assert done == {"rows": 1, "changed": 1}
    assert await opened(group) == {"M1": 12_50}


async def test_recurring_items_stand_in_the_pool_and_follow_their_rule(group: Any) -> None:
    """5 December 2026 is a Saturday; 5 February 2027 is the eve of China's new year, a holiday until the 10th."""
    body = {
        "entity": "A",
        "direction": "out",
        "item": "expenses",
        "purpose": "Rent",
        "amount": {"amount": "100.00", "currency": "CNY"},
        "day": 5,
        "starts_on": "2026-11-01",
        "ends_on": "2027-02-28",
    }
    saved = await group.ask("max", "PUT", "/recurring-items/rent", body)
    assert saved["occurrences_changed"] == 4
    due = "select document_id, due_date, document_minor from pool_item where not is_closed order by 1"
    assert [(row["document_id"], row["due_date"].isoformat()) for row in await group.harness.rows(due)] == [
        ("2026-11-05", "2026-11-05"),
        ("2026-12-05", "2026-12-07"),
        ("2027-01-05", "2027-01-05"),
        ("2027-02-05", "2027-02-11"),
    ]
    again = await group.ask("max", "PUT", "/recurring-items/rent", body)
    assert again["occurrences_changed"] == 0
    dearer = {**body, "amount": {"amount": "110.00", "currency": "CNY"}, "ends_on": "2026-12-31"}
    await group.ask("max", "PUT", "/recurring-items/rent", dearer)
    assert [row["document_minor"] for row in await group.harness.rows(due)] == [110_00, 110_00]
    await group.harness.fire_timers(datetime(2026, 10, 21, 1, tzinfo=UTC))
    assert len(await group.harness.rows(due)) == 2
    assert await group.findings() == []


def batches(basics: dict[str, Any]) -> dict[str, Any]:
    return {**basics, "uses_approval_batches": True}


async def test_the_pool_fills_sheets_and_keeps_its_sources(group: Any, post: Any) -> None:
    await group.set_up(filing_types=alone)
    await group.harness.play(
        order("100.00", paid="60.00"),
        post("payment-request", "R1", "30.00", DAY, item="purchases", contract_number="C1"),
        post("payment-request", "R2", "5.00", DAY, item="sundries"),
    )
    round_ = await group.open_round()
    filing = round_["filings"]["A"]
    filled = await group.ask("paul-a", "POST", f"/filings/{filing}/refresh")
    assert filled["items"] == 2
    assert filled["unmapped"] == ["payment-request R2: sundries"]
    again = await group.ask("paul-a", "POST", f"/filings/{filing}/refresh")
    assert again["items"] == 2
    grid = await group.ask("paul-a", "GET", f"/filings/{filing}/grid")
    shown = {cell["item"]: cell["amount"] for cell in grid["sheets"][0]["cells"] if cell["period"] == WEEK}
    assert (shown["sales"], shown["purchases"]) == ("40.00", "30.00")
    (row,) = next(sheet for sheet in grid["sheets"] if sheet["id"] == "contracts")["details"]
    assert (row["amount"], row["fields"]) == ("30.00", {"contract-number": "C1"})
    saved = {"version": 1, "details": {"contracts": [row]}}
    await group.ask("paul-a", "PATCH", f"/filings/{filing}/grid", saved)
    await group.ask("paul-a", "POST", f"/filings/{filing}/submit")
    await group.ask("max", "POST", f"/filings/{filing}/approve")
    sources = await group.harness.rows("select document_id, item from pool_source order by 1")
    assert [(each["document_id"], each["item"]) for each in sources] == [
        ("R1", "purchases"),
        ("SO-1", "sales"),
    ]
    await group.ask("paul-a", "POST", f"/filings/{filing}/refresh", expect=409)


async def test_only_approved_items_reach_sheets_at_their_approved_amounts(group: Any, post: Any) -> None:
    await group.set_up(filing_types=alone, basics=batches)
    await group.harness.play(
        post("payment-request", "R1", "30.00", DAY, item="purchases"),
        post("payment-request", "R2", "20.00", DAY, item="purchases"),
    )
    round_ = await group.open_round()
    filing = round_["filings"]["A"]
    assert (await group.ask("paul-a", "POST", f"/filings/{filing}/refresh"))["items"] == 0
    body = {"entity": "A", "due_from": "2026-11-01", "due_to": "2026-11-30"}
    batch = await group.ask("paul-a", "POST", group.path("approval-batches"), body)
    amounts = [
        {"document_type": "payment-request", "source": "erp", "document_id": "R1", "amount": "25.00"},
        {"document_type": "payment-request", "source": "erp", "document_id": "R2", "amount": "0.00"},
    ]
    path = f"/approval-batches/{batch['batch_id']}/approve"
    await group.ask("paul-a", "POST", path, {"amounts": amounts}, expect=403)
    done = await group.ask("max", "POST", path, {"amounts": amounts})
    assert [(item["requested"], item["approved"]) for item in done["items"]] == [
        ("30.00", "25.00"),
        ("20.00", "0.00"),
    ]
    assert (await group.ask("paul-a", "POST", f"/filings/{filing}/refresh"))["items"] == 1
    grid = await group.ask("paul-a", "GET", f"/filings/{filing}/grid")
    shown = {cell["item"]: cell["amount"] for cell in grid["sheets"][0]["cells"] if cell["period"] == WEEK}
    assert shown["purchases"] == "25.00"


async def test_a_workbook_goes_out_and_comes_back(group: Any) -> None:
    await group.set_up()
    round_ = await group.open_round()
    filing = round_["filings"]["A"]
    body = await group.ask("paul-a", "GET", f"/filings/{filing}/workbook")
    book = openpyxl.load_workbook(BytesIO(body))
    page: Any = book["Plan"]
    rows = {page.cell(row, 1).value: row for row in range(3, page.max_row + 1)}
    page.cell(rows["wages"], 5).value = 123.45
    page.cell(rows["wages"], 9).value = "two more people"
    book["Purchases by contract"].append(["1", WEEK, 50, "ACME", "C-7", "2026-11-12", None])
    file = BytesIO()
    book.save(file)
    await upload(group, "paul-a", "PUT", f"/filings/{filing}/workbook", file.getvalue())
    grid = await group.ask("paul-a", "GET", f"/filings/{filing}/grid")
    amounts = {cell["item"]: cell["amount"] for cell in grid["sheets"][0]["cells"] if cell["period"] == WEEK}
    assert (amounts["wages"], amounts["purchases"], amounts["payments"]) == ("123.45", "50.00", "173.45")
    page.cell(rows["wages"], 5).value = "plenty"
    file = BytesIO()
    book.save(file)
    refused = await upload(group, "paul-a", "PUT", f"/filings/{filing}/workbook", file.getvalue(), expect=422)
    assert refused["errors"] == [{"field": "Plan!E9", "message": "is 'plenty', must be a number"}]


async def test_files_are_attached_and_read_by_who_may_see_the_filing(group: Any) -> None:
    await group.set_up()
    round_ = await group.open_round()
    filing = round_["filings"]["A"]
    added = await upload(group, "paul-a", "POST", f"/filings/{filing}/attachments", b"evidence")
    assert (added["name"], added["bytes"], added["added_by"]) == ("plan.xlsx", 8, "paul-a")
    path = f"/filings/{filing}/attachments/{added['attachment_id']}"
    assert await group.ask("max", "GET", path) == b"evidence"
    await group.ask("paul-b", "GET", path, expect=404)
