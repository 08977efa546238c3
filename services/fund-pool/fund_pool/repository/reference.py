"""Organisations, accounts, rights and relationships as their owners told them last."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

from contracts.master_data_changed import Account, Organisation, UserRight
from sqlalchemy import Row, or_, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from contracts import MasterDataChanged
from fund_pool.domain.access import Relationship, may_see
from fund_pool.repository.ledger import columns
from fund_pool.tables import account, relationship

SAVE_MASTER_DATA: Final = text(
    """
    with organisations as (
        insert into organisation (organisation, version, name, organisation_type, parent, time_zone, active)
        select * from unnest(
            cast(:organisations as text[]), cast(:organisation_versions as bigint[]),
            cast(:organisation_names as text[]), cast(:organisation_types as text[]),
            cast(:organisation_parents as text[]), cast(:organisation_zones as text[]),
            cast(:organisation_active as boolean[])) as n (organisation)
        order by organisation
        on conflict (organisation) do update
        set version = excluded.version, name = excluded.name, organisation_type = excluded.organisation_type,
            parent = excluded.parent, time_zone = excluded.time_zone, active = excluded.active
        where organisation.version < excluded.version),
    rights as (
        insert into user_right (right_id, version, user_id, account, right_name, active)
        select * from unnest(
            cast(:rights as text[]), cast(:right_versions as bigint[]), cast(:right_users as text[]),
            cast(:right_accounts as text[]), cast(:right_names as text[]), cast(:right_active as boolean[]))
            as n (right_id)
        order by right_id
        on conflict (right_id) do update
        set version = excluded.version, user_id = excluded.user_id, account = excluded.account,
            right_name = excluded.right_name, active = excluded.active
        where user_right.version < excluded.version)
    insert into account (account, version, name, customer, settlement_organisation, active)
    select * from unnest(
        cast(:accounts as text[]), cast(:account_versions as bigint[]), cast(:account_names as text[]),
        cast(:account_customers as text[]), cast(:account_organisations as text[]),
        cast(:account_active as boolean[])) as n (account)
    order by account
    on conflict (account) do update
    set version = excluded.version, name = excluded.name, customer = excluded.customer,
        settlement_organisation = excluded.settlement_organisation, active = excluded.active
    where account.version < excluded.version
    """
)

SAVE_RELATIONSHIPS: Final = text(
    """
    insert into relationship (relationship_id, version, kind, management_account, member_account, state,
                              permissions, display_name, invoice_status)
    select relationship_id, version, kind, management_account, member_account, state,
           string_to_array(permissions, ' '), display_name, invoice_status
    from unnest(
        cast(:ids as text[]), cast(:versions as bigint[]), cast(:kinds as text[]), cast(:managements as text[]),
        cast(:members as text[]), cast(:states as text[]), cast(:permissions as text[]), cast(:names as text[]),
        cast(:invoice_statuses as text[]))
        as n (relationship_id, version, kind, management_account, member_account, state, permissions,
              display_name, invoice_status)
    order by relationship_id
    on conflict (relationship_id) do update
    set version = excluded.version, kind = excluded.kind, management_account = excluded.management_account,
        member_account = excluded.member_account, state = excluded.state, permissions = excluded.permissions,
        display_name = excluded.display_name, invoice_status = excluded.invoice_status
    where relationship.version < excluded.version
    """
)


@dataclass(frozen=True, slots=True)
class KnownAccount:
    """An account as master data tells it."""

    account: str
    version: int
    name: str
    customer: str
    settlement_organisation: str
    active: bool


@dataclass(frozen=True, slots=True)
class ToldRelationship:
    """A relationship with what fund-pool only passes on."""

    relationship: Relationship
    invoice_status: str


async def save_master_data(connection: AsyncConnection, changes: Collection[MasterDataChanged]) -> None:
    """Stores records whose version is above the known one; the newest where one is told several times."""
    newest: dict[tuple[str, str], MasterDataChanged] = {}
    for change in changes:
        key = (change.record.kind, change.id)
        if key not in newest or newest[key].version < change.version:
            newest[key] = change
    told = list(newest.values())
    await connection.execute(SAVE_MASTER_DATA, {**_organisations(told), **_rights(told), **_accounts(told)})


async def save_relationships(connection: AsyncConnection, told: Sequence[ToldRelationship]) -> None:
    """Stores relationships whose version is above the known one; each id stands in `told` once."""
    names = (
        "ids",
        "versions",
        "kinds",
        "managements",
        "members",
        "states",
        "permissions",
        "names",
        "invoice_statuses",
    )
    rows = (
        (
            known.relationship_id,
            known.version,
            known.kind,
            known.management_account,
            known.member_account,
            known.state,
            " ".join(sorted(known.permissions)),
            known.display_name,
            one.invoice_status,
        )
        for one in told
        for known in (one.relationship,)
    )
    await connection.execute(SAVE_RELATIONSHIPS, columns(names, rows))


async def sees(connection: AsyncConnection, own: frozenset[str], member: str) -> bool:
    """Whether one of these accounts manages `member` and may see its finances."""
    if not own:
        return False
    wanted = select(relationship).where(relationship.c.member_account == member)
    return may_see(map(_relationship, await connection.execute(wanted)), own, member)


async def relationships_of(connection: AsyncConnection, accounts: Collection[str]) -> list[Relationship]:
    """The relationships in which these accounts manage or are managed."""
    sides = relationship.c.management_account, relationship.c.member_account
    wanted = select(relationship).where(or_(*(side.in_(sorted(accounts)) for side in sides)))
    return [_relationship(row) for row in await connection.execute(wanted)]


async def known_account(connection: AsyncConnection, name: str) -> KnownAccount | None:
    """An account by its id."""
    wanted = select(
        account.c.account,
        account.c.version,
        account.c.name,
        account.c.customer,
        account.c.settlement_organisation,
        account.c.active,
    ).where(account.c.account == name)
    row = (await connection.execute(wanted)).one_or_none()
    return None if row is None else KnownAccount(*row)


def _relationship(row: Row[Any]) -> Relationship:
    return Relationship(
        relationship_id=row.relationship_id,
        version=row.version,
        kind=row.kind,
        management_account=row.management_account,
        member_account=row.member_account,
        state=row.state,
        permissions=frozenset(row.permissions),
        display_name=row.display_name,
        frozen_by=row.frozen_by,
    )


def _organisations(told: Sequence[MasterDataChanged]) -> dict[str, list[Any]]:
    names = (
        "organisations",
        "organisation_versions",
        "organisation_names",
        "organisation_types",
        "organisation_parents",
        "organisation_zones",
        "organisation_active",
    )
    return columns(
        names,
        (
            (
                change.id,
                change.version,
                change.record.name,
                change.record.organisation_type,
                change.record.parent,
                change.record.time_zone,
                change.active,
            )
            for change in told
            if isinstance(change.record, Organisation)
        ),
    )


def _rights(told: Sequence[MasterDataChanged]) -> dict[str, list[Any]]:
    names = ("rights", "right_versions", "right_users", "right_accounts", "right_names", "right_active")
    return columns(
        names,
        (
            (
                change.id,
                change.version,
                change.record.user,
                change.record.account,
                change.record.right,
                change.active,
            )
            for change in told
            if isinstance(change.record, UserRight)
        ),
    )


def _accounts(told: Sequence[MasterDataChanged]) -> dict[str, list[Any]]:
    names = (
        "accounts",
        "account_versions",
        "account_names",
        "account_customers",
        "account_organisations",
        "account_active",
    )
    return columns(
        names,
        (
            (
                change.id,
                change.version,
                change.record.name,
                change.record.customer,
                change.record.settlement_organisation,
                change.active,
            )
            for change in told
            if isinstance(change.record, Account)
        ),
    )
