"""Lists: filters, sorts and places, the same for rows in memory and in the database."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from chassis.listing import Asked, Condition, ListField, Listing
from chassis.sheets import csv_chunks
from hypothesis import given
from hypothesis import strategies as st

AT = datetime(2026, 3, 2, tzinfo=UTC)


@dataclass(frozen=True)
class Thing:
    name: str
    amount: int = 0
    currency: str = "CNY"
    kinds: tuple[str, ...] = ()


THINGS: Listing[Thing] = Listing(
    name="things",
    sentence="Things.",
    fields=[
        ListField("name", contains=True, sortable=True),
        ListField("amount", "money", sortable=True, summed=True),
        ListField("currency"),
        ListField("kinds", "texts"),
    ],
    key=("name",),
    sort="name",
    query="select name, amount, currency, kinds from thing",
)
ROWS = [Thing("b", 5), Thing("a", 5), Thing("c", 300, "JPY", ("x", "y")), Thing("d", -7)]


def names(rows: list[Thing]) -> str:
    return "".join(row.name for row in rows)


@pytest.mark.parametrize(
    ("sort", "order"), [("name", "abcd"), ("-name", "dcba"), ("amount", "dabc"), ("-amount", "cbad")]
)
def test_amounts_are_sorted_within_their_currency_and_ties_by_key(sort: str, order: str) -> None:
    assert names(Asked(THINGS, sort=sort).among(ROWS)) == order


@pytest.mark.parametrize(
    ("field", "comparison", "value", "kept"),
    [
        ("name", "contains", "A", "a"),
        ("currency", "any", ["JPY", "USD"], "c"),
        ("amount", "from", 5, "abc"),
        ("amount", "to", 5, "abd"),
        ("amount", "before", 5, "d"),
        ("kinds", "any", ["y"], "c"),
    ],
)
def test_each_comparison_keeps_what_it_says(field: str, comparison: Any, value: Any, kept: str) -> None:
    condition = Condition(THINGS.field(field), comparison, value)
    assert names(Asked(THINGS, [condition]).among(ROWS)) == kept


@given(st.integers(1, 5), st.sampled_from(THINGS.sorts), st.lists(st.integers(0, 9), max_size=30))
def test_pages_hold_every_row_once(limit: int, sort: str, amounts: list[int]) -> None:
    rows = [Thing(f"n{number}", amount) for number, amount in enumerate(amounts)]
    asked = Asked(THINGS, sort=sort)
    whole = asked.among(rows)
    paged: list[Thing] = []
    while batch := asked.behind(whole, asked.place_of(paged[-1]) if paged else None, limit):
        paged += batch
    assert paged == whole


def test_a_place_is_a_condition_on_the_keys_and_values_are_bound() -> None:
    asked = Asked(THINGS, [Condition(THINGS.field("name"), "contains", "'; drop")], "-amount", {"now": AT})
    sql, parameters = asked._statement(("CNY", 5, "b"), 51)
    assert sql == (
        "select * from (select name, amount, currency, kinds from thing) as listed"
        " where position(lower(cast(:listing_0 as text)) in lower(name)) > 0"
        " and (currency, amount, name) < (cast(:listing_after_0 as text), cast(:listing_after_1 as bigint),"
        " cast(:listing_after_2 as text)) order by currency desc, amount desc, name desc limit :listing_rows"
    )
    assert parameters["listing_0"] == "'; drop"
    assert (parameters["listing_after_1"], parameters["listing_rows"], parameters["now"]) == (5, 51, AT)


def test_a_file_sums_amounts_by_currency() -> None:
    lines = b"".join(csv_chunks(THINGS.columns, ROWS, ZoneInfo("UTC"))).decode("utf-8-sig").splitlines()
    assert lines[0] == "name,amount,currency,kinds"
    assert lines[3] == 'c,300,JPY,"x, y"'
    assert lines[5:] == ["total,0.03,CNY,", "total,300,JPY,"]


def test_a_list_names_only_fields_that_it_has() -> None:
    with pytest.raises(AssertionError, match="no field"):
        Listing("odd", "Odd.", [ListField("name")], ("id",), "name")
