"""Alert thresholds, and the episodes that followed from them."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from fund_pool.domain.pool import Pool
from fund_pool.domain.quota import Alert
from fund_pool.repository import ledger
from fund_pool.tables import quota_alert

SAVE: Final = text(
    f"""
    with {ledger.PARTS}
    insert into quota_alert (account, currency, threshold, enabled, margin, margin_basis_points,
                             changed_by, changed_at)
    select n.*, :changed_by, cast(:written_at as timestamptz) from unnest(
        cast(:alert_accounts as text[]), cast(:alert_currencies as text[]), cast(:thresholds as bigint[]),
        cast(:enabled as boolean[]), cast(:margins as bigint[]), cast(:basis_points as int[])) as n
    on conflict (account, currency) do update
    set threshold = excluded.threshold, enabled = excluded.enabled, margin = excluded.margin,
        margin_basis_points = excluded.margin_basis_points, changed_by = excluded.changed_by,
        changed_at = excluded.changed_at
    """
)


@dataclass(frozen=True, slots=True)
class KeptAlert:
    """An alert as it was set."""

    currency: str
    alert: Alert
    changed_by: str
    changed_at: datetime


async def save(
    connection: AsyncConnection, pools: Collection[Pool], currency: str, changed_by: str, now: datetime
) -> None:
    """Writes the alert in one currency of each pool and what followed for its episodes."""
    names = ("alert_accounts", "alert_currencies", "thresholds", "enabled", "margins", "basis_points")
    alerts = ((pool.account, currency, pool.watches[currency].alert) for pool in pools)
    rows = (
        (account, code, alert.threshold, alert.enabled, alert.margin, alert.margin_basis_points)
        for account, code, alert in alerts
    )
    await connection.execute(
        SAVE,
        {**ledger.parameters(list(pools), now), **ledger.columns(names, rows), "changed_by": changed_by},
    )


async def alerts(connection: AsyncConnection, account: str) -> list[KeptAlert]:
    """The alerts of an account by currency."""
    wanted = select(quota_alert).where(quota_alert.c.account == account).order_by(quota_alert.c.currency)
    return [
        KeptAlert(
            row.currency,
            Alert(row.threshold, row.enabled, row.margin, row.margin_basis_points),
            row.changed_by,
            row.changed_at,
        )
        for row in await connection.execute(wanted)
    ]
