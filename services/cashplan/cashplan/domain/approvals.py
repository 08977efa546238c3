"""Documents that are made by one person and approved by others, step by step.

States: draft, submitted, approved, effective, sent back. The maker approves none of the steps.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from cashplan.domain.systems import PlanningSystem, Step

State = Literal["draft", "submitted", "approved", "effective", "sent-back", "withdrawn"]


class ApprovalError(ValueError):
    """Base of the reasons why a document does not move on."""

    def __init__(self, message: str) -> None:
        super().__init__(message)


class WrongState(ApprovalError):
    """The document is not in a state in which this can be done."""

    def __init__(self, action: str, state: str, allowed: Sequence[str]) -> None:
        self.state = state
        super().__init__(f"a document that is {state} cannot be {action}; it must be {' or '.join(allowed)}")


class MakerApproves(ApprovalError):
    """Whoever made a document approves none of its steps."""

    def __init__(self, subject: str) -> None:
        super().__init__(f"{subject} has made this document and approves none of its steps")


class NotTheApprover(ApprovalError):
    """The person does not hold the role that this step asks for."""

    def __init__(self, subject: str, step: Step) -> None:
        super().__init__(f"{subject} does not hold the role {step.role} that this step asks for")


@dataclass(frozen=True, kw_only=True)
class Approval:
    """Who approved which step, and when."""

    step: int
    subject: str
    at: datetime


@dataclass(frozen=True, kw_only=True)
class Course:
    """How far a document has come: its state, who made it, and the steps approved since it was submitted."""

    state: State = "draft"
    maker: str | None = None
    approvals: Sequence[Approval] = ()
    note: str | None = None
    changed_at: datetime | None = None

    @property
    def step(self) -> int:
        return len(self.approvals)


def submitted(course: Course, subject: str, at: datetime) -> Course:
    """Handed in by its maker. Errors: WrongState."""
    _require(course, "submitted", "draft", "sent-back")
    return replace(course, state="submitted", maker=subject, approvals=(), note=None, changed_at=at)


def approved(
    course: Course, system: PlanningSystem, steps: Sequence[Step], entity: str, subject: str, at: datetime
) -> Course:
    """One step further; approved once no step is left. Errors: WrongState, MakerApproves, NotTheApprover."""
    _require(course, "approved", "submitted")
    if course.maker == subject:
        raise MakerApproves(subject)
    if course.step < len(steps) and not may_approve(system, steps[course.step], entity, subject):
        raise NotTheApprover(subject, steps[course.step])
    approvals = (*course.approvals, Approval(step=course.step, subject=subject, at=at))
    state: State = "approved" if len(approvals) >= max(len(steps), 1) else "submitted"
    return replace(course, approvals=approvals, state=state, changed_at=at)


def may_approve(system: PlanningSystem, step: Step, entity: str, subject: str) -> bool:
    return step.subject == subject if step.subject else system.has_role(subject, step.role, entity)


def approvers(system: PlanningSystem, steps: Sequence[Step], course: Course, entity: str) -> list[str]:
    """Who may approve the step that the document waits for; its maker never."""
    if course.state != "submitted" or course.step >= len(steps):
        return []
    step = steps[course.step]
    holders = [step.subject] if step.subject else system.holders(step.role, entity)
    return [subject for subject in holders if subject != course.maker]


def sent_back(course: Course, reason: str, at: datetime) -> Course:
    """Back to its maker, submitted or approved but never once effective. Errors: WrongState."""
    _require(course, "sent back", "submitted", "approved")
    return replace(course, state="sent-back", approvals=(), note=reason, changed_at=at)


def effective(course: Course, at: datetime) -> Course:
    """Errors: WrongState."""
    _require(course, "made effective", "approved")
    return replace(course, state="effective", changed_at=at)


def withdrawn(course: Course, at: datetime) -> Course:
    """Errors: WrongState."""
    _require(course, "withdrawn", "draft", "submitted", "sent-back")
    return replace(course, state="withdrawn", changed_at=at)


def _require(course: Course, action: str, *states: State) -> None:
    if course.state not in states:
        raise WrongState(action, course.state, states)
