"""The background job that sends: claims what is due, hands it to its channel, and writes down how it went.

An attempt is four commits apart on purpose. `claim` takes the delivery under a lease; `begin_attempt` notes that the
provider may have the message from now on; only then does the channel `transmit`; `record_answer` ends the attempt.
Whatever stops the process in between, the lease runs out and the phase tells what to do: nothing had gone out
(`preparing`) and the delivery is tried again, or nobody can tell (`transmitting`) and it is unknown.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from random import Random
from typing import Final, Protocol
from uuid import uuid4

import structlog
from chassis.errors import is_transient

from chassis import Cause, UnitOfWork
from notify import metrics
from notify.bell import BELL
from notify.channels.port import ChannelPort, NotReady, Ready
from notify.domain.answers import Answer, Verdict, redacted
from notify.domain.delivery import (
    Attempt,
    Channel,
    Delivery,
    Limits,
    Phase,
    State,
    answered,
    cancelled,
    woken,
)
from notify.domain.outgoing import Outgoing
from notify.endings import conclude
from notify.faults import FaultLog
from notify.message import Message, Writer
from notify.rendering import NotRenderable
from notify.repository import deliveries, verifications
from notify.repository.deliveries import Locked, Step

STOP_SECONDS_MAX: Final = 5.0
FAULT_PAUSE_SECONDS: Final = 1.0
GATHER_SECONDS: Final = 0.005
"""With all hands busy, how long others that are about to get free are waited for, to claim for them together."""
LOOKS_AFTER_RING_SECONDS: Final = (0.01, 0.05, 0.25)
"""The bell rings just before the commit that stores the deliveries; one of these looks comes after it."""
TRANSMIT_WITHIN_SECONDS: Final = 5.0
"""A process that was stopped for longer between noting the phase and transmitting does not transmit any more."""

log = structlog.get_logger(__name__)

OpenWork = Callable[[Cause], AbstractAsyncContextManager[UnitOfWork]]


class Running(Protocol):
    """What the sender needs of the running service."""

    @property
    def name(self) -> str: ...
    @property
    def stopping(self) -> asyncio.Event: ...

    def open_work(self, cause: Cause) -> AbstractAsyncContextManager[UnitOfWork]: ...


@dataclass(frozen=True, slots=True)
class Claims:
    """What one look found: messages to send, and deliveries whose time to end has come."""

    to_send: Sequence[Outgoing] = ()
    to_settle: Sequence[Outgoing] = ()


class Sender:
    """Sends the deliveries of all channels; every instance of the service runs one."""

    def __init__(
        self,
        service: Running,
        channels: Mapping[Channel, ChannelPort],
        writer: Writer,
        limits: Limits,
        *,
        instance: str,
        at_once_max: int,
        poll_seconds: float,
        random: Random,
    ) -> None:
        self.service = service
        self.channels = channels
        self.writer = writer
        self.limits = limits
        self.instance = instance
        self.at_once_max = at_once_max
        self.poll_seconds = poll_seconds
        self.random = random
        self.faults = FaultLog()

    async def run(self) -> None:
        """Serves every channel by itself, so that a slow one delays no other, until the service stops."""
        async with asyncio.TaskGroup() as group:
            for channel in self.channels:
                group.create_task(self._serve(channel), name=f"send-{channel}")

    async def _serve(self, channel: Channel) -> None:
        under_way: dict[asyncio.Task[None], Outgoing] = {}
        try:
            with BELL.listener() as rung:
                await self._serve_until_stop(channel, rung, under_way)
        finally:
            ending = asyncio.create_task(self._wind_down(under_way))
            with suppress(asyncio.CancelledError):
                await asyncio.shield(ending)
            await ending

    async def _serve_until_stop(
        self, channel: Channel, rung: asyncio.Event, under_way: dict[asyncio.Task[None], Outgoing]
    ) -> None:
        looks: list[float] = []
        while not self.service.stopping.is_set():
            claims = await self._look(channel, self.at_once_max - len(under_way))
            for outgoing in claims.to_send:
                under_way[asyncio.create_task(self.deliver(outgoing))] = outgoing
            for outgoing in claims.to_settle:
                under_way[asyncio.create_task(self._settle_safely(outgoing))] = outgoing
            if rung.is_set():
                rung.clear()
                looks = list(LOOKS_AFTER_RING_SECONDS)
            await self._pause(rung, under_way, looks.pop(0) if looks else self.poll_seconds)
            for task in [task for task in under_way if task.done()]:
                del under_way[task]

    async def _pause(
        self, rung: asyncio.Event, under_way: Mapping[asyncio.Task[None], Outgoing], seconds: float
    ) -> None:
        """Waits for a ring, the stop or the time; with all hands busy, for the first free one."""
        is_busy = len(under_way) >= self.at_once_max
        events = [self.service.stopping] if is_busy else [self.service.stopping, rung]
        waits = {asyncio.create_task(event.wait()) for event in events}
        timeout = self.limits.lease.total_seconds() if is_busy else seconds
        try:
            waited_for = waits | set(under_way) if is_busy else waits
            await asyncio.wait(waited_for, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        if is_busy:
            await asyncio.sleep(GATHER_SECONDS)

    async def _look(self, channel: Channel, rows_max: int) -> Claims:
        if rows_max <= 0:
            return Claims()
        step = f"claiming by {channel}"
        try:
            claims = await self.claim(channel, rows_max)
        except Exception as error:
            if not is_transient(error):
                raise
            self.faults.failed(step, error)
            await asyncio.sleep(FAULT_PAUSE_SECONDS)
            return Claims()
        self.faults.succeeded(step)
        return claims

    async def claim(self, channel: Channel, rows_max: int) -> Claims:
        """Takes due deliveries under a lease: those to be tried now, and those whose time to end has come."""
        lease = uuid4()
        async with self.service.open_work(self._cause(f"claim/{lease}")) as work:
            due = await deliveries.locked_due(work.connection, channel, work.now, lease, rows_max)
            metrics.measure_overdue(channel, [outgoing.delivery for outgoing in due], work.now)
            to_send = [taken for outgoing in due if (taken := self._taken(outgoing, work.now))]
            taken_ids = {outgoing.delivery.id for outgoing in to_send}
            to_settle = [outgoing for outgoing in due if outgoing.delivery.id not in taken_ids]
            await deliveries.save_steps(
                work.connection, [_claimed(outgoing) for outgoing in to_send], work.now, self.instance
            )
            await deliveries.postpone(
                work.connection, [outgoing.delivery for outgoing in to_settle], work.now + self.limits.lease
            )
        return Claims(to_send, to_settle)

    def _taken(self, outgoing: Outgoing, now: datetime) -> Outgoing | None:
        """The delivery as its attempt begins; None when there is something else to do with it."""
        decision = woken(outgoing.delivery, now, self.random.random(), self.limits)
        if not isinstance(decision, Attempt) or not outgoing.address_current:
            return None
        begun = replace(
            outgoing.delivery,
            state=State.SENDING,
            reason=None,
            attempts=decision.number,
            phase=Phase.PREPARING,
            due_at=now + self.limits.lease,
        )
        return replace(outgoing, delivery=begun)

    async def deliver(self, outgoing: Outgoing) -> None:
        """One attempt from the provider's door to the answer in the history."""
        try:
            message = self.writer.write(outgoing, self.random)
            async with self.channels[outgoing.delivery.channel].prepare(outgoing) as ready:
                await self._hand_over(outgoing, message, ready)
        except NotReady as not_ready:
            await self._record_surely(outgoing, not_ready.answer)
        except NotRenderable as fault:
            await self._record_surely(outgoing, Answer(Verdict.PERMANENT, fault.reason, alarm=True))
        except Exception as error:
            if is_transient(error):
                self.faults.failed("attempting", error)
            else:
                log.exception("an attempt broke off; its lease will tell", delivery=str(outgoing.delivery.id))
            metrics.attempts.labels(channel=outgoing.delivery.channel, verdict="broken-off").inc()

    async def _hand_over(self, outgoing: Outgoing, message: Message, ready: Ready) -> None:
        began_at = time.monotonic()
        if not await self.begin_attempt(outgoing, message):
            await self._release([outgoing])
            return
        if time.monotonic() - began_at > TRANSMIT_WITHIN_SECONDS:
            answer = Answer(Verdict.TRANSIENT, "interrupted", text="stopped before the message went out")
        else:
            answer = await ready.transmit(message.body)
        await self._record_surely(outgoing, answer)

    async def begin_attempt(self, outgoing: Outgoing, message: Message) -> bool:
        """Commits that the provider may have the message from now on, with the bytes that it will get.

        False when the delivery is not ours any more or was cancelled meanwhile: then nothing must go out.
        """
        delivery = outgoing.delivery
        async with self.service.open_work(self._cause(f"{delivery.id}/{delivery.attempts}")) as work:
            if message.code is not None:
                await verifications.set_code(
                    work.connection, delivery.account, delivery.notice_id, message.code, work.now
                )
            return await deliveries.begin_attempt(
                work.connection,
                outgoing,
                message.kept_body,
                lease_until=work.now + self.limits.lease,
                now=work.now,
                instance=self.instance,
            )

    async def _record_surely(self, outgoing: Outgoing, answer: Answer) -> None:
        """Writes the answer down, trying on while the database is away: nobody else knows it."""
        while True:
            try:
                await self.record_answer(outgoing, answer)
            except Exception as error:
                if not is_transient(error):
                    raise
                self.faults.failed("recording answers", error)
            else:
                self.faults.succeeded("recording answers", "attempting")
                return
            await asyncio.sleep(FAULT_PAUSE_SECONDS)

    async def record_answer(self, outgoing: Outgoing, answer: Answer) -> bool:
        """Ends the attempt with the provider's answer; writes nothing when the lease has passed to somebody else."""
        own = outgoing.delivery
        answer = replace(answer, text=redacted(answer.text, outgoing.address))
        async with self.service.open_work(self._cause(f"{own.id}/{own.attempts}")) as work:
            group = await deliveries.locked_group(work.connection, own.account, own.id)
            locked = _member(group, own)
            if locked.lease != outgoing.lease:
                log.warning("an answer came after its lease", delivery=str(own.id), attempt=own.attempts)
                return False
            change = None
            if locked.delivery.state is State.SENDING:
                change = answered(locked.delivery, answer, work.now, self.random.random(), self.limits)
            await conclude(
                work, group, locked, change, answer=answer, ends_attempt=True, instance=self.instance
            )
        metrics.attempts.labels(channel=own.channel, verdict=answer.verdict).inc()
        if answer.alarm:
            metrics.alarms.labels(channel=own.channel, reason=answer.reason).inc()
            log.error(
                "a provider needs an operator", channel=own.channel, reason=answer.reason, code=answer.code
            )
        return True

    async def _settle_safely(self, outgoing: Outgoing) -> None:
        try:
            await self.settle(outgoing)
        except Exception as error:
            if not is_transient(error):
                log.exception("a delivery could not be settled", delivery=str(outgoing.delivery.id))

    async def settle(self, outgoing: Outgoing) -> None:
        """Ends what took too long: a lease that ran out, a deadline, a stale or cancelled notice."""
        own = outgoing.delivery
        async with self.service.open_work(self._cause(f"{own.id}/settle")) as work:
            group = await deliveries.locked_group(work.connection, own.account, own.id)
            locked = _member(group, own)
            if locked.delivery.ended_at is not None or locked.lease != outgoing.held_lease:
                return
            withdrawn = None if outgoing.address_current else cancelled(locked.delivery, "address-withdrawn")
            decision = withdrawn or woken(locked.delivery, work.now, self.random.random(), self.limits)
            if isinstance(decision, Attempt):
                await deliveries.postpone(work.connection, [locked.delivery], work.now)
                return
            await conclude(work, group, locked, decision, ends_attempt=locked.delivery.phase is not None)

    async def _wind_down(self, under_way: Mapping[asyncio.Task[None], Outgoing]) -> None:
        """Lets attempts under way end; what has not gone out by then is given back at once."""
        if not under_way:
            return
        _, unfinished = await asyncio.wait(under_way, timeout=STOP_SECONDS_MAX)
        for task in unfinished:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
        await self._release([under_way[task] for task in unfinished])

    async def _release(self, claims: Sequence[Outgoing]) -> None:
        """Gives back claims of which nothing has gone out; those past that point keep their lease."""
        if not claims:
            return
        try:
            async with self.service.open_work(self._cause("release")) as work:
                await deliveries.release(work.connection, claims, work.now)
        except Exception as error:
            if not is_transient(error):
                raise

    def _cause(self, id: str) -> Cause:
        return Cause(source=f"coffer/{self.service.name}", id=id, correlation_id=id)


def _claimed(outgoing: Outgoing) -> Step:
    return Step(delivery=outgoing.delivery, lease=outgoing.lease, attempt=outgoing.delivery.attempts)


def _member(group: Sequence[Locked], delivery: Delivery) -> Locked:
    return next(locked for locked in group if locked.delivery.id == delivery.id)
