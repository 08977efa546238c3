"""A consumer in ten lines."""

from sqlalchemy import text

from chassis import Batch
from contracts import PaymentReceived


async def count_payments(batch: Batch[PaymentReceived]) -> None:
    accounts = sorted(record.event.payer for record in batch)
    await batch.connection.execute(
        text(
            """
            insert into counted (account, payments)
            select account, count(*) from unnest(cast(:accounts as text[])) as a (account)
            group by account order by account
            on conflict (account) do update set payments = counted.payments + excluded.payments
            """
        ),
        {"accounts": accounts},
    )
