"""allocation-recorded: funds, credit limit or vouchers were allocated or reclaimed, or were refused."""

from dataclasses import dataclass
from typing import Literal

from contracts.event import Event, event
from contracts.money import Amount
from contracts.numbers import Version
from contracts.order import Reasons
from contracts.text import Id, Text
from contracts.times import Moment


@event("allocation-recorded", 1, key="member_account", producers=("fund-pool", "credit"))
@dataclass(frozen=True, slots=True, kw_only=True)
class AllocationRecorded(Event):
    """One operation with its outcome, in one format for all three methods; once per `record_id`.

    Allocating disburses from the management account and the member receives; reclaiming swaps the two.
    """

    record_id: Id
    method: Literal["funds", "credit-limit", "voucher"]
    operation: Literal["allocate", "reclaim", "set"]
    """`set` is the member's own credit limit, which `amount` then is."""
    management_account: Id
    member_account: Id
    disbursing_account: Id
    receiving_account: Id
    amount: Amount
    total: Amount | None = None
    """What the member has of it afterwards: its transfer book of this giver, its limit, its voucher's rest."""
    result: Literal["succeeded", "refused"]
    reasons: Reasons
    """Why it was refused."""
    batch_id: Id | None = None
    """Holds the rows of one batch together."""
    voucher_id: Id | None = None
    entry_id: Id | None = None
    """The journal entry of allocated funds."""
    limit_version: Version | None = None
    """Of the member's credit limit."""
    remark: Text | None = None
    requested_by: Id
    requested_at: Moment
    recorded_at: Moment
