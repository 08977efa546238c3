"""What falls due: filings, grants that were never confirmed, special approvals, recurring items, forecasts."""

from collections.abc import Mapping
from typing import Final

from chassis.timers import TimerHandler
from chassis.work import CausedBy

from cashplan.domain.control import Controller
from cashplan.domain.documents import DocumentKey
from cashplan.domain.organisations import local_date
from cashplan.flows import filings, forecasting, recurring, special
from cashplan.flows.control import APPROVAL_EXPIRES, DOCUMENT_PARKED, GRANT_UNCONFIRMED, ControlDesk
from cashplan.flows.filings import FILING_DUE
from cashplan.flows.forecasting import GAPS_DUE
from cashplan.flows.recurring import RECURRING_DUE
from cashplan.repository import systems as system_rows
from chassis import Timer, TimerBatch


async def filings_due(batch: TimerBatch) -> None:
    """Tells preparers before and after the cut-off."""
    for timer in batch:
        filing_id, _, kind = timer.key.rpartition("/")
        await filings.tell_due(batch, filing_id, kind, timer)


async def grants_unconfirmed(batch: TimerBatch) -> None:
    """Releases grants whose fact has not come in time; a later fact still posts."""
    revisions: dict[DocumentKey, int] = {}
    causes: dict[DocumentKey, CausedBy] = {}
    for timer in batch:
        key, revision = _document(timer)
        revisions[key], causes[key] = max(revision, revisions.get(key, 0)), timer
    systems = await system_rows.systems(batch.connection)
    await ControlDesk(batch, Controller(systems)).restore(revisions, causes)


async def documents_parked(batch: TimerBatch) -> None:
    """Ends the wait of operations whose predecessor has not come in time."""
    systems = [each for each in await system_rows.systems(batch.connection) if each.basics.active]
    revisions: dict[DocumentKey, int] = {}
    for timer in batch:
        key, revision = _document(timer)
        revisions[key] = max(revision, revisions.get(key, 0))
    if batch.timers:
        await ControlDesk(batch, Controller(systems)).give_up_waiting(revisions, batch.timers[0])


def _document(timer: Timer) -> tuple[DocumentKey, int]:
    source, document_type, document_id, revision, *_ = timer.key.split("\t")
    return DocumentKey(source, document_type, document_id), int(revision)


async def approvals_expire(batch: TimerBatch) -> None:
    """Declines what nobody has approved in time."""
    for timer in batch:
        await special.expire(batch, timer.key, timer)


async def recurring_due(batch: TimerBatch) -> None:
    """Lets the occurrences of recurring items reach as far ahead as the day before."""
    for timer in batch:
        await recurring.renew_all(batch, local_date(batch.now, "Asia/Shanghai"), timer)


async def gaps_due(batch: TimerBatch) -> None:
    """Tells of cash gaps that appear, worsen or close."""
    for timer in batch:
        await forecasting.tell_gaps(batch, timer.key, timer)


TIMERS: Final[Mapping[str, TimerHandler]] = {
    FILING_DUE: filings_due,
    GRANT_UNCONFIRMED: grants_unconfirmed,
    APPROVAL_EXPIRES: approvals_expire,
    DOCUMENT_PARKED: documents_parked,
    RECURRING_DUE: recurring_due,
    GAPS_DUE: gaps_due,
}
