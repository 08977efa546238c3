"""Decisions about money in words and in data."""

from collections.abc import Mapping, Sequence
from functools import cache
from types import MappingProxyType
from typing import Final

from contracts.money import Money, decimal_string
from contracts.order_decided import AccountExplanation, Explanation

from fund_pool.domain.walk import Share, ShareCode, Walk

WHY: Mapping[ShareCode, str] = MappingProxyType(
    {
        "not-needed": "not used",
        "empty": "has nothing left",
        "not-opened": "is not opened",
        "expired": "has expired",
        "not-yet-valid": "is not valid yet",
        "not-for-orders": "does not pay for orders",
        "not-in-deduction-order": "is not in the deduction order",
    }
)

APART: Final = ("not-for-orders", "not-in-deduction-order")
Told = tuple[Share, AccountExplanation]


@cache
def zero(currency: str) -> Money:
    """No money."""
    return Money.of(0, currency)


def of_walk(account: str, currency: str, outcome: Walk, policy_version: int) -> Explanation:
    """`120.00 CNY from cash; overdraft not used`, and the same per fund account."""
    accounts = [_account(account, currency, share) for share in outcome.shares]
    told = [
        (share, explained)
        for share, explained in zip(outcome.shares, accounts, strict=True)
        if share.code not in APART
    ]
    sentence = _shortfall(told, outcome.shortfall, currency) if outcome.shortfall else _payment(told)
    return Explanation(text=sentence, accounts=accounts, policy_version=policy_version)


def of_refund(account: str, currency: str, refunds: Sequence[tuple[str, int, int]]) -> Explanation:
    """What went back: (account type, amount, what the fund account can give then)."""
    accounts = [
        AccountExplanation(
            account=account,
            account_type=code,
            available=Money.of(usable, currency),
            gave=zero(currency),
            code="refunded",
            text=f"{decimal_string(amount, currency)} returned",
        )
        for code, amount, usable in refunds
    ]
    parts = [f"{decimal_string(amount, currency)} {currency} to {code}" for code, amount, _ in refunds]
    sentence = f"returned {', '.join(parts)}" if parts else "nothing had been taken, so nothing is returned"
    return Explanation(text=sentence, accounts=accounts, policy_version=0)


def of_nothing(sentence: str, policy_version: int = 0) -> Explanation:
    """A decision that moved no money."""
    return Explanation(text=sentence, accounts=[], policy_version=policy_version)


def _payment(told: Sequence[Told]) -> str:
    parts = [
        f"{explained.gave.amount} {explained.gave.currency} from {share.account_type}"
        for share, explained in told
        if share.gave
    ]
    if not parts:
        return "nothing is owed, so nothing is taken"
    return "; ".join([", ".join(parts), *(_reason(share) for share, _ in told if not share.gave)])


def _shortfall(told: Sequence[Told], shortfall: int, currency: str) -> str:
    could = [
        f"{share.account_type} could give {explained.available.amount}"
        for share, explained in told
        if share.available
    ]
    reasons = [_reason(share) for share, _ in told if not share.available]
    return "; ".join([f"{decimal_string(shortfall, currency)} {currency} short", *could, *reasons])


def _reason(share: Share) -> str:
    return f"{share.account_type} {WHY[share.code]}"


def _account(account: str, currency: str, share: Share) -> AccountExplanation:
    available = Money.of(share.available, currency) if share.available else zero(currency)
    gave = _gave(share, available)
    return AccountExplanation(
        account=account,
        account_type=share.account_type,
        available=available,
        gave=gave,
        code=share.code,
        text=_account_text(share, available, gave),
    )


def _gave(share: Share, available: Money) -> Money:
    if share.gave == share.available:
        return available
    return Money.of(share.gave, available.currency) if share.gave else zero(available.currency)


def _account_text(share: Share, available: Money, gave: Money) -> str:
    if share.code == "paid":
        return f"gave {gave.amount} of {available.amount}"
    if share.code == "not-enough":
        return f"could give {available.amount}, which does not pay the order"
    return WHY[share.code]
