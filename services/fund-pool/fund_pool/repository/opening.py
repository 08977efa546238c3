"""Opening balance imports: drafts, their rows, and the fund accounts that have had theirs."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

import orjson
from sqlalchemy import Row, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from fund_pool.domain.opening import Fate, FundAccountKey, OpeningRow, RowFault
from fund_pool.domain.pool import Pool
from fund_pool.repository import extras, ledger
from fund_pool.tables import opening_import

POST: Final = text(
    f"""
    with {ledger.PARTS}
    insert into opening_balance (account, account_type, currency, import_id, row_number, entry_number)
    select account, account_type, currency, cast(:import_id as uuid), row_number, entry_number from unnest(
        cast(:row_accounts as text[]), cast(:row_types as text[]), cast(:row_currencies as text[]),
        cast(:row_numbers as int[]), cast(:row_entries as bigint[]))
        as n (account, account_type, currency, row_number, entry_number)
    """
)

DONE: Final = text(
    """
    select account, account_type, currency from opening_balance
    where account = any(cast(:accounts as text[]))
    """
)


@dataclass(frozen=True, slots=True)
class Import:
    """An import as it stands; `results` once it is posted."""

    import_id: UUID
    status: str
    made_by: str
    made_at: datetime
    decided_by: str | None
    decided_at: datetime | None
    rows: list[OpeningRow]
    results: list[Fate] | None


async def add_draft(
    connection: AsyncConnection, import_id: UUID, rows: Sequence[OpeningRow], made_by: str, now: datetime
) -> None:
    await connection.execute(
        insert(opening_import).values(
            import_id=import_id,
            status="draft",
            made_by=made_by,
            made_at=now,
            row_count=len(rows),
            rows=orjson.dumps(list(rows)),
        )
    )


async def import_by_id(connection: AsyncConnection, import_id: UUID, *, lock: bool = False) -> Import | None:
    wanted = select(opening_import).where(opening_import.c.import_id == import_id)
    row = (await connection.execute(wanted.with_for_update() if lock else wanted)).one_or_none()
    return None if row is None else _import(row)


async def opened_before(connection: AsyncConnection, accounts: Collection[str]) -> set[FundAccountKey]:
    """The fund accounts of these accounts that have had their opening balance."""
    found = await connection.execute(DONE, {"accounts": list(accounts)})
    return {(row.account, row.account_type, row.currency) for row in found}


async def post(
    connection: AsyncConnection,
    import_id: UUID,
    posted: Sequence[Fate],
    pools: Sequence[Pool],
    now: datetime,
) -> None:
    """Writes what was posted, and marks the fund accounts."""
    names = ("row_accounts", "row_types", "row_currencies", "row_numbers", "row_entries")
    rows = ((*fate.row.key, fate.row.number, fate.entry_number) for fate in posted)
    await connection.execute(
        POST,
        {**ledger.parameters(pools, now), **ledger.columns(names, rows), "import_id": import_id},
    )
    await extras.save(connection, pools, now)


async def close(
    connection: AsyncConnection,
    import_id: UUID,
    status: str,
    decided_by: str,
    now: datetime,
    results: Sequence[Fate] = (),
) -> None:
    await connection.execute(
        update(opening_import)
        .where(opening_import.c.import_id == import_id)
        .values(status=status, decided_by=decided_by, decided_at=now, results=orjson.dumps(list(results)))
    )


def _import(row: Row[Any]) -> Import:
    return Import(
        import_id=row.import_id,
        status=row.status,
        made_by=row.made_by,
        made_at=row.made_at,
        decided_by=row.decided_by,
        decided_at=row.decided_at,
        rows=[_opening_row(packed) for packed in orjson.loads(row.rows)],
        results=None if row.results is None else [_fate(packed) for packed in orjson.loads(row.results)],
    )


def _opening_row(packed: dict[str, Any]) -> OpeningRow:
    effective_date = packed["effective_date"]
    unreadable = packed.get("unreadable")
    return OpeningRow(
        **{
            **packed,
            "effective_date": effective_date and date.fromisoformat(effective_date),
            "unreadable": unreadable and tuple(unreadable),
        }
    )


def _fate(packed: dict[str, Any]) -> Fate:
    fault = packed["fault"]
    return Fate(_opening_row(packed["row"]), fault and RowFault(**fault), packed["entry_number"])
