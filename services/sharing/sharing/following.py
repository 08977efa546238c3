"""What follows from a step of a relationship: trusteeship begins or ends, copied invoicing becomes the member's."""

from datetime import datetime
from functools import partial
from typing import Final

from chassis.work import CausedBy

from chassis import UnitOfWork
from sharing.changing import Author, change_sharing
from sharing.domain import relationships as domain
from sharing.domain.changes import begin_trusteeship, end_trusteeship, shared_now
from sharing.domain.ending import EndRequest, RequestOutcome
from sharing.domain.relationships import END_STEPS, Change, EndOutcome, Relationship, Side
from sharing.domain.sharing import Sharing
from sharing.repository import ending as ending_rows
from sharing.repository import invoicing as invoicing_rows
from sharing.repository import relationships as relationship_rows

DEADLINE: Final = "end-deadline"
"""The timer of a request to end that is not answered in time."""


async def store_step(
    work: UnitOfWork,
    before: Relationship,
    change: Change,
    *,
    request_id: str | None = None,
    outcome: EndOutcome | None = None,
    cause: CausedBy | None = None,
) -> None:
    """Stores one step of a locked relationship with all that follows from it, and tells it."""
    after = change.relationship
    await relationship_rows.update(work.connection, change)
    if before.invoice_status == "copied" != after.invoice_status:
        await invoicing_rows.end_copies(work.connection, [after.member_account], work.now, change.changed_by)
    if after.kind == "trusteeship" and before.state != after.state:
        await _follow_trusteeship(work, change, cause)
    work.emit(domain.relationship_changed(after, request_id, outcome), cause)
    work.count("relationship", change.step)


async def _follow_trusteeship(work: UnitOfWork, change: Change, cause: CausedBy | None) -> None:
    after = change.relationship
    author = Author(side=change.side, name=change.changed_by)
    described = {"account": after.member_account, "relationship": after.relationship_id}
    if after.state == "active":
        described["change"] = "begin-trusteeship"
        decide = partial(_begin, after.member_account)
    elif after.state == "ended":
        described["change"] = "end-trusteeship"
        decide = partial(_end, after.member_account)
    else:
        return
    await change_sharing(work, after.management_account, decide, author, described, cause=cause)


def _begin(account: str, sharing: Sharing, at: datetime) -> Sharing:
    return begin_trusteeship(sharing, account, shared_now(sharing, at), at)


def _end(account: str, sharing: Sharing, at: datetime) -> Sharing:
    return end_trusteeship(sharing, account, at)


async def settle_request(
    work: UnitOfWork,
    standing: Relationship,
    request: EndRequest,
    outcome: RequestOutcome,
    side: Side,
    changed_by: str,
    cause: CausedBy | None = None,
) -> Relationship:
    """Gives an open request its outcome; where it was to end the relationship, the relationship follows."""
    await ending_rows.settle(work.connection, [request], outcome, work.now)
    work.cancel_timer(DEADLINE, request.request_id)
    work.count("end-request", outcome)
    if request.purpose == "preview" or outcome == "answered":
        return standing
    after = domain.settle_end(standing, outcome, work.now)
    change = Change(relationship=after, step=END_STEPS[outcome], side=side, changed_by=changed_by)
    await store_step(work, standing, change, request_id=request.request_id, outcome=outcome, cause=cause)
    return after
