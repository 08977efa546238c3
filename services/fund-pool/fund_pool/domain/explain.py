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
        "held-by-others": "is held by others",
        "line-used-up": "has its line used up",
        "not-in-usage-rule": "is not in the usage rule",
        "outside-material-scope": "is outside its material scope",
        "below-minimum-order": "asks for a larger order",
        "used-before": "was used before",
        "not-opened": "is not opened",
        "expired": "has expired",
        "not-yet-valid": "is not valid yet",
        "not-for-orders": "does not pay for orders",
        "not-in-deduction-order": "is not in the deduction order",
        "relationship-ending": "takes nothing new, because the trusteeship is about to end",
    }
)

APART: Final = ("not-for-orders", "not-in-deduction-order")
Told = tuple[Share, AccountExplanation]


@cache
def zero(currency: str) -> Money:
    """No money."""
    return Money.of(0, currency)


def of_walk(
    account: str, currency: str, outcome: Walk, policy_version: int, usage_version: int = 0
) -> Explanation:
    """`120.00 CNY from cash; overdraft not used`, and the same per fund account and voucher."""
    accounts = [_account(account, currency, share) for share in outcome.shares]
    told = [
        (share, explained)
        for share, explained in zip(outcome.shares, accounts, strict=True)
        if share.code not in APART
    ]
    sentence = _shortfall(told, outcome.shortfall, currency) if outcome.shortfall else _payment(told)
    return Explanation(
        text=sentence,
        accounts=accounts,
        policy_version=policy_version,
        usage_version=usage_version or None,
    )


def of_refund(account: str, currency: str, refunds: Sequence[tuple[str, int, int]]) -> Explanation:
    """What went back: (account type, amount, what the fund account can give then)."""
    return of_refunds(account, currency, [(code, code, amount, usable) for code, amount, usable in refunds])


def of_refunds(account: str, currency: str, refunds: Sequence[tuple[str, str, int, int]]) -> Explanation:
    """What went back: (name for people, account type, amount, what the source can give then)."""
    accounts = [
        AccountExplanation(
            account=account,
            account_type=code,
            available=Money.of(usable, currency),
            gave=zero(currency),
            code="refunded",
            text=f"{decimal_string(amount, currency)} returned",
        )
        for _, code, amount, usable in refunds
    ]
    parts = [f"{decimal_string(amount, currency)} {currency} to {name}" for name, _, amount, _ in refunds]
    sentence = f"returned {', '.join(parts)}" if parts else "nothing had been taken, so nothing is returned"
    return Explanation(text=sentence, accounts=accounts, policy_version=0)


def said(amount: int, currency: str | None) -> str:
    """An amount for people: `43.42 CNY`."""
    return "nothing" if currency is None else f"{decimal_string(amount, currency)} {currency}"


def of_nothing(sentence: str, policy_version: int = 0) -> Explanation:
    """A decision that moved no money."""
    return Explanation(text=sentence, accounts=[], policy_version=policy_version)


def _payment(told: Sequence[Told]) -> str:
    parts = [
        f"{explained.gave.amount} {explained.gave.currency} {_from(share)}"
        for share, explained in told
        if share.gave
    ]
    if not parts:
        return "nothing is owed, so nothing is taken"
    return "; ".join([", ".join(parts), *(_reason(share) for share, _ in told if not share.gave)])


def _shortfall(told: Sequence[Told], shortfall: int, currency: str) -> str:
    could = [
        f"{_name(share)} could give {explained.available.amount}"
        for share, explained in told
        if share.available
    ]
    reasons = [_reason(share) for share, _ in told if not share.available]
    return "; ".join([f"{decimal_string(shortfall, currency)} {currency} short", *could, *reasons])


def _reason(share: Share) -> str:
    return f"{_name(share)} {WHY[share.code]}"


def _name(share: Share) -> str:
    """`cash`, or `voucher V3`."""
    return share.account_type if share.voucher is None else f"{share.account_type} {share.voucher.voucher_id}"


def _from(share: Share) -> str:
    """`from voucher V3 (expires 2026-12-01)`, or `held on cash`."""
    where = "held on" if share.code == "held" else "from"
    if share.voucher is None or share.voucher.valid_until is None:
        return f"{where} {_name(share)}"
    return f"{where} {_name(share)} (expires {share.voucher.valid_until})"


def _account(account: str, currency: str, share: Share) -> AccountExplanation:
    available = Money.of(share.available, currency) if share.available else zero(currency)
    gave = _gave(share, available)
    return AccountExplanation(
        account=share.account or account,
        account_type=share.account_type,
        available=available,
        gave=gave,
        code=share.code,
        text=_account_text(share, available, gave),
        voucher_id=None if share.voucher is None else share.voucher.voucher_id,
        expires_on=None if share.voucher is None else share.voucher.valid_until,
    )


def _gave(share: Share, available: Money) -> Money:
    if share.gave == share.available:
        return available
    return Money.of(share.gave, available.currency) if share.gave else zero(available.currency)


def _account_text(share: Share, available: Money, gave: Money) -> str:
    if share.code == "paid":
        return f"gave {gave.amount} of {available.amount}"
    if share.code == "held":
        return f"holds {gave.amount} of {available.amount}"
    if share.code == "not-enough":
        return f"could give {available.amount}, which does not pay the order"
    return WHY[share.code]
