"""Members' limits: changed over HTTP and answered by fund-pool, as far as the relationship allows."""

from secrets import token_bytes
from typing import Final

from chassis.work import CausedBy
from contracts.allocation_recorded import AllocationRecorded
from contracts.credit_limit_answered import CreditLimitAnswered
from contracts.credit_limit_changed import CreditLimitChanged
from contracts.credit_limit_proposed import CreditLimitProposed
from contracts.money import Money
from contracts.order import Reason
from contracts.relationship_changed import RelationshipChanged

from chassis import Batch, UnitOfWork
from credit.domain.ids import RANDOM_BYTES, uuid7
from credit.domain.members import (
    Change,
    Enterprise,
    Member,
    MemberKey,
    MembersError,
    Wish,
    answered,
    changed,
    planned,
)
from credit.repository import members as rows
from credit.repository.members import Ended

NOTHING: Final[list[Reason]] = []


class UnknownEnterprise(MembersError):
    code = "unknown-enterprise"

    def __init__(self, management_account: str, currency: str) -> None:
        super().__init__(f"Account {management_account} has no credit in {currency} to give to members.")


class OtherEnterprise(MembersError):
    code = "other-enterprise"

    def __init__(self, account: str) -> None:
        super().__init__(f"Account {account} has its limit from another management account.")


class NotRelated(MembersError):
    code = "not-related"

    def __init__(self, account: str) -> None:
        super().__init__(
            f"Account {account} is not linked, or has not let its credit control identity be synchronised and its "
            "finances be seen; both permissions are needed."
        )


class RelationshipEnding(MembersError):
    code = "relationship-ending"

    def __init__(self, request_id: str) -> None:
        super().__init__(f"Request {request_id} to end the relationship is under way; nothing new is given.")


async def change_limit(
    work: UnitOfWork, management_account: str, key: MemberKey, wish: Wish
) -> tuple[Member, Change | None]:
    """Raises a limit at once, or proposes to lower it; raises MembersError. The enterprise is locked first."""
    place = (management_account, key.currency)
    enterprise = (await rows.locked_enterprises(work.connection, [place])).get(place)
    if enterprise is None:
        raise UnknownEnterprise(*place)
    member = (await rows.members(work.connection, [key], lock=True)).get(key)
    if member is None or (member.limit == 0 and member.pending is None):
        member = _moved(member, key, management_account)
    if member.management_account != management_account:
        raise OtherEnterprise(key.account)
    record_id = str(uuid7(work.now, token_bytes(RANDOM_BYTES)))
    change = planned(enterprise, member, wish, record_id, work.now)
    if change is None:
        return member, None
    if change.result == "succeeded":
        await _require_standing(work, management_account, key.account)
    member = changed(member, change)
    await rows.save_members(work.connection, [member])
    await rows.insert_change(work.connection, change, work.now)
    _tell_begun(work, change)
    return member, change


def _moved(member: Member | None, key: MemberKey, management_account: str) -> Member:
    """A member without limit may get one from any management account; its versions go on counting."""
    return Member(key, management_account, limit_version=member.limit_version if member else 0)


async def _require_standing(work: UnitOfWork, management_account: str, account: str) -> None:
    if account == management_account:
        return
    standing = await rows.standing(work.connection, management_account, account)
    if not standing.active or not standing.permitted:
        raise NotRelated(account)
    if standing.frozen_by is not None:
        raise RelationshipEnding(standing.frozen_by)


def _tell_begun(work: UnitOfWork, change: Change) -> None:
    currency = change.key.currency
    if change.result == "pending":
        work.emit(
            CreditLimitProposed(
                account=change.key.account,
                limit_version=change.limit_version,
                current_limit=Money.of(change.limit_before, currency),
                proposed_limit=Money.of(change.limit, currency),
                reason=change.remark,
                proposed_by=change.requested_by,
                proposed_at=work.now,
            )
        )
        return
    work.emit(
        CreditLimitChanged(
            account=change.key.account,
            limit_version=change.limit_version,
            limit=Money.of(change.limit, currency),
            changed_at=work.now,
        )
    )
    _record(work, change, change.limit, NOTHING)


