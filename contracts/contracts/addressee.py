"""Whom a notice or a task is meant for: a person by id, or whoever holds a role at a place."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from contracts.text import Id

ADDRESSEES_MAX = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Addressee:
    """A person or a role of the company itself; never a phone number or an e-mail address."""

    kind: Literal["person", "role"]
    id: Id
    """The person's opaque id, or the role's name such as `preparer`."""
    entity: Id | None = None
    """Of a role: the reporting entity or organisation whose holders are meant; absent, the whole company's."""


Addressees = Annotated[list[Addressee], Field(max_length=ADDRESSEES_MAX)]
