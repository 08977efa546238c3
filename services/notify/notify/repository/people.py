"""One person, everywhere: what is kept of them, and the forgetting of it."""

from typing import Any, Final

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

DELIVERIES: Final = text(
    """
    select d.account, d.id, d.kind, d.channel, d.state, d.reason, d.created_at, d.ended_at, c.address
    from delivery d
    left join delivery_content c on c.account = d.account and c.delivery_id = d.id
    where d.recipient = :person
    order by d.created_at desc, d.id desc
    limit :rows_max
    """
)

ADDRESSES: Final = text(
    """
    select address from contact_address where person = :person
    union
    select c.address from delivery_content c
    join delivery d on d.account = c.account and d.id = c.delivery_id
    where d.recipient = :person
    union
    select address from verification where person = :person
    """
)

FORGET: Final = (
    text("delete from verification where person = :person"),
    text("delete from contact where person = :person"),
    text("delete from silence where recipient = :person"),
    text("delete from recipient_rate where person = :person"),
)

FORGET_ANSWERS: Final = text(
    """
    delete from idempotency
    where exists (
        select from unnest(cast(:addresses as text[])) as a (address)
        where position(convert_to(a.address, 'UTF8') in body) > 0)
    """
)


async def deliveries(connection: AsyncConnection, person: str, rows_max: int) -> list[Row[Any]]:
    """What was sent to a person, newest first, with the address as long as it is kept."""
    return list(await connection.execute(DELIVERIES, {"person": person, "rows_max": rows_max}))


async def forget(connection: AsyncConnection, person: str) -> int:
    """Forgets a person's entries, proofs and addresses, kept answers that repeat them included; how many entries."""
    addresses = [row.address for row in await connection.execute(ADDRESSES, {"person": person})]
    await connection.execute(FORGET_ANSWERS, {"addresses": addresses})
    counts = [(await connection.execute(statement, {"person": person})).rowcount for statement in FORGET]
    return counts[1]
