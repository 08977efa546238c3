"""relationship-end-requested: sharing asks whether a relationship may end, or what its end would bring."""

from dataclasses import dataclass
from typing import Literal

from contracts.event import Event, event
from contracts.numbers import Version
from contracts.text import Id
from contracts.times import Moment


@event("relationship-end-requested", 1, key="member_account", producers=("sharing",))
@dataclass(frozen=True, slots=True, kw_only=True)
class RelationshipEndRequested(Event):
    """Every reader answers once with relationship-end-answered.

    An `end` is a change of the relationship and counted as one: its `relationship_version` stands between
    those of relationship-changed, so that one that comes early waits for the versions below it. Who agrees to
    it freezes what is new between the two until relationship-changed comes with this `request_id`, whatever
    it tells. A `preview` changes and freezes nothing and repeats the version that stands.
    """

    request_id: Id
    purpose: Literal["preview", "end"]
    relationship_id: Id
    relationship_version: Version
    kind: Literal["financial", "trusteeship"]
    management_account: Id
    member_account: Id
    requested_by: Literal["management", "member", "administrator"]
    requested_at: Moment
    answer_by: Moment
    """Without every answer by then the request is over and the relationship stays."""
