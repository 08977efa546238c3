"""Deliveries: what is due, what belongs together, and every step they take."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from notify.domain.announcements import ThreadKey
from notify.domain.answers import Answer
from notify.domain.delivery import Channel, Delivery, Phase, Role, State
from notify.domain.outgoing import Outgoing
from notify.domain.status import Origin
from notify.repository.notices import THREAD_KEYS, key_parameters

DELIVERY: Final = """
    d.account, d.id, d.notice_id, d.kind, d.recipient, d.contact_place, d.channel, d.role, d.fallback, d.state,
    d.reason, d.attempts, d.phase, d.lease, d.due_at, d.expires_at, d.cancel_reason, d.repeat_of, d.group_key,
    d.carried_by, d.ended_at
"""
ORIGIN: Final = "n.event_source, n.event_id, n.event_type, n.correlation_id, n.traceparent"
KEYS: Final = "unnest(cast(:accounts as text[]), cast(:ids as uuid[])) as w (account, id)"
REACHABLE: Final = """
    (select coalesce(array_agg(k.channel), '{}') from contact_address k
     where (k.account, k.person) = (d.contact_place, d.recipient) and k.verified_at is not null) as reachable
"""

LOCKED_DUE: Final = text(
    f"""
    select {DELIVERY}, c.address, c.name, c.language, c.time_zone, c.report_token, c.acknowledge_token, c.body,
           n.family, n.currency, n.episode_id, n.event_type, n.data, n.template, n.reminder, n.occurred_at,
           a.name as account_name, k.secret,
           coalesce(k.address = c.address and (k.verified_at is not null or d.kind = 'verification-code'), false)
               as address_current
    from (
        select * from delivery
        where channel = any(cast(:channels as text[])) and due_at <= :now
        order by due_at, account, id
        limit :rows_max
        for update skip locked
    ) as d
    join delivery_content c on c.account = d.account and c.delivery_id = d.id
    join notice n on n.account = d.account and n.id = d.notice_id
    left join account a on a.account = d.account
    left join contact_address k
      on k.account = d.contact_place and k.person = d.recipient and k.channel = d.channel
    order by d.due_at, d.account, d.id
    """
)

LOCKED_GROUPS: Final = text(
    f"""
    select {DELIVERY}, {ORIGIN}, {REACHABLE}
    from delivery d
    join notice n on n.account = d.account and n.id = d.notice_id
    where (d.account, d.notice_id, d.contact_place, d.recipient) in (
        select d.account, d.notice_id, d.contact_place, d.recipient
        from {KEYS} join delivery d on d.account = w.account and d.id = w.id)
    order by d.account, d.id
    for update of d
    """
)

LOCKED_OPEN: Final = text(
    f"""
    select {DELIVERY}, {ORIGIN}, {REACHABLE}, n.family, n.currency, n.episode_id
    from notice n
    join {THREAD_KEYS}
      on (n.account, n.family, n.currency, n.episode_id) = (k.account, k.family, k.currency, k.episode_id)
    join delivery d on d.account = n.account and d.notice_id = n.id
    where d.due_at is not null
    order by d.account, d.id
    for update of d
    """
)

LOCKED_GATHERED: Final = text(
    f"""
    select {DELIVERY}, {ORIGIN}, {REACHABLE}, n.event_type as type, n.data, a.name as account_name,
           c.address, c.name, c.language, c.time_zone
    from delivery d
    join notice n on n.account = d.account and n.id = d.notice_id
    join delivery_content c on c.account = d.account and c.delivery_id = d.id
    left join account a on a.account = d.account
    where d.group_key = any(cast(:group_keys as text[])) and d.due_at is not null and d.state = 'held'
    order by d.account, d.id
    for update of d
    """
)

LOCKED_WAITING: Final = text(
    f"""
    select {DELIVERY}, {ORIGIN}, {REACHABLE}
    from delivery d
    join notice n on n.account = d.account and n.id = d.notice_id
    where d.channel = :channel and d.due_at is not null and d.phase is null and d.carried_by is null
      and d.state in ('accepted', 'sending') and d.fallback <> '{{}}'
    order by d.account, d.id
    limit :rows_max
    for update of d skip locked
    """
)

LOCKED_CARRIED: Final = text(
    f"""
    select {DELIVERY}, {ORIGIN}, {REACHABLE}
    from delivery d
    join notice n on n.account = d.account and n.id = d.notice_id
    where d.carried_by = any(cast(:carriers as uuid[]))
    order by d.account, d.id
    for update of d
    """
)

LOCKED_OF_PERSON: Final = text(
    f"""
    select {DELIVERY}, {ORIGIN}, {REACHABLE}
    from delivery d
    join notice n on n.account = d.account and n.id = d.notice_id
    where d.recipient = :recipient and d.due_at is not null
    order by d.account, d.id
    for update of d
    """
)

INSERT: Final = text(
    """
    with fresh as (
        select * from unnest(
            cast(:accounts as text[]), cast(:ids as uuid[]), cast(:notice_ids as uuid[]), cast(:kinds as text[]),
            cast(:recipients as text[]), cast(:contact_places as text[]), cast(:channels as text[]),
            cast(:roles as text[]), cast(:fallbacks as text[]), cast(:states as text[]), cast(:reasons as text[]),
            cast(:due as timestamptz[]), cast(:expire as timestamptz[]), cast(:ended as timestamptz[]),
            cast(:statuses as text[]), cast(:groups as text[]), cast(:addresses as text[]), cast(:names as text[]),
            cast(:languages as text[]), cast(:zones as text[]), cast(:tokens as text[]),
            cast(:acknowledge_tokens as text[])
        ) as f (account, id, notice_id, kind, recipient, contact_place, channel, role, fallback, state, reason, due_at,
                expires_at, ended_at, status_event_id, group_key, address, name, language, time_zone, report_token,
                acknowledge_token)
    ), made as (
        insert into delivery (account, id, notice_id, kind, recipient, contact_place, channel, role, fallback, state,
                              reason, attempts, due_at, expires_at, group_key, steps, created_at, ended_at,
                              status_event_id)
        select account, id, notice_id, kind, recipient, contact_place, channel, role,
               string_to_array(fallback, ' '), state, reason, 0, due_at, expires_at, group_key, 1, :now, ended_at,
               status_event_id
        from fresh
        order by account, id
    ), content as (
        insert into delivery_content (account, delivery_id, address, name, language, time_zone, report_token,
                                      acknowledge_token)
        select account, id, address, name, language, time_zone, report_token, acknowledge_token
        from fresh
        where address is not null
    )
    insert into delivery_history (account, delivery_id, step, at, state, reason)
    select account, id, 1, :now, state, reason from fresh
    """
)

INSERT_FOLLOW_UPS: Final = text(
    """
    with fresh as (
        select f.*, c.name, c.language, c.time_zone, k.address,
               case when c.acknowledge_token is not null then f.new_acknowledge_token end as acknowledge_token
        from unnest(
            cast(:accounts as text[]), cast(:ids as uuid[]), cast(:originals as uuid[]), cast(:notice_ids as uuid[]),
            cast(:kinds as text[]), cast(:recipients as text[]), cast(:contact_places as text[]),
            cast(:channels as text[]), cast(:roles as text[]), cast(:fallbacks as text[]), cast(:due as timestamptz[]),
            cast(:expire as timestamptz[]), cast(:repeats as uuid[]), cast(:tokens as text[]),
            cast(:acknowledge_tokens as text[])
        ) as f (account, id, original, notice_id, kind, recipient, contact_place, channel, role, fallback, due_at,
                expires_at, repeat_of, report_token, new_acknowledge_token)
        join delivery_content c on c.account = f.account and c.delivery_id = f.original
        join contact_address k
          on k.account = f.contact_place and k.person = f.recipient and k.channel = f.channel
         and k.verified_at is not null
    ), made as (
        insert into delivery (account, id, notice_id, kind, recipient, contact_place, channel, role, fallback, state,
                              attempts, due_at, expires_at, repeat_of, steps, created_at)
        select account, id, notice_id, kind, recipient, contact_place, channel, role, string_to_array(fallback, ' '),
               'accepted', 0, due_at, expires_at, repeat_of, 1, :now
        from fresh
        order by account, id
        on conflict do nothing
        returning account, id
    ), content as (
        insert into delivery_content (account, delivery_id, address, name, language, time_zone, report_token,
                                      acknowledge_token)
        select account, id, fresh.address, name, language, time_zone, report_token, acknowledge_token
        from fresh join made using (account, id)
    ), noted as (
        insert into delivery_history (account, delivery_id, step, at, state, reason)
        select account, id, 1, :now, 'accepted', fresh.role from fresh join made using (account, id)
    )
    select id from made
    """
)

SAVE_STEPS: Final = text(
    """
    with taken as (
        select * from unnest(
            cast(:accounts as text[]), cast(:ids as uuid[]), cast(:states as text[]), cast(:reasons as text[]),
            cast(:attempts as int[]), cast(:phases as text[]), cast(:leases as uuid[]), cast(:due as timestamptz[]),
            cast(:cancel_reasons as text[]), cast(:carriers as uuid[]), cast(:ended as timestamptz[]),
            cast(:statuses as text[]), cast(:verdicts as text[]), cast(:codes as int[]), cast(:answers as text[]),
            cast(:tried as int[])
        ) as t (account, id, state, reason, attempts, phase, lease, due_at, cancel_reason, carried_by, ended_at,
                status_event_id, verdict, code, answer, tried)
    ), moved as (
        update delivery d
        set state = t.state, reason = t.reason, attempts = t.attempts, phase = t.phase, lease = t.lease,
            due_at = t.due_at, cancel_reason = t.cancel_reason, carried_by = t.carried_by, ended_at = t.ended_at,
            status_event_id = coalesce(t.status_event_id, d.status_event_id), steps = d.steps + 1
        from taken t
        where d.account = t.account and d.id = t.id
        returning d.account, d.id, d.steps
    )
    insert into delivery_history (account, delivery_id, step, at, state, reason, attempt, phase, verdict, code, answer,
                                  instance)
    select t.account, t.id, moved.steps, :now, t.state, t.reason, t.tried, t.phase, t.verdict, t.code, t.answer,
           :instance
    from taken t
    join moved using (account, id)
    """
)

BEGIN_ATTEMPTS: Final = text(
    """
    with wanted as (
        select * from unnest(cast(:accounts as text[]), cast(:ids as uuid[]), cast(:leases as uuid[]),
                             cast(:bodies as bytea[])) as w (account, id, lease, body)
    ), begun as (
        update delivery d
        set phase = 'transmitting', due_at = :lease_until, steps = steps + 1
        from wanted w
        where d.account = w.account and d.id = w.id and d.lease = w.lease and d.state = 'sending'
          and d.phase = 'preparing' and d.cancel_reason is null
        returning d.account, d.id, d.attempts, d.steps
    ), kept as (
        update delivery_content c set body = w.body
        from begun join wanted w using (account, id)
        where c.account = begun.account and c.delivery_id = begun.id and w.body is not null and c.body is null
    ), noted as (
        insert into delivery_history (account, delivery_id, step, at, state, attempt, phase, instance)
        select account, id, steps, :now, 'sending', attempts, 'transmitting', :instance from begun
    )
    select id from begun
    """
)

PRUNE_CONTENT: Final = text(
    """
    delete from delivery_content c
    using (
        select account, id from delivery
        where ended_at < :before
          and exists (select from delivery_content x where x.account = delivery.account and x.delivery_id = delivery.id)
        order by ended_at
        limit :rows_max
    ) as d
    where c.account = d.account and c.delivery_id = d.id
    """
)

FORGET_CONTENT: Final = text(
    """
    delete from delivery_content c
    using delivery d
    where d.recipient = :recipient and c.account = d.account and c.delivery_id = d.id
    """
)

POSTPONE: Final = text(
    """
    update delivery d set due_at = :until
    from unnest(cast(:accounts as text[]), cast(:ids as uuid[])) as p (account, id)
    where d.account = p.account and d.id = p.id
    """
)

RELEASE: Final = text(
    """
    update delivery d set phase = null, lease = null, due_at = :now
    from unnest(cast(:accounts as text[]), cast(:ids as uuid[]), cast(:leases as uuid[])) as r (account, id, lease)
    where d.account = r.account and d.id = r.id and d.lease = r.lease and d.phase = 'preparing'
    """
)


@dataclass(frozen=True, slots=True)
class Locked:
    """A delivery under lock, with the lease of the attempt under way, where it came from, and how else to reach."""

    delivery: Delivery
    lease: UUID | None
    origin: Origin
    reachable: frozenset[Channel] = frozenset()


RECIPIENTS: Final = text(
    """
    select distinct account, notice_id, contact_place, recipient, channel from delivery
    where (account, notice_id) in (select * from unnest(cast(:accounts as text[]), cast(:ids as uuid[])))
    """
)


@dataclass(frozen=True, slots=True)
class Gathered:
    """A delivery that waits for others to go along with, and what it would say by itself."""

    locked: Locked
    event_type: str
    data: bytes
    account_name: str
    address: str
    name: str
    language: str
    time_zone: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDelivery:
    """A delivery to be stored for the first time; one that goes out has an address and a token for its reports."""

    delivery: Delivery
    status_event_id: str | None = None
    address: str | None = None
    name: str | None = None
    language: str | None = None
    time_zone: str | None = None
    report_token: str | None = None
    acknowledge_token: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewFollowUp:
    """A delivery that follows another, with the tokens of its reports and, where its original has one, of its link."""

    delivery: Delivery
    original_id: UUID
    report_token: str
    acknowledge_token: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A delivery as it is after a step, and what the history says about the step."""

    delivery: Delivery
    lease: UUID | None = None
    status_event_id: str | None = None
    answer: Answer | None = None
    attempt: int | None = None


