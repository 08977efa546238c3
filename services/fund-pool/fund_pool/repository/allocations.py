"""The allocation record, and batches that wait for their approval."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import orjson
from sqlalchemy import Row as SqlRow
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from fund_pool.domain.allocation import Row
from fund_pool.repository.arrays import columns

RECORD: Final = text(
    """
    insert into allocation_record (record_id, recorded_at, method, operation, management_account, member_account,
                                   currency, amount, result, reason_code, reason, batch_id, voucher_id,
                                   entry_number, remark, requested_by, requested_at)
    select * from unnest(
        cast(:ids as uuid[]), cast(:times as timestamptz[]), cast(:methods as text[]), cast(:operations as text[]),
        cast(:managements as text[]), cast(:members as text[]), cast(:currencies as text[]),
        cast(:amounts as bigint[]), cast(:results as text[]), cast(:codes as text[]), cast(:reasons as text[]),
        cast(:batches as uuid[]), cast(:vouchers as text[]), cast(:entries as bigint[]), cast(:remarks as text[]),
        cast(:requesters as text[]), cast(:requested as timestamptz[]))
    on conflict (record_id) do nothing
    """
)

APPROVAL_ABOVE: Final = text(
    """
    select p.above from allocation_approval p
    join account a on a.settlement_organisation = p.settlement_organisation
    where a.account = :account and p.currency = :currency
    """
)

SET_APPROVAL: Final = text(
    """
    insert into allocation_approval (settlement_organisation, currency, above, changed_by, changed_at)
    values (:organisation, :currency, :above, :changed_by, :changed_at)
    on conflict (settlement_organisation, currency) do update
    set above = excluded.above, changed_by = excluded.changed_by, changed_at = excluded.changed_at
    """
)

ADD_REQUEST: Final = text(
    """
    insert into allocation_request (request_id, status, operation, management_account, rows, row_count, remark,
                                    made_by, made_at)
    values (:request_id, 'submitted', :operation, :management, :rows, :row_count, :remark, :made_by, :made_at)
    """
)

CLOSE_REQUEST: Final = text(
    """
    update allocation_request set status = :status, decided_by = :decided_by, decided_at = :decided_at
    where request_id = :request_id
    """
)

REQUEST: Final = """
    select request_id, status, operation, management_account, rows, remark, made_by, made_at, decided_by, decided_at
    from allocation_request where request_id = :request_id
"""


@dataclass(frozen=True, slots=True)
class Record:
    """One operation with its outcome; amounts in minor units."""

    record_id: UUID
    recorded_at: datetime
    method: str
    operation: str
    management_account: str
    member_account: str
    currency: str
    amount: int
    result: str
    reason_code: str | None
    reason: str | None
    batch_id: UUID | None
    voucher_id: str | None
    entry_number: int | None
    remark: str | None
    requested_by: str
    requested_at: datetime


@dataclass(frozen=True, slots=True)
class Request:
    """A batch that waits for, or has had, its approval."""

    request_id: UUID
    status: str
    operation: str
    management_account: str
    rows: list[Row]
    remark: str | None
    made_by: str
    made_at: datetime
    decided_by: str | None
    decided_at: datetime | None


async def record(connection: AsyncConnection, records: Sequence[Record]) -> None:
    """Keeps operations; one that is known already stays as it is."""
    names = (
        "ids",
        "times",
        "methods",
        "operations",
        "managements",
        "members",
        "currencies",
        "amounts",
        "results",
        "codes",
        "reasons",
        "batches",
        "vouchers",
        "entries",
        "remarks",
        "requesters",
        "requested",
    )
    rows = (
        (
            one.record_id,
            one.recorded_at,
            one.method,
            one.operation,
            one.management_account,
            one.member_account,
            one.currency,
            one.amount,
            one.result,
            one.reason_code,
            one.reason,
            one.batch_id,
            one.voucher_id,
            one.entry_number,
            one.remark,
            one.requested_by,
            one.requested_at,
        )
        for one in records
    )
    await connection.execute(RECORD, columns(names, rows))


async def approval_above(connection: AsyncConnection, account: str, currency: str) -> int | None:
    """The amount above which an allocation of this account needs another person; None where none does."""
    found = await connection.execute(APPROVAL_ABOVE, {"account": account, "currency": currency})
    above: int | None = found.scalar_one_or_none()
    return above


async def set_approval(
    connection: AsyncConnection, organisation: str, currency: str, above: int, changed_by: str, now: datetime
) -> None:
    await connection.execute(
        SET_APPROVAL,
        {
            "organisation": organisation,
            "currency": currency,
            "above": above,
            "changed_by": changed_by,
            "changed_at": now,
        },
    )


async def add_request(connection: AsyncConnection, request: Request) -> None:
    """Keeps a batch until another person has decided it."""
    rows = [[row.number, row.member, row.currency, row.amount] for row in request.rows]
    await connection.execute(
        ADD_REQUEST,
        {
            "request_id": request.request_id,
            "operation": request.operation,
            "management": request.management_account,
            "rows": orjson.dumps(rows),
            "row_count": len(rows),
            "remark": request.remark,
            "made_by": request.made_by,
            "made_at": request.made_at,
        },
    )


async def request(connection: AsyncConnection, request_id: UUID, *, lock: bool = False) -> Request | None:
    query = text(f"{REQUEST} for update" if lock else REQUEST)
    row = (await connection.execute(query, {"request_id": request_id})).one_or_none()
    return None if row is None else _request(row)


async def close_request(
    connection: AsyncConnection, request_id: UUID, status: str, decided_by: str, now: datetime
) -> None:
    await connection.execute(
        CLOSE_REQUEST,
        {"request_id": request_id, "status": status, "decided_by": decided_by, "decided_at": now},
    )


def _request(row: SqlRow[Any]) -> Request:
    rows = [Row(*packed) for packed in orjson.loads(row.rows)]
    return Request(
        row.request_id,
        row.status,
        row.operation,
        row.management_account,
        rows,
        row.remark,
        row.made_by,
        row.made_at,
        row.decided_by,
        row.decided_at,
    )
