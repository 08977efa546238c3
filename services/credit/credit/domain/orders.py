"""Whether an order adds up: its lines, its total and its currency."""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import islice
from typing import Final

from contracts.money import decimal_string, decimals
from contracts.order import Order, OrderLine, Reason

LINE_TOLERANCE_MINOR: Final = 1
FAULTS_MAX: Final = 100
FACTOR_DECIMALS: Final = 6
NUMBERS_KEPT_MAX: Final = 8192
UNIT_OF_PRODUCT: Final[tuple[int, ...]] = tuple(
    10 ** (2 * FACTOR_DECIMALS - places) for places in range(2 * FACTOR_DECIMALS)
)
"""A minor unit of a currency, by its decimals, in the smallest steps of quantity x price."""


def faults(order: Order) -> list[Reason]:
    """Why an order does not add up, most basic fault first; empty when it does.

    Per line: amount = round half up(quantity x price) - discount + tax, one minor unit either way; total =
    sum of the lines' amounts, exactly.
    """
    places = decimals(order.currency)
    if _adds_up(order, places):
        return []
    for check in (_foreign_amounts(order), _repeated_lines(order), _wrong_amounts(order, places)):
        found = list(islice(check, FAULTS_MAX))
        if found:
            return found
    return _wrong_total(order, places)


def _adds_up(order: Order, places: int) -> bool:
    """The verdict without its words, because nearly every order is right."""
    currency = order.currency
    line_ids = set()
    total = 0
    for line in order.lines:
        if not line.amount.currency == line.discount.currency == line.tax.currency == currency:
            return False
        amount = scaled(line.amount.amount, places)
        if not -LINE_TOLERANCE_MINOR <= amount - line_amount(line, places) <= LINE_TOLERANCE_MINOR:
            return False
        line_ids.add(line.line_id)
        total += amount
    is_total = order.total.currency == currency and scaled(order.total.amount, places) == total
    return is_total and len(line_ids) == len(order.lines)


def line_amount(line: OrderLine, places: int) -> int:
    """What a line owes, in minor units; below zero when its discount is more than its worth."""
    product = scaled(line.quantity, FACTOR_DECIMALS) * scaled(line.price, FACTOR_DECIMALS)
    unit = UNIT_OF_PRODUCT[places]
    gross = (2 * product + unit) // (2 * unit)
    return gross - scaled(line.discount.amount, places) + scaled(line.tax.amount, places)


@lru_cache(maxsize=NUMBERS_KEPT_MAX)
def scaled(text: str, places: int) -> int:
    """An unsigned decimal of at most `places` decimals as a whole number of its smallest steps.

    Kept, because an order says most of its numbers more than once, and zero nearly everywhere.
    """
    whole, _, fraction = text.partition(".")
    return int(whole + fraction.ljust(places, "0"))


def _foreign_amounts(order: Order) -> Iterator[Reason]:
    currency = order.currency
    for line in order.lines:
        foreign = {line.discount.currency, line.tax.currency, line.amount.currency} - {currency}
        if foreign:
            text = f"Line {line.line_id} is in {_listed(foreign)}; all amounts must be in {currency}, as the order is."
            yield Reason(code="currency-mismatch", text=text, line_id=line.line_id)
    if order.total.currency != currency:
        text = f"The total is in {order.total.currency}; it must be in {currency}, the order's currency."
        yield Reason(code="currency-mismatch", text=text)


def _repeated_lines(order: Order) -> Iterator[Reason]:
    ids = [line.line_id for line in order.lines]
    if len(set(ids)) == len(ids):
        return
    seen: set[str] = set()
    for line_id in ids:
        if line_id in seen:
            text = f"Line {line_id} is given more than once; every line must have an id of its own."
            yield Reason(code="duplicate-line-id", text=text, line_id=line_id)
        seen.add(line_id)


def _wrong_amounts(order: Order, places: int) -> Iterator[Reason]:
    for line in order.lines:
        owed = line_amount(line, places)
        if not -LINE_TOLERANCE_MINOR <= scaled(line.amount.amount, places) - owed <= LINE_TOLERANCE_MINOR:
            yield Reason(
                code="line-amount-mismatch",
                text=_wrong_amount(line, owed, order.currency),
                line_id=line.line_id,
            )


def _wrong_amount(line: OrderLine, owed: int, currency: str) -> str:
    sum_text = (
        f"Line {line.line_id}: {line.quantity} x {line.price} - discount {line.discount.amount} "
        f"+ tax {line.tax.amount} is {decimal_string(owed, currency)} {currency}, not {line.amount.amount}"
    )
    if owed < 0:
        return f"{sum_text}; the discount must not be more than the line is worth."
    least = decimal_string(max(owed - LINE_TOLERANCE_MINOR, 0), currency)
    most = decimal_string(owed + LINE_TOLERANCE_MINOR, currency)
    return f"{sum_text}; {least} to {most} would be right."


def _wrong_total(order: Order, places: int) -> list[Reason]:
    owed = sum(scaled(line.amount.amount, places) for line in order.lines)
    if owed == scaled(order.total.amount, places):
        return []
    text = (
        f"The total is {order.total.amount} {order.currency}, but the amounts of its {len(order.lines)} lines "
        f"sum to {decimal_string(owed, order.currency)} {order.currency}, which would be right."
    )
    return [Reason(code="total-mismatch", text=text)]


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
