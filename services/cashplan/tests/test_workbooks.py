"""The same sheets out and in; wrong cells by sheet and address; files that are dangerous or of another filing."""

import zipfile
from dataclasses import replace
from datetime import date
from io import BytesIO
from typing import Any

import openpyxl
import pytest
from cashplan import evaluation
from cashplan.domain.cells import CellKey
from cashplan.domain.filings import Content
from cashplan.domain.grids import CellTwice, DetailRow, Grid, computed, grid_of
from cashplan.domain.periods import horizon
from cashplan.domain.samples import monthly_with_weeks
from cashplan.domain.systems import Entity, Extension, Item, Line, PlanningSystem
from cashplan.workbooks import Imported, UnreadableWorkbook, exported, imported
from hypothesis import given, settings
from hypothesis import strategies as st

WEEK = "2026-11-W46"
SYSTEM = replace(
    monthly_with_weeks("S", "G"), entities=(Entity(id="G", name="G"), Entity(id="A", name="A", parent="G"))
)


def grid(system: PlanningSystem = SYSTEM) -> Grid:
    scheme = system.filing_types[0].scheme
    return grid_of(
        system,
        system.templates[0],
        horizon(scheme, system.filing_types[0].rolling, scheme.head(date(2026, 11, 2))),
        "A",
    )


def key(item: str, period: str = WEEK, members: str = "") -> CellKey:
    return CellKey(item, period, "CNY", members)


def content(**amounts: int) -> Content:
    return Content(cells={("main", key(item.replace("_", "-"))): minor for item, minor in amounts.items()})


def out(held: Content, system: PlanningSystem = SYSTEM) -> bytes:
    made = grid(system)
    values = computed(system, made, held.cells, held.details, evaluation.amount)
    return exported(system, made, held, values, "F-1")


def back(body: bytes) -> Imported:
    return imported(SYSTEM, grid(), body, "F-1", "CNY")


def changed(body: bytes, change: Any) -> bytes:
    book = openpyxl.load_workbook(BytesIO(body))
    change(book)
    file = BytesIO()
    book.save(file)
    return file.getvalue()


def test_what_goes_out_comes_back() -> None:
    rows = [
        DetailRow(
            row_id="1",
            item="purchases",
            period=WEEK,
            currency="CNY",
            minor=12_34,
            fields={"contract-number": "007"},
        ),
        DetailRow(
            row_id="2",
            item="purchases",
            period=WEEK,
            currency="CNY",
            minor=1,
            fields={"payment-date": "2026-11-10"},
        ),
    ]
    held = replace(content(wages=100_05, taxes=7), details={"contracts": rows})
    found = back(out(held))
    assert found.wrong == []
    assert {place: minor for place, minor in found.cells.items() if minor is not None} == held.cells
    assert found.details["contracts"] == rows


@settings(max_examples=15, deadline=None)
@given(
    st.dictionaries(st.sampled_from(["wages", "taxes", "sales", "other_receipts"]), st.integers(0, 10**13))
)
def test_every_amount_survives_the_way_through_excel(amounts: dict[str, int]) -> None:
    held = content(**amounts)
    found = back(out(held))
    assert {place: minor for place, minor in found.cells.items() if minor is not None} == held.cells


def test_computed_cells_are_locked_and_carry_their_formulas() -> None:
    page: Any = openpyxl.load_workbook(BytesIO(out(content(wages=100_00))))["Plan"]
    rows = {page.cell(row, 1).value: row for row in range(3, page.max_row + 1)}
    payments, net = page.cell(rows["payments"], 5), page.cell(rows["net"], 5)
    assert payments.value.startswith("=SUM(E")
    assert net.value == f"=E{rows['receipts']} - E{rows['payments']}"
    assert page.protection.sheet
    assert payments.protection.locked
    assert not page.cell(rows["wages"], 5).protection.locked


def test_a_formula_that_people_wrote_is_kept() -> None:
    formulas = {("main", key("wages")): "=50*2"}
    body = out(replace(content(wages=100_00), formulas=formulas))
    page: Any = openpyxl.load_workbook(BytesIO(body))["Plan"]
    assert "=50*2" in {page.cell(row, 5).value for row in range(3, 14)}
    assert [(each.address, each.message.split(";")[0]) for each in back(body).wrong] == [
        ("E9", "has a formula without a result")
    ]


def plan(book: Any) -> Any:
    return book["Plan"]


def cell(address: str, value: Any) -> Any:
    return lambda book: plan(book).__setitem__(address, value)


