"""What the person who asks has to do: fill in, revise, approve, and what is overdue."""

from datetime import datetime

from chassis.http import CurrentPrincipal, CursorPage, Now, Page, Policy, Reader, Router
from pydantic import BaseModel

from cashplan.api.common import PLAN_READERS
from cashplan.repository import tasks as task_rows

router = Router(tags=["to-dos"])


class ToDo(BaseModel):
    """One thing to do: fill-in-filing, revise-filing, overdue-filing, approve-filing and the like."""

    task_id: str
    kind: str
    entity: str
    document_type: str
    document_id: str
    subject: str
    message: str | None
    due_at: datetime | None
    is_overdue: bool
    opened_at: datetime | None


@router.get("/to-dos", policy=Policy("to-do:read", roles=PLAN_READERS), summary="What you have to do")
async def to_dos(page: Page, reader: Reader, now: Now, principal: CurrentPrincipal) -> CursorPage[ToDo]:
    """Your own open tasks, by id."""
    after = page.after(str)
    found = await task_rows.tasks_of(reader, principal.subject, after[0] if after else "", page.rows)
    shown, following = page.page(found, lambda task: (task.task_id,))
    views = [
        ToDo(
            task_id=task.task_id,
            kind=task.kind,
            entity=task.entity,
            document_type=task.document_type,
            document_id=task.document_id,
            subject=task.subject,
            message=task.message,
            due_at=task.due_at,
            is_overdue=task.kind == "overdue-filing" or (task.due_at is not None and task.due_at < now),
            opened_at=task.opened_at,
        )
        for task in shown
    ]
    return CursorPage(items=views, next=following)