@dataclass(frozen=True, slots=True)
class Begun:
    """An attempt that wants to transmit, and the bytes to keep."""

    outgoing: Outgoing
    body: bytes | None


async def locked_due(
    connection: AsyncConnection, channels: Collection[Channel], now: datetime, lease: UUID, rows_max: int
) -> list[Outgoing]:
    """Deliveries of these channels whose time has come, locked, skipping those that another sender holds."""
    parameters = {"channels": sorted(channels), "now": now, "rows_max": rows_max}
    rows = await connection.execute(LOCKED_DUE, parameters)
    return [_outgoing(row, lease, now) for row in rows]


async def locked_groups(
    connection: AsyncConnection, keys: Collection[tuple[str, UUID]]
) -> dict[UUID, list[Locked]]:
    """For each delivery all of its notice to its recipient, locked in id order."""
    if not keys:
        return {}
    ordered = sorted(keys)
    parameters = {
        "accounts": [account for account, _ in ordered],
        "ids": [delivery_id for _, delivery_id in ordered],
    }
    groups: dict[tuple[str, UUID, str, str], list[Locked]] = {}
    for row in await connection.execute(LOCKED_GROUPS, parameters):
        key = (row.account, row.notice_id, row.contact_place, row.recipient)
        groups.setdefault(key, []).append(_locked(row))
    return {locked.delivery.id: group for group in groups.values() for locked in group}


