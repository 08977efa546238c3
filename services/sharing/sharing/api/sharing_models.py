"""The shapes of changes of what is shared, and of the views on it."""

from collections.abc import Collection
from datetime import datetime
from typing import Annotated, Any, Final, Literal, Self

from contracts.text import Code, Id, Name
from fastapi import Query
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, model_validator
from pydantic.config import JsonDict

from sharing.domain import changes
from sharing.domain.dated import (
    AcceptedType,
    Binding,
    Fact,
    Membership,
    Resource,
    SharedType,
    Span,
    Trusteeship,
    WantedBinding,
)
from sharing.domain.decision import Reason
from sharing.domain.sharing import Sharing
from sharing.domain.views import Gain, trustees

ACCOUNTS_MAX: Final = 1_000
BINDINGS_MAX: Final = 1_000


def _once(names: list[str]) -> list[str]:
    if len(set(names)) < len(names):
        raise ValueError("names one twice")
    return names


Accounts = Annotated[list[Id], Field(min_length=1, max_length=ACCOUNTS_MAX), AfterValidator(_once)]
Types = Annotated[list[Code], Field(max_length=100), AfterValidator(_once)]
At = Annotated[
    AwareDatetime | None, Query(description="Any moment with offset, past or to come; without it: now.")
]


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class BindingBody(Body):
    """A resource for a group; without `start` from now on, without `end` for good."""

    resource: Id
    group: Id
    start: AwareDatetime | None = None
    end: AwareDatetime | None = None

    def wanted(self) -> WantedBinding:
        return WantedBinding(self.resource, self.group, self.start, self.end)


class GroupBody(Body):
    """A group for a resource; without `start` from now on, without `end` for good."""

    group: Id
    start: AwareDatetime | None = None
    end: AwareDatetime | None = None


class ShareTypes(Body):
    """The resource types that are shared, and that new trustees accept from their start; all others are not."""

    change: Literal["share-types"]
    types: Types

    def decide(self, sharing: Sharing, at: datetime) -> Sharing:
        return changes.share_types(sharing, self.types, at)


class AcceptTypes(Body):
    """The resource types that these members accept; all others they do not."""

    change: Literal["accept-types"]
    accounts: Accounts
    types: Types

    def decide(self, sharing: Sharing, at: datetime) -> Sharing:
        return changes.accept_types(sharing, set(self.accounts), self.types, at)


class CreateGroup(Body):
    """A new user group, with its first members."""

    change: Literal["create-group"]
    name: Name
    accounts: Annotated[list[Id], Field(max_length=ACCOUNTS_MAX), AfterValidator(_once)] = []
    _group_id: str = "new"

    def decide(self, sharing: Sharing, at: datetime) -> Sharing:
        return changes.join_group(sharing, self._group_id, self.accounts, at)


class RenameGroup(Body):
    change: Literal["rename-group"]
    group: Id
    name: Name

    def decide(self, sharing: Sharing, at: datetime) -> Sharing:
        return sharing


class JoinGroup(Body):
    change: Literal["join-group"]
    group: Id
    accounts: Accounts

    def decide(self, sharing: Sharing, at: datetime) -> Sharing:
        return changes.join_group(sharing, self.group, self.accounts, at)


class LeaveGroup(Body):
    change: Literal["leave-group"]
    group: Id
    accounts: Accounts

    def decide(self, sharing: Sharing, at: datetime) -> Sharing:
        return changes.leave_group(sharing, self.group, self.accounts, at)


class DissolveGroup(Body):
    """The group is no more: its members leave it, and nothing is shared with it."""

    change: Literal["dissolve-group"]
    group: Id

    def decide(self, sharing: Sharing, at: datetime) -> Sharing:
        return changes.dissolve_group(sharing, self.group, at)


class ShareWithGroups(Body):
    """Resources for groups, besides what stands."""

    change: Literal["share-with-groups"]
    bindings: Annotated[list[BindingBody], Field(min_length=1, max_length=BINDINGS_MAX)]

    def wanted(self) -> list[WantedBinding]:
        return [each.wanted() for each in self.bindings]

    def decide(self, sharing: Sharing, at: datetime) -> Sharing:
        return changes.bind(sharing, self.wanted(), at)


