"""The deduction walk: which fund account gives how much to an order, all or nothing, and why."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

from fund_pool.domain.pool import FundAccount, Pool

ShareCode = Literal[
    "paid",
    "not-needed",
    "not-enough",
    "empty",
    "not-opened",
    "expired",
    "not-yet-valid",
    "not-for-orders",
    "not-in-deduction-order",
]


@dataclass(slots=True)
class LineAmount:
    """What is owed for one order line, in minor units."""

    line_id: str
    amount: int


@dataclass(slots=True)
class LinePaid:
    """What one fund account has paid of one line, in minor units, refunds taken off."""

    account: str
    account_type: str
    line_id: str
    amount: int


@dataclass(slots=True)
class Share:
    """One fund account's part in a walk; `available` is what it could have given."""

    account_type: str
    fund_account: FundAccount | None
    available: int
    gave: int
    code: ShareCode


@dataclass(slots=True)
class Walk:
    """The outcome: nothing is given when there is a shortfall."""

    shares: list[Share]
    payments: list[LinePaid]
    shortfall: int


def walk(pool: Pool, currency: str, lines: Sequence[LineAmount], today: date) -> Walk:
    """Takes from each fund account of the deduction order what it can give, until the lines are paid in order."""
    shares = [_candidate(pool, code, currency, today) for code in pool.deduction.account_types]
    owed = sum(line.amount for line in lines)
    left = owed
    for share in shares:
        share.gave = min(share.available, left)
        left -= share.gave
    for share in shares:
        share.code = _code(share, left)
        if left:
            share.gave = 0
    payments = [] if left else _payments(pool.account, shares, lines)
    return Walk(shares + _bystanders(pool, currency), payments, left)


def _candidate(pool: Pool, account_type: str, currency: str, today: date) -> Share:
    fund_account = pool.find(account_type, currency)
    if fund_account is None:
        return Share(account_type, None, 0, 0, "not-opened")
    validity = fund_account.validity(today)
    if validity != "valid":
        return Share(account_type, fund_account, 0, 0, validity)
    return Share(account_type, fund_account, fund_account.usable, 0, "empty")


def _code(share: Share, shortfall: int) -> ShareCode:
    if not share.available:
        return share.code
    if shortfall:
        return "not-enough"
    return "paid" if share.gave else "not-needed"


def _bystanders(pool: Pool, currency: str) -> list[Share]:
    """The fund accounts in this currency that the deduction order leaves out."""
    return [
        Share(code, fund_account, 0, 0, _why_apart(fund_account))
        for (code, of_currency), fund_account in pool.fund_accounts.items()
        if of_currency == currency and code not in pool.deduction.account_types
    ]


def _why_apart(fund_account: FundAccount) -> ShareCode:
    return "not-in-deduction-order" if fund_account.type.pays_orders else "not-for-orders"


def _payments(account: str, shares: Sequence[Share], lines: Sequence[LineAmount]) -> list[LinePaid]:
    """Spreads what was given over the lines: the first giver pays the first lines."""
    payments = []
    owing = iter([line for line in lines if line.amount])
    line, open_amount = None, 0
    for share in shares:
        left = share.gave
        while left:
            if not open_amount:
                line = next(owing)
                open_amount = line.amount
            assert line is not None
            part = min(left, open_amount)
            payments.append(LinePaid(account, share.account_type, line.line_id, part))
            left -= part
            open_amount -= part
    return payments