async def locked_open(
    connection: AsyncConnection, threads: Collection[ThreadKey]
) -> dict[ThreadKey, list[Locked]]:
    """What each thread has not ended yet, locked in id order."""
    if not threads:
        return {}
    ordered = sorted(threads, key=lambda key: key.row)
    found: dict[ThreadKey, list[Locked]] = {}
    for row in await connection.execute(LOCKED_OPEN, key_parameters(ordered)):
        key = ThreadKey(row.account, row.family, row.currency, row.episode_id)
        found.setdefault(key, []).append(_locked(row))
    return found


async def locked_gathered(
    connection: AsyncConnection, group_keys: Collection[str]
) -> dict[str, list[Gathered]]:
    """What waits to go out together, by its group."""
    found: dict[str, list[Gathered]] = {}
    rows = await connection.execute(LOCKED_GATHERED, {"group_keys": sorted(group_keys)})
    for row in rows:
        found.setdefault(row.group_key, []).append(
            Gathered(
                locked=_locked(row),
                event_type=row.type,
                data=row.data,
                account_name=row.account_name or "",
                address=row.address,
                name=row.name,
                language=row.language,
                time_zone=row.time_zone,
            )
        )
    return found


async def locked_waiting(connection: AsyncConnection, channel: Channel, rows_max: int) -> list[Locked]:
    """What waits for a provider and could go by another channel."""
    rows = await connection.execute(LOCKED_WAITING, {"channel": channel, "rows_max": rows_max})
    return [_locked(row) for row in rows]


