"""Tells the outside what was posted: a balance-changed per movement, quota-low, and the reminder's timer."""

from collections.abc import Iterable
from typing import Final

from chassis.work import CausedBy
from contracts.entry_posted import LedgerPosting
from contracts.money import Money, SignedMoney

from chassis import UnitOfWork
from contracts import BalanceChanged, EntryPosted, QuotaLow
from contracts import quota_low as contract
from fund_pool.domain.ledger import Entry, Posting, entry_id
from fund_pool.domain.pool import FundAccount, Pool, Posted
from fund_pool.domain.quota import Notice, QuotaTerms, Watch

REMINDER: Final = "quota-reminder"


def publish(work: UnitOfWork, posted: Posted, pool: Pool, cause: CausedBy | None = None) -> None:
    """Publishes an entry, right after it was posted: itself, its fund accounts, and what followed for the quota.

    A fund account whose line alone has changed is told of with a change of 0, so that the entry numbers
    that go out have no gap.
    """
    work.emit(entry_posted(posted.entry), cause)
    for account_type, currency in _fund_accounts(posted.entry):
        work.emit(_balance_changed(posted.entry, pool.fund_accounts[account_type, currency]), cause)
    publish_notices(work, posted.notices, pool, cause)


def publish_notices(
    work: UnitOfWork, notices: Iterable[Notice], pool: Pool, cause: CausedBy | None = None
) -> None:
    """Publishes notices of low quota and sets or cancels the reminder accordingly."""
    for notice in notices:
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


def _quota_low(notice: Notice, account: str) -> QuotaLow:
    return QuotaLow(
        account=account,
        currency=notice.currency,
        kind=notice.kind,
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
