"""Profiles as tables: pure rules of a row, and import and export on a real database."""

from base64 import b64encode
from typing import Any
from uuid import uuid4

import pytest
from credit.domain.profile_rows import Place, ProfileRow, RowRefused, limit_text, read_limit, read_row

CELLS = {
    "scope": "group",
    "scope_id": "*",
    "object_type": "customer",
    "object_id": "C-1",
    "currency": "CNY",
    "credit_limit": "24,000.50",
}


def test_a_row_is_read_with_empty_cells_as_not_controlled_and_reject() -> None:
    place = Place("group", "*", "customer", "C-1", "CNY")
    assert read_row(CELLS) == ProfileRow(place, 2_400_050, "reject", None, "reject")


@pytest.mark.parametrize(
    ("text", "currency", "limit"),
    [
        ("", "CNY", None),
        ("unlimited", "CNY", "unlimited"),
        ("0", "CNY", 0),
        (".5", "CNY", 50),
        ("7", "JPY", 7),
    ],
)
def test_limits_are_read_as_people_write_them(text: str, currency: str, limit: Any) -> None:
    assert read_limit("credit_limit", text, currency) == limit
    assert read_limit("credit_limit", limit_text(limit, currency) or "", currency) == limit


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"credit_limit": "1e3"}, "credit_limit is '1e3'"),
        ({"credit_limit": "-5"}, "an amount, `unlimited` or nothing"),
        ({"credit_limit": "1.234"}, "more than the 2 decimals"),
        ({"credit_limit": "٣"}, "an amount"),
        ({"currency": "XXX"}, "not a currency"),
        ({"scope": "moon"}, "one of group, legal, business"),
        ({"scope_id": "LEG-1"}, "the group's is"),
        ({"object_type": "planet"}, "one of customer, customer-group"),
        ({"object_id": ""}, "object_id is ''"),
        ({"credit_limit_enforcement": "shout"}, "one of warn, special-approval"),
    ],
)
def test_rows_that_cannot_be_right_say_what_would_be(changes: dict[str, str], message: str) -> None:
    with pytest.raises(RowRefused) as refused:
        read_row(CELLS | changes)
    assert message in str(refused.value)


HEAD = "scope,scope_id,object_type,object_id,currency,credit_limit,credit_limit_enforcement,version\n"


async def imported(bench: Any, status: int = 200, **body: Any) -> Any:
    async with bench.client({"credit-manager"}) as client:
        answer = await client.post(
            "/profile-imports",
            json={"reason": "review"} | body,
            headers={"Idempotency-Key": str(uuid4())},
        )
    assert answer.status_code == status, answer.text
    return answer.json()


async def exported(bench: Any, file_format: str) -> bytes:
    async with bench.client({"auditor"}) as client:
        answer = await client.get(f"/profile-table?format={file_format}")
    assert answer.status_code == 200, answer.text
    return bytes(answer.content)


@pytest.mark.stack
async def test_profiles_go_out_and_come_back_as_excel(bench: Any, make: Any) -> None:
    await bench.managed_customer(make, "C-1", 10_000)
    await bench.play(make.customer_record("C-2"))
    table = HEAD + "group,*,customer,C-1,CNY,250.00,warn,1\ngroup,*,customer,C-2,CNY,unlimited,,\n"
    preview = await imported(bench, csv=table, preview=True)
    assert [(row["row"], row["outcome"]) for row in preview["rows"]] == [(2, "changed"), (3, "created")]
    assert preview["stored"] is False
    assert (await imported(bench, csv=table))["stored"] is True
    [check] = await bench.checks(make.order("O-1", 30_000))
    assert check.outcome == "warned", "300.00 of 250.00"
    [other] = await bench.checks(make.order("O-2", 9_900_000, customer="C-2"))
    assert other.outcome == "approved"
    again = await imported(bench, xlsx=b64encode(await exported(bench, "xlsx")).decode())
    assert (again["stored"], again["same"], again["changed"]) == (True, 2, 0)
    assert (await exported(bench, "csv")).count(b"\n") == 3
    assert await bench.broken() == []


@pytest.mark.stack
async def test_one_refused_row_keeps_the_whole_table_back(bench: Any, make: Any) -> None:
    await bench.managed_customer(make, "C-1", 10_000)
    table = (
        HEAD
        + "group,*,customer,C-1,CNY,5.00,warn,7\n"
        + "group,*,customer,C-9,CNY,5.00,warn,\n"
        + "group,*,salesperson,S-1,CNY,5.00,warn,\n"
        + "group,*,salesperson,S-1,CNY,6.00,warn,\n"
    )
    result = await imported(bench, csv=table)
    assert (result["stored"], result["refused"], result["created"]) == (False, 3, 1)
    assert [row["reason"] for row in result["rows"]] == [
        "version is 7, but the profile is at 1; export it again",
        "customer C-9 is not known; send its master data first",
        None,
        "stands in the table twice; once would be right",
    ]
    assert (await exported(bench, "csv")).count(b"\n") == 2
    wrong = await imported(bench, 422, csv="name\nx\n")
    assert wrong["errors"][0]["field"] == "table"
