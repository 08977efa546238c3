"""relationship-changed: the full state of a relationship between a management and a member account."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from contracts.event import Event, event
from contracts.numbers import Version
from contracts.text import Id, Name
from contracts.times import Moment

PERMISSIONS_MAX = 20

PermissionName = Literal["sync-credit-identity", "view-financial-information", "manage-invoices"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Permission:
    """One permission that the management account asked for, and the member's answer."""

    name: PermissionName
    state: Literal["offered", "accepted", "refused"]


@event("relationship-changed", 1, key="member_account", producers=("sharing",))
@dataclass(frozen=True, slots=True, kw_only=True)
class RelationshipChanged(Event):
    """`relationship_version` rises by one with each change; a later one replaces all earlier ones."""

    relationship_id: Id
    relationship_version: Version
    kind: Literal["financial", "trusteeship"]
    management_account: Id
    member_account: Id
    state: Literal["invited", "active", "declined", "ended"]
    permissions: Annotated[list[Permission], Field(max_length=PERMISSIONS_MAX)]
    display_name: Name
    invoice_status: Literal["none", "own", "copied"] = "none"
    request_id: Id | None = None
    """The request to end that this change answers, whatever became of it."""
    end_outcome: Literal["ended", "refused", "withdrawn", "timed-out"] | None = None
    """What became of that request."""
    changed_at: Moment
