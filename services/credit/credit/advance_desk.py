"""Special approval given ahead: it takes effect when its order or document comes and is held."""

import asyncio
from typing import Any, Final
from uuid import uuid4

import structlog
from chassis.errors import is_transient
from sqlalchemy import Row

from chassis import Cause, ServiceContext, UnitOfWork
from credit import approval_desk
from credit.domain.arrivals import Judgement
from credit.domain.desk import DocumentApprovalRefused, DocumentNotPending
from credit.domain.documents import SALES_ORDER, DocumentKey
from credit.domain.gate import ApprovalRefused, NotPending
from credit.repository import advances as rows

IDLE_SECONDS: Final = 1.0
RETRY_SECONDS: Final = 10.0
REFUSAL_CHARACTERS_MAX: Final = 1_000
REFUSALS: Final = (
    NotPending,
    ApprovalRefused,
    DocumentNotPending,
    DocumentApprovalRefused,
    approval_desk.BeyondRight,
    approval_desk.FourEyes,
)

log = structlog.get_logger(__name__)


async def work_off(context: ServiceContext) -> None:
    """Gives what is due as long as the service runs; a fault that passes is waited for."""
    while True:
        try:
            if not await step(context):
                await asyncio.sleep(IDLE_SECONDS)
        except Exception as error:
            if not is_transient(error):
                log.exception("an approval that was given ahead failed")
            await asyncio.sleep(RETRY_SECONDS)


async def step(context: ServiceContext) -> bool:
    """One approval in one transaction; False when none is due. What cannot be given is put on record."""
    row: Row[Any] | None = None
    try:
        async with context.open_work(_cause(context)) as work:
            row = await rows.next_due(work.connection, work.now)
            if row is None:
                return False
            await _give(work, row)
            await rows.end(work.connection, row, None, work.now)
        return True
    except REFUSALS as error:
        refusal = str(error)[:REFUSAL_CHARACTERS_MAX]
    assert row is not None, "only what is due can be refused"
    async with context.open_work(_cause(context)) as work:
        await rows.end(work.connection, row, refusal, work.now)
    return True


async def _give(work: UnitOfWork, row: Row[Any]) -> None:
    key = DocumentKey(row.document_type, row.source, row.document_id)
    metrics = frozenset(row.metrics)
    if key.document_type == SALES_ORDER:
        judgement = Judgement((key.source, key.document_id), True, row.approver, row.reason)
        await approval_desk.judge_order(work, judgement, metrics)
        return
    held = await approval_desk.locked_hold(work, key)
    if held is None:
        raise DocumentNotPending
    await approval_desk.approve_document(work, held, row.approver, row.reason, metrics)


def _cause(context: ServiceContext) -> Cause:
    cause_id = str(uuid4())
    return Cause(source=f"coffer/{context.name}", id=cause_id, correlation_id=cause_id)
