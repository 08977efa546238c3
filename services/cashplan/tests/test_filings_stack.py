"""Rounds, filings, roll-up and adjustments over HTTP, on a real PostgreSQL."""

from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any

import openpyxl
import pytest
from chassis.testing import only

from contracts import PlanDue, TaskChanged

pytestmark = pytest.mark.stack

WEEK = "2026-11-W46"
APPROVED_ALONE = {"roll_up": False, "roll_up_nodes": []}


def alone(types: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**each, **APPROVED_ALONE} for each in types]


async def test_a_filing_goes_from_draft_to_effective(group: Any) -> None:
    await group.set_up(filing_types=alone)
    round_ = await group.open_round()
    assert [column["period"] for column in round_["columns"]][:2] == ["2026-11-W44", "2026-11-W45"]
    filing = round_["filings"]["A"]
    saved = await group.fill(filing, {("wages", WEEK): "100.00", ("sales", WEEK): "90.00"})
    assert [broken["rule"] for broken in saved["broken"]] == ["inflow-covers-outflow"]
    submitted = await group.ask("paul-a", "POST", f"/filings/{filing}/submit")
    assert submitted["state"] == "submitted"
    assert submitted["warnings"] == ["Receipts do not cover payments (2026-11 CNY)"]
    refused = await group.ask("paul-a", "POST", f"/filings/{filing}/approve", expect=403)
    assert refused["type"].endswith("not-the-approver")
    approved = await group.ask("max", "POST", f"/filings/{filing}/approve")
    assert approved["state"] == "effective"
    rows = await group.harness.rows(
        "select item, period, effective_minor, is_binding from plan_cell where effective_minor <> 0 order by 1"
    )
    assert [(row["item"], row["period"], row["effective_minor"]) for row in rows] == [
        ("sales", WEEK, 90_00),
        ("wages", WEEK, 100_00),
    ]
    assert await group.findings() == []
    steps = await group.ask("max", "GET", f"/filings/{filing}/steps")
    assert [step["action"] for step in steps] == ["submitted", "approved", "effective"]


async def test_tasks_follow_a_filing(group: Any) -> None:
    await group.set_up(filing_types=alone)
    round_ = await group.open_round()
    filing = round_["filings"]["A"]
    assert [todo["kind"] for todo in (await group.ask("paul-a", "GET", "/to-dos"))["items"]] == [
        "fill-in-filing"
    ]
    await group.fill(filing, {("sales", WEEK): "1.00"})
    await group.ask("paul-a", "POST", f"/filings/{filing}/submit")
    assert (await group.ask("paul-a", "GET", "/to-dos"))["items"] == []
    assert [todo["kind"] for todo in (await group.ask("max", "GET", "/to-dos"))["items"]] == [
        "approve-filing"
    ]
    await group.ask("max", "POST", f"/filings/{filing}/send-back", {"reason": "too little"})
    (todo,) = (await group.ask("paul-a", "GET", "/to-dos"))["items"]
    assert (todo["kind"], todo["message"]) == ("revise-filing", "too little")
    told = [event for event in only(group.emitted, TaskChanged) if event.document_id == filing]
    assert [(event.kind, event.state) for event in told] == [
        ("fill-in-filing", "opened"),
        ("fill-in-filing", "done"),
        ("approve-filing", "opened"),
        ("approve-filing", "withdrawn"),
        ("revise-filing", "opened"),
    ]


async def test_plan_due_before_and_after_the_cut_off(group: Any) -> None:
    await group.set_up(filing_types=alone)
    round_ = await group.open_round()
    cut_off = datetime(2026, 10, 28, 10, tzinfo=UTC)
    before = only(await group.harness.fire_timers(cut_off - timedelta(days=2)), PlanDue)
    assert {(event.entity, event.kind, event.reminder_number) for event in before} == {
        (entity, "before-cut-off", 1) for entity in "ABC"
    }
    alpha = next(event for event in before if event.entity == "A")
    assert [person.id for person in alpha.addressees] == ["paul-a"]
    await group.fill(round_["filings"]["B"], {("sales", WEEK): "1.00"})
    await group.ask("paul-b", "POST", f"/filings/{round_['filings']['B']}/submit")
    assert [event.kind for event in only(group.emitted, PlanDue)] == ["settled"]
    after = only(await group.harness.fire_timers(cut_off), PlanDue)
    assert {(event.entity, event.kind) for event in after} == {("A", "after-cut-off"), ("C", "after-cut-off")}


