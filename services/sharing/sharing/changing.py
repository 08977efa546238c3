"""One change of what a management account shares: lock, load, decide, save, and tell what came of it."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from chassis.work import CausedBy

from chassis import UnitOfWork
from sharing.domain.changes import written
from sharing.domain.resources import ResourceError, ToldResource, is_newer, require_known
from sharing.domain.sharing import Sharing
from sharing.domain.telling import Told, tell
from sharing.repository import accounts as account_rows
from sharing.repository import resources as resource_rows
from sharing.repository import sharing as sharing_rows
from sharing.repository.sharing import ChangeRecord, Sharer

TELLING: Final = "sharing-changed"
"""The timer that tells what begins or ends by itself, and what one transaction left untold."""
EVENTS_MAX: Final = 10_000
TICK: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Author:
    """Who changes what is shared."""

    side: str
    name: str


@dataclass(frozen=True, slots=True)
class Changed:
    """What is shared after a change, and the moment from which it holds."""

    sharing: Sharing
    at: datetime


def moment_after(told: Told, now: datetime) -> datetime:
    """The moment of a change: now, but behind everything that has been told."""
    return max(now, told.until + TICK)


async def change_sharing(
    work: UnitOfWork,
    owner: str,
    decide: Callable[[Sharing, datetime], Sharing],
    author: Author,
    described: Mapping[str, Any],
    prepare: Callable[[datetime], Awaitable[None]] | None = None,
    cause: CausedBy | None = None,
) -> Changed:
    """Applies a change under the lock of its management account and publishes who gains or loses what.

    `prepare` stores what the facts refer to, such as a new group. A change that changes nothing leaves no trace.
    """
    sharer = (await sharing_rows.locked_sharers(work.connection, [owner], work.now))[owner]
    at = moment_after(sharer.told, work.now)
    before = await sharing_rows.sharing(work.connection, owner, sharer.told.until)
    after = decide(before, at)
    facts = written(before, after)
    if not facts and prepare is None:
        return Changed(before, at)
    if prepare is not None:
        await prepare(at)
    await sharing_rows.save_facts(work.connection, owner, facts)
    record = ChangeRecord(
        change_number=sharer.change_number + 1,
        changed_at=at,
        side=author.side,
        changed_by=author.name,
        change=dict(described),
    )
    await sharing_rows.save_change(work.connection, owner, record)
    work.count("sharing", str(described["change"]))
    await tell_sharings(work, {owner: after}, {owner: sharer}, at, {owner: cause} if cause else None)
    return Changed(after, at)


async def tell_sharings(
    work: UnitOfWork,
    sharings: Mapping[str, Sharing],
    sharers: Mapping[str, Sharer],
    now: datetime,
    causes: Mapping[str, CausedBy] | None = None,
) -> None:
    """Publishes what has become due, a bounded number at a time; a timer goes on where this leaves off."""
    room = EVENTS_MAX
    told: dict[str, Told] = {}
    for owner in sorted(sharings):
        cause = causes[owner] if causes else None
        telling = tell(sharings[owner], sharers[owner].told, now, room)
        work.emit_all(telling.events, cause)
        room -= len(telling.events)
        told[owner] = telling.told
        if telling.next_moment is None:
            work.cancel_timer(TELLING, owner)
        else:
            work.set_timer(TELLING, owner, max(telling.next_moment, work.now), cause)
    await sharing_rows.save_told(work.connection, told)


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of a told resource."""

    told: ToldResource
    refused: ResourceError | None
    stored: bool


async def keep_resources(
    work: UnitOfWork,
    told: Sequence[ToldResource],
    causes: Sequence[CausedBy] | None = None,
    *,
    all_or_none: bool = False,
    dry: bool = False,
) -> list[Fate]:
    """Stores the newest version of each resource, in a number of statements that does not grow with them.

    What accounts gain or lose by it is told right afterwards, by timer. With `all_or_none` one refused version
    keeps all of them out, with `dry` nothing is stored at all.
    """
    owners = {each.owner for each in told}
    sharers = await sharing_rows.locked_sharers(work.connection, owners, work.now)
    standing = await resource_rows.locked_current(work.connection, {each.resource for each in told})
    known = {resource: version for resource, (version, _) in standing.items()}
    types = {each.resource_type for each in await resource_rows.types(work.connection)}
    accounts = await account_rows.accounts_by_id(work.connection, owners)
    newest: dict[str, ToldResource] = {}
    fates = [_fate(each, {**known, **newest}, newest, types, accounts) for each in told]
    if dry or (all_or_none and any(fate.refused for fate in fates)):
        return fates
    moments = {
        resource: max(
            moment_after(sharers[each.owner].told, work.now),
            standing[resource][1] + TICK if resource in standing else work.now,
        )
        for resource, each in newest.items()
    }
    await resource_rows.save(
        work.connection, {resource: (each, moments[resource]) for resource, each in newest.items()}
    )
    _schedule(work, fates, sharers, moments, causes)
    return fates


def _fate(
    told: ToldResource,
    known: Mapping[str, ToldResource],
    newest: dict[str, ToldResource],
    types: Collection[str],
    accounts: Collection[str],
) -> Fate:
    try:
        require_known(told, types, accounts)
        stored = is_newer(told, known)
    except ResourceError as refused:
        return Fate(told, refused, False)
    if stored:
        newest[told.resource] = told
    return Fate(told, None, stored)


def _schedule(
    work: UnitOfWork,
    fates: Sequence[Fate],
    sharers: Mapping[str, Sharer],
    moments: Mapping[str, datetime],
    causes: Sequence[CausedBy] | None,
) -> None:
    for number, fate in enumerate(fates):
        owner = fate.told.owner
        if fate.stored and sharers[owner].has_trustees:
            due_at = max(work.now, moments[fate.told.resource])
            work.set_timer(TELLING, owner, due_at, causes[number] if causes else None)
