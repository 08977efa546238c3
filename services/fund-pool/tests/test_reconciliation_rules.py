"""Statements matched with movements: one to one, one to many, many to one, and what is left."""

from datetime import date
from typing import Any

import pytest
from chassis.testing import Harness
from fund_pool.domain.reconciliation import Item, Reconciled, reconcile, standard_rules
from hypothesis import given
from hypothesis import strategies as st


def item(item_id: str, day: int, amount: int, reference: str = "") -> Item:
    return Item(item_id, date(2026, 3, day), amount, reference)


def ids(found: Reconciled) -> list[tuple[str, str, str]]:
    return [
        (
            match.rule.kind,
            "+".join(one.item_id for one in match.lines),
            "+".join(one.item_id for one in match.movements),
        )
        for match in found.matches
    ]


def test_references_win_over_nearer_dates_and_the_window_is_kept() -> None:
    lines = [item("1", 2, 100, "SO-7"), item("2", 2, 100)]
    movements = [item("a", 2, 100), item("b", 4, 100, "SO-7"), item("c", 9, 100)]
    found = reconcile(lines, movements, standard_rules(3))
    assert ids(found) == [("one-to-one", "1", "b"), ("one-to-one", "2", "a")]
    assert [one.item_id for one in found.movements] == ["c"]


def test_one_transfer_pays_many_documents_and_many_make_one() -> None:
    lines = [item("1", 2, 150, "R"), item("2", 5, -20), item("3", 5, -30)]
    movements = [item("a", 2, 100, "R"), item("b", 3, 50, "R"), item("c", 5, -50)]
    found = reconcile(lines, movements, standard_rules(3))
    assert ids(found) == [("one-to-many", "1", "a+b"), ("many-to-one", "2+3", "c")]
    assert (found.lines, found.movements) == ([], [])


@given(
    st.lists(st.tuples(st.integers(1, 9), st.integers(-5, 5), st.sampled_from(("", "A"))), max_size=8),
    st.lists(st.tuples(st.integers(1, 9), st.integers(-5, 5), st.sampled_from(("", "A"))), max_size=8),
)
def test_every_item_is_matched_once_or_left_and_matches_balance(left: list[Any], right: list[Any]) -> None:
    lines = [item(f"l{at}", *one) for at, one in enumerate(left)]
    movements = [item(f"m{at}", *one) for at, one in enumerate(right)]
    found = reconcile(lines, movements, standard_rules(2))
    for match in found.matches:
        assert sum(one.amount for one in match.lines) == sum(one.amount for one in match.movements)
    seen = [one.item_id for match in found.matches for one in (*match.lines, *match.movements)]
    seen += [one.item_id for one in (*found.lines, *found.movements)]
    assert sorted(seen) == sorted(one.item_id for one in (*lines, *movements))


@pytest.mark.stack
async def test_what_is_left_comes_with_the_document_that_corrects_it(
    harness: Harness, client_of: Any, make: Any
) -> None:
    await harness.play(
        *make.master_data("A-1"),
        make.payment("A-1", "80.00", payment_id="P-1", reference="order 4711"),
        make.payment("A-1", "5.00", payment_id="P-2"),
    )
    maker = client_of({"finance-maker"}, "maker")
    path = "/accounts/A-1/reconciliations?account_type=cash&currency=CNY&since=2026-03-01&until=2026-03-31"
    body = "line,date,amount,reference\n1,2026-03-03,80.00,order 4711\n2,2026-03-03,-7.00,fee\n"
    made = await maker.post(path, content=body.encode())
    assert made.status_code == 201, made.text
    told = made.json()
    assert [(one["kind"], one["by_reference"]) for one in told["matches"]] == [("one-to-one", True)]
    assert [(one["document_type"], one["amount"]["amount"]) for one in told["proposals"]] == [
        ("other-debit", "7.00"),
        ("other-debit", "5.00"),
    ]
    proposal = {**told["proposals"][0], "submit": True}
    assert (await maker.post("/documents", json=proposal)).status_code == 201
    again = await maker.get(f"/accounts/A-1/reconciliations/{told['reconciliation_id']}")
    assert again.json()["matches"] == told["matches"]
    wrong = await maker.post(path, content=b"line,date,amount\n1,2026-03-03,1e3\n")
    assert "row 2: column amount" in wrong.json()["detail"]