async def test_after_the_cut_off_a_submit_says_when_it_was_and_who_may_extend(group: Any) -> None:
    await group.set_up(filing_types=alone)
    round_ = await group.open_round()
    filing = round_["filings"]["A"]
    await group.fill(filing, {("sales", WEEK): "1.00"})
    group.harness.now = datetime(2026, 10, 28, 11, tzinfo=UTC)
    refused = await group.ask("paul-a", "POST", f"/filings/{filing}/submit", expect=409)
    assert refused["type"].endswith("cut-off-passed")
    assert "2026-10-28T10:00:00+00:00" in refused["detail"]
    assert "max" in refused["detail"]
    body = {"until": "2026-10-29T10:00:00Z", "reason": "late invoices"}
    await group.ask("max", "POST", f"/filings/{filing}/extend", body)
    assert (await group.ask("paul-a", "POST", f"/filings/{filing}/submit"))["state"] == "submitted"
    other = round_["filings"]["C"]
    await group.ask("paul-c", "POST", f"/filings/{other}/submit", expect=409)


async def test_wrong_cells_are_named_and_nothing_is_taken(group: Any) -> None:
    await group.set_up()
    round_ = await group.open_round()
    filing = round_["filings"]["A"]
    cells = [
        {"sheet": "main", "item": "wages", "period": WEEK, "currency": "CNY", "amount": "-1.00"},
        {"sheet": "main", "item": "payments", "period": WEEK, "currency": "CNY", "amount": "1.00"},
        {"sheet": "main", "item": "purchases", "period": WEEK, "currency": "CNY", "amount": "1.00"},
        {"sheet": "main", "item": "wages", "period": "2027-01", "currency": "CNY", "amount": "1.00"},
        {"sheet": "main", "item": "taxes", "period": WEEK, "currency": "CNY", "amount": "5.00"},
    ]
    refused = await group.ask(
        "paul-a", "PATCH", f"/filings/{filing}/grid", {"version": 1, "cells": cells}, expect=422
    )
    found = [(error["field"], error["message"].rsplit("(", 1)[1]) for error in refused["errors"]]
    assert found == [
        (f"main: wages {WEEK} CNY", "negative-amount)"),
        (f"main: payments {WEEK} CNY", "read-only-cell)"),
        (f"main: purchases {WEEK} CNY", "read-only-cell)"),
        ("main: wages 2027-01 CNY", "unknown-cell)"),
    ]
    grid = await group.ask("paul-a", "GET", f"/filings/{filing}/grid")
    assert all(cell["amount"] in (None, "0.00") for cell in grid["sheets"][0]["cells"])


async def test_linked_cells_are_the_sum_of_their_sheets_and_count_once(group: Any) -> None:
    await group.set_up(filing_types=alone)
    round_ = await group.open_round()
    filing = round_["filings"]["A"]
    rows = [
        {"row": "1", "period": WEEK, "amount": "70.00", "fields": {"contract-number": "C1"}},
        {"row": "2", "period": WEEK, "amount": "30.00", "fields": {"contract-number": "C2"}},
    ]
    cells = {("wages", WEEK): "10.00", ("sales", WEEK): "500.00"}
    await group.fill(filing, cells, {"contracts": rows})
    expenses = {"sheet": "expenses", "item": "expenses", "period": WEEK, "currency": "CNY", "amount": "5.00"}
    sub = [{**expenses, "members": {"settlement": method}} for method in ("transfer", "card")]
    await group.ask("paul-a", "PATCH", f"/filings/{filing}/grid", {"version": 1, "cells": sub})
    grid = await group.ask("paul-a", "GET", f"/filings/{filing}/grid")
    shown = {cell["item"]: cell for cell in grid["sheets"][0]["cells"] if cell["period"] == WEEK}
    amounts = {item: cell["amount"] for item, cell in shown.items()}
    assert amounts["purchases"] == "100.00"
    assert amounts["expenses"] == "10.00"
    assert amounts["payments"] == "120.00"
    assert amounts["net"] == "380.00"
    assert shown["purchases"]["source"] == "linked"
    await group.ask("paul-a", "POST", f"/filings/{filing}/submit")
    await group.ask("max", "POST", f"/filings/{filing}/approve")
    found = await group.harness.rows(
        "select item, members, fields, effective_minor from plan_cell where effective_minor <> 0 order by 1, 2, 3"
    )
    assert [(row["item"], row["members"], row["fields"], row["effective_minor"]) for row in found] == [
        ("expenses", "settlement=card", "", 5_00),
        ("expenses", "settlement=transfer", "", 5_00),
        ("purchases", "", "", 100_00),
        ("purchases", "", "contract-number=C1", 70_00),
        ("purchases", "", "contract-number=C2", 30_00),
        ("sales", "", "", 500_00),
        ("wages", "", "", 10_00),
    ]


