"""Codes that were sent to prove an address, and how often they were asked for."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from notify.domain.delivery import Channel
from notify.domain.verification import REQUESTS_WINDOW, Code, HashedCode, Requests

FORGET_OLD: Final = text(
    """
    delete from verification where (account, id) in (
        select account, id from verification where requested_at < :before limit 1000 for update skip locked)
    """
)

REQUESTS: Final = text(
    """
    select coalesce(array_agg(requested_at) filter (where address = :address), '{}') as for_address,
           count(*) filter (where account = :account) as for_account
    from verification
    where (address = :address or account = :account) and requested_at > :since
    """
)

INSERT: Final = text(
    """
    insert into verification (account, id, person, channel, address, requested_at, tries)
    values (:account, :id, :person, :channel, :address, :now, 0)
    """
)

SET_CODE: Final = text(
    """
    update verification set salt = :salt, hash = :hash, link_hash = :link_hash, sent_at = :now, tries = 0
    where account = :account and id = :id and verified_at is null
    """
)

LATEST: Final = text(
    """
    select id, address, salt, hash, sent_at, tries from verification
    where account = :account and person = :person and channel = :channel
    order by requested_at desc, id desc
    limit 1
    for update
    """
)

BY_LINK: Final = text(
    """
    select v.account, v.id, v.person, v.channel, v.address, v.sent_at from verification v
    where v.link_hash = :link_hash
      and v.id = (select id from verification
                  where (account, person, channel) = (v.account, v.person, v.channel)
                  order by requested_at desc, id desc limit 1)
    for update
    """
)

COUNT_TRY: Final = text(
    """
    update verification
    set tries = tries + 1, verified_at = case when :verified then cast(:now as timestamptz) end,
        hash = case when :verified then null else hash end,
        link_hash = case when :verified then null else link_hash end
    where account = :account and id = :id
    """
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """A code asked for; its id is also the id of the notice that brings it."""

    account: str
    id: UUID
    person: str
    channel: Channel
    address: str


async def requests(connection: AsyncConnection, account: str, address: str, now: datetime) -> Requests:
    """How often codes were asked for lately, for this address from anywhere and for this account."""
    since = now - REQUESTS_WINDOW
    rows = await connection.execute(REQUESTS, {"account": account, "address": address, "since": since})
    row = rows.one()
    return Requests(tuple(row.for_address), row.for_account)


async def insert(connection: AsyncConnection, asked: Verification, now: datetime) -> None:
    """Notes that a code was asked for, and forgets what no limit counts any more."""
    await connection.execute(FORGET_OLD, {"before": now - 2 * REQUESTS_WINDOW})
    values: dict[str, Any] = {
        "account": asked.account,
        "id": asked.id,
        "person": asked.person,
        "channel": asked.channel,
        "address": asked.address,
        "now": now,
    }
    await connection.execute(INSERT, values)


async def set_code(
    connection: AsyncConnection,
    account: str,
    id: UUID,
    code: HashedCode,
    link_hash: bytes | None,
    now: datetime,
) -> None:
    """Keeps the hashes of the code and the link about to be sent; earlier ones are worth nothing from now on."""
    parameters = {
        "account": account,
        "id": id,
        "salt": code.salt,
        "hash": code.hash,
        "link_hash": link_hash,
        "now": now,
    }
    await connection.execute(SET_CODE, parameters)


async def locked_latest(
    connection: AsyncConnection, account: str, person: str, channel: Channel
) -> tuple[UUID, Code | None] | None:
    """The last code asked for, locked: its id, and the code unless it is not sent yet or used up."""
    rows = await connection.execute(LATEST, {"account": account, "person": person, "channel": channel})
    row = rows.one_or_none()
    if row is None:
        return None
    sent = row.hash is not None
    return row.id, Code(row.address, HashedCode(row.salt, row.hash), row.sent_at, row.tries) if sent else None


async def count_try(
    connection: AsyncConnection, account: str, id: UUID, verified: bool, now: datetime
) -> None:
    await connection.execute(COUNT_TRY, {"account": account, "id": id, "verified": verified, "now": now})


async def locked_by_link(
    connection: AsyncConnection, link_hash: bytes
) -> tuple[Verification, datetime] | None:
    """The verification whose link this is and when it was sent; only the last one that was asked for counts."""
    row = (await connection.execute(BY_LINK, {"link_hash": link_hash})).one_or_none()
    if row is None:
        return None
    asked = Verification(
        account=row.account, id=row.id, person=row.person, channel=Channel(row.channel), address=row.address
    )
    return asked, row.sent_at
