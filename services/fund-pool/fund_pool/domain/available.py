"""What of an account's money may leave it: transferable and reclaimable amounts."""

from fund_pool.domain.account_types import CASH
from fund_pool.domain.items import OpenItem
from fund_pool.domain.pool import Pool


def own_cash(pool: Pool, currency: str) -> int:
    """The cash that nobody allocated to the account and that nothing holds."""
    cash = pool.find(CASH.code, currency)
    if cash is None:
        return 0
    return max(0, min(cash.usable, cash.balance - pool.transferred(currency)))


def transferable(pool: Pool, currency: str) -> int:
    """What may be withdrawn or allocated: own cash within the available quota; nothing while a bill is past due."""
    if any(item.past_due and item.outstanding for item in _owed(pool, currency)):
        return 0
    return max(0, min(own_cash(pool, currency), pool.terms(currency).quota))


def reclaimable(member: Pool, giver: str, currency: str) -> int:
    """What this management account may take back of what it gave: what is left in its book, within the quota.

    Never out of the member's own top-ups, and never what is held.
    """
    book = member.books.get((giver, currency))
    cash = member.find(CASH.code, currency)
    if book is None or cash is None:
        return 0
    return max(0, min(book.remaining, cash.usable, member.terms(currency).quota))


def _owed(pool: Pool, currency: str) -> list[OpenItem]:
    return [
        item
        for item in pool.items.values()
        if item.currency == currency and item.kind in ("bill", "reversal-debt")
    ]
