"""resource-changed: the full, versioned state of one shareable resource, as the billing system holds it."""

from dataclasses import dataclass

from contracts.event import EXTERNAL, Event, event
from contracts.numbers import Version
from contracts.text import Code, Id, Name, PositiveDecimal
from contracts.times import Moment


@event("resource-changed", 1, key="owner", producers=(EXTERNAL,))
@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceChanged(Event):
    """A higher `version` of the same resource replaces a lower one from the moment it is applied.

    Owner and type stay what the first version says. A resource that is given up early gets an earlier
    `valid_until`.
    """

    resource_id: Id
    version: Version
    """Counts up with each change; gaps are allowed."""
    owner: Id
    """The account that has bought it."""
    resource_type: Code
    """Such as reserved-instance, storage-capacity-unit, savings-plan or voucher."""
    name: Name
    valid_from: Moment
    valid_until: Moment | None = None
    """The first moment at which nobody may use it any more; without it: open."""
    quantity: PositiveDecimal | None = None
    """How much of it there is, in `unit`."""
    unit: Code | None = None
    changed_at: Moment
    """When it changed in the system that owns it."""
