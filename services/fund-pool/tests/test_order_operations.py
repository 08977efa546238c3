"""Changes, closing, recalls, returns, holds and final payments of orders, in worked numbers and in any order."""

import os
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from contracts.money import Money
from contracts.order import DeliveredLine, DeliveryNotice, Order, ReturnDocument, ReturnedLine
from fund_pool.domain.account_types import CASH
from fund_pool.domain.books import Book
from fund_pool.domain.order import Decision, OrderState, answer, decide
from fund_pool.domain.order_operations import expire, pay_final
from fund_pool.domain.pool import CommonLine, Pool
from fund_pool.domain.usage import Rules, UsageRule
from fund_pool.domain.vouchers import Voucher
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts import CreditChecked

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
NO_RULES: Rules = {}
NIGHTLY = os.environ.get("COFFER_NIGHTLY") == "1"


class Desk:
    """One order at its pools, check after check."""

    def __init__(self, make: Any, pool: Pool, rules: Rules = NO_RULES) -> None:
        self.make = make
        self.pools = {pool.account: pool}
        self.pool = pool
        self.rules = rules
        self.order = OrderState("shop-east", "SO-1", pool.account)
        self.now = NOW
        self.swept: set[str] = set()

    def check(self, operation: str, order: Order | None = None, **more: Any) -> Decision:
        number = self.order.check_number + 1
        check = CreditChecked(
            source="shop-east",
            order_id="SO-1",
            order_revision=number,
            check_number=number,
            paying_account=self.order.account,
            operation=operation,  # type: ignore[arg-type]
            outcome=more.pop("outcome", "approved"),
            reasons=[],
            metrics=[],
            order=order,
            checked_at=self.now,
            **more,
        )
        decision = decide(self.order, self.pools, check, bytes(16), self.now, self.rules)
        told = answer(self.order, check, decision, self.now)
        if told.position is not None:
            parts = [*told.position.payments, *(told.position.holds or ())]
            assert sum(part.amount.minor for part in parts) + told.position.unpaid.minor == (
                told.position.total.minor
            )
        return decision

    def submit(self, *amounts: str, **more: Any) -> Decision:
        return self.check("submit", self.make.order(self.order.account, *amounts, **more))

    def change(self, *amounts: str, **more: Any) -> Decision:
        return self.check("change", self.make.order(self.order.account, *amounts, **more))

    def give_back(self, document_id: str, *lines: tuple[str, str], revision: int = 1) -> Decision:
        returned = [
            ReturnedLine(line_id=line, quantity="1", amount=Money(amount, "CNY")) for line, amount in lines
        ]
        total = Money.of(sum(line.amount.minor for line in returned), "CNY")
        document = ReturnDocument(
            document_id=document_id,
            document_revision=revision,
            posted_on=NOW.date(),
            lines=returned,
            total=total,
        )
        return self.check("return", returned=document, stance="fact")

    def deliver(self, document_id: str, *lines: tuple[str, str], final: bool = False) -> Decision:
        delivered = [
            DeliveredLine(line_id=line, quantity="1", amount=Money(amount, "CNY")) for line, amount in lines
        ]
        notice = DeliveryNotice(document_id=document_id, posted_on=NOW.date(), lines=delivered, final=final)
        return self.check("deliver", delivered=notice)

    def balance(self, code: str = "cash") -> int:
        return self.pool.fund_accounts[code, "CNY"].balance

    def held(self, code: str = "cash") -> int:
        return self.pool.fund_accounts[code, "CNY"].held


def rules(*kept: UsageRule) -> Rules:
    return {("BUS-1", "CNY"): kept}


def rule(code: str, **more: Any) -> UsageRule:
    return UsageRule(1, "BUS-1", "CNY", code, **more)


HOLDING = rules(rule("cash", hold_hours=48), rule("overdraft"))
THIRD_FIRST = rules(rule("cash", lead_time_days=30, first_payment=3_333), rule("overdraft"))
LATER = {"requested_delivery_date": date(2026, 5, 1)}


