"""Who may use what: one question with its reason, and three views."""

import asyncio
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import islice
from typing import Annotated, Final

from chassis.http import (
    CursorPage,
    NotFound,
    Now,
    Page,
    Policy,
    Reader,
    Router,
)
from contracts.text import Code, Id
from fastapi import Depends, Query
from pydantic import BaseModel, ConfigDict
from pydantic.config import JsonDict
from sqlalchemy.ext.asyncio import AsyncConnection

from sharing.api.sharing_models import At, DecisionView, setting_view
from sharing.domain.dated import Binding
from sharing.domain.decision import Reason, can_use
from sharing.domain.sharing import Sharing
from sharing.domain.views import (
    AccountLine,
    Detail,
    Details,
    TypeDetail,
    bindings_from,
    by_account,
    counted,
    members_of,
    trustees,
)
from sharing.repository import resources as resource_rows
from sharing.repository import sharing as sharing_rows
from sharing.repository.sharing import Group

router = Router(tags=["sharing"])

READ: Final = Policy("sharing:read", roles=(), account="account")
USE: Final = Policy(
    "resource:use", roles={"billing-system"}, account="account", visible=sharing_rows.managed_by
)


@router.get(
    "/accounts/{account}/resources/{resource}/decision",
    policy=USE,
    summary="Whether an account may use a resource, and why",
)
async def decision(account: Id, resource: Id, reader: Reader, now: Now, at: At = None) -> DecisionView:
    """For the account, its management account and billing systems; of any moment, past or to come."""
    moment = at or now
    known = await resource_rows.known_at(reader, resource, moment)
    if known is None:
        raise NotFound
    about = await sharing_rows.about_one(reader, resource_rows.fact_of(known), account, moment)
    decided = can_use(about, account, resource, moment)
    told = () if decided.reason == "owned-by-another-member" else decided.because
    return DecisionView(
        account=account,
        resource=resource,
        at=moment,
        allowed=decided.allowed,
        reason=decided.reason,
        because=[setting_view(fact) for fact in told],
    )


ACCOUNT_EXAMPLE: Final[JsonDict] = {
    "account": "A-1001",
    "group": None,
    "accepted_types": ["reserved-instance"],
    "usable": {"reserved-instance": 4},
    "trustee_since": "2026-03-10T08:05:00Z",
}


class AccountView(BaseModel):
    """A member account: what it accepts, its group, and how many shared resources of each type it may use."""

    model_config = ConfigDict(json_schema_extra={"examples": [ACCOUNT_EXAMPLE]})

    account: str
    group: str | None
    accepted_types: list[str]
    usable: dict[str, int]
    trustee_since: datetime


class AccountFilter(BaseModel):
    """Which accounts to show."""

    group: Id | None = None
    accepted_type: Code | None = None

    def lines(self, sharing: Sharing, accounts: Iterable[str], at: datetime) -> Iterator[AccountLine]:
        return filter(self._takes, by_account(sharing, accounts, at))

    def _takes(self, line: AccountLine) -> bool:
        return self.group in (None, line.group) and (
            self.accepted_type is None or self.accepted_type in line.accepted_types
        )


def account_filter(
    group: Annotated[Id | None, Query()] = None, accepted_type: Annotated[Code | None, Query()] = None
) -> AccountFilter:
    return AccountFilter(group=group, accepted_type=accepted_type)


ChosenAccounts = Annotated[AccountFilter, Depends(account_filter)]


@router.get("/accounts/{account}/sharing/accounts", policy=READ, summary="Sharing by account")
async def by_accounts(
    account: Id, page: Page, reader: Reader, now: Now, chosen: ChosenAccounts, at: At = None
) -> CursorPage[AccountView]:
    """The accounts under trusteeship, by id."""
    moment = at or now
    sharing = await sharing_rows.sharing(reader, account, moment)
    after = page.after(str)
    named = [each for each in trustees(sharing, moment) if not after or each > after[0]]
    found = list(islice(chosen.lines(sharing, named, moment), page.rows))
    kept, following = page.page(found, lambda line: (line.account,))
    return CursorPage(items=[_account_view(line) for line in kept], next=following)


def _account_view(line: AccountLine) -> AccountView:
    return AccountView(
        account=line.account,
        group=line.group,
        accepted_types=list(line.accepted_types),
        usable=dict(line.usable),
        trustee_since=line.since,
    )


