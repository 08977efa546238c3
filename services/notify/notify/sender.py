"""The background job that sends: claims what is due, hands it to its channel, and writes down how it went.

An attempt is four commits on purpose. `claim` takes the delivery under a lease; `begin_attempt` notes that the
provider may have the message from now on; only then does the channel `transmit`; `record_answer` ends the attempt.
Whatever stops the process in between, the lease runs out and the phase tells what to do: nothing had gone out
(`preparing`) and the delivery is tried again, or nobody can tell (`transmitting`) and it is unknown. Attempts that come
to the same point at the same moment share a commit.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from random import Random
from typing import Final, Protocol
from uuid import UUID, uuid4

import structlog
from chassis.errors import is_transient

from chassis import Cause, UnitOfWork
from notify import metrics
from notify.bell import BELL
from notify.channels.port import ChannelPort, NotReady, Ready
from notify.domain.answers import Answer, Verdict, redacted
from notify.domain.breaker import Breaker
from notify.domain.delivery import (
    Attempt,
    Change,
    Channel,
    Delivery,
    FollowUp,
    Limits,
    Phase,
    Role,
    State,
    answered,
    cancelled,
    woken,
)
from notify.domain.outgoing import Outgoing
from notify.domain.pace import Door, Pace
from notify.endings import Outcome, conclude, follow_up_id, insert_follow_ups
from notify.faults import FaultLog
from notify.message import Message, Writer
from notify.rendering import NotRenderable
from notify.repository import deliveries, providers, templates, verifications
from notify.repository.deliveries import Begun, Locked, Step
from notify.repository.providers import Provider
from notify.together import Together

STOP_SECONDS_MAX: Final = 5.0
FAULT_PAUSE_SECONDS: Final = 1.0
GATHER_SECONDS: Final = 0.005
"""With all hands busy, how long others that are about to get free are waited for, to claim for them together."""
RATED_SECONDS: Final = 0.1
"""How soon a lane that its provider's pace has held up looks again."""
LOOKS_AFTER_RING_SECONDS: Final = (0.01, 0.05, 0.25)
"""The bell rings just before the commit that stores the deliveries; one of these looks comes after it."""
DIVERT_MAX: Final = 200
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
    is_held_up: bool = False
    """Whether a provider's pace let less through than there were hands."""