def test_a_dearer_order_pays_the_difference_and_a_cheaper_one_gets_it_back(make: Any) -> None:
    desk = Desk(make, make.pool(cash="120.00", overdraft=("50.00", "0.00")))
    desk.submit("60.00", "40.00")
    assert desk.change("60.00", "90.00").outcome == "changed"
    assert (desk.balance(), desk.balance("overdraft")) == (0, -30_00)
    assert desk.change("60.00").outcome == "changed"
    assert (desk.balance(), desk.balance("overdraft")) == (60_00, 0)
    assert (desk.order.left_paid, desk.order.total) == (60_00, 60_00)


def test_a_change_that_cannot_be_paid_changes_nothing(make: Any) -> None:
    desk = Desk(make, make.pool(cash="100.00"))
    desk.submit("100.00")
    decision = desk.change("50.00", "50.01")
    assert (decision.outcome, decision.reasons[0].code) == ("change-declined", "insufficient-funds")
    assert (desk.balance(), desk.order.total, desk.order.left_paid) == (0, 100_00, 100_00)
    assert desk.change("50.00", "50.00").outcome == "changed"
    assert desk.balance() == 0
    assert sum(paid.amount for paid in desk.order.payments) == 100_00


def test_what_a_change_gives_back_pays_what_it_costs_in_one_entry(make: Any) -> None:
    desk = Desk(make, make.pool(cash="100.00"))
    desk.submit("100.00")
    entries = desk.pool.last_entry_number
    assert desk.change("0.00", "100.00").outcome == "changed"
    assert desk.pool.last_entry_number == entries


@pytest.mark.parametrize("outcome", ["declined", "pending-approval"])
def test_a_change_that_credit_does_not_pass_moves_nothing(make: Any, outcome: str) -> None:
    desk = Desk(make, make.pool(cash="100.00"))
    desk.submit("60.00")
    decision = desk.check("change", make.order("A-1", "10.00"), outcome=outcome)
    assert decision.outcome == ("change-declined" if outcome == "declined" else "pending-approval")
    assert (desk.balance(), desk.order.total) == (40_00, 60_00)


def test_a_recalled_order_gets_its_money_back_and_can_be_handed_in_anew(make: Any) -> None:
    desk = Desk(make, make.pool(cash="100.00"))
    desk.submit("60.00")
    assert desk.check("recall", stance="fact").outcome == "recalled"
    assert desk.balance() == 100_00
    assert desk.submit("70.00").outcome == "accepted"
    assert desk.balance() == 30_00


def test_an_audit_leaves_the_money_as_it_is(make: Any) -> None:
    desk = Desk(make, make.pool(cash="100.00"))
    order = make.order("A-1", "60.00", audited=False)
    assert desk.check("submit", order, outcome="not-checked-yet").outcome == "accepted"
    assert desk.check("audit", outcome="declined").outcome == "audit-declined"
    assert desk.check("audit").outcome == "audited"
    assert desk.check("un-audit", stance="fact").outcome == "un-audited"
    assert (desk.balance(), desk.order.status) == (40_00, "accepted")


def test_a_return_refunds_its_lines_payers_first_then_in_reverse_deduction_order(make: Any) -> None:
    """Cash paid line 1 and 20 of line 2, overdraft 30 of line 2; 60 of line 2 come back: 30, 20, 10."""
    desk = Desk(make, make.pool(cash="120.00", overdraft=("50.00", "0.00")))
    desk.submit("100.00", "50.00")
    desk.give_back("R-1", ("2", "60.00"))
    assert (desk.balance("overdraft"), desk.balance()) == (0, 30_00)
    assert (desk.order.left_paid, desk.order.total) == (90_00, 90_00)


def test_a_return_is_refunded_once_and_its_revision_by_the_difference(make: Any) -> None:
    desk = Desk(make, make.pool(cash="100.00"))
    desk.submit("100.00")
    desk.give_back("R-1", ("1", "30.00"))
    again = desk.give_back("R-1", ("1", "30.00"))
    assert (again.outcome, again.reasons[0].code) == ("refunded", "known-already")
    assert desk.balance() == 30_00
    desk.give_back("R-1", ("1", "45.00"), revision=2)
    assert desk.balance() == 45_00
    desk.give_back("R-2", ("1", "99.00"))
    assert (desk.balance(), desk.order.left_paid) == (100_00, 0)


