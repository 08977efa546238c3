"""Enterprises and the credit limits of their members."""

from datetime import datetime
from typing import Annotated, Any, Final

from chassis.http import CurrentPrincipal, CursorPage, Page, Policy, Problem, Reader, Router, Work
from contracts.money import Amount, Money, SignedMoney
from contracts.text import Id, Text
from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from credit import member_desk
from credit.api.common import READERS, Body, CurrencyPath, IdPath, Why, unknown
from credit.domain.members import (
    BeyondFreeCredit,
    Change,
    Enterprise,
    LimitMode,
    Member,
    MemberKey,
    MembersError,
    Operation,
    Result,
    Wish,
)
from credit.repository import members as rows

router: Final = Router(tags=["members' limits"])

GIVERS: Final = frozenset({"credit-manager", "treasurer"})
ENTERPRISE: Final = "/enterprises/{management_account}/{currency}"


class EnterpriseBody(Body):
    """The credit of a management account, and whether its members have limits of their own or share one line."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "limit": {"amount": "1000000.00", "currency": "CNY"},
                    "mode": "member-limits",
                    "reason": "frame contract 2026",
                }
            ]
        },
    )
    limit: Amount
    mode: LimitMode = "member-limits"
    reason: Why


class EnterpriseView(BaseModel):
    """free = limit - what members have; a pending lowering frees nothing."""

    management_account: str
    currency: str
    version: int
    mode: LimitMode
    limit: Money
    committed: Money
    free: SignedMoney
    reason: str
    changed_by: str
    changed_at: datetime


class LimitBody(Body):
    """set: the member's own limit becomes the amount; allocate and reclaim: by the amount, at most what was given."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"operation": "set", "amount": {"amount": "50000.00", "currency": "CNY"}},
                {
                    "operation": "allocate",
                    "amount": {"amount": "2000.00", "currency": "CNY"},
                    "remark": "season",
                },
            ]
        },
    )
    operation: Operation
    amount: Amount
    remark: Text | None = None


class MemberView(BaseModel):
    """A member's limit: own and allocated together; `pending_version` while a lowering waits for its answer."""

    account: str
    currency: str
    management_account: str
    own: Money
    allocated: Money
    limit: Money
    limit_version: int
    pending_version: int | None


class LimitResult(MemberView):
    """The member's limit, and the record of what was asked; null when nothing changes."""

    record_id: str | None
    result: Result | None = Field(
        description="pending: proposed to fund-pool, whose answer lowers or keeps the limit."
    )


class LimitRecord(BaseModel):
    """One change of a limit with its outcome."""

    record_id: str
    account: str
    limit_version: int
    operation: Operation
    amount: Money
    limit_before: Money
    limit: Money
    result: Result
    refusal: str | None
    smallest_limit: Money | None = Field(description="The smallest limit that fund-pool would have let pass.")
    remark: str | None
    requested_by: str
    requested_at: datetime
    recorded_at: datetime | None


@router.put(ENTERPRISE, policy=Policy("enterprise:write", {"credit-manager"}))
async def set_enterprise(
    management_account: IdPath,
    currency: CurrencyPath,
    body: EnterpriseBody,
    work: Work,
    principal: CurrentPrincipal,
) -> EnterpriseView:
    """Sets what an enterprise may give; not below what its members have."""
    _require_currency(body.limit, currency, "limit")
    wanted = Enterprise(management_account, currency, body.mode, body.limit.minor, 0)
    try:
        await member_desk.set_enterprise(work, wanted, body.reason, principal.subject)
    except MembersError as error:
        raise _refused(error) from None
    return await _enterprise(work.connection, management_account, currency)


@router.get(ENTERPRISE, policy=Policy("enterprise:read", READERS, "management_account"))
async def enterprise(management_account: IdPath, currency: CurrencyPath, reader: Reader) -> EnterpriseView:
    """An enterprise's credit and what is free of it."""
    return await _enterprise(reader, management_account, currency)


@router.get(f"{ENTERPRISE}/members", policy=Policy("member-limit:read", READERS, "management_account"))
async def enterprise_members(
    management_account: IdPath, currency: CurrencyPath, page: Page, reader: Reader
) -> CursorPage[MemberView]:
    """The members that have, or had, a limit."""
    found = await rows.members_after(reader, management_account, currency, page.after(str), page.rows)
    shown, following = page.page(found, key=lambda member: (member.key.account,))
    return CursorPage(items=[MemberView(**_member(member)) for member in shown], next=following)