async def test_versions_are_kept_and_their_differences_told(group: Any) -> None:
    await group.set_up()
    round_ = await group.open_round()
    filing = round_["filings"]["A"]
    await group.fill(filing, {("wages", WEEK): "10.00", ("sales", WEEK): "50.00"})
    await group.ask("paul-a", "POST", f"/filings/{filing}/submit")
    await group.ask("max", "POST", f"/filings/{filing}/send-back", {"reason": "more"})
    await group.fill(filing, {("wages", WEEK): "12.00"})
    versions = await group.ask("max", "GET", f"/filings/{filing}/versions")
    assert [(each["version"], each["is_submitted"]) for each in versions] == [(1, True), (2, False)]
    changed = await group.ask("max", "GET", f"/filings/{filing}/differences?before=1&after=2")
    assert [(each["item"], each["before"], each["after"]) for each in changed] == [
        ("net", "40.00", "38.00"),
        ("payments", "10.00", "12.00"),
        ("wages", "10.00", "12.00"),
    ]


async def test_the_last_rounds_figures_are_shown_for_reference(group: Any) -> None:
    await group.set_up("weekly-rolling")
    group.filing_type = "week-plan"
    first = await group.open_round("2026-11-02")
    filing = first["filings"]["A"]
    await group.file(filing, {("sales", "2026-W46"): "7.00", ("sales", "2027-W04"): "9.00"})
    second = await group.open_round("2026-11-09")
    grid = await group.ask("paul-a", "GET", f"/filings/{second['filings']['A']}/grid")
    shown = {
        cell["period"]: cell["reference"]
        for cell in grid["sheets"][0]["cells"]
        if cell["item"] == "sales" and cell["reference"]
    }
    assert shown == {"2026-W46": "7.00", "2027-W04": "9.00", "2027-W05": "9.00"}
    cells = await group.harness.rows(
        "select period, is_binding from plan_cell where effective_minor <> 0 order by 1"
    )
    assert [(row["period"], row["is_binding"]) for row in cells] == [("2026-W46", False), ("2027-W04", False)]


def internal(item: str, other: str, amount: str) -> dict[str, Any]:
    return {
        "row": f"{item}-{other}",
        "item": item,
        "period": WEEK,
        "amount": amount,
        "fields": {"counterparty": other},
    }


def with_division(types: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**each, "roll_up_nodes": ["G", "D"]} for each in types]


async def roll_up(group: Any) -> tuple[dict[str, Any], str]:
    await group.set_up(filing_types=with_division)
    round_ = await group.open_round()
    filings = round_["filings"]
    inner = [internal("internal-payments", "B", "100.00")]
    await group.file(filings["A"], {("wages", WEEK): "60.00", ("sales", WEEK): "500.00"}, {"internal": inner})
    inner = [internal("internal-receipts", "A", "80.00"), internal("internal-payments", "C", "5.00")]
    await group.file(filings["B"], {("wages", WEEK): "40.00", ("sales", WEEK): "500.00"}, {"internal": inner})
    return round_, group.path(f"rounds/{round_['round_id']}/roll-ups")


async def test_a_roll_up_sums_lists_who_is_missing_and_eliminates_pair_by_pair(group: Any) -> None:
    round_, path = await roll_up(group)
    assert [each["node"] for each in await group.ask("max", "GET", path)] == ["D", "G"]
    assert await group.ask("paul-a", "GET", path) == []
    top = await group.ask("max", "GET", f"{path}/G")
    assert top["missing"] == ["C"]
    assert [(line["kind"], line["id"], line["state"]) for line in top["lines"]] == [
        ("entity", "C", "draft"),
        ("node", "D", "draft"),
    ]
    pairs = await group.ask("max", "POST", f"{path}/D/eliminate")
    (pair,) = [each for each in pairs if each["node"] == "D"]
    assert (pair["eliminated"], pair["unmatched_out"], pair["unmatched_in"]) == ("80.00", "20.00", "0.00")
    again = await group.ask("max", "POST", f"{path}/D/eliminate")
    assert again == pairs
    figures = (await group.ask("max", "GET", f"{path}/D"))["net"]
    net = {figure["item"]: figure["amount"] for figure in figures if figure["period"] == WEEK}
    assert (net["internal-payments"], net["internal-receipts"], net["wages"]) == ("25.00", "0.00", "100.00")
    own = await group.ask(
        "max", "GET", group.path(f"rounds/{round_['round_id']}/eliminations?party=A&unmatched=true")
    )
    assert [(each["payer"], each["receiver"], each["unmatched_out"]) for each in own] == [("A", "B", "20.00")]
    assert await group.findings() == []


