"""Profiles under lock, with the customers that they are looked for by."""

from collections.abc import Collection
from typing import Final

from chassis.arrays import literal, plain, quoted
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from credit.domain.customers import Customer
from credit.domain.matching import CUSTOMER, ObjectKey
from credit.domain.profiles import Profile
from credit.repository.profiles import PROFILE_COLUMNS, profile_of


def _profiles(locking: str) -> str:
    """The SQL of `locked_profiles`: customers with their groups beside profiles, which are locked in sorted order."""
    return f"""
    with customers as materialized (
        select c.customer_id, c.credit_managed, c.active, c.customer_group, g.customer_group as upper_group,
               exists (select from credit_profile p
                       where p.object_type = 'customer' and p.object_id = c.customer_id) as has_profile
        from customer c left join customer g on g.customer_id = c.customer_group
        where c.customer_id = any({plain("customers", "text")})),
    wanted as materialized (
        select p.profile_id
        from unnest({plain("object_types", "text")}, {plain("object_ids", "text")}) as k (object_type, object_id)
        join credit_profile p using (object_type, object_id)
        union
        select p.profile_id
        from customers c
        cross join lateral unnest(array[c.customer_group, c.upper_group, c.customer_id]) as g (group_id)
        join credit_profile p on p.object_type = 'customer-group' and p.object_id = g.group_id
        union
        select unnest({plain("profile_ids", "uuid")})),
    held as materialized (
        select {PROFILE_COLUMNS}
        from credit_profile
        where profile_id in (select profile_id from wanted)
        order by credit_profile.profile_id
        {locking})
    select c.*, held.*
    from customers c full join held on false
    """


LOCKED_PROFILES: Final = text(_profiles("for update"))
PROFILES: Final = text(_profiles(""))


async def locked_profiles(
    connection: AsyncConnection,
    objects: Collection[ObjectKey],
    profile_ids: Collection[str],
    *,
    locked: bool = True,
) -> tuple[list[Profile], dict[str, Customer]]:
    """Profiles by what they control and by id, locked in sorted order, and the customers among the objects."""
    if not objects and not profile_ids:
        return [], {}
    ordered = sorted(objects)
    rows = await connection.execute(
        LOCKED_PROFILES if locked else PROFILES,
        {
            "object_types": literal(key[0] for key in ordered),
            "object_ids": quoted([key[1] for key in ordered]),
            "customers": quoted([key[1] for key in ordered if key[0] == CUSTOMER]),
            "profile_ids": literal(sorted(profile_ids)),
        },
    )
    profiles: list[Profile] = []
    customers: dict[str, Customer] = {}
    for customer_id, credit_managed, active, group, upper, has_profile, *columns in rows:
        if customer_id is not None:
            groups = tuple(dict.fromkeys(name for name in (group, upper, customer_id) if name is not None))
            customers[customer_id] = Customer(customer_id, credit_managed, active, has_profile, groups)
        else:
            profiles.append(profile_of(columns))
    return profiles, customers
