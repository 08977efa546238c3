"""The types that a fund account can have, and what each may do."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class AccountType:
    """What the fund accounts of one type may do.

    `pays_orders`: may stand in a deduction order. `takes_online_top_ups`: receives `payment-received`.
    `opens_on_first_use`: a payment opens it. `has_line`: goes below zero, down to its line.
    `cash_like`: its balance is cash in the available quota.
    """

    code: str
    pays_orders: bool
    takes_online_top_ups: bool
    opens_on_first_use: bool
    has_line: bool
    cash_like: bool


CASH = AccountType(
    "cash",
    pays_orders=True,
    takes_online_top_ups=True,
    opens_on_first_use=True,
    has_line=False,
    cash_like=True,
)
OVERDRAFT = AccountType(
    "overdraft",
    pays_orders=True,
    takes_online_top_ups=False,
    opens_on_first_use=False,
    has_line=True,
    cash_like=False,
)
DEPOSIT = AccountType(
    "deposit",
    pays_orders=False,
    takes_online_top_ups=True,
    opens_on_first_use=False,
    has_line=False,
    cash_like=False,
)

PRESETS: Final[Mapping[str, AccountType]] = {kind.code: kind for kind in (CASH, OVERDRAFT, DEPOSIT)}

VOUCHER_KINDS: Final = ("coupon", "voucher", "card")
"""Not types of fund accounts, but named beside them wherever an order is paid."""

RESERVED: Final = frozenset({*PRESETS, *VOUCHER_KINDS})


def with_own(own: Iterable[AccountType]) -> Mapping[str, AccountType]:
    """The types of an organisation: those that are there from the start and its own."""
    return {**PRESETS, **{kind.code: kind for kind in own}}
