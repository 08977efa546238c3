"""Puts what many tasks want from the database at the same moment into one transaction."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final, Generic, TypeVar

BATCH_MAX: Final = 100

Q = TypeVar("Q")
R = TypeVar("R")


class Together(Generic[Q, R]):
    """While one batch is under way, the next one gathers; nobody waits for a clock.

    `act` answers every request of its batch, in order; when it fails, all of them fail alike.
    """

    def __init__(self, act: Callable[[Sequence[Q]], Awaitable[Sequence[R]]]) -> None:
        self.act = act
        self._waiting: list[tuple[Q, asyncio.Future[R]]] = []
        self._runner: asyncio.Task[None] | None = None

    async def do(self, request: Q) -> R:
        """The answer to one request."""
        answer: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((request, answer))
        if self._runner is None or self._runner.done():
            self._runner = asyncio.create_task(self._run(), name="together")
        return await answer

    async def _run(self) -> None:
        await asyncio.sleep(0)
        while self._waiting:
            batch, self._waiting = self._waiting[:BATCH_MAX], self._waiting[BATCH_MAX:]
            try:
                answers = await self.act([request for request, _ in batch])
            except BaseException as error:
                _fail(batch, error)
                if not isinstance(error, Exception):
                    raise
            else:
                for (_, waiting), answer in zip(batch, answers, strict=True):
                    with suppress(asyncio.InvalidStateError):
                        waiting.set_result(answer)


def _fail(batch: Sequence[tuple[object, asyncio.Future[R]]], error: BaseException) -> None:
    for _, waiting in batch:
        if not waiting.done():
            if isinstance(error, Exception):
                waiting.set_exception(error)
            else:
                waiting.cancel()
