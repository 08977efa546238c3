"""Limits of members within their enterprise's free credit: raised at once, lowered when fund-pool agrees."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal, NamedTuple

from contracts.money import decimal_string

LimitMode = Literal["member-limits", "entity"]
"""Each member has a limit of its own, or all draw on the management account's one line."""
Operation = Literal["set", "allocate", "reclaim"]
Result = Literal["pending", "succeeded", "refused"]


class MemberKey(NamedTuple):
    """A member's limit is known by its account and currency."""

    account: str
    currency: str


class MembersError(ValueError):
    """Base of what stands against a change of a member's limit."""

    code = "limit-refused"


class BeyondFreeCredit(MembersError):
    code = "beyond-free-credit"

    def __init__(self, rise: int, free: int, currency: str) -> None:
        self.free = free
        asked, left = decimal_string(rise, currency), decimal_string(free, currency)
        super().__init__(
            f"The limit would rise by {asked} {currency}, but {left} {currency} of the enterprise's credit are free."
        )


class BeyondAllocated(MembersError):
    code = "beyond-allocated"

    def __init__(self, amount: int, allocated: int, currency: str) -> None:
        asked, there = decimal_string(amount, currency), decimal_string(allocated, currency)
        super().__init__(f"{asked} {currency} cannot be reclaimed: {there} {currency} were allocated.")


class ChangePending(MembersError):
    code = "change-pending"

    def __init__(self, limit_version: int) -> None:
        super().__init__(
            f"Change {limit_version} of this limit waits for fund-pool's answer; one goes at a time."
        )


class WrongMode(MembersError):
    code = "wrong-mode"

    def __init__(self, mode: LimitMode) -> None:
        right = "the management account's line" if mode == "entity" else "its members' limits"
        super().__init__(f"The enterprise's credit is set by {right}.")


@dataclass(frozen=True, slots=True)
class Enterprise:
    """The credit of a management account in a currency, and what of it its members have."""

    management_account: str
    currency: str
    mode: LimitMode
    limit: int
    committed: int

    @property
    def free(self) -> int:
        """Below zero after the enterprise's own limit was lowered by hand, which is refused; never otherwise."""
        return self.limit - self.committed


@dataclass(frozen=True, slots=True)
class Member:
    """A member's limit: `own` is set, `allocated` is given and reclaimed; both count against the enterprise."""

    key: MemberKey
    management_account: str
    own: int = 0
    allocated: int = 0
    limit_version: int = 0
    pending: int | None = None
    """The version of the change that is under way."""

    @property
    def limit(self) -> int:
        return self.own + self.allocated


@dataclass(frozen=True, slots=True)
class Change:
    """One change of a member's limit, from its request to its outcome."""

    record_id: str
    key: MemberKey
    management_account: str
    limit_version: int
    operation: Operation
    amount: int
    own: int
    allocated: int
    limit_before: int
    remark: str | None
    requested_by: str
    requested_at: datetime
    result: Result

    @property
    def limit(self) -> int:
        return self.own + self.allocated


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants of a member's limit."""

    operation: Operation
    amount: int
    remark: str | None
    requested_by: str


def planned(
    enterprise: Enterprise, member: Member, wish: Wish, record_id: str, now: datetime
) -> Change | None:
    """The change that a wish comes to, None when nothing changes; raises MembersError.

    A rise is compared with the free credit and is done at once; a fall waits for fund-pool's answer and frees
    nothing meanwhile.
    """
    if member.pending is not None:
        raise ChangePending(member.pending)
    is_common_line = member.key.account == enterprise.management_account
    if is_common_line != (enterprise.mode == "entity"):
        raise WrongMode(enterprise.mode)
    own, allocated = _parts(member, wish)
    rise = own + allocated - member.limit
    if rise > max(enterprise.free, 0):
        raise BeyondFreeCredit(rise, enterprise.free, enterprise.currency)
    if rise == 0:
        return None
    return Change(
        record_id,
        member.key,
        enterprise.management_account,
        member.limit_version + 1,
        wish.operation,
        wish.amount,
        own,
        allocated,
        member.limit,
        wish.remark,
        wish.requested_by,
        now,
        "succeeded" if rise > 0 else "pending",
    )


def _parts(member: Member, wish: Wish) -> tuple[int, int]:
    if wish.operation == "set":
        return wish.amount, member.allocated
    if wish.operation == "allocate":
        return member.own, member.allocated + wish.amount
    if wish.amount > member.allocated:
        raise BeyondAllocated(wish.amount, member.allocated, member.key.currency)
    return member.own, member.allocated - wish.amount


def changed(member: Member, change: Change) -> Member:
    """The member after its change has begun, or is done."""
    if change.result == "pending":
        return replace(member, limit_version=change.limit_version, pending=change.limit_version)
    return replace(
        member,
        own=change.own,
        allocated=change.allocated,
        limit_version=change.limit_version,
        pending=None,
    )


def answered(member: Member, change: Change, accepted: bool) -> tuple[Member, Change]:
    """Fund-pool's answer to a lowering: taken over, or left as it was."""
    assert member.pending == change.limit_version, "the answer to what is under way"
    if accepted:
        done = replace(change, result="succeeded")
        return changed(member, done), done
    return replace(member, pending=None), replace(change, result="refused")