def test_a_refund_returns_to_its_voucher_while_that_is_valid_and_lapses_afterwards(make: Any) -> None:
    pool = make.pool(cash="100.00")
    until = date(2026, 3, 10)
    voucher = Voucher(
        "V-1",
        "voucher",
        "M-1",
        "CNY",
        80_00,
        80_00,
        valid_until=until,
        pool_id="VP",
        members=frozenset({"A-1"}),
    )
    pool.vouchers = {"V-1": voucher}
    desk = Desk(make, pool)
    desk.submit("100.00")
    assert (voucher.remaining, desk.balance()) == (0, 80_00)
    desk.give_back("R-1", ("1", "50.00"))
    assert (voucher.remaining, desk.balance()) == (30_00, 100_00)
    desk.now = NOW + timedelta(days=30)
    desk.check("cancel")
    assert (voucher.remaining, pool.lapsed) == (30_00, {"VP": 50_00})
    assert desk.order.left_paid == 0


def test_a_lead_time_pays_a_third_first_and_the_rest_at_the_first_notice(make: Any) -> None:
    desk = Desk(make, make.pool(cash="100.00"), THIRD_FIRST)
    assert desk.submit("10.00", "20.01", **LATER).outcome == "accepted"
    assert (desk.balance(), desk.order.final_amount) == (90_00, 20_01)
    assert desk.deliver("DN-1", ("1", "5.00")).outcome == "final-paid"
    assert (desk.balance(), desk.order.final_amount, desk.order.left_paid) == (69_99, 0, 30_01)
    assert desk.deliver("DN-2", ("2", "5.00")).outcome == "captured"
    assert desk.order.left_paid == 30_01


def test_an_unpaid_rest_is_told_and_walked_again_on_request(make: Any) -> None:
    desk = Desk(make, make.pool(cash="12.00"), THIRD_FIRST)
    desk.submit("30.00", **LATER)
    decision = desk.deliver("DN-1", ("1", "5.00"))
    assert (decision.outcome, decision.reasons[0].code) == ("final-unpaid", "insufficient-funds")
    assert desk.order.left_paid == 10_00
    desk.pool.fund_accounts["cash", "CNY"].balance += 18_00
    assert pay_final(desk.order, desk.pools, NOW, THIRD_FIRST, 2).outcome == "final-paid"
    assert (desk.order.left_paid, desk.order.final) == (30_00, [])


def test_a_hold_is_taken_in_parts_by_notices_and_the_last_frees_the_rest(make: Any) -> None:
    desk = Desk(make, make.pool(cash="100.00"), HOLDING)
    assert desk.submit("60.00", "20.00").outcome == "accepted"
    assert (desk.balance(), desk.held(), desk.order.left_paid) == (100_00, 80_00, 0)
    desk.deliver("DN-1", ("1", "25.00"))
    assert (desk.balance(), desk.held()) == (75_00, 55_00)
    desk.deliver("DN-1", ("1", "25.00"))
    assert (desk.balance(), desk.held()) == (75_00, 55_00)
    desk.deliver("DN-2", ("1", "99.00"))
    assert (desk.balance(), desk.held()) == (40_00, 20_00)
    desk.deliver("DN-3", ("2", "5.00"), final=True)
    assert (desk.balance(), desk.held(), desk.order.total) == (35_00, 0, 65_00)
    assert desk.check("cancel").outcome == "cancelled"
    assert (desk.balance(), desk.held()) == (100_00, 0)


def test_an_expired_hold_counts_no_more_and_the_next_notice_walks_it_anew(make: Any) -> None:
    desk = Desk(make, make.pool(cash="100.00"), HOLDING)
    desk.submit("60.00")
    desk.now = NOW + timedelta(hours=48)
    desk.pool.fund_accounts["cash", "CNY"].held = 0  # as it is loaded from that instant on
    assert expire(desk.order, desk.pools, desk.now - timedelta(microseconds=1), 1) is None
    decision = desk.deliver("DN-1", ("1", "60.00"))
    assert (decision.outcome, desk.balance(), desk.held()) == ("final-paid", 40_00, 0)
    hold = next(iter(desk.pool.holds.values()))
    assert (hold.captured, hold.released) == (0, 60_00)


