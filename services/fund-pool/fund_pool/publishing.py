"""Tells the outside what was posted: a balance-changed per movement, quota-low, and the reminder's timer."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from chassis.work import CausedBy
from contracts.entry_posted import LedgerPosting
from contracts.money import Money, SignedMoney

from chassis import UnitOfWork
from contracts import BalanceChanged, EntryPosted, PaymentOverdue, QuotaLow
from contracts import quota_low as contract
from fund_pool.domain.ledger import Entry, Posting, entry_id
from fund_pool.domain.order_state import Effects, OrderState
from fund_pool.domain.pool import FundAccount, Pool, Posted
from fund_pool.domain.quota import Notice, QuotaTerms, Spell, Watch

REMINDER: Final = "quota-reminder"
HOLD_EXPIRY: Final = "hold-expiry"
COMMON_LINE: Final = "common-line"


@dataclass(frozen=True, slots=True)
class BillSettled:
    """Which bill an entry settled, how much of it, and what is left to pay; in minor units."""

    bill_id: str
    settled: int
    outstanding: int


def publish(
    work: UnitOfWork,
    posted: Posted,
    pool: Pool,
    cause: CausedBy | None = None,
    bill: BillSettled | None = None,
) -> None:
    """Publishes an entry, right after it was posted: itself, its fund accounts, and what followed for the quota.

    A fund account whose line alone has changed is told of with a change of 0, so that the entry numbers
    that go out have no gap.
    """
    work.emit(entry_posted(posted.entry), cause)
    for account_type, currency in _fund_accounts(posted.entry):
        told = _balance_changed(posted.entry, pool.fund_accounts[account_type, currency])
        work.emit(told if bill is None else _with_bill(told, bill), cause)
    publish_notices(work, posted.notices, pool, cause)
    if pool.lends:
        for currency in pool.lends & {posting.currency for posting in posted.entry.postings}:
            wake_borrowers(work, pool, currency, f"entry {posted.entry.number}", cause)


def publish_effects(
    work: UnitOfWork, effects: Effects, pools: Mapping[str, Pool], cause: CausedBy | None = None
) -> None:
    """Publishes what was posted for an order in whosever books, and what followed where only holds changed."""
    for posted in effects.posted:
        publish(work, posted, pools[posted.entry.account], cause)
    for account, notices in effects.notices.items():
        publish_notices(work, notices, pools[account], cause)
        if pools[account].lends and pools[account].hold_events:
            _wake_by_hold(work, pools[account], cause)


def _wake_by_hold(work: UnitOfWork, pool: Pool, cause: CausedBy | None) -> None:
    last = pool.hold_events[-1]
    for currency in pool.lends:
        wake_borrowers(work, pool, currency, f"hold {last.hold_id} {last.number}", cause)


def wake_borrowers(
    work: UnitOfWork, pool: Pool, currency: str, change: str, cause: CausedBy | None = None
) -> None:
    """Lets the members who draw on a common line be looked at, each under its own lock, right after this.

    The timer names the change, so that no two transactions wait for one row of it.
    """
    work.set_timer(COMMON_LINE, f"{pool.account} {currency} {change}", work.now, cause)


def lent(key: str) -> tuple[str, str]:
    """The (owner, currency) of a common line's key."""
    owner, currency, _ = key.split(" ", 2)
    return owner, currency


def schedule_expiry(work: UnitOfWork, order: OrderState, cause: CausedBy | None = None) -> None:
    """Sets the timer of the next hold of an order that expires, or takes it back."""
    key = f"{order.source} {order.order_id}"
    if order.hold_expires_at is None:
        work.cancel_timer(HOLD_EXPIRY, key)
    else:
        work.set_timer(HOLD_EXPIRY, key, order.hold_expires_at, cause)


def expiring(key: str) -> tuple[str, str]:
    """The order (source, id) of an expiry's key; neither holds a space."""
    source, order_id = key.split(" ")
    return source, order_id


def publish_notices(
    work: UnitOfWork, notices: Iterable[Notice], pool: Pool, cause: CausedBy | None = None
) -> None:
    """Publishes notices of low quota and of overdue spells, and sets or cancels the reminder accordingly."""
    for notice in notices:
        if notice.spell is not None:
            work.emit(_payment_overdue(notice, notice.spell, pool.account), cause)
            work.count("payment-overdue", notice.kind)
            continue
        work.emit(_quota_low(notice, pool.account), cause)
        work.count("quota-low", notice.kind)
        schedule_reminder(work, pool.account, pool.watches[notice.currency], cause)


