"""Opening balances from files: each row's fate before anything is posted."""

from io import BytesIO
from typing import Any

import httpx
import openpyxl
import pytest
from chassis.testing import Harness

pytestmark = pytest.mark.stack
PATH = "/opening-balance-imports/file"
HEADING = "account,account_type,currency,amount,granted,used,effective_date\n"


@pytest.fixture
def people(harness: Harness, client_of: Any) -> tuple[httpx.AsyncClient, httpx.AsyncClient]:
    return client_of({"finance-maker"}, "maker"), client_of({"finance-approver"}, "approver")


async def test_bad_rows_are_named_by_row_and_column_and_nothing_is_posted_until_told(
    harness: Harness, people: Any, make: Any, broken: Any
) -> None:
    maker, approver = people
    await harness.play(*make.master_data("A-1", "A-2"))
    text = (
        HEADING
        + "A-1,cash,CNY,1200.00,,,\n"
        + "A-1,overdraft,CNY,,5000.00,2000.00,2026-01-01\n"
        + "A-2,cash,CNY,=1+1,,,\n"
        + "A-9,cash,CNY,1.00,,,\n"
        + "A-2,cash,XXX,1.00,,,\n"
        + "A-2,cash,JPY,1.5,,,\n"
        + "A-1,cash,CNY,1200.00,,,\n"
    )
    draft = (await maker.post(PATH, content=text.encode())).json()
    assert (draft["postable"], draft["refused"]) == (2, 5)
    assert [(fault["row"], fault["column"], fault["code"]) for fault in draft["faults"]] == [
        (4, "amount", "unreadable"),
        (5, "account", "unknown-account"),
        (6, "currency", "unreadable"),
        (7, "amount", "unreadable"),
        (8, "account", "repeated-in-import"),
    ]
    assert await harness.rows("select 1 from fund_account") == []
    path = f"/opening-balance-imports/{draft['import_id']}/approve"
    assert (await approver.post(path, json={})).status_code == 409
    assert (await approver.post(path, json={"leave_out_refused": True})).status_code == 200
    rows = await harness.rows("select account_type, balance, line from fund_account order by 1")
    assert [(row["account_type"], row["balance"], row["line"]) for row in rows] == [
        ("cash", 1_200_00, 0),
        ("overdraft", -2_000_00, 5_000_00),
    ]
    again = (await maker.post(PATH, content=text.encode())).json()
    assert {fault["code"] for fault in again["faults"][:2]} == {"already-imported"}
    assert await broken() == []


async def test_a_workbook_counts_with_the_values_that_were_saved(
    harness: Harness, people: Any, make: Any
) -> None:
    maker, _ = people
    await harness.play(*make.master_data("A-1"))
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(["account", "account_type", "currency", "amount"])
    sheet.append(["A-1", "cash", "CNY", 12.5])
    sheet.append(["A-1", "cash", "JPY", "=1+1"])
    file = BytesIO()
    book.save(file)
    draft = (await maker.post(PATH, content=file.getvalue())).json()
    assert (draft["postable"], [fault["code"] for fault in draft["faults"]]) == (1, ["amount-missing"])


@pytest.mark.parametrize(
    "body", [b"", b"PK\x03\x04 not a workbook", b"\xff\xfe\x00", b"account;amount\nA-1;1\n", HEADING.encode()]
)
async def test_a_file_that_is_not_what_it_says_is_refused(people: Any, body: bytes) -> None:
    maker, _ = people
    answer = await maker.post(PATH, content=body)
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:coffer:problem:unreadable-table")