def test_closing_frees_what_is_held_and_reopening_holds_it_again(make: Any) -> None:
    desk = Desk(make, make.pool(cash="100.00"), HOLDING)
    desk.submit("60.00")
    desk.deliver("DN-1", ("1", "25.00"))
    assert desk.check("close", stance="fact").outcome == "closed"
    assert (desk.balance(), desk.held(), desk.order.total) == (75_00, 0, 25_00)
    assert desk.check("reopen").outcome == "reopened"
    assert (desk.held(), desk.order.total) == (35_00, 60_00)


def test_a_reopening_that_cannot_be_paid_stays_closed_but_a_fact_goes_on(make: Any) -> None:
    desk = Desk(make, make.pool(cash="100.00"), HOLDING)
    desk.submit("60.00")
    desk.check("close", stance="fact")
    desk.pool.fund_accounts["cash", "CNY"].balance = 10_00
    assert desk.check("reopen").outcome == "reopen-declined"
    assert desk.order.status == "closed"
    decision = desk.check("reopen", stance="fact")
    assert (decision.outcome, decision.reasons[0].code) == ("reopened", "insufficient-funds")
    assert (desk.order.final_amount, desk.held()) == (60_00, 0)


def test_transferred_money_goes_first_and_a_refund_is_not_spent(make: Any) -> None:
    pool = make.pool(cash="100.00")
    pool.books["M-1", "CNY"] = Book("M-1", "CNY", NOW, given=40_00)
    desk = Desk(make, pool)
    desk.submit("70.00")
    assert pool.books["M-1", "CNY"].remaining == 0
    desk.give_back("R-1", ("1", "50.00"))
    assert pool.books["M-1", "CNY"].remaining == 20_00
    desk.check("cancel")
    assert (pool.books["M-1", "CNY"].remaining, desk.balance()) == (40_00, 100_00)
    pool.spending_order = "own-first"
    desk = Desk(make, pool)
    desk.submit("70.00")
    assert pool.books["M-1", "CNY"].remaining == 30_00


def test_members_draw_on_one_common_line_in_its_owners_books(make: Any) -> None:
    """Entity-level credit: two members share a line of 100; the second sees what the first has used."""
    owner = make.pool("M-1", overdraft=("100.00", "0.00"))
    line = CommonLine("M-1", owner.fund_accounts["overdraft", "CNY"])
    first = Desk(make, make.pool("A-1", cash="10.00"))
    second = Desk(make, make.pool("A-2"))
    for desk in (first, second):
        desk.pool.commons["CNY"] = line
        desk.pools["M-1"] = owner
    assert first.submit("80.00").outcome == "accepted"
    assert (first.balance(), line.purse.balance) == (0, -70_00)
    assert second.pool.terms("CNY").quota == 30_00
    assert second.submit("30.01").outcome == "declined"
    assert first.check("cancel").outcome == "cancelled"
    assert (line.purse.balance, first.balance()) == (0, 10_00)
    assert {posting.account_type for entry in owner.entries for posting in entry.postings} >= {"overdraft"}


step = st.one_of(
    st.tuples(st.just("submit"), st.lists(st.integers(0, 60), min_size=1, max_size=3), st.booleans()),
    st.tuples(st.just("change"), st.lists(st.integers(0, 60), min_size=1, max_size=3), st.booleans()),
    st.tuples(st.sampled_from(("cancel", "recall", "close", "reopen", "terminate", "un-terminate"))),
    st.tuples(
        st.just("return"), st.sampled_from("abc"), st.integers(1, 3), st.integers(0, 60), st.integers(1, 3)
    ),
    st.tuples(
        st.just("deliver"), st.sampled_from("abc"), st.integers(1, 3), st.integers(0, 60), st.booleans()
    ),
    st.tuples(st.just("wait"), st.integers(1, 80)),
    st.tuples(st.just("final")),
)