class BindingView(BaseModel):
    """A resource shared with a group, now or later."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"resource": "RI-9", "group": "G-1", "start": "2027-01-31T16:00:00Z", "end": None}]
        }
    )

    resource: str
    group: str
    start: datetime
    end: datetime | None


class GroupView(BaseModel):
    """A user group: its members, and what is shared with it now or later; the first hundred of each."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "group": "019a1b2c-7d3e-7f40-8a51-b2c3d4e5f607",
                    "name": "Warehouses",
                    "members": ["A-1001"],
                    "members_count": 1,
                    "bindings": [],
                    "bindings_count": 0,
                }
            ]
        }
    )

    group: str
    name: str
    members: list[str]
    members_count: int
    bindings: list[BindingView]
    bindings_count: int


SHOWN_MAX: Final = 100


@router.get("/accounts/{account}/sharing/groups", policy=READ, summary="Sharing by user group")
async def by_groups(
    account: Id, page: Page, reader: Reader, now: Now, at: At = None
) -> CursorPage[GroupView]:
    """The user groups, by name."""
    moment = at or now
    groups = await sharing_rows.groups(reader, account, at)
    after = page.after(str, str)
    behind = [each for each in groups if after is None or (each.name, each.group_id) > after]
    kept, following = page.page(behind[: page.rows], lambda each: (each.name, each.group_id))
    sharing = await sharing_rows.sharing(reader, account, moment)
    return CursorPage(items=[_group_view(sharing, each, moment) for each in kept], next=following)


def _group_view(sharing: Sharing, group: Group, at: datetime) -> GroupView:
    members = members_of(sharing, group.group_id, at)
    bindings = bindings_from(sharing.bindings_of_group.get(group.group_id, ()), at)
    return GroupView(
        group=group.group_id,
        name=group.name,
        members=members[:SHOWN_MAX],
        members_count=len(members),
        bindings=[_binding_view(each) for each in bindings[:SHOWN_MAX]],
        bindings_count=len(bindings),
    )


def _binding_view(binding: Binding) -> BindingView:
    start, end = binding.span
    return BindingView(resource=binding.resource, group=binding.group, start=start, end=end)


@router.get(
    "/accounts/{account}/sharing/bindings",
    policy=READ,
    summary="The groups of a resource, or the resources of a group",
)
async def bindings(
    account: Id,
    page: Page,
    reader: Reader,
    now: Now,
    resource: Annotated[Id | None, Query()] = None,
    group: Annotated[Id | None, Query()] = None,
    at: At = None,
) -> CursorPage[BindingView]:
    """Those that hold at a moment or begin later, by resource, group and start."""
    moment = at or now
    sharing = await sharing_rows.sharing(reader, account, moment)
    after = page.after(str, str, datetime)
    found = sorted(
        (each for each in _bindings(sharing, resource, group, moment) if not after or _place(each) > after),
        key=_place,
    )
    kept, following = page.page(found[: page.rows], _place)
    return CursorPage(items=[_binding_view(each) for each in kept], next=following)


def _place(binding: Binding) -> tuple[str, str, datetime]:
    return binding.resource, binding.group, binding.span.start


def _bindings(sharing: Sharing, resource: str | None, group: str | None, at: datetime) -> Iterator[Binding]:
    held = sharing.bindings.items() if resource is None else [(resource, sharing.bindings.get(resource, ()))]
    for _, facts in held:
        yield from (each for each in bindings_from(facts, at) if group in (None, each.group))


DETAIL_EXAMPLE: Final[JsonDict] = {
    "account": "A-1001",
    "resource": "RI-9",
    "resource_type": "reserved-instance",
    "allowed": True,
    "reason": "shared-with-group",
    "since": "2027-01-31T16:00:00Z",
    "until": None,
}


class DetailView(BaseModel):
    """One account and one resource: the decision, since when it is so, and until when it is settled to be."""

    model_config = ConfigDict(json_schema_extra={"examples": [DETAIL_EXAMPLE]})

    account: str
    resource: str
    resource_type: str
    allowed: bool
    reason: Reason
    since: datetime | None
    until: datetime | None


class DetailFilter(BaseModel):
    """Which details to show."""

    member: Id | None = None
    resource: Id | None = None
    resource_type: Code | None = None
    allowed: bool | None = None
    reason: Reason | None = None

    def takes(self, row: Detail) -> bool:
        return (
            self.resource_type in (None, row.resource_type)
            and self.allowed in (None, row.allowed)
            and self.reason in (None, row.reason)
        )

    def accounts(self, details: Details) -> list[str]:
        return [each for each in details.accounts if self.member in (None, each)]

    def by_type(self, details: Details, accounts: Iterable[str]) -> Iterator[TypeDetail]:
        """The rows of these accounts counted by type and reason."""
        wanted = self._resources(details)
        for account in accounts:
            yield from counted(account, filter(self.takes, details.of(account, wanted)))

    def _resources(self, details: Details) -> Iterable[str]:
        return details.known if self.resource is None else {self.resource} & details.known.keys()

    def rows(self, details: Details, after: tuple[int, str, str] | None = None) -> Iterator[Detail]:
        """Behind a place: the management account's own rows first, then by account and resource."""
        wanted = self._resources(details)
        for account in self.accounts(details):
            place = (int(account != details.sharing.owner), account)
            if after is not None and place < after[:2]:
                continue
            same = after is not None and place == after[:2]
            resources = [each for each in wanted if not same or after is None or each > after[2]]
            yield from filter(self.takes, details.of(account, resources))


