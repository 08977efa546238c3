"""What the sender asks of a channel, whichever provider is behind it."""

from contextlib import AbstractAsyncContextManager
from typing import Protocol

from notify.domain.answers import Answer
from notify.domain.outgoing import Outgoing


class NotReady(Exception):
    """The provider could not be brought to the point of taking the message; nothing has gone out."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        super().__init__(f"{answer.verdict}: {answer.reason}")


class Ready(Protocol):
    """A provider that will take the message with the next word."""

    async def transmit(self, body: bytes) -> Answer:
        """Passes the point of no return: hands the message over and returns what it was answered."""
        ...


class ChannelPort(Protocol):
    """One provider; adapters share one suite of tests."""

    def prepare(self, outgoing: Outgoing) -> AbstractAsyncContextManager[Ready]:
        """Everything that can be done before the message itself goes out; raises NotReady."""
        ...

    async def close(self) -> None:
        """Leaves the provider."""
        ...
