"""To-dos, as their producers told them, and whether their assignee has ticked them off."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from contracts import TaskChanged

COLUMNS: Final = """
    source, task_id, version, state, kind, assignee_kind, assignee, entity, account, subject, document_type,
    document_source, document_id, amount, currency, message, due_at, done_by, opened_at, changed_at, ticked_at,
    ticked_by
"""

SAVE: Final = text(
    """
    insert into task (source, task_id, version, state, kind, assignee_kind, assignee, entity, account, subject,
                      document_type, document_source, document_id, amount, currency, message, due_at, done_by,
                      opened_at, changed_at)
    select * from unnest(
        cast(:sources as text[]), cast(:ids as text[]), cast(:versions as int[]), cast(:states as text[]),
        cast(:kinds as text[]), cast(:assignee_kinds as text[]), cast(:assignees as text[]), cast(:entities as text[]),
        cast(:accounts as text[]), cast(:subjects as text[]), cast(:types as text[]), cast(:document_sources as text[]),
        cast(:document_ids as text[]), cast(:amounts as text[]), cast(:currencies as text[]), cast(:messages as text[]),
        cast(:due as timestamptz[]), cast(:done as text[]), cast(:opened as timestamptz[]),
        cast(:changed as timestamptz[])
    ) as t (source, task_id, version, state, kind, assignee_kind, assignee, entity, account, subject, document_type,
            document_source, document_id, amount, currency, message, due_at, done_by, opened_at, changed_at)
    order by source, task_id
    on conflict (source, task_id) do update
    set version = excluded.version, state = excluded.state, kind = excluded.kind, subject = excluded.subject,
        amount = excluded.amount, currency = excluded.currency, message = excluded.message, due_at = excluded.due_at,
        done_by = excluded.done_by, changed_at = excluded.changed_at
    where task.version < excluded.version
    """
)

LIST: Final = text(
    f"""
    select {COLUMNS} from task
    where (cast(:everybody as boolean)
           or (assignee_kind = 'person' and assignee = :person)
           or (assignee_kind = 'role' and (entity, assignee) in (
                  select nullif(entity, ''), role
                  from unnest(cast(:entities as text[]), cast(:roles as text[])) as h (entity, role))
              )
           or (assignee_kind = 'role' and entity is null and assignee = any(cast(:company_roles as text[]))))
      and (cast(:state as text) is null or state = :state)
      and (cast(:ticked as boolean) is null or (ticked_at is not null) = :ticked)
      and (opened_at, source, task_id) > (cast(:opened_after as timestamptz), :source_after, :id_after)
    order by opened_at, source, task_id
    limit :rows_max
    """
)

ROLES_HELD: Final = text(
    """
    select substring(account from 8) as entity, role from contact, unnest(roles) as r (role)
    where person = :person and account like 'entity %'
    """
)

COMPANY_ROLES: Final = text(
    "select role from contact, unnest(roles) as r (role) where person = :person and account = 'the company'"
)

LOCKED: Final = text(f"select {COLUMNS} from task where source = :source and task_id = :task_id for update")

TICK: Final = text(
    "update task set ticked_at = :at, ticked_by = :by where source = :source and task_id = :task_id"
)


async def save_newer(connection: AsyncConnection, told: Sequence[tuple[str, TaskChanged]]) -> None:
    """Keeps each to-do of a producer unless a newer version is known; one row per task."""
    if not told:
        return
    events = [event for _, event in told]
    await connection.execute(
        SAVE,
        {
            "sources": [source for source, _ in told],
            "ids": [event.task_id for event in events],
            "versions": [event.task_version for event in events],
            "states": [event.state for event in events],
            "kinds": [event.kind for event in events],
            "assignee_kinds": [event.assignee_kind for event in events],
            "assignees": [event.assignee for event in events],
            "entities": [event.entity for event in events],
            "accounts": [event.account for event in events],
            "subjects": [event.subject for event in events],
            "types": [event.document_type for event in events],
            "document_sources": [event.document_source for event in events],
            "document_ids": [event.document_id for event in events],
            "amounts": [event.amount.amount if event.amount else None for event in events],
            "currencies": [event.amount.currency if event.amount else None for event in events],
            "messages": [event.message for event in events],
            "due": [event.due_at for event in events],
            "done": [event.done_by for event in events],
            "opened": [event.opened_at for event in events],
            "changed": [event.changed_at for event in events],
        },
    )


async def roles_held(connection: AsyncConnection, person: str) -> list[tuple[str, str]]:
    """The roles that a person holds at entities, as (entity, role)."""
    return [(row.entity, row.role) for row in await connection.execute(ROLES_HELD, {"person": person})]


async def company_roles(connection: AsyncConnection, person: str) -> list[str]:
    """The roles that a person holds for the whole company."""
    return [row.role for row in await connection.execute(COMPANY_ROLES, {"person": person})]


async def after(
    connection: AsyncConnection,
    *,
    person: str | None,
    held: Sequence[tuple[str, str]],
    company: Collection[str],
    state: str | None,
    ticked: bool | None,
    place: tuple[datetime, str, str],
    rows_max: int,
) -> list[Row[Any]]:
    """To-dos of a person (None: everybody's) behind a place, oldest first."""
    parameters = {
        "everybody": person is None,
        "person": person or "",
        "entities": [entity for entity, _ in held],
        "roles": [role for _, role in held],
        "company_roles": sorted(company),
        "state": state,
        "ticked": ticked,
        "opened_after": place[0],
        "source_after": place[1],
        "id_after": place[2],
        "rows_max": rows_max,
    }
    return list(await connection.execute(LIST, parameters))


async def locked(connection: AsyncConnection, source: str, task_id: str) -> Row[Any] | None:
    return (await connection.execute(LOCKED, {"source": source, "task_id": task_id})).one_or_none()


async def tick(
    connection: AsyncConnection, source: str, task_id: str, at: datetime | None, by: str | None
) -> None:
    """Marks a to-do as ticked off, or takes the mark back."""
    await connection.execute(TICK, {"source": source, "task_id": task_id, "at": at, "by": by})