class SetGroups(Body):
    """The groups of one resource; what stands otherwise ends now, or never begins."""

    change: Literal["set-groups"]
    resource: Id
    groups: Annotated[list[GroupBody], Field(max_length=BINDINGS_MAX)]

    def wanted(self) -> list[WantedBinding]:
        return [WantedBinding(self.resource, each.group, each.start, each.end) for each in self.groups]

    def decide(self, sharing: Sharing, at: datetime) -> Sharing:
        return changes.bind_exactly(sharing, self.resource, self.wanted(), at)


class Pair(Body):
    resource: Id
    group: Id


class StopSharing(Body):
    """Resources that are for these groups no more: what holds ends now, what was to come never begins."""

    change: Literal["stop-sharing"]
    pairs: Annotated[list[Pair], Field(min_length=1, max_length=BINDINGS_MAX)]

    def decide(self, sharing: Sharing, at: datetime) -> Sharing:
        return changes.unbind(sharing, {(each.resource, each.group) for each in self.pairs}, at)


class EndTrusteeship(Body):
    """To be previewed only: what would be lost. It happens when the relationship ends."""

    change: Literal["end-trusteeship"]
    account: Id

    def decide(self, sharing: Sharing, at: datetime) -> Sharing:
        return changes.end_trusteeship(sharing, self.account, at)


class BeginTrusteeship(Body):
    """To be previewed only: what a new trustee would gain. It happens when the account accepts."""

    change: Literal["begin-trusteeship"]
    account: Id

    def decide(self, sharing: Sharing, at: datetime) -> Sharing:
        if self.account in trustees(sharing, at):
            return sharing
        return changes.begin_trusteeship(sharing, self.account, changes.shared_now(sharing, at), at)


class StoreResource(Body):
    """To be previewed only: what a new resource, or another validity, would bring. Billing systems store it."""

    change: Literal["store-resource"]
    resource: Id
    resource_type: Code
    valid_from: AwareDatetime
    valid_until: AwareDatetime | None = None

    @model_validator(mode="after")
    def _ends_after_its_start(self) -> Self:
        if self.valid_until is not None and self.valid_until <= self.valid_from:
            raise ValueError("valid_until must be after valid_from")
        return self

    def decide(self, sharing: Sharing, at: datetime) -> Sharing:
        valid = Span(self.valid_from, self.valid_until)
        told = Resource(self.resource, self.resource_type, sharing.owner, Span(at), valid)
        return changes.tell_resource(sharing, told, at)


Change = (
    ShareTypes
    | AcceptTypes
    | CreateGroup
    | RenameGroup
    | JoinGroup
    | LeaveGroup
    | DissolveGroup
    | ShareWithGroups
    | SetGroups
    | StopSharing
)
Previewed = Change | BeginTrusteeship | EndTrusteeship | StoreResource
SHARE_TYPES: Final[JsonDict] = {"change": "share-types", "types": ["reserved-instance"]}
SHARE_WITH_GROUPS: Final[JsonDict] = {
    "change": "share-with-groups",
    "bindings": [
        {
            "resource": "RI-9",
            "group": "019a1b2c-7d3e-7f40-8a51-b2c3d4e5f607",
            "start": "2027-02-01T00:00:00+08:00",
        }
    ],
}
CHANGES_EXAMPLE: Final[JsonDict] = {"examples": [{"change": SHARE_TYPES}, {"change": SHARE_WITH_GROUPS}]}


class ChangeBody(Body):
    """One change of what is shared; `change.change` says which."""

    model_config = ConfigDict(extra="forbid", json_schema_extra=CHANGES_EXAMPLE)

    change: Annotated[Change, Field(discriminator="change")]


class PreviewBody(Body):
    """A change to be looked at, not made."""

    model_config = ConfigDict(extra="forbid", json_schema_extra=CHANGES_EXAMPLE)

    change: Annotated[Previewed, Field(discriminator="change")]