class Sender:
    """Sends the deliveries of all channels; every instance of the service runs one.

    Channels that share an adapter share a lane: one look finds what is due for all of them. `paces` bound what goes to
    a provider in every second: all instances book their turns in the database, and each keeps to what it has sent.
    """

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
        paces: Mapping[Channel, Pace] | None = None,
    ) -> None:
        self.service = service
        self.channels = channels
        self.writer = writer
        self.limits = limits
        self.instance = instance
        self.at_once_max = at_once_max
        self.poll_seconds = poll_seconds
        self.random = random
        self.paces = paces or {}
        self.doors = {channel: Door(pace.per_second) for channel, pace in self.paces.items()}
        self.faults = FaultLog()
        self.breakers: dict[Channel, Breaker] = {}
        self.lanes = _lanes(channels)
        self._begins: Together[tuple[Outgoing, Message], bool] = Together(self._begin_together)
        self._answers: Together[tuple[Outgoing, Answer], bool] = Together(self._record_together)

    async def run(self) -> None:
        """Serves every channel by itself, so that a slow one delays no other, until the service stops."""
        async with asyncio.TaskGroup() as group:
            for lane in self.lanes:
                group.create_task(self._serve(lane), name=f"send-{lane[0]}")

    async def _serve(self, lane: Sequence[Channel]) -> None:
        under_way: dict[asyncio.Task[None], Outgoing] = {}
        try:
            with BELL.listener() as rung:
                await self._serve_until_stop(lane, rung, under_way)
        finally:
            ending = asyncio.create_task(self._wind_down(under_way))
            with suppress(asyncio.CancelledError):
                await asyncio.shield(ending)
            await ending

    async def _serve_until_stop(
        self, lane: Sequence[Channel], rung: asyncio.Event, under_way: dict[asyncio.Task[None], Outgoing]
    ) -> None:
        looks: list[float] = []
        while not self.service.stopping.is_set():
            claims = await self._look(lane, self.at_once_max - len(under_way))
            for outgoing in claims.to_send:
                under_way[asyncio.create_task(self.deliver(outgoing))] = outgoing
            for outgoing in claims.to_settle:
                under_way[asyncio.create_task(self._settle_safely(outgoing))] = outgoing
            if rung.is_set():
                rung.clear()
                looks = list(LOOKS_AFTER_RING_SECONDS)
            seconds = looks.pop(0) if looks else self.poll_seconds
            await self._pause(rung, under_way, min(seconds, RATED_SECONDS) if claims.is_held_up else seconds)
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

    async def _look(self, lane: Sequence[Channel], rows_max: int) -> Claims:
        if rows_max <= 0:
            return Claims()
        step = f"claiming by {lane[0]}"
        try:
            claims = await self.claim(lane, rows_max)
            for channel in lane:
                if self.breakers.get(channel, Breaker()).is_tripped:
                    await self.divert(channel)
        except Exception as error:
            if not is_transient(error):
                raise
            self.faults.failed(step, error)
            await asyncio.sleep(FAULT_PAUSE_SECONDS)
            return Claims()
        self.faults.succeeded(step)
        return claims

    async def claim(self, channels: Sequence[Channel], rows_max: int) -> Claims:
        """Takes due deliveries under a lease: those to be tried now, and those whose time to end has come."""
        lease = uuid4()
        async with self.service.open_work(self._cause(f"claim/{lease}")) as work:
            await self._read_templates(work)
            open_to = await self._admitted(work, channels, rows_max)
            due: list[Outgoing] = []
            for members, wanted in _by_room(open_to):
                due += await deliveries.locked_due(work.connection, members, work.now, lease, wanted)
            for channel in channels:
                own = [outgoing.delivery for outgoing in due if outgoing.delivery.channel is channel]
                metrics.measure_overdue(channel, own, work.now)
            to_send = [taken for outgoing in due if (taken := self._taken(outgoing, work.now))]
            to_send = await self._book(work, to_send)
            taken_ids = {outgoing.delivery.id for outgoing in to_send}
            to_settle = [outgoing for outgoing in due if outgoing.delivery.id not in taken_ids]
            await deliveries.save_steps(
                work.connection, [_claimed(outgoing) for outgoing in to_send], work.now, self.instance
            )
            await deliveries.postpone(
                work.connection, [outgoing.delivery for outgoing in to_settle], work.now + self.limits.lease
            )
            is_held_up = any(
                channel in self.paces
                and open_to[channel] < rows_max
                and not self.breakers[channel].is_open(work.now)
                for channel in channels
            )
        return Claims(to_send, to_settle, is_held_up)

    async def _read_templates(self, work: UnitOfWork) -> None:
        """Takes over texts that were saved since the last look."""
        if await templates.newest_number(work.connection) != self.writer.book.number:
            self.writer.book = await templates.book(work.connection)

    async def _admitted(
        self, work: UnitOfWork, channels: Sequence[Channel], wanted: int
    ) -> dict[Channel, int]:
        """How much each channel may take now: what its breaker and its pace let through."""
        known = await providers.states(work.connection, channels)
        rated = [channel for channel in channels if channel in self.paces]
        if rated:
            known |= await providers.locked(work.connection, rated)
        room: dict[Channel, int] = {}
        for channel in channels:
            provider = known.get(channel)
            self.breakers[channel] = _worse(self.breakers.get(channel, Breaker()), provider)
            admitted = self.breakers[channel].admits(wanted, work.now)
            if channel in self.paces and provider is not None:
                admitted = self.paces[channel].room(provider.arrival, work.now, admitted)
            room[channel] = admitted
        return room

    async def _book(self, work: UnitOfWork, to_send: Sequence[Outgoing]) -> list[Outgoing]:
        """What is to be sent, each with its turn where its provider has a pace."""
        moment = time.monotonic()
        turns: dict[UUID, float] = {}
        for channel, pace in self.paces.items():
            own = [outgoing.delivery.id for outgoing in to_send if outgoing.delivery.channel is channel]
            if own:
                provider = (await providers.locked(work.connection, [channel]))[channel]
                booked = pace.turns(provider.arrival, work.now, len(own))
                await providers.save(work.connection, replace(provider, arrival=booked[-1] + pace.interval))
                waits = [moment + (turn - work.now).total_seconds() for turn in booked]
                turns |= dict(zip(own, waits, strict=True))
        return [replace(outgoing, turn_seconds=turns.get(outgoing.delivery.id)) for outgoing in to_send]

    async def divert(self, channel: Channel) -> int:
        """Sends what waits for a provider at rest by its fallback channel instead; returns how many."""
        async with self.service.open_work(self._cause(f"divert/{channel}/{uuid4()}")) as work:
            waiting = await deliveries.locked_waiting(work.connection, channel, DIVERT_MAX)
            ups = {locked.delivery.id: up for locked in waiting if (up := _diversion(locked))}
            made = await insert_follow_ups(work, list(ups.values()))
            outcomes = [
                Outcome(locked=locked, change=Change(State.SUPPRESSED, "fallback", ended=True))
                for locked in waiting
                if locked.delivery.id in ups and follow_up_id(ups[locked.delivery.id]) in made
            ]
            await conclude(work, {}, outcomes)
        return len(made)

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
                answer = await self._hand_over(outgoing, message, ready)
            if answer is not None:
                await self._record_surely(outgoing, answer)
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

    async def _hand_over(self, outgoing: Outgoing, message: Message, ready: Ready) -> Answer | None:
        """The provider's answer; None when the attempt turned out not to be ours any more."""
        began_at = time.monotonic()
        if not await self.begin_attempt(outgoing, message):
            await self._release([outgoing])
            return None
        await self._take_turn(outgoing)
        if time.monotonic() - began_at > TRANSMIT_WITHIN_SECONDS:
            return Answer(Verdict.TRANSIENT, "interrupted", text="stopped before the message went out")
        return await ready.transmit(message.body)

    async def _take_turn(self, outgoing: Outgoing) -> None:
        """Waits for the turn that was booked, and until this instance has sent little enough lately."""
        door = self.doors.get(outgoing.delivery.channel)
        if door is None or outgoing.turn_seconds is None:
            return
        await asyncio.sleep(max(0.0, outgoing.turn_seconds - time.monotonic()))
        while True:
            wait = door.passes(time.monotonic())
            if wait <= 0:
                return
            await asyncio.sleep(wait)

    async def begin_attempt(self, outgoing: Outgoing, message: Message) -> bool:
        """Commits that the provider may have the message from now on, with the bytes that it will get.

        False when the delivery is not ours any more or was cancelled meanwhile: then nothing must go out.
        """
        return await self._begins.do((outgoing, message))

    async def _begin_together(self, wanted: Sequence[tuple[Outgoing, Message]]) -> Sequence[bool]:
        async with self.service.open_work(self._cause(f"begin/{uuid4()}")) as work:
            for outgoing, message in wanted:
                if message.code is not None:
                    own = outgoing.delivery
                    await verifications.set_code(
                        work.connection, own.account, own.notice_id, message.code, message.link_hash, work.now
                    )
            begun = await deliveries.begin_attempts(
                work.connection,
                [Begun(outgoing, message.kept_body) for outgoing, message in wanted],
                lease_until=work.now + self.limits.lease,
                now=work.now,
                instance=self.instance,
            )
        return [outgoing.delivery.id in begun for outgoing, _ in wanted]

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
        if not await self._answers.do((outgoing, answer)):
            log.warning("an answer came after its lease", delivery=str(own.id), attempt=own.attempts)
            return False
        await self._mind_provider(own.channel, answer)
        metrics.attempts.labels(channel=own.channel, verdict=answer.verdict).inc()
        if answer.alarm:
            metrics.alarms.labels(channel=own.channel, reason=answer.reason).inc()
            log.error(
                "a provider needs an operator", channel=own.channel, reason=answer.reason, code=answer.code
            )
        return True

    async def _record_together(self, answers: Sequence[tuple[Outgoing, Answer]]) -> Sequence[bool]:
        async with self.service.open_work(self._cause(f"record/{uuid4()}")) as work:
            keys = {(outgoing.delivery.account, outgoing.delivery.id) for outgoing, _ in answers}
            groups = await deliveries.locked_groups(work.connection, keys)
            outcomes = [self._outcome(groups, outgoing, answer, work.now) for outgoing, answer in answers]
            kept = [outcome for outcome in outcomes if outcome is not None]
            await conclude(work, groups, kept, instance=self.instance)
        return [outcome is not None for outcome in outcomes]

    def _outcome(
        self, groups: Mapping[UUID, Sequence[Locked]], outgoing: Outgoing, answer: Answer, now: datetime
    ) -> Outcome | None:
        locked = _member(groups[outgoing.delivery.id], outgoing.delivery)
        if locked.lease != outgoing.lease:
            return None
        change = None
        if locked.delivery.state is State.SENDING:
            change = answered(locked.delivery, answer, now, self.random.random(), self.limits)
        return Outcome(locked=locked, change=change, answer=answer, ends_attempt=True)

    async def _mind_provider(self, channel: Channel, answer: Answer) -> None:
        """Counts faults of the provider itself; all instances learn when its breaker trips and when it is closed."""
        former = self.breakers.get(channel, Breaker())
        if channel is Channel.WEBHOOK or (not answer.is_fault and answer.verdict is not Verdict.ACCEPTED):
            return
        if answer.is_fault or former.is_tripped:
            breaker = await self._judge(channel, answer)
        else:
            breaker = former.succeeded()
        self.breakers[channel] = breaker
        if breaker.is_tripped and not former.is_tripped:
            log.error("a provider is left alone for a while", channel=channel, reason=answer.reason)
        metrics.breaker_open.labels(channel=channel).set(breaker.is_tripped)

    async def _judge(self, channel: Channel, answer: Answer) -> Breaker:
        """The breaker after an answer; written down once it has tripped, and when it is closed again."""
        async with self.service.open_work(self._cause(f"provider/{uuid4()}")) as work:
            former = self.breakers.get(channel, Breaker())
            breaker = former.failed(work.now) if answer.is_fault else former.succeeded()
            if breaker.is_tripped or former.is_tripped:
                provider = (await providers.locked(work.connection, [channel]))[channel]
                await providers.save(work.connection, replace(provider, breaker=breaker))
        return breaker

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
            groups = await deliveries.locked_groups(work.connection, {(own.account, own.id)})
            locked = _member(groups[own.id], own)
            if locked.delivery.ended_at is not None or locked.lease != outgoing.held_lease:
                return
            withdrawn = None if outgoing.address_current else cancelled(locked.delivery, "address-withdrawn")
            decision = withdrawn or woken(locked.delivery, work.now, self.random.random(), self.limits)
            if isinstance(decision, Attempt):
                await deliveries.postpone(work.connection, [locked.delivery], work.now)
                return
            ends_attempt = locked.delivery.phase is not None
            await conclude(work, groups, [Outcome(locked=locked, change=decision, ends_attempt=ends_attempt)])

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


def _lanes(channels: Mapping[Channel, ChannelPort]) -> list[list[Channel]]:
    """Channels by their adapter."""
    lanes: dict[int, list[Channel]] = {}
    for channel, port in channels.items():
        lanes.setdefault(id(port), []).append(channel)
    return list(lanes.values())


def _by_room(room: Mapping[Channel, int]) -> list[tuple[list[Channel], int]]:
    """Channels that may take equally many, so that one look serves them together."""
    found: dict[int, list[Channel]] = {}
    for channel, wanted in room.items():
        if wanted > 0:
            found.setdefault(wanted, []).append(channel)
    return [(channels, wanted) for wanted, channels in found.items()]


def _worse(own: Breaker, provider: Provider | None) -> Breaker:
    """What this instance has seen of a provider, or what another one has written down."""
    if provider is None or not provider.breaker.is_tripped:
        return Breaker() if own.is_tripped and provider is not None else own
    return provider.breaker


def _diversion(locked: Locked) -> FollowUp | None:
    """The same by the first fallback channel that reaches the recipient."""
    delivery = locked.delivery
    channel = next((channel for channel in delivery.fallback if channel in locked.reachable), None)
    return FollowUp(delivery, channel, Role.FALLBACK) if channel else None