async def locked_carried(connection: AsyncConnection, carriers: Collection[UUID]) -> dict[UUID, list[Locked]]:
    """The deliveries that others bring along, by the one that brings them."""
    found: dict[UUID, list[Locked]] = {}
    for row in await connection.execute(LOCKED_CARRIED, {"carriers": sorted(carriers)}):
        found.setdefault(row.carried_by, []).append(_locked(row))
    return found


async def locked_of_person(connection: AsyncConnection, recipient: str) -> list[Locked]:
    """What is still to go out to a person."""
    rows = await connection.execute(LOCKED_OF_PERSON, {"recipient": recipient})
    return [_locked(row) for row in rows]


WAITING_GROUPS: Final = text(
    """
    select key from timer where kind = 'gather' and key = any(cast(:keys as text[])) order by key
    for key share skip locked
    """
)
"""A group whose timer is firing at this moment is locked, and does not count: what comes now waits anew."""


async def waiting_groups(connection: AsyncConnection, keys: Collection[str]) -> set[str]:
    """The groups that are being gathered already."""
    return {row.key for row in await connection.execute(WAITING_GROUPS, {"keys": sorted(keys)})}


async def recipients(
    connection: AsyncConnection, notices: Collection[tuple[str, UUID]]
) -> dict[UUID, set[tuple[str, str, Channel]]]:
    """Whom each notice has a delivery for already: place, person, channel."""
    parameters = {
        "accounts": [account for account, _ in notices],
        "ids": [notice_id for _, notice_id in notices],
    }
    found: dict[UUID, set[tuple[str, str, Channel]]] = {}
    for row in await connection.execute(RECIPIENTS, parameters):
        found.setdefault(row.notice_id, set()).add((row.contact_place, row.recipient, Channel(row.channel)))
    return found


