"""Money that arrived: it tops up the account it names, or waits in the list of unmatched payments."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final, Literal

from contracts.money import decimal_string

from contracts import PaymentReceived
from fund_pool.domain.account_types import CASH
from fund_pool.domain.bills import watch_all
from fund_pool.domain.documents import Content, spend_own_first
from fund_pool.domain.items import OpenItem
from fund_pool.domain.ledger import BANK_CLEARING, PAYMENT_REVERSAL, REVERSAL_DEBTS, TOP_UP, Document
from fund_pool.domain.pool import AnyMove, FundAccount, InternalMove, Move, Pool, Posted
from fund_pool.domain.quota import Notice

ACCEPTANCE: Final = "bankers-acceptance"

UnmatchedReason = Literal[
    "no-account-named",
    "unknown-account",
    "account-inactive",
    "unknown-account-type",
    "no-online-top-up",
    "fund-account-not-opened",
    "fund-account-expired",
    "fund-account-not-yet-valid",
    "bankers-acceptance-not-cashed",
    "balance-too-large",
    "unknown-top-up",
    "top-up-decided",
    "top-up-differs",
]
ReversalStatus = Literal["waiting", "posted", "unplaced", "refused"]
PaymentStatus = Literal["new", "posted", "unmatched", "waiting", "reversed"]


@dataclass(slots=True)
class Payment:
    """One payment as the gateway told it, and what became of it; `amount` in minor units.

    `top_up_id` names the top-up that it settles; waiting, it has settled one that finance has yet to approve.
    `cashes` names the payment whose acceptance it turns into cash. `reversed` is what was taken back of it.
    """

    payment_id: str
    payer: str
    account: str | None
    account_type: str
    currency: str
    amount: int
    instrument: str
    received_on: date
    reference: str | None
    status: PaymentStatus = "new"
    reason: UnmatchedReason | None = None
    entry_number: int | None = None
    top_up_id: str | None = None
    cashes: str | None = None
    reversed: int = 0

    @classmethod
    def told_by(cls, event: PaymentReceived) -> "Payment":
        return cls(
            payment_id=event.payment_id,
            payer=event.payer,
            account=event.account,
            account_type=event.account_type,
            currency=event.amount.currency,
            amount=event.amount.minor,
            instrument=event.instrument,
            received_on=event.received_on,
            reference=event.reference,
            top_up_id=event.top_up_id,
            cashes=event.cashes,
        )

    def difference(self, other: "Payment") -> str | None:
        """What another telling of the same payment says differently, None when nothing."""
        told = (
            ("payer", self.payer, other.payer),
            ("account", self.account, other.account),
            ("account_type", self.account_type, other.account_type),
            ("amount", self._money(), other._money()),
            ("instrument", self.instrument, other.instrument),
            ("received_on", self.received_on, other.received_on),
            ("reference", self.reference, other.reference),
            ("top_up_id", self.top_up_id, other.top_up_id),
            ("cashes", self.cashes, other.cashes),
        )
        parts = [f"{name} was {was}, now {now}" for name, was, now in told if was != now]
        return "; ".join(parts) or None

    def _money(self) -> str:
        return f"{decimal_string(self.amount, self.currency)} {self.currency}"


def receive(payment: Payment, pools: Mapping[str, Pool], now: datetime) -> Posted | None:
    """Tops the named account up and marks the payment posted, or marks it unmatched with the reason."""
    pool = pools.get(payment.account) if payment.account is not None else None
    reason = _unmatched(payment, pool, now)
    if reason is not None or pool is None:
        payment.status = "unmatched"
        payment.reason = reason
        return None
    before = pool.quotas([payment.currency])
    if payment.cashes is not None:
        _cash(payment, pool)
    posted = _top_up(payment, pool, now, before)
    payment.status = "posted"
    payment.entry_number = posted.entry.number
    return posted


def settle_top_up(payment: Payment, top_up: Content | None, is_open: bool) -> UnmatchedReason | None:
    """Whether a payment settles the top-up that it names; it names its account, type and amount too."""
    if top_up is None:
        return "unknown-top-up"
    if not is_open:
        return "top-up-decided"
    named = (payment.account or top_up.account, payment.currency, payment.amount)
    return None if named == (top_up.account, top_up.currency, top_up.amount) else "top-up-differs"


def accept(payment: Payment, pools: Mapping[str, Pool], now: datetime) -> list[Notice]:
    """Counts an acceptance in the quota of the account that it names, until it is cashed."""
    pool = pools.get(payment.account) if payment.account is not None else None
    if payment.reason != "bankers-acceptance-not-cashed" or pool is None or not pool.active:
        return []
    before = pool.quotas([payment.currency])
    item = OpenItem(
        payment.payment_id,
        "acceptance",
        payment.currency,
        payment.amount,
        payment.received_on,
        payment.received_on,
    )
    pool.items[item.item_id] = pool.touched_items[item.item_id] = item
    pool.extras = True
    return pool.reconsidered(before, now, f"acceptance/{payment.payment_id}")


@dataclass(slots=True)
class Reversal:
    """A payment taken back, in whole or in part; waiting until the payment itself has come."""

    reversal_id: str
    payment_id: str
    currency: str
    amount: int
    reversed_on: date
    status: ReversalStatus = "waiting"
    entry_number: int | None = None
    debt: int = 0


def reverse(reversal: Reversal, payment: Payment, pools: Mapping[str, Pool], now: datetime) -> Posted | None:
    """Takes a posted payment back; what the fund account's free money cannot cover stays as a debt.

    A payment that topped nothing up is only marked, and so is more than the payment brought.
    """
    if payment.reversed + reversal.amount > payment.amount or payment.currency != reversal.currency:
        reversal.status = "refused"
        return None
    payment.reversed += reversal.amount
    if payment.status != "posted" or payment.account is None:
        _forget_acceptance(payment, reversal, pools)
        reversal.status = "unplaced"
        if payment.reversed == payment.amount:
            payment.status = "reversed"
        return None
    pool = pools[payment.account]
    purse = pool.fund_accounts[payment.account_type, payment.currency]
    watch_all(pool, payment.currency)
    before = pool.quotas([payment.currency])
    covered = min(purse.usable, reversal.amount)
    reversal.debt = reversal.amount - covered
    moves: list[AnyMove] = [Move(purse, -covered, BANK_CLEARING)] if covered else []
    if reversal.debt:
        moves.append(InternalMove(BANK_CLEARING, payment.currency, reversal.debt))
        moves.append(InternalMove(REVERSAL_DEBTS, payment.currency, -reversal.debt))
        _owe(pool, reversal)
    document = Document(PAYMENT_REVERSAL, "", reversal.reversal_id)
    if purse.type.code == CASH.code and covered:
        spend_own_first(pool, payment.currency, covered)
    posted = pool.post(document, moves, reversal.reversed_on, now, payment.entry_number, before)
    reversal.status, reversal.entry_number = "posted", posted.entry.number
    return posted


def _forget_acceptance(payment: Payment, reversal: Reversal, pools: Mapping[str, Pool]) -> None:
    pool = pools.get(payment.account or "")
    item = None if pool is None else pool.items.get(payment.payment_id)
    if pool is not None and item is not None and item.kind == "acceptance":
        item.settled += min(item.outstanding, reversal.amount)
        pool.touched_items[item.item_id] = item


def _owe(pool: Pool, reversal: Reversal) -> None:
    """A reversal's debt is outstanding from the first moment."""
    item = OpenItem(
        f"reversal/{reversal.reversal_id}",
        "reversal-debt",
        reversal.currency,
        reversal.debt,
        reversal.reversed_on,
        reversal.reversed_on,
        past_due=True,
    )
    pool.items[item.item_id] = pool.touched_items[item.item_id] = item
    pool.extras = True


