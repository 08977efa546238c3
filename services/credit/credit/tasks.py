"""To-dos: something that a person or the holders of a role have to do, or no longer have to."""

from datetime import datetime
from typing import Literal

from contracts.money import Money
from contracts.task_changed import TaskChanged

from chassis import UnitOfWork

State = Literal["opened", "done", "withdrawn"]


def tell_task(
    work: UnitOfWork,
    task_id: str,
    state: State,
    kind: str,
    assignee: str,
    *,
    is_role: bool = False,
    opened_at: datetime | None = None,
    subject: str | None = None,
    document_type: str | None = None,
    document_source: str | None = None,
    document_id: str | None = None,
    amount: Money | None = None,
    message: str | None = None,
    due_at: datetime | None = None,
    done_by: str | None = None,
) -> None:
    """Publishes a to-do: version 1 opens it, version 2 ends it; a to-do is opened once and ended once."""
    work.emit(
        TaskChanged(
            task_id=task_id,
            task_version=1 if state == "opened" else 2,
            state=state,
            kind=kind,
            assignee_kind="role" if is_role else "person",
            assignee=assignee,
            subject=subject,
            document_type=document_type,
            document_source=document_source,
            document_id=document_id,
            amount=amount,
            message=message,
            due_at=due_at,
            done_by=done_by,
            opened_at=opened_at or work.now,
            changed_at=work.now,
        )
    )
