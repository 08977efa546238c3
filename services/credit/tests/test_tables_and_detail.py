"""Master data and rules by event, HTTP and table; what occupies, by stage and down to lines."""

from base64 import b64encode
from typing import Any
from uuid import uuid4

import pytest
from chassis.sheets import read_table
from contracts.master_data_changed import MasterDataChanged, Reference
from contracts.money import Money
from credit.domain.rule_rows import RuleRowRefused, read_rule_row

from .test_documents_stack import ordered, posted, upstream

WHY = {"reason": "the test says so"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rule_id": "standard"}, "preset rule"),
        ({"document_type": "planet"}, "document_type is 'planet'"),
        ({"control_point": "later"}, "one of submit, audit"),
        ({"credit-limit": "shout"}, "credit-limit is 'shout'"),
        ({"grace_days": "-1"}, "0 to 365"),
        ({"occupies": "perhaps"}, "one of yes, no"),
    ],
)
def test_rows_of_rules_say_what_would_be_right(changes: dict[str, str], message: str) -> None:
    cells = {"rule_id": "own", "name": "Own", "document_type": "outbound"}
    assert read_rule_row(cells).control_point == "audit"
    with pytest.raises(RuleRowRefused) as refused:
        read_rule_row(cells | changes)
    assert message in str(refused.value)


async def send(bench: Any, method: str, path: str, body: Any, status: int = 200) -> Any:
    async with bench.client({"credit-manager"}) as client:
        answer = await client.request(method, path, json=body, headers={"Idempotency-Key": str(uuid4())})
    assert answer.status_code == status, answer.text
    return answer.json()


async def get(bench: Any, path: str) -> Any:
    async with bench.client({"auditor"}) as client:
        answer = await client.get(path)
    assert answer.status_code == 200, answer.text
    return answer.json() if answer.headers["content-type"] == "application/json" else answer.content


@pytest.mark.stack
async def test_references_come_by_event_and_over_http_and_the_highest_version_wins(
    bench: Any, make: Any
) -> None:
    def material(version: int, name: str) -> MasterDataChanged:
        record = Reference(kind="material", name=name, parent="MG-1")
        return MasterDataChanged(id="M-1", version=version, changed_at=make.now, record=record)

    await bench.play(material(2, "Sheet"), material(1, "old"))
    [known] = (await get(bench, "/references/material?parent=MG-1"))["items"]
    assert (known["id"], known["name"], known["version"], known["parent"]) == ("M-1", "Sheet", 2, "MG-1")
    for kind in ("material-group", "customer-group", "salesperson", "sales-group", "sales-department"):
        done = await send(bench, "PUT", f"/references/{kind}/X-1", {"name": f"A {kind}"})
        assert (done["kind"], done["version"]) == (kind, 1)
    await send(bench, "PUT", "/references/material/M-1", {"name": "Other", "version": 2}, 409)
    await bench.play(material(2, "another"))
    assert await bench.dead_letters() == ["version-conflict"]


@pytest.mark.stack
async def test_a_table_of_master_data_is_taken_whole_or_not_at_all(bench: Any, make: Any) -> None:
    csv = (
        "kind,id,name,parent,organisation_type,time_zone,credit_managed\n"
        "organisation,LEG-1,East,,legal,Asia/Shanghai,\n"
        "customer,G-1,Group,,,,\n"
        "customer,C-9,Huaxin,G-1,,,no\n"
        "salesperson,S-1,Lin,SG-1,,,\n"
    )
    preview = await send(bench, "POST", "/master-data-imports", {"csv": csv, "preview": True, **WHY})
    assert (preview["stored"], [row["outcome"] for row in preview["rows"]]) == (False, ["created"] * 4)
    wrong = await send(bench, "POST", "/master-data-imports", {"csv": csv + "planet,P-1,Mars,,,,\n", **WHY})
    assert (wrong["stored"], wrong["rows"][-1]["outcome"]) == (False, "refused")
    assert await bench.rows("select * from customer") == []
    done = await send(bench, "POST", "/master-data-imports", {"csv": csv, **WHY})
    assert done["stored"]
    customer = await get(bench, "/customers/C-9")
    assert (customer["customer_group"], customer["credit_managed"]) == ("G-1", False)
    assert (await get(bench, "/organisations/LEG-1"))["time_zone"] == "Asia/Shanghai"
    again = await send(bench, "POST", "/master-data-imports", {"csv": csv, **WHY})
    assert [row["outcome"] for row in again["rows"]] == ["same"] * 4