def detail_filter(
    member: Annotated[Id | None, Query()] = None,
    resource: Annotated[Id | None, Query()] = None,
    resource_type: Annotated[Code | None, Query()] = None,
    allowed: Annotated[bool | None, Query()] = None,
    reason: Annotated[Reason | None, Query()] = None,
) -> DetailFilter:
    return DetailFilter(
        member=member, resource=resource, resource_type=resource_type, allowed=allowed, reason=reason
    )


Chosen = Annotated[DetailFilter, Depends(detail_filter)]


@router.get(
    "/accounts/{account}/sharing/details", policy=READ, summary="Every account and resource in detail"
)
async def details(
    account: Id, page: Page, reader: Reader, now: Now, chosen: Chosen, at: At = None
) -> CursorPage[DetailView]:
    """The management account's own rows first, then by account and resource."""
    after = page.after(int, str, str)
    sharing = await sharing_rows.sharing(reader, account)

    def read() -> list[Detail]:
        return list(islice(chosen.rows(Details(sharing, at or now), after), page.rows))

    found = await asyncio.to_thread(read)
    kept, following = page.page(found, lambda row: (int(row.account != account), row.account, row.resource))
    return CursorPage(items=[_detail_view(row) for row in kept], next=following)


def _detail_view(row: Detail) -> DetailView:
    return DetailView(
        account=row.account,
        resource=row.resource,
        resource_type=row.resource_type,
        allowed=row.allowed,
        reason=row.reason,
        since=row.since,
        until=row.until,
    )


class TypeDetailView(BaseModel):
    """One account and one resource type: how many resources stand for a reason."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "account": "A-1001",
                    "resource_type": "reserved-instance",
                    "allowed": False,
                    "reason": "type-not-accepted",
                    "resources": 12,
                }
            ]
        }
    )

    account: str
    resource_type: str
    allowed: bool
    reason: Reason
    resources: int


@router.get(
    "/accounts/{account}/sharing/details/by-type",
    policy=READ,
    summary="The details counted by type and reason",
)
async def details_by_type(
    account: Id, page: Page, reader: Reader, now: Now, chosen: Chosen, at: At = None
) -> CursorPage[TypeDetailView]:
    """A page holds as many accounts as its limit says, each with all its lines."""
    after = page.after(int, str)
    sharing = await sharing_rows.sharing(reader, account)
    found = await asyncio.to_thread(Details, sharing, at or now)

    def place(each: str) -> tuple[int, str]:
        return int(each != account), each

    behind = [each for each in chosen.accounts(found) if after is None or place(each) > after]
    kept, following = page.page(behind[: page.rows], place)
    rows = await asyncio.to_thread(lambda: list(chosen.by_type(found, kept)))
    return CursorPage(items=[_type_view(row) for row in rows], next=following)


def _type_view(row: TypeDetail) -> TypeDetailView:
    return TypeDetailView.model_validate(row, from_attributes=True)


@router.get(
    "/accounts/{account}/usable-resources", policy=USE, summary="The resources that an account may use"
)
async def usable_resources(
    account: Id, page: Page, reader: Reader, now: Now, at: At = None
) -> CursorPage[DetailView]:
    """What the account owns, and what its management account shares with it, by owner and resource."""
    moment = at or now
    after = page.after(str, str)
    found: list[tuple[str, Detail]] = []
    for owner in await owners(reader, account, moment):
        sharing = await sharing_rows.sharing(reader, owner)
        rows = await asyncio.to_thread(usable, sharing, account, moment)
        found += [(owner, row) for row in rows if after is None or (owner, row.resource) > after]
        if len(found) >= page.rows:
            break
    kept, following = page.page(found[: page.rows], lambda each: (each[0], each[1].resource))
    return CursorPage(items=[_detail_view(row) for _, row in kept], next=following)


async def owners(reader: AsyncConnection, account: str, at: datetime) -> list[str]:
    manager = await sharing_rows.manager_of(reader, account, at)
    return sorted({account, manager} if manager is not None else {account})


def usable(sharing: Sharing, account: str, at: datetime) -> list[Detail]:
    return [row for row in Details(sharing, at).of(account) if row.allowed]