def schedule_reminder(work: UnitOfWork, account: str, watch: Watch, cause: CausedBy | None = None) -> None:
    """Sets the timer of the open episode's next reminder, or takes the timer back."""
    due_at = watch.episode.reminder_due_at if watch.episode is not None else None
    if due_at is None:
        work.cancel_timer(REMINDER, reminder_key(account, watch.currency))
    else:
        work.set_timer(REMINDER, reminder_key(account, watch.currency), due_at, cause)


def reminder_key(account: str, currency: str) -> str:
    """Names an (account, currency); neither holds a space."""
    return f"{account} {currency}"


def reminded(key: str) -> tuple[str, str]:
    """The (account, currency) of a reminder's key."""
    account, currency = key.split(" ")
    return account, currency


def terms_told(terms: QuotaTerms, currency: str) -> contract.QuotaTerms:
    """The terms as they are written on the wire."""
    return contract.QuotaTerms(
        cash_balance=SignedMoney.of(terms.cash_balance, currency),
        bankers_acceptance=Money.of(terms.bankers_acceptance, currency),
        credit_limit=Money.of(terms.credit_limit, currency),
        credit_refund=Money.of(terms.credit_refund, currency),
        unsettled=Money.of(terms.unsettled, currency),
        outstanding_fees=Money.of(terms.outstanding_fees, currency),
        negative_bill=Money.of(terms.negative_bill, currency),
    )


def _payment_overdue(notice: Notice, spell: Spell, account: str) -> PaymentOverdue:
    quota = notice.terms.quota
    return PaymentOverdue(
        account=account,
        currency=notice.currency,
        kind="opened" if notice.kind == "overdue" else "cleared",
        episode_id=str(spell.episode_id),
        quota=SignedMoney.of(quota, notice.currency),
        overdue=Money.of(max(0, -quota), notice.currency),
        terms=terms_told(notice.terms, notice.currency),
        supersedes_episode_id=None if spell.supersedes is None else str(spell.supersedes),
        opened_at=spell.opened_at,
        occurred_at=notice.occurred_at,
    )


def _quota_low(notice: Notice, account: str) -> QuotaLow:
    return QuotaLow(
        account=account,
        currency=notice.currency,
        kind=notice.kind,  # type: ignore[arg-type]
        episode_id=str(notice.episode_id),
        reminder_number=notice.reminder_number,
        quota=SignedMoney.of(notice.terms.quota, notice.currency),
        threshold=Money.of(notice.threshold, notice.currency),
        terms=terms_told(notice.terms, notice.currency),
        occurred_at=notice.occurred_at,
    )


def entry_posted(entry: Entry) -> EntryPosted:
    """A journal entry as the general ledger gets it."""
    return EntryPosted(
        account=entry.account,
        entry_id=entry_id(entry.account, entry.number),
        entry_number=entry.number,
        document_type=entry.document.type,
        document_id=entry.document.reference,
        reverses=None if entry.reverses is None else entry_id(entry.account, entry.reverses),
        effective_date=entry.effective_date,
        moved_from=entry.moved_from,
        posted_at=entry.posted_at,
        postings=[_ledger_posting(posting) for posting in entry.postings],
        chain_hash=entry.hash.hex(),
    )


def _ledger_posting(posting: Posting) -> LedgerPosting:
    amount = SignedMoney.of(posting.amount, posting.currency)
    if posting.bucket == "voucher":
        return LedgerPosting(
            ledger="balance", ledger_account="voucher", voucher_id=posting.account_type, amount=amount
        )
    return LedgerPosting(ledger=posting.bucket, ledger_account=posting.account_type, amount=amount)


def _fund_accounts(entry: Entry) -> Iterable[tuple[str, str]]:
    """The fund accounts of an entry, each once."""
    purses = (posting for posting in entry.postings if posting.bucket in ("balance", "line"))
    return dict.fromkeys((posting.account_type, posting.currency) for posting in purses)


def _with_bill(told: BalanceChanged, bill: BillSettled) -> BalanceChanged:
    currency = told.balance.currency
    return replace(
        told,
        bill_id=bill.bill_id,
        bill_settled=Money.of(bill.settled, currency),
        bill_outstanding=Money.of(bill.outstanding, currency),
    )


def _balance_changed(entry: Entry, purse: FundAccount) -> BalanceChanged:
    change = sum(
        posting.amount
        for posting in entry.postings
        if posting.bucket == "balance"
        and (posting.account_type, posting.currency) == (purse.type.code, purse.currency)
    )
    return BalanceChanged(
        account=entry.account,
        account_type=purse.type.code,
        entry_id=entry_id(entry.account, entry.number),
        entry_number=entry.number,
        document_type=entry.document.type,
        document_id=entry.document.reference,
        change=SignedMoney.of(change, purse.currency),
        balance=SignedMoney.of(purse.balance, purse.currency),
        effective_date=entry.effective_date,
        posted_at=entry.posted_at,
        chain_hash=entry.hash.hex(),
    )