async def insert_deliveries(connection: AsyncConnection, made: Sequence[NewDelivery], now: datetime) -> None:
    """Stores new deliveries with what they need to go out, and the first step of their history."""
    if not made:
        return
    deliveries = [new.delivery for new in made]
    await connection.execute(
        INSERT,
        {
            **_identified(deliveries),
            "states": [delivery.state for delivery in deliveries],
            "reasons": [delivery.reason for delivery in deliveries],
            "ended": [delivery.ended_at for delivery in deliveries],
            "statuses": [new.status_event_id for new in made],
            "groups": [delivery.group_key for delivery in deliveries],
            "addresses": [new.address for new in made],
            "names": [new.name for new in made],
            "languages": [new.language for new in made],
            "zones": [new.time_zone for new in made],
            "tokens": [new.report_token for new in made],
            "acknowledge_tokens": [new.acknowledge_token for new in made],
            "now": now,
        },
    )


def _identified(deliveries: Sequence[Delivery]) -> dict[str, Any]:
    return {
        "accounts": [delivery.account for delivery in deliveries],
        "ids": [delivery.id for delivery in deliveries],
        "notice_ids": [delivery.notice_id for delivery in deliveries],
        "kinds": [delivery.kind for delivery in deliveries],
        "recipients": [delivery.recipient for delivery in deliveries],
        "contact_places": [delivery.contact_place for delivery in deliveries],
        "channels": [delivery.channel for delivery in deliveries],
        "roles": [delivery.role for delivery in deliveries],
        "fallbacks": [" ".join(delivery.fallback) for delivery in deliveries],
        "due": [delivery.due_at for delivery in deliveries],
        "expire": [delivery.expires_at for delivery in deliveries],
    }


async def insert_follow_ups(
    connection: AsyncConnection, made: Sequence[NewFollowUp], now: datetime
) -> set[UUID]:
    """Stores deliveries that follow an original, to the address that the recipient has now; returns the new ids.

    One that exists, or whose recipient has no verified address for its channel any more, is not made.
    """
    if not made:
        return set()
    deliveries = [new.delivery for new in made]
    rows = await connection.execute(
        INSERT_FOLLOW_UPS,
        {
            **_identified(deliveries),
            "originals": [new.original_id for new in made],
            "repeats": [delivery.repeat_of for delivery in deliveries],
            "tokens": [new.report_token for new in made],
            "acknowledge_tokens": [new.acknowledge_token for new in made],
            "now": now,
        },
    )
    return {row.id for row in rows}


async def save_steps(
    connection: AsyncConnection, steps: Sequence[Step], now: datetime, instance: str | None
) -> None:
    """Stores deliveries as they are after a step, and the step in their history."""
    if not steps:
        return
    deliveries = [step.delivery for step in steps]
    answers = [step.answer for step in steps]
    await connection.execute(
        SAVE_STEPS,
        {
            "accounts": [delivery.account for delivery in deliveries],
            "ids": [delivery.id for delivery in deliveries],
            "states": [delivery.state for delivery in deliveries],
            "reasons": [delivery.reason for delivery in deliveries],
            "attempts": [delivery.attempts for delivery in deliveries],
            "phases": [delivery.phase for delivery in deliveries],
            "leases": [step.lease for step in steps],
            "due": [delivery.due_at for delivery in deliveries],
            "cancel_reasons": [delivery.cancel_reason for delivery in deliveries],
            "carriers": [delivery.carried_by for delivery in deliveries],
            "ended": [delivery.ended_at for delivery in deliveries],
            "statuses": [step.status_event_id for step in steps],
            "verdicts": [answer.verdict if answer else None for answer in answers],
            "codes": [answer.code if answer else None for answer in answers],
            "answers": [answer.text or None if answer else None for answer in answers],
            "tried": [step.attempt for step in steps],
            "now": now,
            "instance": instance,
        },
    )


