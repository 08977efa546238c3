"""Journal entries: what a document does to fund accounts, balanced against internal accounts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from hashlib import sha1, sha256
from typing import Final, Literal
from uuid import NAMESPACE_URL, UUID, uuid5

Bucket = Literal["balance", "line", "voucher", "internal"]

BANK_CLEARING = "bank-clearing"
ORDER_REVENUE = "order-revenue"
OPENING_BALANCES = "opening-balances"
CREDIT_LINES = "credit-lines"
BILL_CLEARING = "bill-clearing"
EXPENSE_CLEARING = "expense-clearing"
OTHER_CLEARING = "other-clearing"
PAYOUT_CLEARING = "payout-clearing"
ALLOCATION_CLEARING = "allocation-clearing"
REVERSAL_DEBTS = "reversal-debts"
TRANSFERS = "transfers"
VOUCHERS_GRANTED = "vouchers-granted"
VOUCHERS_EXPIRED = "vouchers-expired"
INTERNAL_ACCOUNTS = (
    BANK_CLEARING,
    ORDER_REVENUE,
    OPENING_BALANCES,
    CREDIT_LINES,
    BILL_CLEARING,
    EXPENSE_CLEARING,
    OTHER_CLEARING,
    PAYOUT_CLEARING,
    ALLOCATION_CLEARING,
    REVERSAL_DEBTS,
    TRANSFERS,
    VOUCHERS_GRANTED,
    VOUCHERS_EXPIRED,
)

ORDER_PAYMENT = "order-payment"
ORDER_CANCELLATION = "order-cancellation"
ORDER_CHANGE = "order-change"
ORDER_REOPENING = "order-reopening"
ORDER_RECALL = "order-recall"
RETURN_REFUND = "return-refund"
HOLD_CAPTURE = "hold-capture"
FINAL_PAYMENT = "final-payment"
ORDER_DOCUMENTS = (
    ORDER_PAYMENT,
    ORDER_CANCELLATION,
    ORDER_CHANGE,
    ORDER_REOPENING,
    ORDER_RECALL,
    RETURN_REFUND,
    HOLD_CAPTURE,
    FINAL_PAYMENT,
)
TOP_UP = "top-up"
OPENING_BALANCE = "opening-balance"
PAYMENT_REVERSAL = "payment-reversal"
EXPENSE_REIMBURSEMENT = "expense-reimbursement"
WITHDRAWAL = "withdrawal"
BILL_SETTLEMENT = "bill-settlement"
CREDIT_LIMIT = "credit-limit"
ALLOCATION = "allocation"
RECLAIM = "reclaim"

GENESIS: Final = bytes(32)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

_NAMESPACE = uuid5(NAMESPACE_URL, "coffer/fund-pool")
_ENTRIES = _NAMESPACE.bytes + b"entry\n"


def derived_id(*parts: object) -> UUID:
    """The same id for the same parts, so that deciding again names things alike."""
    return uuid5(_NAMESPACE, "\n".join(map(str, parts)))


def entry_id(account: str, entry_number: int) -> str:
    """The id under which the outside knows an entry of an account.

    A UUIDv5 like `derived_id`, put together by hand because there is one for every movement.
    """
    digest = sha1(_ENTRIES + f"{account}\n{entry_number}".encode(), usedforsecurity=False).hexdigest()
    variant = "89ab"[int(digest[16], 16) & 3]
    return f"{digest[:8]}-{digest[8:12]}-5{digest[13:16]}-{variant}{digest[17:20]}-{digest[20:32]}"


@dataclass(frozen=True, slots=True)
class Document:
    """What an entry was posted for; `source` is empty where ids are unique without it."""

    type: str
    source: str
    id: str
    number: int = 1

    @property
    def reference(self) -> str:
        """The document as one string for people: `shop-a/SO-7/2`."""
        return "/".join(part for part in (self.source, self.id, str(self.number)) if part)


@dataclass(slots=True)
class Posting:
    """One side of an entry, in minor units.

    In the buckets balance and line `account_type` names the fund account and `after` is what the bucket
    holds then; in the bucket internal it names the internal account, which keeps no balance; in the bucket
    voucher it names the voucher, coupon or card, and `after` is what remains on it.
    """

    account_type: str
    currency: str
    bucket: Bucket
    amount: int
    after: int | None


@dataclass(slots=True)
class Entry:
    """One balanced journal entry of an account, numbered without a gap.

    `reverses` is the number of the entry that this one takes back; `moved_from` the effective date that was
    asked for, where it lay in a closed period; `hash` the head of the account's chain after this entry.
    """

    account: str
    number: int
    posted_at: datetime
    effective_date: date
    document: Document
    postings: list[Posting]
    reverses: int | None = None
    moved_from: date | None = None
    hash: bytes = GENESIS


def chained(head: bytes, entry: Entry) -> bytes:
    """The head of the chain after an entry: SHA-256 over the head before it and all that the entry says.

    The text is built alike by the invariant `chain-unbroken`, in SQL.
    """
    document = entry.document
    told = [
        entry.account,
        str(entry.number),
        str((entry.posted_at - _EPOCH) // _MICROSECOND),
        entry.effective_date.isoformat(),
        "" if entry.moved_from is None else entry.moved_from.isoformat(),
        document.type,
        document.source,
        document.id,
        str(document.number),
        "" if entry.reverses is None else str(entry.reverses),
    ]
    text = "\x1f".join(told) + "".join(_told(entry.postings))
    return sha256(head + text.encode()).digest()


def _told(postings: Sequence[Posting]) -> list[str]:
    """Each posting as text, sorted by its bytes."""
    return sorted(
        f"\x1e{one.bucket}\x1f{one.account_type}\x1f{one.currency}\x1f{one.amount}"
        f"\x1f{'' if one.after is None else one.after}"
        for one in postings
    )