async def test_approved_amounts_become_effective_and_what_was_filed_is_kept(group: Any) -> None:
    _, path = await roll_up(group)
    cut = {"kind": "node", "line": "D", "item": "wages", "period": WEEK, "currency": "CNY", "amount": "90.00"}
    await group.ask("max", "POST", f"{path}/G/amounts", {"amounts": [cut]})
    refused = await group.ask("max", "POST", f"{path}/D/submit", expect=409)
    assert "distribute the difference" in refused["detail"]
    own = {
        "kind": "entity",
        "line": "A",
        "item": "wages",
        "period": WEEK,
        "currency": "CNY",
        "amount": "50.00",
    }
    await group.ask("max", "POST", f"{path}/D/amounts", {"amounts": [own]})
    open_ = await group.ask("max", "POST", f"{path}/G/submit", expect=409)
    assert "not approved yet" in open_["detail"]
    await group.ask("max", "POST", f"{path}/D/submit")
    assert (await group.ask("ada", "POST", f"{path}/D/approve"))["state"] == "approved"
    assert await group.harness.rows("select 1 from plan_cell where effective_minor <> 0") == []
    await group.ask("max", "POST", f"{path}/G/submit")
    assert (await group.ask("ada", "POST", f"{path}/G/approve"))["state"] == "effective"
    rows = await group.harness.rows(
        "select entity, filed_minor, effective_minor from plan_cell where item = 'wages' and filed_minor > 0 order by 1"
    )
    assert [(row["entity"], row["filed_minor"], row["effective_minor"]) for row in rows] == [
        ("A", 60_00, 50_00),
        ("B", 40_00, 40_00),
    ]
    assert await group.findings() == []


async def test_a_roll_up_has_a_template_of_its_own(group: Any) -> None:
    _, path = await roll_up(group)
    rows = [
        {"id": name, "members": {"item": name}} for name in ("receipts", "sales", "payments", "wages", "net")
    ]
    template = {
        "id": "group-view",
        "name": "Group view",
        "filing_type": "month-plan",
        "use": "roll-up",
        "sheets": [{"id": "main", "name": "Group", "type": "main", "rows": rows}],
    }
    await group.ask("max", "GET", f"{path}/D/sheet", expect=404)
    templates = await group.ask("ada", "GET", group.path("templates"))
    await group.ask("ada", "PUT", group.path("templates"), [*templates, template])
    cells = await group.ask("max", "GET", f"{path}/D/sheet")
    shown = {cell["row"]: cell["amount"] for cell in cells if cell["column"].endswith(WEEK)}
    assert shown == {
        "receipts": "1000.00",
        "sales": "1000.00",
        "payments": "100.00",
        "wages": "100.00",
        "net": "900.00",
    }


async def test_statistics_go_with_a_roll_up(group: Any) -> None:
    _, path = await roll_up(group)
    (table,) = await group.ask("max", "GET", f"{path}/D/statistics")
    totals = {row["members"][0]: row["total"]["effective"] for row in table["rows"]}
    assert totals["wages"] == 100_00


async def test_an_adjustment_changes_what_is_effective_and_the_roll_up_is_marked(
    group: Any, post: Any
) -> None:
    _, path = await roll_up(group)
    for node in "DG":
        await group.ask("max", "POST", f"{path}/{node}/submit")
        await group.ask("ada", "POST", f"{path}/{node}/approve")
    week = datetime(2026, 11, 10).date()
    await group.harness.play(post("payment-request", "PR-1", "55.00", week))
    body = {
        "filing_type": "month-plan",
        "entity": "A",
        "kind": "down",
        "reason": "fewer people",
        "lines": [{"item": "wages", "period": WEEK, "currency": "CNY", "change": "-10.00"}],
    }
    refused = await group.ask("paul-a", "POST", group.path("adjustments"), body, expect=422)
    assert "5500 are pre-occupied" in refused["errors"][0]["message"]
    body["lines"][0]["change"] = "-5.00"  # type: ignore[index]
    made = await group.ask("paul-a", "POST", group.path("adjustments"), body)
    await group.ask("paul-a", "POST", f"/adjustments/{made['adjustment_id']}/approve", expect=403)
    done = await group.ask("max", "POST", f"/adjustments/{made['adjustment_id']}/approve")
    assert done["state"] == "effective"
    (cell,) = await group.harness.rows(
        "select filed_minor, effective_minor, adjusted_minor from plan_cell where item = 'wages' and entity = 'A' "
        "and effective_minor > 0"
    )
    assert cell == {"filed_minor": 60_00, "effective_minor": 55_00, "adjusted_minor": -5_00}
    top = await group.ask("max", "GET", f"{path}/G")
    assert top["is_adjusted"]
    assert [(each["item"], each["amount"]) for each in top["adjusted_since"]] == [("wages", "-5.00")]


