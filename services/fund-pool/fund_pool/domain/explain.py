"""Decisions about money in words and in data."""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

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


def of_walk(account: str, currency: str, outcome: Walk, policy_version: int) -> Explanation:
    """`120.00 CNY from cash; overdraft not used`, and the same per fund account."""
    sentence = _shortfall(outcome, currency) if outcome.shortfall else _payment(outcome, currency)
    accounts = [_account(account, currency, share) for share in outcome.shares]
    return Explanation(text=sentence, accounts=accounts, policy_version=policy_version)


def of_refund(account: str, currency: str, refunds: Sequence[tuple[str, int, int]]) -> Explanation:
    """What went back: (account type, amount, what the fund account can give then)."""
    accounts = [
        AccountExplanation(
            account=account,
            account_type=code,
            available=Money.of(usable, currency),
            gave=Money.of(0, currency),
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


def _payment(outcome: Walk, currency: str) -> str:
    given = [share for share in outcome.shares if share.gave]
    if not given:
        return "nothing is owed, so nothing is taken"
    parts = [
        f"{decimal_string(share.gave, currency)} {currency} from {share.account_type}" for share in given
    ]
    return "; ".join([", ".join(parts), *_rest(share for share in outcome.in_order if not share.gave)])


def _shortfall(outcome: Walk, currency: str) -> str:
    short = f"{decimal_string(outcome.shortfall, currency)} {currency} short"
    could = [
        f"{share.account_type} could give {decimal_string(share.available, currency)}"
        for share in outcome.in_order
        if share.available
    ]
    return "; ".join([short, *could, *_rest(share for share in outcome.in_order if not share.available)])


def _rest(shares: Iterable[Share]) -> list[str]:
    return [f"{share.account_type} {WHY[share.code]}" for share in shares]


def _account(account: str, currency: str, share: Share) -> AccountExplanation:
    return AccountExplanation(
        account=account,
        account_type=share.account_type,
        available=Money.of(share.available, currency),
        gave=Money.of(share.gave, currency),
        code=share.code,
        text=_account_text(currency, share),
    )


def _account_text(currency: str, share: Share) -> str:
    if share.code == "paid":
        return f"gave {decimal_string(share.gave, currency)} of {decimal_string(share.available, currency)}"
    if share.code == "not-enough":
        return f"could give {decimal_string(share.available, currency)}, which does not pay the order"
    return WHY[share.code]
