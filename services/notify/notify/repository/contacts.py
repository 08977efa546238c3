"""The people of an account and their addresses."""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, delete, text
from sqlalchemy.ext.asyncio import AsyncConnection

from notify.domain.delivery import Channel
from notify.domain.planning import Address, Contact
from notify.tables import contact

CONTACT: Final = """
    c.account, c.person, c.name, c.language, c.time_zone, c.security, c.wants,
    coalesce(array_agg(array[k.channel, k.address, cast(k.verified_at is not null as text)])
                 filter (where k.channel is not null), '{}') as addresses
"""
WITH_ADDRESSES: Final = "contact c left join contact_address k using (account, person)"

BY_ACCOUNT: Final = text(
    f"""
    select {CONTACT} from {WITH_ADDRESSES}
    where c.account = any(cast(:accounts as text[])) and (c.security or c.wants <> '{{}}')
    group by c.account, c.person
    """
)

PAGE: Final = text(
    f"""
    select {CONTACT} from {WITH_ADDRESSES}
    where c.account = :account and c.person > :after
    group by c.account, c.person
    order by c.person
    limit :rows_max
    """
)

ONE: Final = text(
    f"""
    select {CONTACT} from {WITH_ADDRESSES}
    where c.account = :account and c.person = :person
    group by c.account, c.person
    """
)

YIELD_SECURITY: Final = text(
    """
    update contact set security = false, changed_at = :now
    where account = :account and person <> :person and security
    """
)

SAVE: Final = text(
    """
    insert into contact (account, person, name, language, time_zone, security, wants, changed_at)
    values (:account, :person, :name, :language, :time_zone, :security, cast(:wants as text[]), :now)
    on conflict (account, person) do update
    set name = excluded.name, language = excluded.language, time_zone = excluded.time_zone,
        security = excluded.security, wants = excluded.wants, changed_at = excluded.changed_at
    returning xmax = 0 as created
    """
)

DROP_ADDRESSES: Final = text(
    """
    delete from contact_address
    where account = :account and person = :person and channel <> all(cast(:channels as text[]))
    """
)

SAVE_ADDRESSES: Final = text(
    """
    insert into contact_address (account, person, channel, address, changed_at)
    select :account, :person, channel, address, :now
    from unnest(cast(:channels as text[]), cast(:addresses as text[])) as a (channel, address)
    on conflict (account, person, channel) do update
    set address = excluded.address, verified_at = null, changed_at = excluded.changed_at
    where contact_address.address <> excluded.address
    """
)

MARK_VERIFIED: Final = text(
    """
    update contact_address set verified_at = :now
    where account = :account and person = :person and channel = :channel and address = :address
    """
)


async def by_account(connection: AsyncConnection, accounts: Collection[str]) -> dict[str, list[Contact]]:
    """The people of each account who are told anything at all."""
    rows = await connection.execute(BY_ACCOUNT, {"accounts": sorted(accounts)})
    found: dict[str, list[Contact]] = {}
    for row in rows:
        found.setdefault(row.account, []).append(_contact(row))
    return found


async def after(connection: AsyncConnection, account: str, person: str, rows_max: int) -> list[Contact]:
    """The account's people behind a person id, in id order."""
    rows = await connection.execute(PAGE, {"account": account, "after": person, "rows_max": rows_max})
    return [_contact(row) for row in rows]


async def one(connection: AsyncConnection, account: str, person: str) -> Contact | None:
    rows = await connection.execute(ONE, {"account": account, "person": person})
    row = rows.one_or_none()
    return _contact(row) if row else None


async def save(connection: AsyncConnection, saved: Contact, now: datetime) -> bool:
    """Stores a person with all addresses; returns whether the person is new.

    An address that has changed is not verified any more. The caller holds the account's lock, under which the flag
    of the security contact passes from one person to another.
    """
    key = {"account": saved.account, "person": saved.person, "now": now}
    if saved.security:
        await connection.execute(YIELD_SECURITY, key)
    values = {
        "name": saved.name,
        "language": saved.language,
        "time_zone": saved.time_zone,
        "security": saved.security,
        "wants": sorted(saved.wants),
    }
    rows = await connection.execute(SAVE, {**key, **values})
    channels = list(saved.addresses)
    await connection.execute(
        DROP_ADDRESSES, {"account": saved.account, "person": saved.person, "channels": channels}
    )
    addresses = [address.value for address in saved.addresses.values()]
    await connection.execute(SAVE_ADDRESSES, {**key, "channels": channels, "addresses": addresses})
    return bool(rows.scalar_one())


async def remove(connection: AsyncConnection, account: str, person: str) -> bool:
    """Forgets a person; False when there is none."""
    statement = delete(contact).where(contact.c.account == account, contact.c.person == person)
    return (await connection.execute(statement)).rowcount == 1


async def mark_verified(
    connection: AsyncConnection, account: str, person: str, channel: Channel, address: str, now: datetime
) -> None:
    """Lets an address be used, unless the person has another one by now."""
    key = {"account": account, "person": person, "channel": channel, "address": address}
    await connection.execute(MARK_VERIFIED, {**key, "now": now})


def _contact(row: Row[Any]) -> Contact:
    return Contact(
        account=row.account,
        person=row.person,
        name=row.name,
        language=row.language,
        time_zone=row.time_zone,
        security=row.security,
        wants=frozenset(row.wants),
        addresses=_addresses(row.addresses),
    )


def _addresses(rows: Iterable[tuple[str, str, str]]) -> Mapping[Channel, Address]:
    return {Channel(channel): Address(value, verified == "true") for channel, value, verified in rows}