@pytest.mark.parametrize(
    ("kind", "change", "says"),
    [
        (
            "entities",
            lambda parts: [{**each, "parent": "A"} if each["id"] == "D" else each for each in parts],
            "circle",
        ),
        (
            "items",
            lambda parts: [
                {**each, "source": "formula", "formula": 'item["net"]'} if each["id"] == "taxes" else each
                for each in parts
            ],
            "circle",
        ),
        ("check-rules", lambda parts: [{**parts[0], "formula": 'item["wage"] > 1'}], "is no plan item"),
        ("check-rules", lambda parts: [{**parts[0], "formula": 'item["wages"] +'}], "no expression"),
        ("policies", lambda parts: [{**parts[0], "item": "wage"}], "is not a plan item"),
        ("templates", lambda parts: [{**parts[0], "filing_type": "year-plan"}], "is not a filing type"),
    ],
)
async def test_what_cannot_be_is_refused_when_it_is_saved(
    group: Any, kind: str, change: Any, says: str
) -> None:
    await group.set_up()
    parts = change(await group.ask("ada", "GET", group.path(kind)))
    refused = await group.ask("ada", "PUT", group.path(kind), parts, expect=422)
    assert says in str(refused["errors"])


async def test_a_rule_that_can_never_hold_is_warned_of(group: Any) -> None:
    await group.set_up()
    rules = await group.ask("ada", "GET", group.path("check-rules"))
    saved = await group.ask(
        "ada", "PUT", group.path("check-rules"), [{**rules[0], "formula": 'item["wages"] < 0'}]
    )
    assert saved["warnings"] == [
        "check rule purchases-within-payments was never true in 200 tries; can it ever hold?"
    ]


async def test_other_peoples_plans_are_not_found(group: Any) -> None:
    await group.set_up()
    round_ = await group.open_round()
    filing = round_["filings"]["A"]
    await group.ask("paul-b", "GET", f"/filings/{filing}/grid", expect=404)
    await group.ask("paul-b", "PATCH", f"/filings/{filing}/grid", {"version": 1}, expect=404)
    await group.ask("paul-a", "POST", f"/filings/{filing}/send-back", {"reason": "x"}, expect=403)
    lines = (await group.ask("paul-b", "GET", group.path(f"rounds/{round_['round_id']}/progress")))["lines"]
    assert [line["entity"] for line in lines] == ["B"]
    await group.ask("paul-a", "PUT", group.path("entities"), [], expect=403)


async def test_weeks_together_stay_within_their_month(group: Any) -> None:
    week = {
        "id": "week-plan",
        "name": "Week plan",
        "period_kind": "week",
        "filing_steps": [{"role": "node-manager"}],
    }
    await group.set_up(filing_types=lambda types: [*alone(types), week])
    templates = await group.ask("ada", "GET", group.path("templates"))
    weekly = {**templates[0], "id": "weekly", "filing_type": "week-plan"}
    await group.ask("ada", "PUT", group.path("templates"), [*templates, weekly])
    rules = await group.ask("ada", "GET", group.path("check-rules"))
    rule = {
        **rules[0],
        "id": "within-the-month",
        "filing_type": "week-plan",
        "other_filing_type": "month-plan",
        "per": "head",
        "formula": 'total["wages"] + within["wages"] <= other["wages"]',
        "message": "The weeks plan more wages than the month",
    }
    await group.ask("ada", "PUT", group.path("check-rules"), [*rules, rule])
    month = await group.open_round()
    await group.file(month["filings"]["A"], {("wages", WEEK): "100.00", ("sales", WEEK): "500.00"})
    group.filing_type = "week-plan"
    first = await group.open_round("2026-11-02")
    await group.file(first["filings"]["A"], {("wages", "2026-W45"): "60.00", ("sales", "2026-W45"): "500.00"})
    second = await group.open_round("2026-11-09")
    filing = second["filings"]["A"]
    await group.fill(filing, {("wages", "2026-W46"): "41.00", ("sales", "2026-W46"): "500.00"})
    refused = await group.ask("paul-a", "POST", f"/filings/{filing}/submit", expect=409)
    assert refused["errors"] == [
        {"field": "within-the-month 2026-W46 CNY", "message": "The weeks plan more wages than the month"}
    ]
    await group.fill(filing, {("wages", "2026-W46"): "40.00"})
    assert (await group.ask("paul-a", "POST", f"/filings/{filing}/submit"))["state"] == "submitted"


async def test_an_annual_budget_caps_the_plans_of_a_year(group: Any) -> None:
    cap = {"entity": "A", "item": "payments", "year": 2026, "amount": {"amount": "100.00", "currency": "CNY"}}
    await group.set_up(filing_types=alone, caps=lambda _: [cap])
    october = await group.open_round("2026-10-01")
    await group.file(
        october["filings"]["A"], {("wages", "2026-10-W42"): "70.00", ("sales", "2026-10-W42"): "500.00"}
    )
    november = await group.open_round()
    filing = november["filings"]["A"]
    await group.fill(filing, {("taxes", WEEK): "31.00", ("sales", WEEK): "500.00"})
    refused = await group.ask("paul-a", "POST", f"/filings/{filing}/submit", expect=409)
    assert "the annual budget is 10000" in refused["errors"][0]["message"]
    await group.fill(filing, {("taxes", WEEK): "30.00"})
    await group.ask("paul-a", "POST", f"/filings/{filing}/submit")


