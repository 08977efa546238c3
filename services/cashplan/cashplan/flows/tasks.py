"""To-dos opened and closed, each told as task-changed."""

from collections.abc import Sequence

from chassis.work import CausedBy

from cashplan.repository import tasks as task_rows
from cashplan.repository.tasks import Task
from chassis import UnitOfWork
from contracts import TaskChanged


async def open_for(
    work: UnitOfWork,
    people: Sequence[str],
    task: Task,
    cause: CausedBy | None = None,
) -> None:
    """One task for each of these people, known by document, kind and person."""
    await open_all(work, [for_person(task, person) for person in people], cause)


def for_person(task: Task, person: str) -> Task:
    values = {name: getattr(task, name) for name in Task.__dataclass_fields__}
    task_id = f"{task.document_type}/{task.document_id}/{task.kind}/{person}"
    return Task(**{**values, "task_id": task_id[:128], "assignee": person})


async def open_all(work: UnitOfWork, tasks: Sequence[Task], cause: CausedBy | None = None) -> None:
    for opened in await task_rows.open_tasks(work.connection, tasks, work.now):
        work.emit(told(opened), cause)


async def close(
    work: UnitOfWork,
    documents: Sequence[tuple[str, str]],
    state: str = "done",
    *,
    kind: str | None = None,
    by: str | None = None,
    message: str | None = None,
    cause: CausedBy | None = None,
) -> None:
    """Ends the open tasks about documents: done, or withdrawn."""
    closed = await task_rows.close_tasks(
        work.connection, documents, state, work.now, kind=kind, message=message
    )
    for task in closed:
        work.emit(told(task, by), cause)


def told(task: Task, by: str | None = None) -> TaskChanged:
    assert task.opened_at is not None
    assert task.changed_at is not None
    return TaskChanged(
        task_id=task.task_id,
        task_version=task.version,
        state="done" if task.state == "done" else "withdrawn" if task.state == "withdrawn" else "opened",
        kind=task.kind,
        assignee_kind="person",
        assignee=task.assignee,
        entity=task.entity,
        subject=task.subject[:200],
        document_type=task.document_type,
        document_id=task.document_id,
        message=task.message,
        due_at=task.due_at,
        done_by=by,
        opened_at=task.opened_at,
        changed_at=task.changed_at,
    )
