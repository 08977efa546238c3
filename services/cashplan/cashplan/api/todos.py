"""A person's own page: what there is to do (fill in, revise, approve, overdue), and what is wanted at hand."""

from datetime import datetime
from typing import Annotated, Final

from chassis.http import CurrentPrincipal, CursorPage, Now, Page, Policy, Reader, Router, Work
from contracts.text import Name
from fastapi import Body as BodyParameter
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from cashplan.api.common import PLAN_READERS, Body
from cashplan.repository import shortcuts as shortcut_rows
from cashplan.repository import tasks as task_rows

router = Router(tags=["to-dos"])

SHORTCUTS_MAX: Final = 50


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


class Shortcut(Body):
    """A place that a person goes to often, by its path in the planning application."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"title": "My month plan", "path": "/planning-systems/GROUP/filings?entity=A"}]
        },
    )

    title: Name
    path: Annotated[str, StringConstraints(pattern=r"^/[!-~]{0,500}$")] = Field(
        description="Begins with a slash; leads nowhere outside."
    )


@router.get("/shortcuts", policy=Policy("shortcut:read", roles=PLAN_READERS), summary="Your shortcuts")
async def shortcuts(reader: Reader, principal: CurrentPrincipal) -> list[Shortcut]:
    """In the order in which you have put them."""
    found = await shortcut_rows.shortcuts_of(reader, principal.subject)
    return [Shortcut(title=title, path=path) for title, path in found]


@router.put("/shortcuts", policy=Policy("shortcut:write", roles=PLAN_READERS), summary="Set your shortcuts")
async def store_shortcuts(
    body: Annotated[list[Shortcut], BodyParameter(max_length=SHORTCUTS_MAX)],
    work: Work,
    principal: CurrentPrincipal,
) -> list[Shortcut]:
    """All of them, in their order."""
    await shortcut_rows.save(work.connection, principal.subject, [(each.title, each.path) for each in body])
    return body