async def test_trees_come_from_a_table_and_wrong_rows_are_named(group: Any) -> None:
    await group.set_up()
    good = "id,name,parent,direction\nall,All,,out\nwages,Wages,all,out\n"
    wrong = "id,name,parent,direction\nall,All,,sideways\n"
    path = group.path("items/import")
    refused = await group.ask("ada", "POST", path, expect=422, files={"file": ("items.csv", wrong)})
    assert refused["errors"][0]["field"] == "row 2 direction"
    refused = await group.ask("ada", "POST", path, expect=422, files={"file": ("items.csv", good)})
    assert "is not a plan item" in str(refused["errors"])
    entities = "id,name,parent\nG,Group,\nA,Alpha,G\nB,Beta,G\nC,Gamma,G\nD,Division,G\n"
    await group.ask("ada", "POST", group.path("entities/import"), files={"file": ("entities.csv", entities)})
    found = await group.ask("ada", "GET", group.path("entities"))
    assert [(each["id"], each["parent"]) for each in found][:2] == [("G", None), ("A", "G")]


async def test_an_item_is_fetched_from_documents(group: Any, post: Any) -> None:
    """Actual wages of this month, read-only beside what is planned."""
    rule = {"id": "paid", "source": "documents", "measure": "actual", "where": {"item": ["wages"]}}
    item = {"id": "paid-wages", "name": "Wages paid", "source": "fetched", "fetch_rule": "paid"}
    await group.set_up(filing_types=alone, fetch_rules=lambda _: [rule], items=lambda items: [*items, item])
    templates = await group.ask("ada", "GET", group.path("templates"))
    templates[0]["sheets"][0]["rows"].append({"id": "paid-wages", "members": {"item": "paid-wages"}})
    await group.ask("ada", "PUT", group.path("templates"), templates)
    await group.harness.play(post("payment", "P1", "33.00", datetime(2026, 11, 10).date()))
    round_ = await group.open_round()
    filing = round_["filings"]["A"]
    await group.ask("paul-a", "POST", f"/filings/{filing}/refresh")
    grid = await group.ask("paul-a", "GET", f"/filings/{filing}/grid")
    (cell,) = [
        cell for cell in grid["sheets"][0]["cells"] if cell["item"] == "paid-wages" and cell["period"] == WEEK
    ]
    assert (cell["source"], cell["amount"]) == ("fetched", "33.00")


async def test_progress_reminders_and_extensions_are_seen_and_recorded(group: Any) -> None:
    await group.set_up(filing_types=alone)
    round_ = await group.open_round()
    path = group.path(f"rounds/{round_['round_id']}/progress")
    filing = round_["filings"]["A"]
    await group.file(round_["filings"]["B"], {("sales", WEEK): "1.00"})
    lines = {line["entity"]: line["state"] for line in (await group.ask("max", "GET", path))["lines"]}
    assert lines == {"A": "draft", "B": "effective", "C": "draft"}
    own = (await group.ask("paul-a", "GET", path))["lines"]
    assert [line["entity"] for line in own] == ["A"]
    group.emitted.clear()
    await group.ask("paul-a", "POST", f"/filings/{filing}/remind", {}, expect=403)
    await group.ask("max", "POST", f"/filings/{filing}/remind", {"message": "please"})
    (asked,) = only(group.emitted, PlanDue)
    assert (asked.kind, [person.id for person in asked.addressees]) == ("asked", ["paul-a"])
    until = {"until": "2026-10-29T10:00:00Z", "reason": "late invoices"}
    await group.ask("max", "POST", f"/filings/{filing}/extend", until)
    steps = await group.ask("max", "GET", f"/filings/{filing}/steps")
    assert [(step["action"], step["subject"]) for step in steps] == [("reminded", "max"), ("extended", "max")]
    group.harness.now = datetime(2026, 10, 28, 11, tzinfo=UTC)
    late = {line["entity"]: line["is_overdue"] for line in (await group.ask("max", "GET", path))["lines"]}
    assert late == {"A": False, "B": False, "C": True}


async def test_an_overdue_filing_is_a_to_do_of_its_preparer(group: Any) -> None:
    await group.set_up(filing_types=alone)
    await group.open_round()
    cut_off = datetime(2026, 10, 28, 10, tzinfo=UTC)
    await group.harness.fire_timers(cut_off - timedelta(days=2))
    await group.harness.fire_timers(cut_off)
    group.harness.now = cut_off + timedelta(hours=1)
    todos = (await group.ask("paul-a", "GET", "/to-dos"))["items"]
    assert ("overdue-filing", True) in [(todo["kind"], todo["is_overdue"]) for todo in todos]
    assert (await group.ask("max", "GET", "/to-dos"))["items"] == []


