"""Credit profiles: set and read, with their history and the numbers of the moment."""

from datetime import date, datetime
from typing import Annotated, Any, Final, Literal
from uuid import UUID, uuid5

from chassis.http import CurrentPrincipal, CursorPage, Now, Page, Policy, Problem, Reader, Router, Work
from contracts.money import Amount, Money, SignedMoney
from contracts.text import CurrencyCode, Id
from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from credit.api.common import READERS, Body, CurrencyPath, IdPath, Why, signed, unknown, wire_limit
from credit.api.views import PendingOrder, pending_order
from credit.domain.profiles import (
    CUSTOMER,
    GROUP_SCOPE,
    UNLIMITED,
    WHOLE_GROUP,
    Enforcement,
    Limit,
    Metric,
    Profile,
    Rule,
)
from credit.repository import masterdata, profiles

router: Final = Router(tags=["profiles"])

PROFILE_IDS: Final = UUID("0f6cf7a2-4c0b-4c0e-9a53-6f6c1df0a4d1")
PENDING_SHOWN_MAX: Final = 20

WireLimit = Annotated[
    Amount | Literal["unlimited"] | None,
    Field(description='Money, 0 = no credit; "unlimited" in words; null = this metric is not controlled.'),
]


class MetricSetting(Body):
    """One metric: its limit and what happens when an order fails it."""

    limit: WireLimit
    enforcement: Enforcement | None = Field(
        default="reject",
        description="warn: passes with a warning; special-approval: waits; reject: declined; freeze: declined, and "
        "what adds is declined until somebody unfreezes; null: as the check rule says.",
    )


NOT_CONTROLLED: Final = MetricSetting(limit=None)


class ProfileSettings(Body):
    """What a profile limits; the whole of it, each time."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "credit_limit": {
                        "limit": {"amount": "24000.00", "currency": "CNY"},
                        "enforcement": "special-approval",
                    },
                    "single_document_limit": {"limit": None, "enforcement": "reject"},
                    "reason": "yearly review 2026",
                }
            ]
        },
    )
    credit_limit: MetricSetting
    single_document_limit: MetricSetting = NOT_CONTROLLED
    reason: Why
    version: Annotated[
        int | None,
        Field(ge=0, description="The version that is replaced, 0 = none; left out: whichever it is."),
    ] = None


class CreditProfile(BaseModel):
    """A credit profile as it is set."""

    profile_id: str
    scope: str
    scope_id: str
    object_type: str
    object_id: str
    currency: str
    version: int
    credit_limit: MetricSetting
    single_document_limit: MetricSetting
    changed_at: datetime


class ProfileVersion(BaseModel):
    """What a profile limited from `changed_at` on, and who set it why."""

    version: int
    credit_limit: MetricSetting
    single_document_limit: MetricSetting
    reason: str
    changed_by: str
    changed_at: datetime


class PendingSum(BaseModel):
    """Orders that wait for special approval; they occupy nothing."""

    orders: int
    total: Money
    oldest: list[PendingOrder] = Field(
        description=f"At most {PENDING_SHOWN_MAX}; the rest in /pending-orders."
    )


class CreditStatus(BaseModel):
    """The numbers of one profile at this moment: used = settled + undecided, available = limit in force - used."""

    profile: CreditProfile
    used: SignedMoney
    settled: SignedMoney = Field(description="By orders that fund-pool has accepted.")
    undecided: SignedMoney = Field(description="By orders that fund-pool has not decided yet.")
    limit_in_force: Money | Literal["unlimited"] | None = Field(
        description="Today: (limit x coefficient + temporary credit) x ratio; 0 outside the validity."
    )
    available: SignedMoney | Literal["unlimited"] | None = Field(
        description='Below zero after a limit was lowered; "unlimited"; null when the limit is not controlled.'
    )
    pending: PendingSum


class OccupancyEntry(BaseModel):
    """One change of what a profile has used; `permit` says what allowed it."""

    entry_number: int
    recorded_at: datetime
    source: str
    order_id: str
    check_number: int
    change: SignedMoney
    used_after: SignedMoney
    permit: str
    limit: Money | None


class OccupyingOrder(BaseModel):
    """What one order occupies: the largest of its settled and its undecided checks."""

    source: str
    order_id: str
    status: str
    occupied: Money
    settled: Money


@router.put(
    "/customers/{customer_id}/profiles/{currency}",
    policy=Policy("profile:write", {"credit-manager"}),
    summary="Set a customer's credit profile",
)
async def set_profile(
    customer_id: IdPath,
    currency: CurrencyPath,
    body: ProfileSettings,
    work: Work,
    principal: CurrentPrincipal,
) -> CreditProfile:
    """Makes or replaces what a customer's profile of one currency limits, in the scope of the whole group."""
    rules = _rules(body, currency)
    if await masterdata.record_row(work.connection, CUSTOMER, customer_id) is None:
        raise unknown(CUSTOMER, customer_id)
    profile_id, version = await _locked_profile(work.connection, customer_id, currency, work.now)
    if body.version not in (None, version):
        message = f"is {body.version}, but the profile is at version {version}; read it again and decide anew"
        raise Problem.conflict(
            "version-conflict", f"version {message}.", errors=[{"field": "version", "message": message}]
        )
    await profiles.set_limits(
        work.connection,
        profile_id,
        version + 1,
        rules,
        reason=body.reason,
        person=principal.subject,
        now=work.now,
    )
    row = await profiles.profile_row(work.connection, profile_id)
    assert row is not None, "it was written just now"
    return _profile(row)