@pytest.mark.stack
async def test_rules_go_out_as_a_table_and_come_back_changed(bench: Any) -> None:
    csv = (
        "rule_id,name,document_type,occupies,credit-limit,amount_formula,grace_days,custom_formula\n"
        "own,Own,sales-order,yes,warn,,3,used >= 0\n"
        "own,Own,custom,no,,amount / 2,3,used >= 0\n"
    )
    done = await send(bench, "POST", "/check-rule-imports", {"csv": csv, **WHY})
    assert (done["stored"], done["rules"][0]["outcome"]) == (True, "created")
    rule = await get(bench, "/check-rules/own")
    assert (rule["grace_days"], rule["custom_formula"], len(rule["types"])) == (3, "used >= 0", 2)
    sheet = await get(bench, "/check-rule-table?format=xlsx")
    same = await send(
        bench, "POST", "/check-rule-imports", {"xlsx": b64encode(sheet).decode(), "preview": True, **WHY}
    )
    assert [row["outcome"] for row in same["rules"]] == ["same"]
    bad = csv.replace("amount / 2", "amount / nothing")
    refused = await send(bench, "POST", "/check-rule-imports", {"csv": bad, **WHY})
    assert (refused["stored"], refused["rules"][0]["outcome"]) == (False, "refused")
    assert "nothing is no field" in refused["rules"][0]["reason"]
    assert (await get(bench, "/check-rules/own"))["version"] == 1


@pytest.mark.stack
async def test_what_occupies_is_told_by_stage_and_by_line(bench: Any, make: Any) -> None:
    """Order 100 of which 40 is delivered and invoiced and 25 is paid: 60 and 15."""
    await bench.managed_customer(make, limit=None)
    await ordered(bench, make, 10_000, "100")
    await bench.play(
        posted(make, "outbound D", 4_000, upstream("sales-order O-1"), quantity="40"),
        posted(make, "receivable R", 4_000, upstream("outbound D"), quantity="40"),
        posted(make, "receipt P", 2_500, upstream("receivable R", amount=2_500)),
    )
    stages = (await get(bench, "/used-by-stage?object_id=C-1"))["items"]
    assert {row["stage"]: row["amount"]["amount"] for row in stages if row["amount"]["amount"] != "0.00"} == {
        "receivable": "15.00",
        "sales-order": "60.00",
    }
    only_one = (await get(bench, "/used-by-stage?stage=receivable"))["items"]
    assert [row["documents"] for row in only_one] == [1]
    profile_id = stages[0]["profile_id"]
    detail = (await get(bench, f"/profiles/{profile_id}/lines"))["items"]
    told = {
        row["document_id"]: [(line["line_id"], line["amount"]["amount"]) for line in row["lines"]]
        for row in detail
    }
    assert told == {"R": [("1", "15.00")], "O-1": [("1", "60.00")]}
    headings = ("document_id", "line_id", "amount", "stage")
    others = ("document_type", "source", "material", "currency", "due_date")
    table = read_table(await get(bench, f"/profiles/{profile_id}/lines/file"), headings, others, rows_max=10)
    assert [(row.cells["document_id"], row.cells["amount"]) for row in table] == [
        ("R", "15.00"),
        ("O-1", "60.00"),
    ]
    file = await get(bench, "/used-by-stage/file?stage=receivable")
    assert Money.of(1_500, "CNY").amount in file.decode()
    missing = str(uuid4())
    async with bench.client({"auditor"}) as client:
        assert (await client.get(f"/profiles/{missing}/lines")).status_code == 404