async def test_people_keep_their_own_shortcuts(group: Any) -> None:
    mine = [{"title": "Plan", "path": "/planning-systems/GROUP"}, {"title": "Pool", "path": "/pool-items"}]
    await group.ask("paul-a", "PUT", "/shortcuts", mine)
    assert await group.ask("paul-a", "GET", "/shortcuts") == mine
    await group.ask("paul-a", "PUT", "/shortcuts", mine[1:])
    assert await group.ask("paul-a", "GET", "/shortcuts") == mine[1:]
    assert await group.ask("paul-b", "GET", "/shortcuts") == []
    outside = [{"title": "Elsewhere", "path": "https://example.org"}]
    await group.ask("paul-a", "PUT", "/shortcuts", outside, expect=422)


def with_own_fields(fields: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        *[{**each, "visible": each["id"] != "bank-account"} for each in fields],
        {"id": "urgency", "name": "Urgency", "type": "choice", "choices": ["high", "low"], "custom": True},
        {"id": "buyer", "name": "Buyer", "required": True, "custom": True},
    ]


def with_columns(templates: list[dict[str, Any]]) -> list[dict[str, Any]]:
    for sheet in templates[0]["sheets"]:
        if sheet["id"] == "contracts":
            sheet["fields"] += ["urgency", "buyer"]
    return templates


async def test_detail_fields_are_required_chosen_from_and_hidden(group: Any) -> None:
    await group.set_up(filing_types=alone, detail_fields=with_own_fields, templates=with_columns)
    unseen = await group.ask("ada", "GET", group.path("detail-fields"))
    unseen = [{**each, "required": True} if each["id"] == "bank-account" else each for each in unseen]
    refused = await group.ask("ada", "PUT", group.path("detail-fields"), unseen, expect=422)
    assert "people must see it" in str(refused["errors"])
    filing = (await group.open_round())["filings"]["A"]

    def row(**fields: str) -> dict[str, Any]:
        return {"details": {"contracts": [{"row": "1", "period": WEEK, "amount": "7.00", "fields": fields}]}}

    path = f"/filings/{filing}/grid"
    for fields, says in (
        ({"urgency": "high"}, "buyer is required"),
        ({"buyer": "Li", "urgency": "some"}, "must be high, low"),
        ({"buyer": "Li", "payment-date": "tomorrow"}, "must be a date"),
        ({"buyer": "Li", "colour": "red"}, "is not a column"),
    ):
        refused = await group.ask("paul-a", "PATCH", path, {"version": 1, **row(**fields)}, expect=422)
        assert says in str(refused["errors"])
    await group.ask("paul-a", "PATCH", path, {"version": 1, **row(buyer="Li", **{"bank-account": "B1"})})
    await group.ask("paul-a", "PATCH", path, {"version": 1, **row(buyer="Wu", urgency="low")})
    sheets = (await group.ask("paul-a", "GET", path))["sheets"]
    (shown,) = next(sheet for sheet in sheets if sheet["id"] == "contracts")["details"]
    assert shown["fields"] == {"buyer": "Wu", "urgency": "low"}
    (stored,) = await group.harness.rows(f"select body from filing_version where filing_id = '{filing}'")
    assert b'"bank-account":"B1"' in bytes(stored["body"])


async def test_remarks_stand_beside_their_rows_and_wrong_ones_are_named(group: Any) -> None:
    await group.set_up(filing_types=alone)
    filing = (await group.open_round())["filings"]["A"]
    path = f"/filings/{filing}/grid"

    def remark(**changed: str) -> dict[str, Any]:
        told = {"sheet": "main", "row": "wages", "column": "remark", "text": "bonus", **changed}
        return {"version": 1, "remarks": [told]}

    await group.ask("paul-a", "PATCH", path, remark())
    for changed in ({"row": "bonus"}, {"column": "note"}, {"sheet": "contracts"}):
        refused = await group.ask("paul-a", "PATCH", path, remark(**changed), expect=422)
        assert "unknown-remark" in str(refused["errors"])
    body = await group.ask("paul-a", "GET", f"/filings/{filing}/workbook")
    page: Any = openpyxl.load_workbook(BytesIO(body))["Plan"]
    assert "bonus" in [cell.value for line in page.iter_rows() for cell in line]


