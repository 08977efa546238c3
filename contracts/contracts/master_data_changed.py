"""master-data-changed: the full, versioned state of one master record, as the ERP holds it.

Version 2 adds plan items, members of plan dimensions, and what credit is given to beside customers.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from contracts.event import EXTERNAL, Event, event
from contracts.numbers import Version
from contracts.text import Code, Id, Name, TimeZone
from contracts.times import Moment


@dataclass(frozen=True, slots=True, kw_only=True)
class Organisation:
    """A business, legal or group organisation with the time zone its dates are local to."""

    kind: Literal["organisation"]
    name: Name
    organisation_type: Literal["business", "legal", "group"]
    parent: Id | None = None
    """The organisation that this one belongs to."""
    time_zone: TimeZone
    """Of the IANA database, such as Asia/Shanghai."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Customer:
    """A buyer; `credit_managed` customers are checked and need a credit profile."""

    kind: Literal["customer"]
    name: Name
    customer_group: Id | None = None
    """Shares credit profiles among its customers."""
    credit_managed: Annotated[bool, Field(strict=True)] = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One customer in one settlement organisation: its fund pool."""

    kind: Literal["account"]
    name: Name
    customer: Id
    settlement_organisation: Id


@dataclass(frozen=True, slots=True, kw_only=True)
class UserRight:
    """What a user may do with an account; use-balance lets its orders be paid from the fund pool."""

    kind: Literal["user-right"]
    user: Id
    account: Id
    right: Literal["use-balance"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanItem:
    """What cash is planned for, such as wages or sales, in a tree of its own."""

    kind: Literal["plan-item"]
    name: Name
    parent: Id | None = None
    """The plan item that this one is a part of."""
    direction: Literal["in", "out"] | None = None
    """Whether cash comes in or goes out; absent where its parts do both."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DimensionMember:
    """A member of a further dimension of plans, such as a bank, a project or a settlement method."""

    kind: Literal["dimension-member"]
    dimension: Code
    name: Name
    parent: Id | None = None
    """The member that this one is a part of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """What documents name and credit can be given to: materials and their groups, and whoever sells."""

    kind: Literal[
        "material", "material-group", "customer-group", "salesperson", "sales-group", "sales-department"
    ]
    name: Name
    parent: Id | None = None
    """The group of a material, the group above a group, the sales group or department that somebody belongs to."""


@event("master-data-changed", 2, key="id", producers=(EXTERNAL,))
@dataclass(frozen=True, slots=True, kw_only=True)
class MasterDataChanged(Event):
    """A higher `version` of the same (kind, id) replaces a lower one; `active` false retires the record."""

    id: Id
    """Names the record within its kind; also the Kafka key."""
    version: Version
    """Counts up with each change; gaps are allowed."""
    active: Annotated[bool, Field(strict=True)] = True
    changed_at: Moment
    """When the record changed in the system that owns it."""
    record: Annotated[
        Organisation | Customer | Account | UserRight | PlanItem | DimensionMember | Reference,
        Field(discriminator="kind"),
    ]
    """The whole record after the change."""


def with_plan_items(old: "MasterDataChangedV1") -> MasterDataChanged:
    """Version 2 says of these kinds what version 1 said."""
    return MasterDataChanged(
        id=old.id, version=old.version, active=old.active, changed_at=old.changed_at, record=old.record
    )


@event("master-data-changed", 1, key="id", producers=(EXTERNAL,), upcast=with_plan_items)
@dataclass(frozen=True, slots=True, kw_only=True)
class MasterDataChangedV1(Event):
    """A higher `version` of the same (kind, id) replaces a lower one; `active` false retires the record."""

    id: Id
    """Names the record within its kind; also the Kafka key."""
    version: Version
    """Counts up with each change; gaps are allowed."""
    active: Annotated[bool, Field(strict=True)] = True
    changed_at: Moment
    """When the record changed in the system that owns it."""
    record: Annotated[Organisation | Customer | Account | UserRight, Field(discriminator="kind")]
    """The whole record after the change."""
