"""balance-changed: one fund account has moved."""

from contracts.entry_posted import ChainHash
from contracts.event import Event, event, message
from contracts.money import Amount, SignedAmount
from contracts.numbers import Counter
from contracts.text import Code, DocumentId, Id
from contracts.times import CalendarDate, Moment


@event("balance-changed", 1, key="account", producers=("fund-pool",))
@message
class BalanceChanged(Event):
    """`entry_number` counts the account's journal entries without a gap; `balance` is after the change."""

    account: Id
    account_type: Code
    entry_id: Id
    entry_number: Counter
    document_type: Code
    document_id: DocumentId
    change: SignedAmount
    """What the entry added, below zero for what it took."""
    balance: SignedAmount
    effective_date: CalendarDate
    """When the change counts, in the organisation's time zone."""
    posted_at: Moment
    """When it was entered."""
    chain_hash: ChainHash | None = None
    """The head of the account's chain after this entry; its length is `entry_number`."""
    bill_id: Id | None = None
    """The bill that was settled by this entry."""
    bill_settled: Amount | None = None
    """How much of the bill this entry settled."""
    bill_outstanding: Amount | None = None
    """What is left to pay of the bill."""
    voucher_id: Id | None = None
    """Which voucher, coupon or card moved, where the account type keeps them apart."""