async def test_a_template_is_handed_down_and_extended_below(group: Any) -> None:
    """D has a template of its own, A and B below it the same; A adds two rows below wages, which become their sum."""
    await group.set_up(filing_types=alone)
    (template,) = await group.ask("ada", "GET", group.path("templates"))
    own = {**template, "id": "division", "name": "Division", "entities": ["D"]}
    own["sheets"] = [
        {**sheet, "rows": [row for row in sheet["rows"] if row["id"] != "taxes"]}
        if sheet["id"] == "main"
        else sheet
        for sheet in template["sheets"]
    ]
    await group.ask("ada", "PUT", group.path("templates"), [{**template, "entities": ["G"]}, own])
    rows = [
        {"id": f"wages-{name}", "members": {"settlement": name}, "title": name}
        for name in ("transfer", "card")
    ]
    extension = {"template": "division", "sheet": "main", "row": "wages", "entity": "A", "rows": rows}
    await group.ask("ada", "PUT", group.path("extensions"), [extension])
    filings = (await group.open_round())["filings"]
    seen = {}
    for entity in "ABC":
        grid = await group.ask("max", "GET", f"/filings/{filings[entity]}/grid")
        seen[entity] = {row["id"] for row in grid["sheets"][0]["rows"]}
    assert "taxes" not in seen["A"] | seen["B"]
    assert "taxes" in seen["C"]
    assert "wages-card" in seen["A"]
    assert "wages-card" not in seen["B"]
    cells = [
        {
            "sheet": "main",
            "item": "wages",
            "period": WEEK,
            "currency": "CNY",
            "amount": amount,
            "members": {"settlement": name},
        }
        for name, amount in (("transfer", "30.00"), ("card", "12.00"))
    ]
    path = f"/filings/{filings['A']}/grid"
    await group.ask("paul-a", "PATCH", path, {"version": 1, "cells": cells})
    fixed = [{**cells[0], "members": {}}]
    await group.ask("paul-a", "PATCH", path, {"version": 1, "cells": fixed}, expect=422)
    shown = (await group.ask("paul-a", "GET", path))["sheets"][0]["cells"]
    (total,) = [
        cell for cell in shown if (cell["item"], cell["period"], cell["members"]) == ("wages", WEEK, {})
    ]
    assert (total["amount"], total["source"]) == ("42.00", "sum")


async def test_a_division_runs_a_system_of_its_own_beside_the_groups(group: Any) -> None:
    await group.set_up()
    body = {"sample": "weekly-rolling", "responsible_body": "D"}
    await group.ask("ada", "POST", "/planning-systems/DIVISION/from-sample", body)
    roles = [{"subject": "dora", "role": "administrator"}]
    await group.ask("ada", "PUT", "/planning-systems/DIVISION/roles", roles)
    await group.ask("ada", "PUT", "/planning-systems/DIVISION/roles", roles, expect=404)
    listed = await group.ask("ada", "GET", "/planning-systems")
    assert {each["system_id"]: each["name"] for each in listed["items"]}["GROUP"] == "Monthly cash plan"
    await group.ask("dora", "GET", "/planning-systems/DIVISION/items")
    await group.ask("dora", "GET", "/planning-systems/GROUP/items", expect=404)


def in_two_steps(types: list[dict[str, Any]]) -> list[dict[str, Any]]:
    steps = [{"role": "node-manager"}, {"role": "administrator", "subject": "ada"}]
    return [{**each, **APPROVED_ALONE, "filing_steps": steps} for each in types]


async def test_an_approval_flow_goes_step_by_step(group: Any) -> None:
    """First whoever manages the subtree, then Ada; nobody takes the other's step, and the maker takes none."""
    await group.set_up(filing_types=in_two_steps)
    filing = (await group.open_round())["filings"]["A"]
    await group.fill(filing, {("sales", WEEK): "1.00"})
    await group.ask("paul-a", "POST", f"/filings/{filing}/submit")
    await group.ask("ada", "POST", f"/filings/{filing}/approve", expect=403)
    assert (await group.ask("max", "POST", f"/filings/{filing}/approve"))["state"] == "submitted"
    assert [todo["kind"] for todo in (await group.ask("ada", "GET", "/to-dos"))["items"]] == [
        "approve-filing"
    ]
    assert (await group.ask("max", "GET", "/to-dos"))["items"] == []
    await group.ask("max", "POST", f"/filings/{filing}/approve", expect=403)
    assert (await group.ask("ada", "POST", f"/filings/{filing}/approve"))["state"] == "effective"
    assert await group.findings() == []


async def test_who_makes_documents_sees_outcome_and_numbers_only(group: Any, post: Any) -> None:
    await group.set_up(filing_types=alone)
    await group.file((await group.open_round())["filings"]["A"], {("wages", WEEK): "100.00"})
    day = datetime(2026, 11, 10).date()
    await group.harness.play(post("payment-request", "R1", "120.00", day, stance="request"))
    async with group.harness.client(["document-maker"]) as client:
        (check,) = (await client.get("/plan-checks?document_id=R1")).json()["items"]
        (finding,) = check["answer"]["findings"]
        assert (check["outcome"], finding["available"]["amount"], finding["excess"]["amount"]) == (
            "blocked",
            "100.00",
            "20.00",
        )
        assert (await client.get("/plan-checks")).status_code == 403
        assert (await client.get(group.path("items"))).status_code == 403
