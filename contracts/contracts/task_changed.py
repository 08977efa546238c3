"""task-changed: something that a person or the holders of a role have to do, or no longer have to."""

from dataclasses import dataclass
from typing import Literal

from contracts.event import Event, event
from contracts.money import Amount
from contracts.numbers import Version
from contracts.text import Code, DocumentId, Id, Name, Text
from contracts.times import Moment


@event("task-changed", 1, key="assignee", producers=("credit", "fund-pool", "cashplan"))
@dataclass(frozen=True, slots=True, kw_only=True)
class TaskChanged(Event):
    """The full state of a to-do; a higher `task_version` of the same (producer, task) replaces a lower one.

    The assignee of a task never changes: reassigning withdraws it and opens another.
    """

    task_id: Id
    task_version: Version
    state: Literal["opened", "done", "withdrawn"]
    kind: Code
    """What is to be done, such as `approve-order`, `approve-top-up`, `fill-in-filing`, `check-failed`."""
    assignee_kind: Literal["person", "role"]
    assignee: Id
    """The person's opaque id, or the role's name."""
    entity: Id | None = None
    """Of a role: the reporting entity or organisation whose holders are meant; absent, the whole company's."""
    account: Id | None = None
    """The account that the task is about."""
    subject: Name | None = None
    """What it is about in a few words, such as the customer's or the entity's name."""
    document_type: Code | None = None
    document_source: Id | None = None
    document_id: DocumentId | None = None
    amount: Amount | None = None
    message: Text | None = None
    """Why it is to be done, or why it was withdrawn."""
    due_at: Moment | None = None
    done_by: Id | None = None
    """Whose action settled it."""
    opened_at: Moment
    changed_at: Moment
