"""Bills and what else is open between billing and an account: issued, settled from the account or from outside."""

from collections.abc import Mapping
from datetime import datetime

from fund_pool.domain.account_types import CASH, OVERDRAFT
from fund_pool.domain.books import spend
from fund_pool.domain.items import OpenItem, Settlement
from fund_pool.domain.ledger import BANK_CLEARING, BILL_CLEARING, BILL_SETTLEMENT, REVERSAL_DEBTS, Document
from fund_pool.domain.pool import AnyMove, InternalMove, Move, Pool, Posted
from fund_pool.domain.quota import Alert, Notice, Watch


def issue(item: OpenItem, pool: Pool, now: datetime) -> list[Notice]:
    """Counts a new item in the quota; a bill that takes the account below zero makes it overdue at once."""
    watch_all(pool, item.currency)
    before = pool.quotas([item.currency])
    item.past_due = pool.today(now) > item.due_on
    pool.items[item.item_id] = pool.touched_items[item.item_id] = item
    pool.extras = True
    return pool.reconsidered(before, now, f"bill/{item.item_id}")


def settle(
    settlement: Settlement, item: OpenItem, pool: Pool, now: datetime
) -> tuple[Posted | None, list[Notice]]:
    """Settles an item by at most what is outstanding and, from the account, at most its free cash.

    The billed overdraft is restored first, in the same entry. Settled from outside, the debt alone falls.
    """
    before = pool.quotas([item.currency])
    part = min(settlement.asked, item.outstanding)
    takes_cash = settlement.paid_from == "account" and item.kind in ("bill", "reversal-debt")
    if takes_cash:
        cash = pool.find(CASH.code, item.currency)
        part = min(part, cash.usable if cash is not None else 0)
    restored = min(part, item.overdraft_outstanding)
    moves = _moves(settlement, item, pool, part, restored)
    if takes_cash and part:
        _consume(pool, item.currency, part)
    item.settled += part
    item.overdraft_settled += restored
    pool.touched_items[item.item_id] = item
    settlement.settled, settlement.status = part, "settled"
    if not moves:
        return None, pool.reconsidered(before, now, f"settlement/{settlement.settlement_id}")
    document = Document(BILL_SETTLEMENT, "", settlement.settlement_id)
    posted = pool.post(document, moves, settlement.settled_on, now, before=before)
    settlement.entry_number = posted.entry.number
    return posted, []


def watch_all(pool: Pool, currency: str) -> None:
    """Whoever owes something may become overdue, whether or not a threshold is set."""
    if currency not in pool.watches:
        pool.watches[currency] = Watch(currency, Alert(0, enabled=False))


def _moves(settlement: Settlement, item: OpenItem, pool: Pool, part: int, restored: int) -> list[AnyMove]:
    moves: list[AnyMove] = []
    counterpart = REVERSAL_DEBTS if item.kind == "reversal-debt" else BILL_CLEARING
    outside = settlement.paid_from == "outside"
    if part and not outside and item.kind in ("bill", "reversal-debt"):
        cash = pool.fund_accounts[CASH.code, item.currency]
        moves.append(Move(cash, -part, counterpart))
    if restored:
        overdraft = pool.fund_accounts[OVERDRAFT.code, item.currency]
        moves.append(Move(overdraft, restored, BANK_CLEARING if outside else counterpart))
    if outside and part and item.kind == "reversal-debt":
        moves.append(InternalMove(REVERSAL_DEBTS, item.currency, part))
        moves.append(InternalMove(BANK_CLEARING, item.currency, -part))
    return moves


def _consume(pool: Pool, currency: str, amount: int) -> None:
    """A bill is consumption: transferred money pays it in the configured order."""
    if not pool.books:
        return
    cash = pool.fund_accounts[CASH.code, currency]
    own = cash.balance - pool.transferred(currency)
    for share in spend(list(pool.books.values()), currency, amount, own, pool.spending_order):
        pool.touched_books[share.giver, currency] = pool.books[share.giver, currency]


def difference(kept: Mapping[str, object], told: Mapping[str, object]) -> str | None:
    """What another telling of the same id says differently, None when nothing."""
    parts = [f"{name} was {was}, now {told[name]}" for name, was in kept.items() if was != told[name]]
    return "; ".join(parts) or None
