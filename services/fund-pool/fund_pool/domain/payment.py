"""Money that arrived: it tops up the account it names, or waits in the list of unmatched payments."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final, Literal

from contracts.money import decimal_string

from contracts import PaymentReceived
from fund_pool.domain.account_types import PRESETS
from fund_pool.domain.ledger import BANK_CLEARING, TOP_UP, Document
from fund_pool.domain.pool import FundAccount, Move, Pool, Posted

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
]
PaymentStatus = Literal["new", "posted", "unmatched"]


@dataclass(slots=True)
class Payment:
    """One payment as the gateway told it, and what became of it; `amount` in minor units."""

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
    posted = _top_up(payment, pool, now)
    payment.status = "posted"
    payment.entry_number = posted.entry.number
    return posted


def _top_up(payment: Payment, pool: Pool, now: datetime) -> Posted:
    fund_account = _purse(payment, pool) or pool.open(PRESETS[payment.account_type], payment.currency)
    document = Document(TOP_UP, "", payment.payment_id)
    move = Move(fund_account, payment.amount, BANK_CLEARING)
    return pool.post(document, [move], payment.received_on, now)


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
    kind = PRESETS.get(payment.account_type)
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
