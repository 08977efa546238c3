"""An order adds up, or is declined naming the line."""

from typing import Any

import pytest
from contracts.money import Money
from credit.domain.orders import faults, line_amount


def test_an_order_that_adds_up_has_no_fault(make: Any) -> None:
    lines = [make.line("1", 999, quantity="3", price="3.33"), make.line("2", 1_001)]
    assert faults(make.order(amount=2_000, lines=lines)) == []


@pytest.mark.parametrize(
    ("quantity", "price", "discount", "tax", "amount"),
    [
        ("3", "33.33", "0.00", "0.00", 9_999),
        ("2.5", "0.01", "0", "0", 3),
        ("1.5", "0.01", "0", "0", 2),
        ("10", "12.00", "20.00", "13.00", 11_300),
        ("1", "5.00", "7.00", "0", -200),
        ("999999999999.999999", "0.000001", "0", "0", 100_000_000),
    ],
)
def test_a_line_owes_quantity_times_price_half_up_less_discount_plus_tax(
    make: Any, quantity: str, price: str, discount: str, tax: str, amount: int
) -> None:
    line = make.line(
        "1", 0, quantity=quantity, price=price, discount=Money(discount, "CNY"), tax=Money(tax, "CNY")
    )
    assert line_amount(line, 2) == amount


@pytest.mark.parametrize(
    ("currency", "price", "amount"),
    [("JPY", "100.5", "101"), ("KWD", "0.0005", "0.001"), ("USD", "0.005", "0.01")],
)
def test_rounding_follows_the_decimals_of_the_currency(
    make: Any, currency: str, price: str, amount: str
) -> None:
    owed = Money(amount, currency)
    line = make.line("1", 0, currency, price=price, amount=owed)
    assert faults(make.order(currency=currency, lines=[line], total=owed)) == []


@pytest.mark.parametrize(("off", "fits"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
def test_a_line_may_be_off_by_one_minor_unit(make: Any, off: int, fits: bool) -> None:
    amount = 10_000 + off
    line = make.line("7", 10_000, amount=Money.of(amount, "CNY"))
    found = faults(make.order(amount=amount, lines=[line]))
    assert [(fault.code, fault.line_id) for fault in found] == (
        [] if fits else [("line-amount-mismatch", "7")]
    )


def test_a_wrong_line_is_named_with_its_sum_and_what_would_be_right(make: Any) -> None:
    line = make.line("7", 0, quantity="3", price="33.33", amount=Money("120.00", "CNY"))
    [fault] = faults(make.order(amount=12_000, lines=[line]))
    assert fault.text == (
        "Line 7: 3 x 33.33 - discount 0.00 + tax 0.00 is 99.99 CNY, not 120.00; 99.98 to 100.00 would be right."
    )


def test_a_discount_above_the_worth_of_its_line_is_refused(make: Any) -> None:
    line = make.line("1", 500, discount=Money("7.00", "CNY"), amount=Money("0.00", "CNY"))
    [fault] = faults(make.order(amount=0, lines=[line]))
    assert fault.code == "line-amount-mismatch"
    assert "is -2.00 CNY" in fault.text
    assert "discount must not be more" in fault.text


def test_the_total_is_the_sum_of_the_lines_to_the_last_unit(make: Any) -> None:
    lines = [make.line("1", 5_000), make.line("2", 4_999)]
    [fault] = faults(make.order(amount=10_000, lines=lines))
    assert (fault.code, fault.line_id) == ("total-mismatch", None)
    assert "100.00 CNY" in fault.text
    assert "99.99 CNY, which would be right" in fault.text


def test_every_amount_is_in_the_currency_of_the_order(make: Any) -> None:
    lines = [make.line("1", 100), make.line("2", 100, tax=Money("0.00", "USD"))]
    [fault] = faults(make.order(amount=200, lines=lines))
    assert (fault.code, fault.line_id) == ("currency-mismatch", "2")
    [fault] = faults(make.order(amount=100, lines=[make.line("1", 100)], total=Money("1.00", "USD")))
    assert (fault.code, fault.line_id) == ("currency-mismatch", None)


def test_no_two_lines_share_an_id(make: Any) -> None:
    [fault] = faults(make.order(amount=200, lines=[make.line("1", 100), make.line("1", 100)]))
    assert (fault.code, fault.line_id) == ("duplicate-line-id", "1")


def test_the_faults_told_are_bounded(make: Any) -> None:
    lines = [make.line(str(number), 100, amount=Money("9.00", "CNY")) for number in range(1000)]
    assert len(faults(make.order(amount=900_000, lines=lines))) == 100