@router.get(f"{ENTERPRISE}/limit-changes", policy=Policy("member-limit:read", READERS, "management_account"))
async def limit_changes(
    management_account: IdPath,
    currency: CurrencyPath,
    page: Page,
    reader: Reader,
    member: Annotated[Id | None, Query()] = None,
) -> CursorPage[LimitRecord]:
    """What was changed, proposed and refused, newest first."""
    found = await rows.changes_after(reader, management_account, currency, page.after(str), page.rows, member)
    shown, following = page.page(found, key=lambda row: (row.record_id,))
    return CursorPage(items=[_record(row, currency) for row in shown], next=following)


@router.post(
    f"{ENTERPRISE}/members/{{member_account}}/limit",
    policy=Policy("member-limit:write", GIVERS, "management_account"),
)
async def change_limit(
    management_account: IdPath,
    currency: CurrencyPath,
    member_account: IdPath,
    body: LimitBody,
    work: Work,
    principal: CurrentPrincipal,
) -> LimitResult:
    """Raises within the enterprise's free credit at once; a lowering is proposed to fund-pool and waits.

    409 `beyond-free-credit` says what is free, `change-pending` that one change is under way.
    """
    _require_currency(body.amount, currency, "amount")
    if body.operation != "set" and not body.amount.minor:
        raise Problem.invalid([{"field": "amount.amount", "message": "must be more than 0"}])
    wish = Wish(body.operation, body.amount.minor, body.remark, principal.subject)
    try:
        member, change = await member_desk.change_limit(
            work, management_account, MemberKey(member_account, currency), wish
        )
    except MembersError as error:
        raise _refused(error) from None
    return _result(member, change)


@router.get("/members/{account}/limits/{currency}", policy=Policy("member-limit:read", READERS, "account"))
async def member_limit(account: IdPath, currency: CurrencyPath, reader: Reader) -> MemberView:
    """A member's own limit."""
    key = MemberKey(account, currency)
    member = (await rows.members(reader, [key])).get(key)
    if member is None:
        raise unknown("credit limit", f"of account {account} in {currency}")
    return MemberView(**_member(member))


def _refused(error: MembersError) -> Problem:
    extensions: dict[str, Any] = {}
    if isinstance(error, BeyondFreeCredit):
        extensions["free_minor"] = error.free
    return Problem(409, error.code, detail=str(error), extensions=extensions)


def _require_currency(amount: Money, currency: str, field: str) -> None:
    if amount.currency != currency:
        message = f"is {amount.currency}, but the path says {currency}"
        raise Problem.invalid([{"field": f"{field}.currency", "message": message}])


async def _enterprise(connection: AsyncConnection, management_account: str, currency: str) -> EnterpriseView:
    row = await rows.enterprise_row(connection, management_account, currency)
    if row is None:
        raise unknown("enterprise", f"of account {management_account} in {currency}")
    place = (management_account, currency)
    found = (await rows.enterprises(connection, [place]))[place]
    return EnterpriseView(
        management_account=management_account,
        currency=currency,
        version=row.version,
        mode=found.mode,
        limit=Money.of(found.limit, currency),
        committed=Money.of(found.committed, currency),
        free=SignedMoney.of(found.free, currency),
        reason=row.reason,
        changed_by=row.changed_by,
        changed_at=row.changed_at,
    )


def _member(member: Member) -> dict[str, Any]:
    currency = member.key.currency
    return {
        "account": member.key.account,
        "currency": currency,
        "management_account": member.management_account,
        "own": Money.of(member.own, currency),
        "allocated": Money.of(member.allocated, currency),
        "limit": Money.of(member.limit, currency),
        "limit_version": member.limit_version,
        "pending_version": member.pending,
    }


def _result(member: Member, change: Change | None) -> LimitResult:
    return LimitResult(
        **_member(member),
        record_id=change.record_id if change else None,
        result=change.result if change else None,
    )


def _record(row: Row[Any], currency: str) -> LimitRecord:
    smallest = row.smallest_limit_minor
    return LimitRecord(
        record_id=row.record_id,
        account=row.account,
        limit_version=row.limit_version,
        operation=row.operation,
        amount=Money.of(row.amount_minor, currency),
        limit_before=Money.of(row.limit_before_minor, currency),
        limit=Money.of(row.own_minor + row.allocated_minor, currency),
        result=row.result,
        refusal=row.refusal,
        smallest_limit=Money.of(smallest, currency) if smallest is not None else None,
        remark=row.remark,
        requested_by=row.requested_by,
        requested_at=row.requested_at,
        recorded_at=row.recorded_at,
    )
