"""Recalculation of everything: compared in bounded pieces while traffic goes on, put right only when told."""

import asyncio
from collections.abc import Collection
from datetime import datetime
from typing import Final
from uuid import uuid4

import structlog
from chassis.errors import is_transient
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis import Cause, ServiceContext, UnitOfWork
from credit.domain.desk import Desk, Difference
from credit.domain.documents import DocumentKey
from credit.repository import gate as gates
from credit.repository import recalculation as rows
from credit.repository import saving
from credit.repository.locking import locked_profiles
from credit.settings import periods

IDLE_SECONDS: Final = 2.0
RETRY_SECONDS: Final = 10.0

log = structlog.get_logger(__name__)


async def work_off(context: ServiceContext) -> None:
    """Takes one piece after the other as long as the service runs; a fault that passes is waited for."""
    while True:
        try:
            if not await step(context):
                await asyncio.sleep(IDLE_SECONDS)
        except Exception as error:
            if not is_transient(error):
                log.exception("a piece of a recalculation failed")
            await asyncio.sleep(RETRY_SECONDS)


async def step(context: ServiceContext) -> bool:
    """One piece; False when there is nothing to do.

    A piece is compared in one snapshot, which locks nothing, and put on record if nobody else has done it meanwhile;
    what is put right is so in one transaction, which locks the chains of that piece only.
    """
    async with context.open_work(_cause(context)) as work:
        run = await rows.current_run(work.connection)
        if run is None:
            return False
        if run.state == "applying":
            await _apply(work, run.run_id)
            return True
    async with context.database.reader() as snapshot:
        piece = await rows.next_piece(snapshot, run.place)
        found = await rows.causes(snapshot, await _compared(snapshot, piece, work.now))
    async with context.open_work(_cause(context)) as work:
        again = await rows.current_run(work.connection)
        if again is not None and (again.run_id, again.state, again.place) == (
            run.run_id,
            run.state,
            run.place,
        ):
            kept = await rows.keep_differences(work.connection, run.run_id, found, work.now)
            await rows.advance(work.connection, run.run_id, piece, kept, work.now)
    return True


def _cause(context: ServiceContext) -> Cause:
    cause_id = str(uuid4())
    return Cause(source=f"coffer/{context.name}", id=cause_id, correlation_id=cause_id)


async def _compared(snapshot: AsyncConnection, piece: rows.Piece, now: datetime) -> list[Difference]:
    if piece.keys:
        gate = await gates.read_desk_of(snapshot, piece.keys, now, periods(), ())
        assert isinstance(gate.desk, Desk)
        return gate.desk.differences()
    return await _drifting(snapshot, piece.profile_ids)


async def _drifting(snapshot: AsyncConnection, profile_ids: Collection[str]) -> list[Difference]:
    """Profiles whose sum is not that of their rows."""
    drifts = await rows.drifts(snapshot, profile_ids)
    profiles, _ = await locked_profiles(snapshot, (), drifts, locked=False)
    return [
        Difference(DocumentKey(rows.PROFILE, "credit", name), name, stage, stored, stored - drift)
        for profile in profiles
        for name in (profile.profile_id,)
        for stage, stored, drift in (
            ("used", profile.used, drifts[name][0]),
            ("settled", profile.settled, drifts[name][1]),
        )
        if drift
    ]


async def _apply(work: UnitOfWork, run_id: str) -> None:
    """Computes the chains of what differs anew, under their locks, and stores what is right by now."""
    keys = await rows.unapplied(work.connection, run_id)
    if not keys:
        await rows.end_run(work.connection, run_id)
        return
    await put_right(work, keys)
    await rows.mark_applied(work.connection, run_id, keys, work.now)


async def put_right(work: UnitOfWork, keys: Collection[DocumentKey]) -> None:
    """Stores what documents, orders and profiles must be, and posts what changes to the profiles' history."""
    named = {key.document_id for key in keys if key.document_type == rows.PROFILE}
    papers = {key for key in keys if key.document_type != rows.PROFILE}
    desk = await _desk(work, papers, named)
    drifts = await rows.drifts(work.connection, desk.gate.profiles.keys())
    if papers:
        desk.put_right(min(papers))
    desk.straighten(drifts, min(keys))
    await saving.save(work.connection, desk.gate, work.now)


async def _desk(work: UnitOfWork, keys: Collection[DocumentKey], profile_ids: Collection[str] = ()) -> Desk:
    gate = await gates.locked_desk_of(work.connection, keys, work.now, periods(), profile_ids)
    assert isinstance(gate.desk, Desk)
    return gate.desk
