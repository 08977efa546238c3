"""The acts of the demonstration, from an empty stack to the verdict."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from decimal import Decimal
from email import message_from_bytes
from email.policy import default
from typing import Final, TypeVar

from rich.progress import Progress, TaskID
from rich.text import Text

from ops.demo.credit import CreditChapter
from ops.demo.day import Day
from ops.demo.funds import FundsChapter
from ops.demo.planning import Chapter
from ops.demo.playing import Playing, playing
from ops.demo.sharing import SharingAct
from ops.demo.story import TOPICS, Narrator, money
from ops.demo.teller import Teller
from ops.demo.thread import play_thread
from ops.demo.verdict import Finding, findings
from ops.demo.watching import SinkWatch, TopicWatch
from ops.local.services import SERVICES
from ops.local.sinks import Message
from ops.local.stack import Stack
from ops.verify.__main__ import verify
from ops.verify.checks import Outcome

NEIGHBOURS_TOLD: Final = 3
DIFFERENCES_SHOWN_MAX: Final = 20
REFRESH_SECONDS: Final = 0.2
VERIFY_SECONDS: Final = 60.0

T = TypeVar("T")
CaughtUp = Callable[[], Awaitable[None]]
"""Returns when the story has come as far as topics and sinks."""


class Performance:
    """Plays the day on a running stack and tells it; `as_expected` says whether all came as it must."""

    def __init__(self, stack: Stack, day: Day, teller: Teller, rate: float) -> None:
        self.stack = stack
        self.day = day
        self.teller = teller
        self.rate = rate
        self.narrator = Narrator(teller, day)
        self.as_expected = False

    async def play(self) -> None:
        """All acts."""
        async with playing(self.stack, self.day) as day:
            await self.prepare(day)
            async with self._told_live() as caught_up:
                await self.orders(day, caught_up)
                await self.approvals(day, caught_up)
                await self.evening(day, caught_up)
                shared = await SharingAct(day, self.teller).play()
                await day.rest()
            pooled = await FundsChapter(day, self.teller).play()
            planned = await Chapter(day, self.teller).play()
            await self.verdict(day, shared, pooled, planned)
            chain = await CreditChapter(day, self.teller).play()
            self._show_findings([chain])
            self.as_expected = self.as_expected and chain.as_expected
        await self.thread()

    async def thread(self) -> None:
        """One episode over two days, with the time passed in."""
        self.teller.act("The thread of one episode")
        with self.teller.waiting("three notices, a day apart ..."):
            mails = await play_thread(self.stack)
        for at, mail in mails:
            self.teller.line(f"{at:%d %B, %H:%M} UTC: {mail['subject']}")
        threads = {self._thread_of(mail) for _, mail in mails}
        self.teller.line(f"{len(mails)} mails, {len(threads)} thread: all refer to {threads.pop()}.")

    def _thread_of(self, mail: Message) -> str:
        content = self.stack.mail.content(int(mail["number"]))
        return str(message_from_bytes(content, policy=default)["References"])

    async def prepare(self, day: Playing) -> None:
        """Before the day: master data, what people enter, and money that arrives."""
        setup = self.day.setup
        self.teller.act("Before the day")
        with self.teller.waiting("master data ..."):
            await day.play(self.day.master_data)
        self.teller.line(
            f"{len(self.day.master_data)} records of master data from the ERP are known to all five services."
        )
        with self.teller.waiting("people enter profiles, balances, thresholds and contacts ..."):
            await day.people.enter(setup)
        self.teller.line(
            f"Mei sets {len(setup['credit_profiles'])} credit profiles and "
            f"{len(setup['alert_thresholds'])} alert thresholds; she drafts {len(setup['opening_balances'])} "
            "opening balances, and Jonas approves them."
        )
        await self._contacts(day)
        with self.teller.waiting("payments ..."):
            await day.play(self.day.payments)
        unmatched = sum(reason != "posted" for reason in self.day.expectations["payments"].values())
        self.teller.line(
            f"{len(self.day.payments)} payments arrive from the bank; {unmatched} of them nobody can match, "
            "and they are kept for somebody to look at."
        )

    async def _contacts(self, day: Playing) -> None:
        contacts = self.day.setup["contacts"]
        with self.teller.waiting("codes by SMS and e-mail ..."):
            arrived = await day.people.verify_addresses(contacts)
        self.teller.line(
            f"{len(contacts)} treasurers prove their phone numbers and e-mail addresses by {len(arrived)} codes:"
        )
        _, _, message = next(entry for entry in arrived if entry[1] == "sms")
        self.teller.message(f"SMS to {message['to']}", message["text"])

    async def orders(self, day: Playing, caught_up: CaughtUp) -> None:
        """The day itself, with broken records among the orders."""
        records = self.day.orders_among_broken
        self.teller.act("The day")
        self.teller.line(
            f"Four order systems publish {len(self.day.orders):,} order events, and "
            f"{len(self.day.broken)} broken records among them. A few are told:"
        )
        with self.teller.progress() as progress:
            line = progress.add_task(self.narrator.status())
            await self._counting(day.publish(records, self.rate), progress, line)
            await self._counting(day.rest(), progress, line)
            await self._counting(day.deliveries_ended(), progress, line)
        await caught_up()
        self.teller.blank()
        self.teller.line("Broken records stop nothing:")
        for sentence in self.narrator.neighbours(NEIGHBOURS_TOLD):
            self.teller.line(f"- {sentence}.")
        self.teller.blank()
        self.teller.line(f"So far: {self.narrator.status()}.")

    async def _counting(self, work: Awaitable[T], progress: Progress, line: TaskID) -> T:
        """Keeps the line of counts fresh while something runs."""
        task = asyncio.ensure_future(work)
        while not task.done():
            progress.update(line, description=self.narrator.status())
            await asyncio.wait([task], timeout=REFRESH_SECONDS)
        return await task

    async def approvals(self, day: Playing, caught_up: CaughtUp) -> None:
        """Orders that wait for special approval, and what Amal makes of them."""
        self.teller.act("Special approval")
        waiting = await day.people.listed("credit", "/pending-orders")
        largest = max(waiting, key=lambda order: Decimal(order["total"]["amount"]))
        judged = [approval["judgement"] for approval in self.day.expectations["approvals"]]
        self.teller.line(
            f"{len(waiting)} orders wait, the largest one for {money(largest['total'])}. Amal approves "
            f"{judged.count('approve')}, rejects {judged.count('reject')}, and leaves {judged.count('leave')}."
        )
        with self.teller.waiting("judging ..."):
            await day.judge()
        await caught_up()

    async def evening(self, day: Playing, caught_up: CaughtUp) -> None:
        """Money that ends low spells."""
        self.teller.act("The evening")
        self.teller.line(f"{len(self.day.evening)} payments lift accounts above their thresholds again.")
        with self.teller.waiting("payments ..."):
            await day.play(self.day.evening)
            await day.deliveries_ended()
        await caught_up()

    async def verdict(self, day: Playing, *told: Finding) -> None:
        """What was expected and what was seen, whether every invariant holds, and where everything is."""
        self.teller.act("What came of it")
        with self.teller.waiting("comparing ..."):
            found = [*await findings(day), *told]
        self._show_findings(found)
        with self.teller.waiting("make verify ..."):
            outcomes = await verify(day.services, self.stack.bootstrap_servers, VERIFY_SECONDS)
        self._show_outcomes(outcomes)
        self.as_expected = all(each.as_expected for each in found) and all(each.holds for each in outcomes)

    def _show_findings(self, found: list[Finding]) -> None:
        rows = [
            (
                each.what,
                f"{each.expected:,}",
                f"{each.seen:,}",
                Text("ok", "green") if each.as_expected else Text("differs", "red"),
                each.note,
            )
            for each in found
        ]
        self.teller.table(("", "expected", "as expected", "", ""), rows)
        for each in found:
            for difference in each.differences[:DIFFERENCES_SHOWN_MAX]:
                self.teller.line(f"{each.what}: {difference}", "red")

    def _show_outcomes(self, outcomes: list[Outcome]) -> None:
        broken = [outcome for outcome in outcomes if not outcome.holds]
        self.teller.blank()
        if not broken:
            self.teller.line(f"make verify: all {len(outcomes)} invariants hold.", "green")
        for outcome in broken:
            self.teller.line(f"make verify: {outcome.name} does not hold. {outcome.sentence}", "red")
            for violation in outcome.violations[:DIFFERENCES_SHOWN_MAX]:
                self.teller.line(f"  {violation}", "red")

    @contextlib.asynccontextmanager
    async def _told_live(self) -> AsyncIterator[CaughtUp]:
        """While the block runs, what goes through topics and sinks is told as it comes."""
        topics = TopicWatch(self.stack.bootstrap_servers, TOPICS, self.narrator.take)
        sinks = SinkWatch({"sms": self.stack.sms, "email": self.stack.mail}, self.narrator.message)

        async def caught_up() -> None:
            await topics.caught_up()
            await sinks.look()

        watching = asyncio.gather(topics.run(), sinks.run())
        try:
            yield caught_up
        finally:
            watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watching


def addresses(stack: Stack) -> list[tuple[str, str]]:
    """Where everything is, for people."""
    services: list[tuple[str, str]] = [
        (service.name, f"{stack.url(service.name)}/docs") for service in SERVICES
    ]
    return [
        *services,
        ("e-mail", f"{stack.mail.url} (SMTP with STARTTLS on port {stack.mail.smtp_port})"),
        ("SMS", stack.sms.url),
        ("Kafka", stack.bootstrap_servers),
        ("PostgreSQL", stack.admin_dsn.rpartition("@")[2]),
        ("logs", str(stack.directory / "logs")),
    ]
