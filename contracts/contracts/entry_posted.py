"""entry-posted: every journal entry of the fund pool, for the general ledger."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from contracts.event import Event, event, message
from contracts.money import SignedAmount
from contracts.numbers import Counter
from contracts.text import Code, DocumentId, Id
from contracts.times import CalendarDate, Moment

POSTINGS_MAX = 4000

ChainHash = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


@message
class LedgerPosting:
    """One side of an entry; above zero adds to the ledger account, below zero takes from it.

    `ledger` tells a fund account's balance and line from the internal accounts on the other side.
    """

    ledger: Literal["balance", "line", "internal"]
    ledger_account: Code
    voucher_id: Id | None = None
    """Which voucher, coupon or card, where the ledger account keeps them apart."""
    amount: SignedAmount


@event("entry-posted", 1, key="account", producers=("fund-pool",))
@message
class EntryPosted(Event):
    """`entry_number` counts the account's entries without a gap; the postings sum to zero per currency."""

    account: Id
    entry_id: Id
    entry_number: Counter
    document_type: Code
    document_id: DocumentId
    reverses: Id | None = None
    """The entry that this one takes back."""
    effective_date: CalendarDate
    moved_from: CalendarDate | None = None
    """The effective date asked for, where it lay in a closed period."""
    posted_at: Moment
    postings: Annotated[list[LedgerPosting], Field(min_length=2, max_length=POSTINGS_MAX)]
    chain_hash: ChainHash | None = None
    """SHA-256 over this entry and the hash of the one before it."""