async def _locked_profile(
    connection: AsyncConnection, customer_id: str, currency: str, now: datetime
) -> tuple[str, int]:
    """The id of the customer's profile and its version, 0 when it was made just now; locked."""
    key = (CUSTOMER, customer_id, currency)
    found = await profiles.locked_version(connection, GROUP_SCOPE, WHOLE_GROUP, key)
    if found is not None:
        return found
    profile_id = str(uuid5(PROFILE_IDS, " ".join((GROUP_SCOPE, WHOLE_GROUP, *key))))
    if await profiles.create(connection, profile_id, GROUP_SCOPE, WHOLE_GROUP, key, now):
        return profile_id, 0
    found = await profiles.locked_version(connection, GROUP_SCOPE, WHOLE_GROUP, key)
    assert found is not None, "another transaction has made it"
    return found


@router.get("/customers/{customer_id}/profiles/{currency}", policy=Policy("profile:read", READERS))
async def customer_profile(customer_id: IdPath, currency: CurrencyPath, reader: Reader) -> CreditProfile:
    """A customer's profile of one currency."""
    rows = await profiles.profiles_after(reader, None, 1, object_id=customer_id, currency=currency)
    if not rows:
        raise unknown("credit profile", f"of customer {customer_id} in {currency}")
    return _profile(rows[0])


@router.get("/customers/{customer_id}/status", policy=Policy("status:read", READERS))
async def customer_status(
    customer_id: IdPath, page: Page, reader: Reader, now: Now
) -> CursorPage[CreditStatus]:
    """The numbers of all profiles of a customer."""
    if await masterdata.record_row(reader, CUSTOMER, customer_id) is None:
        raise unknown(CUSTOMER, customer_id)
    rows = await profiles.profiles_after(reader, page.after(str), page.rows, object_id=customer_id)
    rows, following = page.page(rows, key=lambda row: (row.profile_id,))
    return CursorPage(items=[await _status(reader, row, now.date()) for row in rows], next=following)


@router.get("/profiles", policy=Policy("profile:read", READERS))
async def all_profiles(
    page: Page,
    reader: Reader,
    customer: Annotated[Id | None, Query()] = None,
    currency: Annotated[CurrencyCode | None, Query()] = None,
) -> CursorPage[CreditProfile]:
    """Profiles by id."""
    place = page.after(str)
    rows = await profiles.profiles_after(reader, place, page.rows, object_id=customer, currency=currency)
    rows, following = page.page(rows, key=lambda row: (row.profile_id,))
    return CursorPage(items=[_profile(row) for row in rows], next=following)


@router.get("/profiles/{profile_id}", policy=Policy("profile:read", READERS))
async def profile(profile_id: UUID, reader: Reader) -> CreditProfile:
    """One profile."""
    return _profile(await _known(reader, profile_id))


@router.get("/profiles/{profile_id}/versions", policy=Policy("profile:read", READERS))
async def profile_versions(profile_id: UUID, page: Page, reader: Reader) -> CursorPage[ProfileVersion]:
    """What the profile limited when, newest first."""
    await _known(reader, profile_id)
    rows = await profiles.versions_after(reader, str(profile_id), page.after(int), page.rows)
    rows, following = page.page(rows, key=lambda row: (row.version,))
    return CursorPage(items=[_version(row) for row in rows], next=following)


@router.get("/profiles/{profile_id}/entries", policy=Policy("status:read", READERS))
async def profile_entries(profile_id: UUID, page: Page, reader: Reader) -> CursorPage[OccupancyEntry]:
    """Every change of what the profile has used, newest first."""
    await _known(reader, profile_id)
    rows = await profiles.entries_after(reader, str(profile_id), page.after(int), page.rows)
    rows, following = page.page(rows, key=lambda row: (row.entry_number,))
    return CursorPage(items=[_entry(row) for row in rows], next=following)


