"""Special approvals: a held document is approved under the locks of that moment, rejected, or lapses."""

from dataclasses import replace

from chassis.work import CausedBy
from contracts.order import Reason

from cashplan.domain.control import Controller, PlanDecision
from cashplan.flows import tasks
from cashplan.flows.control import Arrival, ControlDesk, checked
from cashplan.repository import approvals as approval_rows
from cashplan.repository import control as control_rows
from cashplan.repository import systems as system_rows
from cashplan.repository.approvals import SpecialApproval
from cashplan.repository.control import CheckRow
from chassis import UnitOfWork
from contracts import PlanChecked

WAITING = "waiting"


class ApprovalGone(LookupError):
    """There is no such special approval."""


class ApprovalDecided(ValueError):
    """Somebody has decided it already, or its document has moved on."""

    def __init__(self, state: str) -> None:
        self.state = state
        super().__init__(f"this special approval is {state} already")


class StillRefused(ValueError):
    """Another policy than the approved ones refuses the document."""

    def __init__(self, decision: PlanDecision) -> None:
        self.decision = decision
        refused = [each for each in decision.findings if each.outcome in ("held", "blocked")]
        super().__init__(
            "; ".join(f"policy {each.policy} lacks {each.excess} minor units" for each in refused)
        )


async def approve(work: UnitOfWork, approval_id: str, subject: str, note: str | None) -> SpecialApproval:
    """Repeats the whole check, with the policies that held the document set aside, and occupies.

    Errors: ApprovalGone, ApprovalDecided, StillRefused.
    """
    approval = await _waiting(work, approval_id)
    systems = await system_rows.systems(work.connection)
    desk = ControlDesk(work, Controller([system for system in systems if system.basics.active]))
    arrival = Arrival(
        approval.posted, None, frozenset(approval.policies), approval_id=approval_id, approved_by=subject
    )
    decided = replace(approval, state="approved", decided_by=subject, decided_at=work.now, note=note)
    await approval_rows.decide(work.connection, approval_id, "approved", subject, note, work.now)
    decision = (await desk.decide_all([arrival]))[0]
    if decision is None:
        raise ApprovalDecided("superseded")
    if not decision.is_applied:
        raise StillRefused(decision)
    await tasks.close(work, [("special-approval", approval_id)], "done", by=subject)
    return decided


async def reject(work: UnitOfWork, approval_id: str, subject: str, note: str) -> SpecialApproval:
    """Declines a held document. Errors: ApprovalGone, ApprovalDecided."""
    approval = await _waiting(work, approval_id)
    await _decline(work, approval, "rejected", subject, note, None)
    return replace(approval, state="rejected", decided_by=subject, decided_at=work.now, note=note)


async def expire(work: UnitOfWork, approval_id: str, cause: CausedBy) -> None:
    """Declines a held document that nobody has decided in time."""
    approval = await approval_rows.locked(work.connection, approval_id)
    if approval is not None and approval.state == WAITING:
        await _decline(work, approval, "expired", None, "Nobody has approved it in time.", cause)


async def _waiting(work: UnitOfWork, approval_id: str) -> SpecialApproval:
    approval = await approval_rows.locked(work.connection, approval_id)
    if approval is None:
        raise ApprovalGone
    if approval.state != WAITING:
        raise ApprovalDecided(approval.state)
    return approval


async def _decline(
    work: UnitOfWork,
    approval: SpecialApproval,
    state: str,
    subject: str | None,
    note: str,
    cause: CausedBy | None,
) -> None:
    posted = approval.posted
    arrival = Arrival(posted, cause, approval_id=approval.approval_id, approved_by=subject)
    told: PlanChecked = checked(arrival, "blocked", [], work.now, [Reason(code=state, text=note)])
    work.emit(told, cause)
    row = CheckRow(
        key=posted.key,
        revision=posted.revision,
        operation=posted.operation,
        stance=posted.stance,
        check_id=approval.approval_id,
        entity=posted.party,
        outcome="blocked",
        approval_id=approval.approval_id,
        body=told.to_json(),
    )
    await approval_rows.decide(work.connection, approval.approval_id, state, subject, note, work.now)
    await control_rows.save_checks(work.connection, [row], work.now)
    await tasks.close(
        work,
        [("special-approval", approval.approval_id)],
        "done" if subject else "withdrawn",
        by=subject,
        message=note,
        cause=cause,
    )
    work.count("plan-check", state)