async def begin_attempts(
    connection: AsyncConnection,
    wanted: Sequence[Begun],
    *,
    lease_until: datetime,
    now: datetime,
    instance: str,
) -> set[UUID]:
    """Notes that from now on providers may have these messages; returns those whose attempt is still ours."""
    rows = await connection.execute(
        BEGIN_ATTEMPTS,
        {
            "accounts": [one.outgoing.delivery.account for one in wanted],
            "ids": [one.outgoing.delivery.id for one in wanted],
            "leases": [one.outgoing.lease for one in wanted],
            "bodies": [one.body for one in wanted],
            "lease_until": lease_until,
            "now": now,
            "instance": instance,
        },
    )
    return {row.id for row in rows}


async def prune_content(connection: AsyncConnection, before: datetime, rows_max: int) -> int:
    """Forgets addresses and texts of what ended before; returns how many."""
    parameters = {"before": before, "rows_max": rows_max}
    return (await connection.execute(PRUNE_CONTENT, parameters)).rowcount


async def forget_content(connection: AsyncConnection, recipient: str) -> int:
    """Forgets addresses and texts of all that was ever sent to a person; returns how many."""
    return (await connection.execute(FORGET_CONTENT, {"recipient": recipient})).rowcount


async def postpone(connection: AsyncConnection, deliveries: Sequence[Delivery], until: datetime) -> None:
    """Hides deliveries from other senders until then."""
    if deliveries:
        parameters = {
            "accounts": [d.account for d in deliveries],
            "ids": [d.id for d in deliveries],
            "until": until,
        }
        await connection.execute(POSTPONE, parameters)


async def release(connection: AsyncConnection, claims: Sequence[Outgoing], now: datetime) -> None:
    """Gives claimed deliveries back of which nothing has gone out."""
    parameters = {
        "accounts": [claim.delivery.account for claim in claims],
        "ids": [claim.delivery.id for claim in claims],
        "leases": [claim.lease for claim in claims],
        "now": now,
    }
    await connection.execute(RELEASE, parameters)


def _delivery(row: Row[Any]) -> Delivery:
    return Delivery(
        account=row.account,
        id=row.id,
        notice_id=row.notice_id,
        kind=row.kind,
        recipient=row.recipient,
        contact_place=row.contact_place,
        channel=Channel(row.channel),
        role=Role(row.role),
        fallback=tuple(Channel(channel) for channel in row.fallback),
        state=State(row.state),
        expires_at=row.expires_at,
        reason=row.reason,
        attempts=row.attempts,
        phase=Phase(row.phase) if row.phase else None,
        due_at=row.due_at,
        cancel_reason=row.cancel_reason,
        repeat_of=row.repeat_of,
        group_key=row.group_key,
        carried_by=row.carried_by,
        ended_at=row.ended_at,
    )


def _locked(row: Row[Any]) -> Locked:
    origin = Origin(row.event_source, row.event_id, row.event_type, row.correlation_id, row.traceparent)
    reachable = frozenset(Channel(channel) for channel in row.reachable)
    return Locked(_delivery(row), row.lease, origin, reachable)


def _outgoing(row: Row[Any], lease: UUID, now: datetime) -> Outgoing:
    return Outgoing(
        delivery=_delivery(row),
        held_lease=row.lease,
        lease=lease,
        claimed_at=now,
        address=row.address,
        address_current=row.address_current,
        name=row.name,
        language=row.language,
        time_zone=row.time_zone,
        account_name=row.account_name or "",
        currency=row.currency,
        episode_id=row.episode_id,
        data=row.data,
        occurred_at=row.occurred_at,
        report_token=row.report_token,
        acknowledge_token=row.acknowledge_token,
        secret=row.secret,
        family=row.family,
        event_type=row.event_type,
        template=row.template,
        reminder=row.reminder,
        body=row.body,
    )
