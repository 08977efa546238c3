"""Fund accounts that are opened or changed by hand, under their account's lock."""

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncConnection

from fund_pool.domain.pool import FundAccount
from fund_pool.tables import fund_account


async def save_validity(connection: AsyncConnection, account: str, purse: FundAccount) -> None:
    """Writes the days between which a fund account is valid."""
    await connection.execute(
        update(fund_account)
        .where(
            fund_account.c.account == account,
            fund_account.c.account_type == purse.type.code,
            fund_account.c.currency == purse.currency,
        )
        .values(valid_from=purse.valid_from, valid_until=purse.valid_until)
    )
