"""Journal entries: what a document does to fund accounts, balanced against internal accounts."""

from dataclasses import dataclass
from datetime import date, datetime
from hashlib import sha1
from typing import Literal
from uuid import NAMESPACE_URL, UUID, uuid5

Bucket = Literal["balance", "line", "internal"]

BANK_CLEARING = "bank-clearing"
ORDER_REVENUE = "order-revenue"
OPENING_BALANCES = "opening-balances"
CREDIT_LINES = "credit-lines"
INTERNAL_ACCOUNTS = (BANK_CLEARING, ORDER_REVENUE, OPENING_BALANCES, CREDIT_LINES)

ORDER_PAYMENT = "order-payment"
ORDER_CANCELLATION = "order-cancellation"
TOP_UP = "top-up"
OPENING_BALANCE = "opening-balance"

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
    holds then; in the bucket internal it names the internal account, which keeps no balance.
    """

    account_type: str
    currency: str
    bucket: Bucket
    amount: int
    after: int | None


@dataclass(slots=True)
class Entry:
    """One balanced journal entry of an account, numbered without a gap."""

    account: str
    number: int
    posted_at: datetime
    effective_date: date
    document: Document
    postings: list[Posting]
