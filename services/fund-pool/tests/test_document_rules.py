"""Documents by hand: what each posts, and the largest amount that would pass where it may not."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from fund_pool.domain.available import reclaimable, transferable
from fund_pool.domain.books import Book, BookShare, spend, unspend
from fund_pool.domain.documents import Content, Plan, Refusal, Reversed, plan, post
from fund_pool.domain.errors import HoldExceeded, LimitPassed
from fund_pool.domain.items import OpenItem
from fund_pool.domain.pool import FundAccount, Move, Pool, Posted
from hypothesis import given
from hypothesis import strategies as st

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
TODAY = date(2026, 3, 2)


def said(kind: Any, amount: int, code: str = "cash", **more: Any) -> Content:
    return Content(kind, "D-1", "A-1", "CNY", amount, code, **more)


def outcome(content: Content, pool: Pool, entry: Reversed | None = None) -> Plan | Refusal:
    return plan(content, pool, NOW, entry)


def done(content: Content, pool: Pool, entry: Reversed | None = None) -> Posted:
    planned = outcome(content, pool, entry)
    assert isinstance(planned, Plan), planned
    posted = post(content, pool, planned, NOW)
    assert isinstance(posted, Posted), posted
    return posted


def refused(content: Content, pool: Pool) -> Refusal:
    planned = outcome(content, pool)
    assert isinstance(planned, Refusal)
    return planned


def balance(pool: Pool, code: str = "cash") -> int:
    return pool.fund_accounts[code, "CNY"].balance


def purse(pool: Pool, code: str = "cash") -> FundAccount:
    return pool.fund_accounts[code, "CNY"]


def given_to(pool: Pool, giver: str, amount: int, day: int = 0) -> None:
    pool.books[giver, "CNY"] = Book(giver, "CNY", NOW + timedelta(days=day), given=amount)


@pytest.mark.parametrize(
    ("held", "amount", "most"),
    [(0, 3_000_00, None), (0, 3_000_01, 3_000_00), (500_00, 2_500_00, None), (500_00, 2_500_01, 2_500_00)],
)
def test_a_line_is_lowered_by_what_is_neither_used_nor_held(
    make: Any, held: int, amount: int, most: int | None
) -> None:
    """5,000 granted, 2,000 used: 3,000 may go; with a live hold of 500, 2,500."""
    pool = make.pool(overdraft=("5000.00", "2000.00"))
    if held:
        pool.hold("H-1", "order", purse(pool, "overdraft"), held, NOW)
    content = said("line-decrease", amount, "overdraft")
    if most is None:
        done(content, pool)
        assert purse(pool, "overdraft").line == 5_000_00 - amount
    else:
        assert refused(content, pool).most == most


def test_repaying_more_than_is_owed_is_refused(make: Any) -> None:
    pool = make.pool(cash="9000.00", overdraft=("5000.00", "2000.00"))
    assert refused(said("credit-repayment", 2_000_01), pool).code == "beyond-owed"
    done(said("credit-repayment", 2_000_00), pool)
    assert (balance(pool), balance(pool, "overdraft")) == (7_000_00, 0)


def test_a_repayment_settles_the_billed_overdraft_first_due_first(make: Any) -> None:
    """Of 300 used, 200 are billed in two bills; 150 repaid settle the first and half of the second."""
    pool = make.pool(cash="500.00", overdraft=("1000.00", "300.00"))
    for number, due in ((1, 10), (2, 20)):
        pool.items[f"B-{number}"] = OpenItem(
            f"B-{number}", "bill", "CNY", 100_00, TODAY, date(2026, 3, due), 0, 100_00
        )
    before = pool.terms("CNY").quota
    done(said("credit-repayment", 150_00), pool)
    assert [pool.items[f"B-{number}"].outstanding for number in (1, 2)] == [0, 50_00]
    assert pool.terms("CNY").quota == before


@pytest.mark.parametrize(
    ("code", "kind", "reason"),
    [
        ("overdraft", "top-up-offline", "no-top-up"),
        ("deposit", "top-up-offline", "fund-account-not-opened"),
        ("gold", "top-up-offline", "unknown-account-type"),
        ("cash", "line-increase", "no-line"),
        ("cash", "other-credit", "reason-missing"),
        ("deposit", "withdrawal", "own-cash-only"),
    ],
)
def test_what_a_document_may_not_do(make: Any, code: str, kind: str, reason: str) -> None:
    pool = make.pool(cash="100.00", overdraft=("10.00", "0.00"))
    assert refused(said(kind, 1_00, code), pool).code == reason


def test_a_day_ahead_and_a_day_before_the_validity_are_refused(make: Any) -> None:
    pool = make.pool(cash="100.00")
    ahead = said("top-up-offline", 1_00, effective_date=TODAY + timedelta(days=1))
    assert refused(ahead, pool).code == "effective-date-ahead"
    purse(pool).valid_from = TODAY
    early = said("top-up-offline", 1_00, effective_date=TODAY - timedelta(days=1))
    assert refused(early, pool).code == "fund-account-not-yet-valid"


def test_a_transfer_moves_own_money_between_types_and_never_out_of_an_overdraft(make: Any) -> None:
    """Of 100 cash 40 were allocated: 60 may move."""
    pool = make.pool(cash="100.00", deposit="5.00", overdraft=("50.00", "20.00"))
    given_to(pool, "M-1", 40_00)
    move = {"to_account_type": "deposit"}
    assert refused(said("transfer", 60_01, **move), pool).most == 60_00
    assert refused(said("transfer", 1, "overdraft", **move), pool).code == "overdraft-is-no-source"
    assert refused(said("transfer", 1, to_account_type="cash"), pool).code == "same-type"
    assert refused(said("transfer", 20_01, to_account_type="overdraft"), pool).most == 20_00
    posted = done(said("transfer", 60_00, **move), pool)
    assert (balance(pool), balance(pool, "deposit")) == (40_00, 65_00)
    assert [posting.bucket for posting in posted.entry.postings] == ["balance", "balance"]


def test_a_debit_that_is_no_consumption_takes_own_cash_first(make: Any) -> None:
    pool = make.pool(cash="100.00")
    given_to(pool, "M-1", 40_00)
    done(said("other-debit", 70_00, reason="fee"), pool)
    assert (balance(pool), pool.books["M-1", "CNY"].remaining) == (30_00, 30_00)


def test_an_un_post_names_the_entry_and_takes_every_posting_back(make: Any) -> None:
    pool = make.pool(cash="10.00")
    posted = done(said("top-up-offline", 30_00), pool)
    back = said("un-post", 30_00, reason="entered twice", reverses=("top-up-offline", "D-1"))
    entry = Reversed(posted.entry.number, posted.entry.postings)
    undone = done(back, pool, entry)
    assert (balance(pool), undone.entry.reverses) == (10_00, posted.entry.number)
    assert sum(posting.amount for posting in undone.entry.postings) == 0
    done(said("other-debit", 5_00, reason="fee"), pool)
    again = outcome(back, pool, entry)
    assert isinstance(again, Refusal)
    assert again.code == "beyond-limit"


def test_transferable_is_own_cash_within_the_quota_and_nothing_while_a_bill_is_past_due(make: Any) -> None:
    pool = make.pool(cash="100.00", overdraft=("500.00", "0.00"))
    given_to(pool, "M-1", 40_00)
    assert transferable(pool, "CNY") == 60_00
    pool.items["B-1"] = OpenItem("B-1", "bill", "CNY", 570_00, TODAY, TODAY)
    assert transferable(pool, "CNY") == 30_00
    pool.items["B-1"].past_due = True
    assert transferable(pool, "CNY") == 0


def test_reclaimable_is_what_is_left_in_the_pairs_book(make: Any) -> None:
    """M-1 gave 100, M-2 gave 50, 30 are own; 120 spent, oldest giver first: M-1 has 0 left, M-2 30."""
    pool = make.pool(cash="60.00")
    given_to(pool, "M-1", 100_00)
    given_to(pool, "M-2", 50_00, day=1)
    spend(list(pool.books.values()), "CNY", 120_00, 30_00, "transferred-first")
    assert reclaimable(pool, "M-1", "CNY") == 0
    assert reclaimable(pool, "M-2", "CNY") == 30_00
    assert reclaimable(pool, "M-3", "CNY") == 0


def test_money_under_a_hold_is_neither_spent_nor_reclaimed(make: Any) -> None:
    """Holds count in what is available: 100 with 70 held leave 30."""
    pool = make.pool(cash="100.00")
    given_to(pool, "M-1", 90_00)
    hold = pool.hold("H-1", "order", purse(pool), 70_00, NOW)
    assert pool.terms("CNY").quota == 30_00
    assert (purse(pool).usable, reclaimable(pool, "M-1", "CNY"), transferable(pool, "CNY")) == (
        30_00,
        30_00,
        10_00,
    )
    with pytest.raises(LimitPassed):
        pool.post(said("other-debit", 1).document, [Move(purse(pool), -30_01, "x")], TODAY, NOW)
    purse(pool).balance += 30_01
    pool.capture(hold, 70_00, 9)
    assert purse(pool).held == 0


def test_a_hold_is_never_taken_beyond_its_amount_nor_given_back_twice(make: Any) -> None:
    pool = make.pool(cash="100.00")
    hold = pool.hold("H-1", "withdrawal", purse(pool), 60_00, NOW)
    pool.capture(hold, 50_00, 2)
    with pytest.raises(HoldExceeded):
        pool.capture(hold, 10_01, 3)
    with pytest.raises(HoldExceeded):
        pool.release(hold, 10_01)
    pool.release(hold, 10_00)
    with pytest.raises(HoldExceeded):
        pool.release(hold, 1)
    assert purse(pool).held == 0
    with pytest.raises(LimitPassed):
        pool.hold("H-2", "order", purse(pool), 100_01, NOW)


def test_a_hold_counts_until_the_very_instant_of_its_expiry(make: Any) -> None:
    pool = make.pool(cash="100.00")
    expires = NOW + timedelta(hours=1)
    hold = pool.hold("H-1", "order", purse(pool), 60_00, NOW, expires)
    assert hold.is_live(expires - timedelta(microseconds=1))
    assert not hold.is_live(expires)


def test_a_withdrawal_sets_own_money_aside(make: Any) -> None:
    pool = make.pool(cash="100.00")
    given_to(pool, "M-1", 40_00)
    assert refused(said("withdrawal", 60_01), pool).most == 60_00
    planned = outcome(said("withdrawal", 60_00), pool)
    assert isinstance(planned, Plan)
    assert planned.held is purse(pool)
    assert not planned.moves


@given(
    st.lists(st.integers(0, 100), min_size=1, max_size=4),
    st.integers(0, 100),
    st.data(),
    st.sampled_from(("transferred-first", "own-first")),
)
def test_spending_and_refunding_books_is_exact(
    gifts: list[int], own: int, data: st.DataObject, order: Any
) -> None:
    """Whatever is spent and refunded in parts, the books come back to where they were, and never pass it."""
    books = [
        Book(f"M-{number}", "CNY", NOW + timedelta(days=number), given=gift)
        for number, gift in enumerate(gifts)
    ]
    amount = data.draw(st.integers(0, own + sum(gifts)))
    shares = spend(books, "CNY", amount, own, order)
    assert all(book.remaining >= 0 for book in books)
    assert sum(share.amount for share in shares) == (
        min(amount, sum(gifts)) if order == "transferred-first" else max(0, amount - own)
    )
    left = amount
    while left:
        part = data.draw(st.integers(1, left))
        shares = unspend(books, "CNY", shares, left, part)
        left -= part
        assert all(0 <= book.remaining <= book.given for book in books)
    assert shares == []
    assert all(book.spent == 0 for book in books)


def test_a_refund_fills_own_money_first_then_the_book_that_was_spent_last() -> None:
    """150 paid: 100 of M-1, 40 of M-2, 10 own; a refund of 30 is 10 own and 20 of M-2."""
    books = [Book("M-1", "CNY", NOW, given=100, spent=100), Book("M-2", "CNY", NOW, given=40, spent=40)]
    shares = [BookShare("M-1", 100), BookShare("M-2", 40)]
    assert unspend(books, "CNY", shares, 150, 30) == [BookShare("M-1", 100), BookShare("M-2", 20)]
    assert [book.remaining for book in books] == [0, 20]
