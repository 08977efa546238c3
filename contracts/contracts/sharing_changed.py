"""sharing-changed: an account gained or lost the use of a resource that its management account shares."""

from typing import Literal

from contracts.event import Event, event, message
from contracts.text import Code, Id
from contracts.times import Moment


@event("sharing-changed", 1, key="member_account", producers=("sharing",))
@message
class SharingChanged(Event):
    """Of one account and resource, gained and lost take turns and `effective_at` rises with each.

    Folded up to any moment, these events say who may use what at that moment. What an account owns itself is
    never told: its owner may always use it.
    """

    management_account: Id
    """Owns the resource and shares it."""
    member_account: Id
    resource_id: Id
    resource_type: Code
    change: Literal["gained", "lost"]
    effective_at: Moment
    """From this moment on, to the microsecond; also where the event goes out later."""
    reason: Code
    """Why it may (shared-with-group, shared-with-account) or may not use it from then on."""