@pytest.mark.parametrize(
    ("change", "address", "says"),
    [
        (cell("E9", "a lot"), "E9", "must be a number"),
        (cell("E9", -5), "E9", "must be 0 or more"),
        (cell("E9", 1.005), "E9", "has more than the 2 decimals of CNY"),
        (cell("E9", True), "E9", "must be a number"),
        (cell("A9", "taxes"), "A9", "rows were moved; the row Wages belongs here"),
        (lambda book: plan(book).append(["extra", "Extra", 1]), "A14", "is below the last row"),
        (lambda book: plan(book).delete_rows(13), "A13", "rows are missing"),
        (lambda book: book["Purchases by contract"].append([None, WEEK, "much"]), "C3", "must be a number"),
    ],
)
def test_wrong_cells_are_named_by_sheet_and_address(change: Any, address: str, says: str) -> None:
    found = back(changed(out(content(wages=100_00)), change))
    assert (found.wrong[0].address, says in found.wrong[0].message) == (address, True), found.wrong


def add_part(body: bytes, name: str, data: bytes) -> bytes:
    file = BytesIO(body)
    with zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, data)
    return file.getvalue()


def rename(book: Any) -> None:
    plan(book).title = "My plan"


def another(book: Any) -> None:
    book["_coffer"]["A1"] = "F-2"


def many_rows(book: Any) -> None:
    page = plan(book)
    page.cell(1_000_000, 3, 5)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (changed(out(Content()), rename), "the sheet Plan is missing; there is My plan"),
        (changed(out(Content()), lambda book: plan(book).merge_cells("C5:D5")), "cells C5:D5 are merged"),
        (changed(out(Content()), another), "belongs to another filing"),
        (changed(out(Content()), many_rows), "has more than"),
        (changed(out(Content()), lambda book: plan(book).insert_cols(3)), "columns were moved"),
        (add_part(out(Content()), "xl/vbaProject.bin", b"macro"), "has macros"),
        (add_part(out(Content()), "xl/media/bomb.bin", b"\0" * 300_000_000), "unpacks to more than"),
        (b"PK\x03\x04 nothing", "no whole .xlsx workbook"),
        (b"a,b,c", "no whole .xlsx workbook"),
    ],
    ids=["renamed", "merged", "another", "million-rows", "columns", "macro", "bomb", "broken", "csv"],
)
def test_files_that_cannot_be_taken_say_why(body: bytes, says: str) -> None:
    with pytest.raises(UnreadableWorkbook, match=says):
        back(body)


def test_extension_rows_stand_below_the_inherited_row_which_is_their_sum() -> None:
    extension = Extension(
        template="month-plan-filing",
        sheet="main",
        row="wages",
        entity="A",
        rows=[
            Line(id="wages-transfer", members={"settlement": "transfer"}),
            Line(id="wages-card", members={"settlement": "card"}),
        ],
    )
    system = replace(SYSTEM, extensions=(extension,))
    made = grid(system)
    entered = {
        ("main", key("wages", members="settlement=transfer")): 30,
        ("main", key("wages", members="settlement=card")): 12,
    }
    values = computed(system, made, entered, {}, evaluation.amount)
    assert values["main", key("wages")] == 42
    assert values["main", key("payments")] == 42
    assert made.main.by_key[key("wages")].source == "sum"
    counted = made.counted(values)
    assert {each.members: minor for each, minor in counted.items() if each.item == "wages"} == {
        "settlement=transfer": 30,
        "settlement=card": 12,
    }
    other = grid_of(system, system.templates[0], made.columns, "G")
    assert other.main.by_key[key("wages")].source == "entered"


def test_a_formula_item_with_a_direction_counts_in_its_parent() -> None:
    items = tuple(
        Item(
            id="taxes",
            parent="payments",
            name="Taxes",
            direction="out",
            source="formula",
            formula='item["sales"] * 13 / 100',
        )
        if item.id == "taxes"
        else item
        for item in SYSTEM.items
    )
    system = replace(SYSTEM, items=items)
    made = grid(system)
    values = computed(system, made, {("main", key("sales")): 1_000}, {}, evaluation.amount)
    assert (values["main", key("taxes")], values["main", key("payments")], values["main", key("net")]) == (
        130,
        130,
        870,
    )
    assert made.counted(values)[key("taxes")] == 130


def test_two_rows_of_one_cell_are_refused() -> None:
    template = SYSTEM.templates[0]
    main = template.sheets[0]
    doubled = replace(main, rows=[*main.rows, Line(id="again", members={"item": "wages"})])
    system = replace(SYSTEM, templates=(replace(template, sheets=[doubled, *template.sheets[1:]]),))
    with pytest.raises(CellTwice):
        grid(system)