def _record(
    work: UnitOfWork, change: Change, total: int, reasons: list[Reason], cause: CausedBy | None = None
) -> None:
    currency = change.key.currency
    ends = change.management_account, change.key.account
    disbursing, receiving = ends if change.operation != "reclaim" else (ends[1], ends[0])
    work.emit(
        AllocationRecorded(
            record_id=change.record_id,
            method="credit-limit",
            operation=change.operation,
            management_account=change.management_account,
            member_account=change.key.account,
            disbursing_account=disbursing,
            receiving_account=receiving,
            amount=Money.of(change.amount, currency),
            total=Money.of(total, currency),
            result="succeeded" if change.result == "succeeded" else "refused",
            reasons=reasons,
            limit_version=change.limit_version,
            remark=change.remark,
            requested_by=change.requested_by,
            requested_at=change.requested_at,
            recorded_at=work.now,
        ),
        cause,
    )
    work.count("member-limit", change.result)


async def take_limit_answers(batch: Batch[CreditLimitAnswered]) -> None:
    """fund-pool's answers to lowerings: taken over, or recorded as refused with the smallest that would pass."""
    versions = {(_key_of(record.event), record.event.limit_version) for record in batch}
    keys = sorted({key for key, _ in versions})
    known = await rows.members(batch.connection, keys)
    places = {(member.management_account, member.key.currency) for member in known.values()}
    await rows.locked_enterprises(batch.connection, places)
    found = await rows.members(batch.connection, keys, lock=True)
    changes = await rows.changes(batch.connection, sorted(versions))
    ended: list[Ended] = []
    for record in batch:
        event = record.event
        key = _key_of(event)
        change = changes.get((key, event.limit_version))
        if change is None:
            detail = f"no change {event.limit_version} of the limit of {key.account} in {key.currency} was proposed"
            batch.dead_letter(record, "unknown-proposal", detail)
            continue
        if found[key].pending != event.limit_version:
            continue
        found[key], done = answered(found[key], change, event.outcome == "accepted")
        ended.append(Ended(done, *_refusal(event)))
        _record(batch, done, found[key].limit, list(event.reasons), record)
    done_for = {each.change.key for each in ended}
    await rows.save_members(batch.connection, [found[key] for key in sorted(done_for)])
    await rows.end_changes(batch.connection, ended, batch.now)


def _key_of(event: CreditLimitAnswered) -> MemberKey:
    return MemberKey(event.account, event.proposed_limit.currency)


def _refusal(event: CreditLimitAnswered) -> tuple[str | None, int | None]:
    if event.outcome == "accepted":
        return None, None
    smallest = event.smallest_limit.minor if event.smallest_limit is not None else None
    return " ".join(reason.text for reason in event.reasons), smallest


async def take_relationships(batch: Batch[RelationshipChanged]) -> None:
    """The newest state of each relationship; whatever it tells of a request to end, the request is over.

    Nothing has to wait for an earlier version: states replace one another by version, and what a request froze
    is known by the request.
    """
    newest: dict[str, RelationshipChanged] = {}
    requests: dict[str, str] = {}
    for record in batch:
        event = record.event
        known = newest.get(event.relationship_id)
        if known is None or known.relationship_version < event.relationship_version:
            newest[event.relationship_id] = event
        if event.request_id is not None:
            requests[event.relationship_id] = event.request_id
    await rows.lock_accounts(batch.connection, (event.management_account for event in newest.values()))
    await rows.save_relationships(batch.connection, list(newest.values()))
    await rows.end_requests(batch.connection, requests)


async def set_enterprise(work: UnitOfWork, wanted: Enterprise, reason: str, person: str) -> None:
    """Sets an enterprise's credit; not below what its members have, and the mode only while they have nothing."""
    place = (wanted.management_account, wanted.currency)
    known = (await rows.locked_enterprises(work.connection, [place])).get(place)
    committed = known.committed if known is not None else 0
    if wanted.limit < committed:
        raise BelowCommitted(committed, wanted.currency)
    if known is not None and known.mode != wanted.mode and committed:
        raise ModeInUse(committed, wanted.currency)
    await rows.set_enterprise(work.connection, wanted, reason, person, work.now)


class BelowCommitted(MembersError):
    code = "below-committed"

    def __init__(self, committed: int, currency: str) -> None:
        money = Money.of(committed, currency)
        super().__init__(f"{money.amount} {currency} are given to members; lower their limits first.")


class ModeInUse(MembersError):
    code = "mode-in-use"

    def __init__(self, committed: int, currency: str) -> None:
        money = Money.of(committed, currency)
        super().__init__(f"{money.amount} {currency} are given in the present mode; bring that to 0 first.")
