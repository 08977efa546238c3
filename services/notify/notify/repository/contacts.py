"""The people of an account and their addresses."""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any, Final

import orjson
from sqlalchemy import Row, delete, text
from sqlalchemy.ext.asyncio import AsyncConnection

from notify.domain.delivery import Channel
from notify.domain.people import Address, Contact, QuietHours
from notify.tables import contact

CONTACT: Final = """
    c.account, c.person, c.name, c.language, c.time_zone, c.security, c.wants, c.wants_of_members, c.roles,
    c.preferences, c.quiet_begins, c.quiet_ends,
    coalesce(array_agg(array[k.channel, k.address, cast(k.verified_at is not null as text)])
                 filter (where k.channel is not null), '{}') as addresses
"""
WITH_ADDRESSES: Final = "contact c left join contact_address k using (account, person)"

AT_PLACES: Final = text(
    f"""
    select {CONTACT} from {WITH_ADDRESSES}
    where c.account = any(cast(:places as text[]))
       or (c.person = any(cast(:persons as text[])) and position(' ' in c.account) > 0)
    group by c.account, c.person
    order by c.account, c.person
    """
)
"""People of the places, and those named among the company's own: an account cannot put anybody among them."""

OF_PERSON: Final = text(
    f"""
    select {CONTACT} from {WITH_ADDRESSES}
    where c.person = :person
    group by c.account, c.person
    order by c.account
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
    insert into contact (account, person, name, language, time_zone, security, wants, wants_of_members, roles,
                         preferences, quiet_begins, quiet_ends, changed_at)
    values (:account, :person, :name, :language, :time_zone, :security, cast(:wants as text[]),
            cast(:wants_of_members as text[]), cast(:roles as text[]), cast(:preferences as jsonb),
            :quiet_begins, :quiet_ends, :now)
    on conflict (account, person) do update
    set name = excluded.name, language = excluded.language, time_zone = excluded.time_zone,
        security = excluded.security, wants = excluded.wants, wants_of_members = excluded.wants_of_members,
        roles = excluded.roles, preferences = excluded.preferences, quiet_begins = excluded.quiet_begins,
        quiet_ends = excluded.quiet_ends, changed_at = excluded.changed_at
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
    insert into contact_address (account, person, channel, address, secret, changed_at)
    select :account, :person, channel, address, secret, :now
    from unnest(cast(:channels as text[]), cast(:addresses as text[]), cast(:secrets as text[]))
        as a (channel, address, secret)
    on conflict (account, person, channel) do update
    set address = excluded.address, secret = excluded.secret, verified_at = null, changed_at = excluded.changed_at
    where contact_address.address <> excluded.address
    """
)

MARK_VERIFIED: Final = text(
    """
    update contact_address set verified_at = :now
    where account = :account and person = :person and channel = :channel and address = :address
    """
)


async def at_places(
    connection: AsyncConnection, places: Collection[str], persons: Collection[str] = ()
) -> dict[str, list[Contact]]:
    """The people of each place, and the company's own who are named."""
    rows = await connection.execute(AT_PLACES, {"places": sorted(places), "persons": sorted(persons)})
    found: dict[str, list[Contact]] = {}
    for row in rows:
        found.setdefault(row.account, []).append(_contact(row))
    return found


async def of_person(connection: AsyncConnection, person: str) -> list[Contact]:
    """All entries of one person, wherever they are."""
    return [_contact(row) for row in await connection.execute(OF_PERSON, {"person": person})]


async def after(connection: AsyncConnection, account: str, person: str, rows_max: int) -> list[Contact]:
    """The account's people behind a person id, in id order."""
    rows = await connection.execute(PAGE, {"account": account, "after": person, "rows_max": rows_max})
    return [_contact(row) for row in rows]


async def one(connection: AsyncConnection, account: str, person: str) -> Contact | None:
    rows = await connection.execute(ONE, {"account": account, "person": person})
    row = rows.one_or_none()
    return _contact(row) if row else None


async def save(
    connection: AsyncConnection,
    saved: Contact,
    now: datetime,
    secrets: Mapping[Channel, str] | None = None,
) -> bool:
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
        "wants_of_members": sorted(saved.wants_of_members),
        "roles": sorted(saved.roles),
        "preferences": orjson.dumps(saved.preferences).decode(),
        "quiet_begins": saved.quiet.begins if saved.quiet else None,
        "quiet_ends": saved.quiet.ends if saved.quiet else None,
    }
    rows = await connection.execute(SAVE, {**key, **values})
    channels = list(saved.addresses)
    await connection.execute(
        DROP_ADDRESSES, {"account": saved.account, "person": saved.person, "channels": channels}
    )
    addresses = [address.value for address in saved.addresses.values()]
    signing = [(secrets or {}).get(channel) for channel in channels]
    await connection.execute(
        SAVE_ADDRESSES, {**key, "channels": channels, "addresses": addresses, "secrets": signing}
    )
    return bool(rows.scalar_one())


async def secret(connection: AsyncConnection, account: str, person: str, channel: Channel) -> str | None:
    """What messages to this address are signed with."""
    statement = text(
        "select secret from contact_address where (account, person, channel) = (:account, :person, :channel)"
    )
    parameters = {"account": account, "person": person, "channel": channel}
    found: str | None = (await connection.execute(statement, parameters)).scalar_one_or_none()
    return found


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
        wants_of_members=frozenset(row.wants_of_members),
        roles=frozenset(row.roles),
        preferences={
            family: tuple(Channel(channel) for channel in channels)
            for family, channels in row.preferences.items()
        },
        quiet=QuietHours(row.quiet_begins, row.quiet_ends) if row.quiet_begins else None,
        addresses=_addresses(row.addresses),
    )


def _addresses(rows: Iterable[tuple[str, str, str]]) -> Mapping[Channel, Address]:
    return {Channel(channel): Address(value, verified == "true") for channel, value, verified in rows}