class AcceptedTypesBody(Body):
    """The resource types that a member accepts."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"types": ["reserved-instance"]}]}
    )

    types: Types


class ChangeAnswer(BaseModel):
    """From when the change holds; the id of the group that it made."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"holds_from": "2026-03-10T08:05:00Z", "group": "019a1b2c-7d3e-7f40-8a51-b2c3d4e5f607"}
            ]
        }
    )

    holds_from: datetime
    group: str | None = None


GAIN: Final[JsonDict] = {
    "account": "A-1001",
    "resource": "RI-9",
    "change": "gained",
    "at": "2027-02-01T00:00:00Z",
    "reason": "shared-with-group",
}


class GainView(BaseModel):
    model_config = ConfigDict(json_schema_extra={"examples": [GAIN]})

    account: str
    resource: str
    change: Literal["gained", "lost"]
    at: datetime
    reason: Reason


def gain_view(gain: Gain) -> GainView:
    return GainView(
        account=gain.account,
        resource=gain.resource,
        change="gained" if gain.gained else "lost",
        at=gain.at,
        reason=gain.reason,
    )


class PreviewAnswer(BaseModel):
    """Who would gain and lose what, now and at scheduled times; all are counted, the first 500 are listed."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"gained": 1, "lost": 0, "complete": True, "items": [GAIN]}]}
    )

    gained: int
    lost: int
    complete: bool
    items: list[GainView]


class SettingView(BaseModel):
    """A setting that led to a decision, with the time during which it holds."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "setting": "binding",
                    "resource": "RI-9",
                    "group": "G-1",
                    "since": "2026-03-10T08:05:00Z",
                    "until": None,
                }
            ]
        }
    )

    setting: Literal["trusteeship", "shared-type", "accepted-type", "membership", "binding", "resource"]
    account: str | None = None
    resource_type: str | None = None
    group: str | None = None
    resource: str | None = None
    since: datetime
    until: datetime | None = None


class DecisionView(BaseModel):
    """Whether an account may use a resource at a moment, why, and by which settings."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "account": "A-1001",
                    "resource": "RI-9",
                    "at": "2026-03-10T08:05:00Z",
                    "allowed": False,
                    "reason": "confined-to-its-group",
                    "because": [],
                }
            ]
        }
    )

    account: str
    resource: str
    at: datetime
    allowed: bool
    reason: Reason
    because: list[SettingView]


def setting_view(fact: Fact) -> SettingView:
    since, until = fact.span
    match fact:
        case Trusteeship(account):
            return SettingView(setting="trusteeship", account=account, since=since, until=until)
        case SharedType(resource_type):
            return SettingView(setting="shared-type", resource_type=resource_type, since=since, until=until)
        case AcceptedType(account, resource_type):
            return SettingView(
                setting="accepted-type",
                account=account,
                resource_type=resource_type,
                since=since,
                until=until,
            )
        case Membership(account, group):
            return SettingView(setting="membership", account=account, group=group, since=since, until=until)
        case Binding(resource, group):
            return SettingView(setting="binding", resource=resource, group=group, since=since, until=until)
        case Resource(resource, resource_type):
            since, until = fact.valid
            return SettingView(
                setting="resource", resource=resource, resource_type=resource_type, since=since, until=until
            )


def described(change: BaseModel) -> dict[str, Any]:
    """A change as the history keeps it."""
    return change.model_dump(mode="json", exclude_none=True)


def groups_named(change: BaseModel) -> Collection[str]:
    """The groups that a change speaks of, which must be the management account's own."""
    match change:
        case (
            RenameGroup(group=group)
            | JoinGroup(group=group)
            | LeaveGroup(group=group)
            | DissolveGroup(group=group)
        ):
            return {group}
        case ShareWithGroups(bindings=bindings):
            return {each.group for each in bindings}
        case SetGroups(groups=groups):
            return {each.group for each in groups}
        case StopSharing(pairs=pairs):
            return {each.group for each in pairs}
    return ()
