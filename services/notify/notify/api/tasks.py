"""The to-do list: what the services asked of people, and what they have ticked off."""

from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

from chassis.http import CurrentPrincipal, CursorPage, Page, Policy, Problem, Reader, Router, Work
from chassis.http.auth import Principal
from chassis.http.policy import ADMINISTRATOR, AUDITOR
from contracts.text import DocumentId, Id
from fastapi import Query
from pydantic import BaseModel, ConfigDict
from pydantic.config import JsonDict

from notify.api.common import STAFF, Body
from notify.repository import tasks as task_rows

router = Router(tags=["to-dos"])

READ: Final = Policy("task:read", roles=STAFF)
TICK: Final = Policy("task:tick", roles=STAFF)
BEGINNING: Final = (datetime(1970, 1, 1, tzinfo=UTC), "", "")
SEES_ALL: Final = frozenset({ADMINISTRATOR, AUDITOR, "operator"})
EXAMPLE: Final[JsonDict] = {
    "source": "coffer/credit",
    "task_id": "held/my-shop/SO-1001/2",
    "version": 1,
    "state": "opened",
    "kind": "approve-order",
    "assignee_kind": "role",
    "assignee": "credit-approver",
    "entity": None,
    "account": "A-1001",
    "subject": "Huadong Trading: order SO-1001",
    "document_type": "order",
    "document_source": "my-shop",
    "document_id": "SO-1001",
    "amount": "12010.00",
    "currency": "CNY",
    "message": "12,010.00 is more than the 9,500.00 left.",
    "due_at": "2026-11-14T10:00:00+08:00",
    "done_by": None,
    "opened_at": "2026-11-07T10:00:00+08:00",
    "changed_at": "2026-11-07T10:00:00+08:00",
    "ticked_at": None,
    "ticked_by": None,
}


class TaskView(BaseModel):
    """A to-do. `state` is its producer's word; ticking it off is the reader's own and tells nobody else."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    source: str
    task_id: str
    version: int
    state: Literal["opened", "done", "withdrawn"]
    kind: str
    assignee_kind: Literal["person", "role"]
    assignee: str
    entity: str | None
    account: str | None
    subject: str | None
    document_type: str | None
    document_source: str | None
    document_id: str | None
    amount: str | None
    currency: str | None
    message: str | None
    due_at: datetime | None
    done_by: str | None
    opened_at: datetime
    changed_at: datetime
    ticked_at: datetime | None
    ticked_by: str | None


class TickBody(Body):
    """Which to-do, and whether it is ticked off or the mark is taken back."""

    source: Id
    task_id: DocumentId
    ticked: bool = True


@router.get("/tasks", policy=READ, summary="To-dos")
async def tasks(
    page: Page,
    reader: Reader,
    principal: CurrentPrincipal,
    person: Annotated[
        Id | None, Query(description="Whose; your own without it. `*` is everybody's, for operators.")
    ] = None,
    state: Literal["opened", "done", "withdrawn"] | None = "opened",
    ticked: bool | None = None,
) -> CursorPage[TaskView]:
    """Oldest first: those of the person, and of the roles that the person holds by token or as a contact."""
    whose = _whose(principal, person)
    place = page.after(datetime, str, str)
    own_roles = principal.roles if whose == principal.subject else frozenset()
    found = await task_rows.after(
        reader,
        person=whose,
        held=await task_rows.roles_held(reader, whose) if whose else [],
        company={*own_roles, *(await task_rows.company_roles(reader, whose) if whose else [])},
        state=state,
        ticked=ticked,
        place=place or BEGINNING,
        rows_max=page.rows,
    )
    rows, following = page.page(found, key=lambda row: (row.opened_at, row.source, row.task_id))
    return CursorPage(items=[_view(row) for row in rows], next=following)


def _whose(principal: Principal, person: str | None) -> str | None:
    """The person asked for; None is everybody. Others' lists are for those who see all."""
    if person is None or person == principal.subject:
        return principal.subject
    if not principal.roles & SEES_ALL:
        raise Problem.forbidden("You can see your own to-dos only.")
    return None if person == "*" else person


@router.post("/tasks/tick", policy=TICK, summary="Tick a to-do off, or take the mark back")
async def tick(body: TickBody, work: Work, principal: CurrentPrincipal) -> TaskView:
    """For those whose to-do it is, and operators; what a done to-do needs besides is the producer's to say."""
    row = await task_rows.locked(work.connection, body.source, body.task_id)
    if row is None or not await _is_theirs(work, row, principal):
        raise Problem.not_found()
    at, by = (work.now, principal.subject) if body.ticked else (None, None)
    await task_rows.tick(work.connection, body.source, body.task_id, at, by)
    work.count("task", "ticked" if body.ticked else "unticked")
    return _view(row).model_copy(update={"ticked_at": at, "ticked_by": by})


async def _is_theirs(work: Work, row: Any, principal: Principal) -> bool:
    if principal.roles & SEES_ALL:
        return True
    if row.assignee_kind == "person":
        return bool(row.assignee == principal.subject)
    held = await task_rows.roles_held(work.connection, principal.subject)
    if row.entity is not None:
        return (row.entity, row.assignee) in held
    company = await task_rows.company_roles(work.connection, principal.subject)
    return row.assignee in principal.roles or row.assignee in company


def _view(row: Any) -> TaskView:
    return TaskView.model_validate(dict(row._mapping))
