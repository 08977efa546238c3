"""What billing systems are told: every access gained or lost, once, in the order of the moments.

The settings up to a moment never change afterwards, so that a place in the list of differences (a moment, and
how many of its differences are told) says exactly what has been told.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from contracts import SharingChanged
from sharing.domain.decision import can_use
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
        after = standing_at(sharing, moment)
        before = before or standing_before(sharing, moment)
        done = (told.part or 0) if moment == told.until else 0
        room = events_max - len(events)
        found = list(islice(differences(before, after), done, done + room + 1))
        events.extend(changed(sharing, after, difference, moment) for difference in found[:room])
        if len(found) > room:
            return Telling(events, Told(moment, done + room), moment)
        told, before = Told(moment), after
    later = next((moment for moment in pending if moment > now), None)
    return Telling(events, Told(max(told.until, now)), later)


def _pending(sharing: Sharing, told: Told) -> list[datetime]:
    """The moments still to be told; before the first trusteeship there is nobody to gain anything."""
    begins = min((fact.span.start for held in sharing.trusteeships.values() for fact in held), default=None)
    if begins is None:
        return []
    return sorted(
        moment
        for moment in sharing.moments()
        if moment >= begins and (moment > told.until or _is_partly(told, moment))
    )


def _is_partly(told: Told, moment: datetime) -> bool:
    return moment == told.until and told.part is not None


def changed(sharing: Sharing, after: Standing, difference: Difference, at: datetime) -> SharingChanged:
    """The event that tells a difference; `after` is what stands at its moment."""
    account, resource, gained = difference
    reason = after.granting(account) if gained else can_use(sharing, account, resource, at).reason
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