@settings(
    max_examples=500 if NIGHTLY else 120,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    steps=st.lists(step, max_size=500 if NIGHTLY else 25),
    cash=st.integers(0, 150),
    line=st.integers(0, 100),
    voucher=st.integers(1, 60),
    gift=st.integers(0, 100),
    ruled=st.sampled_from((NO_RULES, HOLDING, THIRD_FIRST)),
)
def test_whatever_happens_to_an_order_its_money_is_somewhere(
    make: Any, steps: list[Any], cash: int, line: int, voucher: int, gift: int, ruled: Rules
) -> None:
    """Purses, vouchers, what lapsed and what the order has are always what there was; refused means unchanged."""
    desk = Desk(make, a_pool(make, cash, line, voucher, gift), ruled)
    before = money(desk)
    for number, one in enumerate(steps):
        was = (money(desk), desk.order.left_paid, desk.order.held)
        decision = play(desk, number, *one)
        if decision is not None and decision.outcome.endswith("declined"):
            assert was == (money(desk), desk.order.left_paid, desk.order.held)
        assert money(desk) + desk.order.left_paid == before
        inspect(desk)


def a_pool(make: Any, cash: int, line: int, voucher: int, gift: int) -> Pool:
    pool: Pool = make.pool(overdraft=(f"{line}.00", "0.00"))
    pool.open(CASH, "CNY").balance = cash * 100
    if gift:
        pool.books["M-1", "CNY"] = Book("M-1", "CNY", NOW, given=min(gift, cash) * 100)
    members = frozenset({"A-1"})
    until = date(2026, 3, 4)
    full = voucher * 100
    pool.vouchers = {
        "V-1": Voucher(
            "V-1", "voucher", "M-1", "CNY", full, full, valid_until=until, pool_id="VP", members=members
        )
    }
    return pool


def play(desk: Desk, number: int, kind: str, *details: Any) -> Decision | None:
    match kind, details:
        case (("submit" | "change"), (amounts, later)):
            more = LATER if later else {}
            return desk.check(kind, desk.make.order("A-1", *(f"{one}.00" for one in amounts), **more))
        case "return", (document, line_id, amount, revision):
            return desk.give_back(document, (str(line_id), f"{amount}.00"), revision=revision)
        case "deliver", (document, line_id, amount, final):
            return desk.deliver(f"{document}{number}", (str(line_id), f"{amount}.00"), final=final)
        case "wait", (hours,):
            wait(desk, hours)
            return None
        case "final", ():
            if not desk.order.final or desk.order.status != "accepted":
                return None
            return pay_final(desk.order, desk.pools, desk.now, desk.rules, desk.order.check_number)
        case _:
            return desk.check(kind)


def wait(desk: Desk, hours: int) -> None:
    """Time passes: what a hold had set aside is free from its instant on, as when the pool is loaded anew."""
    desk.now += timedelta(hours=hours)
    for hold in desk.pool.holds.values():
        if hold.amount and not hold.is_live(desk.now) and hold.hold_id not in desk.swept:
            desk.swept.add(hold.hold_id)
            desk.pool.fund_accounts[hold.account_type, "CNY"].held -= hold.amount
    expire(desk.order, desk.pools, desk.now, desk.order.check_number)


def inspect(desk: Desk) -> None:
    pool, order = desk.pool, desk.order
    assert order.left_paid == sum(paid.amount for paid in order.payments) >= 0
    for purse in pool.fund_accounts.values():
        of_purse = [hold for hold in pool.holds.values() if hold.account_type == purse.type.code]
        assert purse.held == sum(hold.amount for hold in of_purse if hold.is_live(desk.now))
        assert purse.balance + purse.line >= purse.held
    assert 0 <= pool.transferred("CNY") <= pool.fund_accounts["cash", "CNY"].balance
    assert sum(share.amount for share in order.shares) <= order.left_paid
    for entry in pool.entries:
        assert sum(posting.amount for posting in entry.postings) == 0


def money(desk: Desk) -> int:
    """All that is in purses and on vouchers, and what lapsed."""
    purses = sum(purse.balance for purse in desk.pool.fund_accounts.values())
    vouchers = sum(voucher.remaining for voucher in desk.pool.vouchers.values())
    return purses + vouchers + desk.pool.lapsed.get("VP", 0)
