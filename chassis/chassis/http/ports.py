"""What the HTTP side needs of a running service."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from chassis.database import Database
from chassis.settings import Settings
from chassis.work import CausedBy, UnitOfWork


@dataclass(frozen=True, slots=True)
class Readiness:
    """One named condition of being ready, with a sentence that says how it stands."""

    name: str
    ok: bool
    sentence: str


class HttpContext(Protocol):
    """The running service, as `app.state.context` holds it."""

    @property
    def name(self) -> str: ...
    @property
    def settings(self) -> Settings: ...
    @property
    def database(self) -> Database: ...

    def now(self) -> datetime | None:
        """The moment that a test passes in; None leaves it to the database's clock."""
        ...

    def open_work(self, cause: CausedBy) -> AbstractAsyncContextManager[UnitOfWork]:
        """A command's transaction: flushed and committed when the block ends, rolled back when it raises."""
        ...

    async def readiness(self) -> Sequence[Readiness]:
        """How each condition of being ready stands."""
        ...
