"""What billing systems are told: every access gained or lost, once, in the order of the moments.

The settings up to a moment never change afterwards, so that a place in the list of differences (a moment, and
how many of its differences are told) says exactly what has been told.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice

from contracts import SharingChanged
from sharing.domain.decision import Reason, can_use
from sharing.domain.sharing import Sharing
from sharing.domain.standing import Difference, Standing, differences, standing_at, standing_before


@dataclass(frozen=True, slots=True)
class Told:
    """Everything before `until` is told, of `until` itself the first `part` differences, or all: None."""

    until: datetime
    part: int | None = None


@dataclass(frozen=True, slots=True)
class Telling:
    """The events to publish now, how far they reach, and when there is more to tell (at once, if cut short)."""

    events: Sequence[SharingChanged]
    told: Told
    next_moment: datetime | None


def tell(sharing: Sharing, told: Told, now: datetime, events_max: int) -> Telling:
    """The next events, at most `events_max`, of the moments up to `now`."""
    pending = sorted(
        moment for moment in sharing.moments() if moment > told.until or _is_partly(told, moment)
    )
    events: list[SharingChanged] = []
    before: Standing | None = None
    for moment in (moment for moment in pending if moment <= now):
        before = before or standing_before(sharing, moment)
        after = standing_at(sharing, moment, before)
        reasons = Reasons(sharing, after, moment)
        done = (told.part or 0) if moment == told.until else 0
        room = events_max - len(events)
        found = list(islice(differences(before, after), done, done + room + 1))
        events.extend(
            changed(sharing, difference, moment, reasons.of(difference)) for difference in found[:room]
        )
        if len(found) > room:
            return Telling(events, Told(moment, done + room), moment)
        told, before = Told(moment), after
    later = next((moment for moment in pending if moment > now), None)
    return Telling(events, Told(max(told.until, now)), later)


def _is_partly(told: Told, moment: datetime) -> bool:
    return moment == told.until and told.part is not None


@dataclass(slots=True)
class Reasons:
    """Why accounts may or may not use something from a moment on; `after` is what is in force then."""

    sharing: Sharing
    after: Standing
    at: datetime
    _unbound: dict[tuple[str, str], Reason] = field(default_factory=dict)

    def of(self, difference: Difference) -> Reason:
        """Of resources that are bound to no group, one of each type answers for all that an account may not use."""
        account, resource, gained = difference
        if gained:
            return self.after.granting(account)
        resource_type = self.sharing.resources[resource][-1].resource_type
        if resource not in self.after.resources.get(("type", resource_type), ()):
            return can_use(self.sharing, account, resource, self.at).reason
        if (account, resource_type) not in self._unbound:
            self._unbound[account, resource_type] = can_use(self.sharing, account, resource, self.at).reason
        return self._unbound[account, resource_type]


def changed(sharing: Sharing, difference: Difference, at: datetime, reason: Reason) -> SharingChanged:
    """The event that tells a difference."""
    account, resource, gained = difference
    return SharingChanged(
        management_account=sharing.owner,
        member_account=account,
        resource_id=resource,
        resource_type=sharing.resources[resource][-1].resource_type,
        change="gained" if gained else "lost",
        effective_at=at,
        reason=reason,
    )


def fold(
    events: Iterator[SharingChanged] | Sequence[SharingChanged], until: datetime
) -> set[tuple[str, str]]:
    """Every (account, resource) in use at a moment, as the events tell it."""
    accesses: set[tuple[str, str]] = set()
    for event in events:
        if event.effective_at <= until:
            access = (event.member_account, event.resource_id)
            (accesses.add if event.change == "gained" else accesses.discard)(access)
    return accesses
