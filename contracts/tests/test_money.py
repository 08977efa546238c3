from decimal import Decimal

import pytest
from contracts.money import (
    MINOR_UNITS_MAX,
    Money,
    SignedMoney,
    TooManyDecimals,
    UnknownCurrency,
    decimal_string,
    decimals,
    minor_units,
    round_half_up,
)
from hypothesis import given
from hypothesis import strategies as st

CURRENCIES = st.sampled_from(["JPY", "CNY", "USD", "KWD", "CLF"])


@pytest.mark.parametrize(("currency", "places"), [("JPY", 0), ("CNY", 2), ("USD", 2), ("KWD", 3), ("CLF", 4)])
def test_decimals_follow_iso_4217(currency: str, places: int) -> None:
    assert decimals(currency) == places


@pytest.mark.parametrize("currency", ["XAU", "XXX", "QQQ", "cny", ""])
def test_what_has_no_minor_unit_is_no_currency(currency: str) -> None:
    with pytest.raises(UnknownCurrency):
        decimals(currency)


@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [
        ("12.50", "CNY", 1250),
        ("12.5", "CNY", 1250),
        ("0.05", "USD", 5),
        ("7", "JPY", 7),
        ("1.001", "KWD", 1001),
    ],
)
def test_minor_units(amount: str, currency: str, minor: int) -> None:
    assert minor_units(amount, currency) == Money(amount, currency).minor == minor
    assert minor_units(f"-{amount}", currency) == SignedMoney(f"-{amount}", currency).minor == -minor


def test_more_decimals_than_the_currency_has_are_refused() -> None:
    with pytest.raises(TooManyDecimals, match=r"1\.5 has more than the 0 decimals of JPY"):
        minor_units("1.5", "JPY")


@given(st.integers(-MINOR_UNITS_MAX, MINOR_UNITS_MAX), CURRENCIES)
def test_minor_units_come_back_from_their_decimal_string(minor: int, currency: str) -> None:
    assert minor_units(decimal_string(minor, currency), currency) == minor


@pytest.mark.parametrize(
    ("value", "currency", "minor"),
    [
        ("1.005", "CNY", 101),
        ("1.004", "CNY", 100),
        ("-1.005", "CNY", -101),
        ("0.5", "JPY", 1),
        ("999999999999.999999", "KWD", 1_000_000_000_000_000),
        ("999999999998.000000000001", "CNY", 99_999_999_999_800),
    ],
)
def test_halves_are_rounded_away_from_zero(value: str, currency: str, minor: int) -> None:
    assert round_half_up(Decimal(value), currency) == minor


def test_the_largest_amount_fits_a_signed_64_bit_integer() -> None:
    assert minor_units("9" * 14 + ".9999", "CLF") < MINOR_UNITS_MAX