@router.get("/profiles/{profile_id}/occupancy", policy=Policy("status:read", READERS))
async def profile_occupancy(profile_id: UUID, page: Page, reader: Reader) -> CursorPage[OccupyingOrder]:
    """The orders that make up what the profile has used."""
    await _known(reader, profile_id)
    rows = await profiles.occupancy_after(reader, str(profile_id), page.after(str, str), page.rows)
    rows, following = page.page(rows, key=lambda row: (row.source, row.order_id))
    return CursorPage(items=[_occupying(row) for row in rows], next=following)


@router.get("/profiles/{profile_id}/status", policy=Policy("status:read", READERS))
async def profile_status(profile_id: UUID, reader: Reader, now: Now) -> CreditStatus:
    """The numbers of one profile."""
    return await _status(reader, await _known(reader, profile_id), now.date())


async def _known(reader: AsyncConnection, profile_id: UUID) -> Row[Any]:
    row = await profiles.profile_row(reader, str(profile_id))
    if row is None:
        raise unknown("credit profile", str(profile_id))
    return row


def _rules(body: ProfileSettings, currency: str) -> tuple[Rule, ...]:
    named: tuple[tuple[Metric, str, MetricSetting], ...] = (
        ("credit-limit", "credit_limit", body.credit_limit),
        ("single-document-limit", "single_document_limit", body.single_document_limit),
    )
    return tuple(
        Rule(metric, _limit(setting.limit, currency, field), setting.enforcement)
        for metric, field, setting in named
    )


def _limit(limit: Money | Literal["unlimited"] | None, currency: str, field: str) -> Limit:
    if not isinstance(limit, Money):
        return limit
    if limit.currency != currency:
        message = f"is {limit.currency}, but the profile is in {currency}"
        raise Problem.invalid([{"field": f"{field}.limit.currency", "message": message}])
    return limit.minor


def _setting(limit: Limit, enforcement: Enforcement | None, currency: str) -> MetricSetting:
    return MetricSetting.model_construct(limit=wire_limit(limit, currency), enforcement=enforcement)


def _settings(rules: tuple[Rule, ...], currency: str) -> dict[str, MetricSetting]:
    return {rule.metric.replace("-", "_"): _setting(rule.limit, rule.enforcement, currency) for rule in rules}


def _profile(row: Row[Any]) -> CreditProfile:
    found = profiles.profile_of(row)
    return CreditProfile(
        profile_id=found.profile_id,
        scope=found.scope,
        scope_id=found.scope_id,
        object_type=found.object_type,
        object_id=found.object_id,
        currency=found.currency,
        version=row.version,
        changed_at=row.changed_at,
        **_settings(found.rules, found.currency),
    )


def _version(row: Row[Any]) -> ProfileVersion:
    settings = {
        metric: _setting(
            profiles.limit_of(row._mapping[f"{metric}_minor"], row._mapping[f"{metric}_unlimited"]),
            row._mapping[f"{metric}_enforcement"],
            row.currency,
        )
        for metric in ("credit_limit", "single_document_limit")
    }
    return ProfileVersion(
        version=row.version,
        reason=row.reason,
        changed_by=row.changed_by,
        changed_at=row.changed_at,
        **settings,
    )


async def _status(reader: AsyncConnection, row: Row[Any], day: date) -> CreditStatus:
    found = profiles.profile_of(row)
    currency = found.currency
    orders, total, oldest = await profiles.pending_on(reader, found.object_id, currency, PENDING_SHOWN_MAX)
    return CreditStatus(
        profile=_profile(row),
        used=signed(found.used, currency),
        settled=signed(found.settled, currency),
        undecided=signed(found.used - found.settled, currency),
        limit_in_force=wire_limit(found.credit_limit_on(day), currency),
        available=_available(found, day),
        pending=PendingSum(
            orders=orders, total=Money.of(total, currency), oldest=[pending_order(held) for held in oldest]
        ),
    )


def _available(profile: Profile, day: date) -> SignedMoney | Literal["unlimited"] | None:
    limit = profile.credit_limit_on(day)
    if isinstance(limit, int):
        return signed(limit - profile.used, profile.currency)
    return UNLIMITED if limit == UNLIMITED else None


def _entry(row: Row[Any]) -> OccupancyEntry:
    return OccupancyEntry(
        entry_number=row.entry_number,
        recorded_at=row.recorded_at,
        source=row.source,
        order_id=row.order_id,
        check_number=row.check_number,
        change=signed(row.change_minor, row.currency),
        used_after=signed(row.used_after_minor, row.currency),
        permit=row.permit,
        limit=Money.of(row.limit_minor, row.currency) if row.limit_minor is not None else None,
    )


def _occupying(row: Row[Any]) -> OccupyingOrder:
    return OccupyingOrder(
        source=row.source,
        order_id=row.order_id,
        status=row.status,
        occupied=Money.of(row.occupied_minor, row.currency),
        settled=Money.of(row.settled_minor, row.currency),
    )
