"""To-dos: what people have to do about filings, roll-ups, adjustments and held documents."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from cashplan.tables import task

OPEN: Final = text(
    """
    insert into task (task_id, version, state, kind, assignee, entity, document_type, document_id, subject,
                      message, due_at, opened_at, changed_at)
    select id, 1, 'opened', kind, assignee, entity, document_type, document_id, subject, message, due_at,
           :now, :now
    from unnest(cast(:ids as text[]), cast(:kinds as text[]), cast(:assignees as text[]),
                cast(:entities as text[]), cast(:document_types as text[]), cast(:document_ids as text[]),
                cast(:subjects as text[]), cast(:messages as text[]), cast(:due as timestamptz[]))
         as t (id, kind, assignee, entity, document_type, document_id, subject, message, due_at)
    order by id
    on conflict (task_id) do update
    set version = task.version + 1, state = 'opened', subject = excluded.subject, message = excluded.message,
        due_at = excluded.due_at, changed_at = excluded.changed_at,
        opened_at = case when task.state = 'opened' then task.opened_at else excluded.opened_at end
    returning *
    """
)

CLOSE: Final = text(
    """
    update task t set version = version + 1, state = :state, message = :message, changed_at = :now
    where (document_type, document_id) in (
              select * from unnest(cast(:document_types as text[]), cast(:document_ids as text[])))
      and state = 'opened' and (cast(:kind as text) is null or kind = :kind)
    returning *
    """
)


@dataclass(frozen=True, kw_only=True)
class Task:
    """What one person has to do about one document."""

    task_id: str
    kind: str
    assignee: str
    entity: str
    document_type: str
    document_id: str
    subject: str
    message: str | None = None
    due_at: datetime | None = None
    version: int = 0
    state: str = "opened"
    opened_at: datetime | None = None
    changed_at: datetime | None = None


async def open_tasks(connection: AsyncConnection, tasks: Sequence[Task], now: datetime) -> list[Task]:
    """Opens tasks, or opens them again with what is new about them."""
    unique = {each.task_id: each for each in tasks}
    if not unique:
        return []
    ordered = [unique[task_id] for task_id in sorted(unique)]
    rows = await connection.execute(
        OPEN,
        {
            "ids": [each.task_id for each in ordered],
            "kinds": [each.kind for each in ordered],
            "assignees": [each.assignee for each in ordered],
            "entities": [each.entity for each in ordered],
            "document_types": [each.document_type for each in ordered],
            "document_ids": [each.document_id for each in ordered],
            "subjects": [each.subject for each in ordered],
            "messages": [each.message for each in ordered],
            "due": [each.due_at for each in ordered],
            "now": now,
        },
    )
    return [_task(row) for row in rows]


async def close_tasks(
    connection: AsyncConnection,
    documents: Sequence[tuple[str, str]],
    state: str,
    now: datetime,
    *,
    kind: str | None = None,
    message: str | None = None,
) -> list[Task]:
    """Ends the open tasks about documents, of one kind or of all."""
    if not documents:
        return []
    parameters = {
        "document_types": [each[0] for each in documents],
        "document_ids": [each[1] for each in documents],
        "state": state,
        "kind": kind,
        "message": message,
        "now": now,
    }
    return [_task(row) for row in await connection.execute(CLOSE, parameters)]


async def tasks_of(connection: AsyncConnection, assignee: str, after: str, rows_max: int) -> list[Task]:
    """What a person has to do now, by task id."""
    query = select(task).where(task.c.assignee == assignee, task.c.state == "opened", task.c.task_id > after)
    return [_task(row) for row in await connection.execute(query.order_by(task.c.task_id).limit(rows_max))]


def _task(row: Row[*tuple[Any, ...]]) -> Task:
    return Task(
        task_id=row.task_id,
        kind=row.kind,
        assignee=row.assignee,
        entity=row.entity,
        document_type=row.document_type,
        document_id=row.document_id,
        subject=row.subject,
        message=row.message,
        due_at=row.due_at,
        version=row.version,
        state=row.state,
        opened_at=row.opened_at,
        changed_at=row.changed_at,
    )