def _cash(payment: Payment, pool: Pool) -> None:
    """Takes from the acceptance what this payment brings in cash."""
    item = pool.items.get(payment.cashes or "")
    if item is not None and item.kind == "acceptance" and item.currency == payment.currency:
        item.settled += min(item.outstanding, payment.amount)
        pool.touched_items[item.item_id] = item


def _top_up(payment: Payment, pool: Pool, now: datetime, before: Mapping[str, int]) -> Posted:
    kind = pool.types[payment.account_type]
    fund_account = _purse(payment, pool) or pool.open(kind, payment.currency)
    document = Document(TOP_UP, "", payment.payment_id)
    move = Move(fund_account, payment.amount, BANK_CLEARING)
    return pool.post(document, [move], payment.received_on, now, before=before)


def _purse(payment: Payment, pool: Pool) -> FundAccount | None:
    return pool.find(payment.account_type, payment.currency)


def _unmatched(payment: Payment, pool: Pool | None, now: datetime) -> UnmatchedReason | None:
    if payment.account is None:
        return "no-account-named"
    if pool is None:
        return "unknown-account"
    if not pool.active:
        return "account-inactive"
    if payment.instrument == ACCEPTANCE:
        return "bankers-acceptance-not-cashed"
    return _closed_to_top_ups(payment, pool, now)


def _closed_to_top_ups(payment: Payment, pool: Pool, now: datetime) -> UnmatchedReason | None:
    kind = pool.types.get(payment.account_type)
    if kind is None:
        return "unknown-account-type"
    if not kind.takes_online_top_ups:
        return "no-online-top-up"
    fund_account = _purse(payment, pool)
    if fund_account is None:
        if not kind.opens_on_first_use:
            return "fund-account-not-opened"
    elif (validity := fund_account.validity(pool.today(now))) != "valid":
        return "fund-account-expired" if validity == "expired" else "fund-account-not-yet-valid"
    if not pool.has_room(payment.currency, payment.amount):
        return "balance-too-large"
    return None
