"""Deliveries: what is due, what belongs together, and every step they take."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from notify.domain.answers import Answer
from notify.domain.delivery import Channel, Delivery, Phase, State
from notify.domain.outgoing import Outgoing
from notify.domain.status import Origin

DELIVERY: Final = """
    d.account, d.id, d.notice_id, d.kind, d.recipient, d.channel, d.state, d.reason, d.attempts, d.phase, d.lease,
    d.due_at, d.expires_at, d.cancel_reason, d.repeat_of, d.ended_at
"""
ORIGIN: Final = "n.event_source, n.event_id, n.event_type, n.correlation_id, n.traceparent"

LOCKED_DUE: Final = text(
    f"""
    select {DELIVERY}, c.address, c.name, c.language, c.time_zone, c.report_token, c.body,
           n.currency, n.episode_id, n.data, n.occurred_at, a.name as account_name,
           coalesce(k.address = c.address and (k.verified_at is not null or d.kind = 'verification-code'), false)
               as address_current
    from (
        select * from delivery
        where channel = :channel and due_at <= :now
        order by due_at, account, id
        limit :rows_max
        for update skip locked
    ) as d
    join delivery_content c on c.account = d.account and c.delivery_id = d.id
    join notice n on n.account = d.account and n.id = d.notice_id
    left join account a on a.account = d.account
    left join contact_address k on k.account = d.account and k.person = d.recipient and k.channel = d.channel
    order by d.due_at, d.account, d.id
    """
)

LOCKED_GROUP: Final = text(
    f"""
    select {DELIVERY}, {ORIGIN}
    from delivery d
    join notice n on n.account = d.account and n.id = d.notice_id
    where d.account = :account
      and (d.notice_id, d.recipient) = (select notice_id, recipient from delivery where account = :account and id = :id)
    order by d.account, d.id
    for update of d
    """
)

LOCKED_OPEN: Final = text(
    f"""
    select {DELIVERY}, {ORIGIN}, n.currency, n.episode_id
    from notice n
    join unnest(cast(:accounts as text[]), cast(:currencies as text[]), cast(:episodes as text[]))
         as e (account, currency, episode_id)
      on (n.account, n.currency, n.episode_id) = (e.account, e.currency, e.episode_id)
    join delivery d on d.account = n.account and d.notice_id = n.id
    where d.due_at is not null
    order by d.account, d.id
    for update of d
    """
)

INSERT: Final = text(
    """
    with fresh as (
        select * from unnest(
            cast(:accounts as text[]), cast(:ids as uuid[]), cast(:notice_ids as uuid[]), cast(:kinds as text[]),
            cast(:recipients as text[]), cast(:channels as text[]), cast(:states as text[]), cast(:reasons as text[]),
            cast(:due as timestamptz[]), cast(:expire as timestamptz[]), cast(:ended as timestamptz[]),
            cast(:statuses as text[]), cast(:addresses as text[]), cast(:names as text[]), cast(:languages as text[]),
            cast(:zones as text[]), cast(:tokens as text[])
        ) as f (account, id, notice_id, kind, recipient, channel, state, reason, due_at, expires_at, ended_at,
                status_event_id, address, name, language, time_zone, report_token)
    ), made as (
        insert into delivery (account, id, notice_id, kind, recipient, channel, state, reason, attempts, due_at,
                              expires_at, steps, created_at, ended_at, status_event_id)
        select account, id, notice_id, kind, recipient, channel, state, reason, 0, due_at, expires_at, 1, :now,
               ended_at, status_event_id
        from fresh
        order by account, id
    ), content as (
        insert into delivery_content (account, delivery_id, address, name, language, time_zone, report_token)
        select account, id, address, name, language, time_zone, report_token
        from fresh
        where address is not null
    )
    insert into delivery_history (account, delivery_id, step, at, state, reason)
    select account, id, 1, :now, state, reason from fresh
    """
)

INSERT_REPEAT: Final = text(
    """
    with made as (
        insert into delivery (account, id, notice_id, kind, recipient, channel, state, attempts, due_at, expires_at,
                              repeat_of, steps, created_at)
        values (:account, :id, :notice_id, :kind, :recipient, :channel, :state, 0, :due_at, :expires_at,
                :repeat_of, 1, :now)
    ), content as (
        insert into delivery_content (account, delivery_id, address, name, language, time_zone, report_token)
        select account, :id, address, name, language, time_zone, :report_token
        from delivery_content
        where account = :account and delivery_id = :repeat_of
    )
    insert into delivery_history (account, delivery_id, step, at, state, reason)
    values (:account, :id, 1, :now, :state, 'repeat')
    """
)

SAVE_STEPS: Final = text(
    """
    with taken as (
        select * from unnest(
            cast(:accounts as text[]), cast(:ids as uuid[]), cast(:states as text[]), cast(:reasons as text[]),
            cast(:attempts as int[]), cast(:phases as text[]), cast(:leases as uuid[]), cast(:due as timestamptz[]),
            cast(:cancel_reasons as text[]), cast(:ended as timestamptz[]), cast(:statuses as text[]),
            cast(:verdicts as text[]), cast(:codes as int[]), cast(:answers as text[]), cast(:tried as int[])
        ) as t (account, id, state, reason, attempts, phase, lease, due_at, cancel_reason, ended_at, status_event_id,
                verdict, code, answer, tried)
    ), moved as (
        update delivery d
        set state = t.state, reason = t.reason, attempts = t.attempts, phase = t.phase, lease = t.lease,
            due_at = t.due_at, cancel_reason = t.cancel_reason, ended_at = t.ended_at,
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

BEGIN_ATTEMPT: Final = text(
    """
    with begun as (
        update delivery
        set phase = 'transmitting', due_at = :lease_until, steps = steps + 1
        where account = :account and id = :id and lease = :lease and state = 'sending' and phase = 'preparing'
          and cancel_reason is null
        returning account, id, attempts, steps
    ), kept as (
        update delivery_content c set body = :body
        from begun
        where c.account = begun.account and c.delivery_id = begun.id and cast(:body as bytea) is not null
    ), noted as (
        insert into delivery_history (account, delivery_id, step, at, state, attempt, phase, instance)
        select account, id, steps, :now, 'sending', attempts, 'transmitting', :instance from begun
    )
    select count(*) from begun
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
    """A delivery under lock, with the lease of the attempt under way and where it came from."""

    delivery: Delivery
    lease: UUID | None
    origin: Origin


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A delivery as it is after a step, and what the history says about the step."""

    delivery: Delivery
    lease: UUID | None = None
    status_event_id: str | None = None
    answer: Answer | None = None
    attempt: int | None = None


async def locked_due(
    connection: AsyncConnection, channel: Channel, now: datetime, lease: UUID, rows_max: int
) -> list[Outgoing]:
    """The deliveries of a channel that somebody must look at now, longest due first; others' are skipped."""
    rows = await connection.execute(LOCKED_DUE, {"channel": channel, "now": now, "rows_max": rows_max})
    return [_outgoing(row, lease, now) for row in rows]


async def locked_group(connection: AsyncConnection, account: str, delivery_id: UUID) -> list[Locked]:
    """All deliveries of the same notice to the same recipient, locked in id order."""
    rows = await connection.execute(LOCKED_GROUP, {"account": account, "id": delivery_id})
    return [_locked(row) for row in rows]


async def locked_open(
    connection: AsyncConnection, episodes: Sequence[tuple[str, str, str]]
) -> dict[tuple[str, str, str], list[Locked]]:
    """The deliveries of these episodes (account, currency, episode id) that have not ended, locked in id order."""
    if not episodes:
        return {}
    accounts, currencies, ids = zip(*episodes, strict=True)
    parameters = {"accounts": list(accounts), "currencies": list(currencies), "episodes": list(ids)}
    rows = await connection.execute(LOCKED_OPEN, parameters)
    found: dict[tuple[str, str, str], list[Locked]] = {}
    for row in rows:
        found.setdefault((row.account, row.currency, row.episode_id), []).append(_locked(row))
    return found


async def insert_deliveries(connection: AsyncConnection, made: Sequence[NewDelivery], now: datetime) -> None:
    """Stores new deliveries with what they need to go out, and the first step of their history."""
    if not made:
        return
    deliveries = [new.delivery for new in made]
    await connection.execute(
        INSERT,
        {
            "accounts": [delivery.account for delivery in deliveries],
            "ids": [delivery.id for delivery in deliveries],
            "notice_ids": [delivery.notice_id for delivery in deliveries],
            "kinds": [delivery.kind for delivery in deliveries],
            "recipients": [delivery.recipient for delivery in deliveries],
            "channels": [delivery.channel for delivery in deliveries],
            "states": [delivery.state for delivery in deliveries],
            "reasons": [delivery.reason for delivery in deliveries],
            "due": [delivery.due_at for delivery in deliveries],
            "expire": [delivery.expires_at for delivery in deliveries],
            "ended": [delivery.ended_at for delivery in deliveries],
            "statuses": [new.status_event_id for new in made],
            "addresses": [new.address for new in made],
            "names": [new.name for new in made],
            "languages": [new.language for new in made],
            "zones": [new.time_zone for new in made],
            "tokens": [new.report_token for new in made],
            "now": now,
        },
    )


async def insert_repeat(
    connection: AsyncConnection, repeat: Delivery, report_token: str, now: datetime
) -> None:
    """Stores a delivery that repeats another one: same address, reports of its own."""
    await connection.execute(
        INSERT_REPEAT,
        {
            "account": repeat.account,
            "id": repeat.id,
            "notice_id": repeat.notice_id,
            "kind": repeat.kind,
            "recipient": repeat.recipient,
            "channel": repeat.channel,
            "state": repeat.state,
            "due_at": repeat.due_at,
            "expires_at": repeat.expires_at,
            "repeat_of": repeat.repeat_of,
            "report_token": report_token,
            "now": now,
        },
    )


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


async def begin_attempt(
    connection: AsyncConnection,
    outgoing: Outgoing,
    body: bytes | None,
    *,
    lease_until: datetime,
    now: datetime,
    instance: str,
) -> bool:
    """Notes that from now on the provider may have the message; False when the attempt is not ours any more."""
    rows = await connection.execute(
        BEGIN_ATTEMPT,
        {
            "account": outgoing.delivery.account,
            "id": outgoing.delivery.id,
            "lease": outgoing.lease,
            "body": body,
            "lease_until": lease_until,
            "now": now,
            "instance": instance,
        },
    )
    return int(rows.scalar_one()) == 1


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
        channel=Channel(row.channel),
        state=State(row.state),
        expires_at=row.expires_at,
        reason=row.reason,
        attempts=row.attempts,
        phase=Phase(row.phase) if row.phase else None,
        due_at=row.due_at,
        cancel_reason=row.cancel_reason,
        repeat_of=row.repeat_of,
        ended_at=row.ended_at,
    )


def _locked(row: Row[Any]) -> Locked:
    origin = Origin(row.event_source, row.event_id, row.event_type, row.correlation_id, row.traceparent)
    return Locked(_delivery(row), row.lease, origin)


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
        body=row.body,
    )
