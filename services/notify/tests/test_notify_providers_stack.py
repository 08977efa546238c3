"""Providers on a real database: fallback, breakers, rates, further channels, and what is pruned."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from notify.channels.catalogue import CatalogueChannel
from notify.channels.webhook import WebhookChannel
from notify.domain.delivery import Channel
from notify.domain.pace import Pace
from notify.domain.samples import cash_gap, plan_exceeded
from notify.pruning import forget_once
from notify.testing import HOST, quota_low

pytestmark = pytest.mark.stack

PREPARER = {"account": "entity RE-SH", "security": False, "roles": frozenset({"preparer", "treasurer"})}


def exceeded(office: Any, number: int = 1) -> Any:
    return replace(plan_exceeded(), check_id=f"check-{number}", occurred_at=office.now)


async def test_a_refused_mail_goes_by_the_fallback_channel(office: Any) -> None:
    await office.contact("wu", **PREPARER)
    await office.harness.play(exceeded(office))
    office.mail.rcpt.append("550 5.1.1 unknown")
    await office.send()
    await office.send()
    assert await office.deliveries("channel, role, state, reason") == [
        ("email", "first", "failed", "recipient-refused"),
        ("sms", "fallback", "sent", None),
    ]
    assert [sms.to for sms in office.sms.taken] == ["+8613800138000"]


async def test_what_may_have_arrived_stays_unknown_unless_it_must_be_heard(office: Any) -> None:
    await office.contact("wu", **PREPARER)
    await office.harness.play(exceeded(office))
    office.mail.data.append("drop")
    await office.send()
    office.wait(minutes=16)
    await office.send()
    await office.send()
    assert await office.deliveries() == [("email", "unknown", "no-answer")]


async def test_a_provider_that_is_down_rests_and_the_fallback_takes_over(office: Any, findings: Any) -> None:
    """Ten mails, the server is away: five tries trip the breaker, and all ten go by SMS; nothing is said twice."""
    office.harness.now = datetime.now(UTC)
    await office.contact("wu", **PREPARER)
    await office.harness.play(*(exceeded(office, number) for number in range(10)))
    office.mail.rcpt.extend(["close"] * 20)
    sender = office.sender()
    for outgoing in (await sender.claim([Channel.EMAIL], 5)).to_send:
        await sender.deliver(outgoing)
    assert office.mail.attempts == 5
    assert (await sender.claim([Channel.EMAIL], 5)).to_send == [], "the breaker is open"
    assert await sender.divert(Channel.EMAIL) == 10
    assert await sender.divert(Channel.EMAIL) == 0
    await office.send(sender)
    states = sorted(await office.deliveries())
    assert states == [("email", "suppressed", "fallback")] * 10 + [("sms", "sent", None)] * 10
    assert (len(office.sms.taken), len(office.mail.taken)) == (10, 0)
    assert await findings() == []


async def test_another_instance_leaves_the_provider_alone_too_and_one_message_tries_it(office: Any) -> None:
    await office.contact(phone=None)
    episodes = [quota_low(office.now, episode_id=f"E-{number}") for number in range(8)]
    await office.harness.play(*episodes)
    office.mail.rcpt.extend(["close"] * 6)
    first, second = office.sender(), office.sender(office.harness.instance(), seed=2)
    for outgoing in (await first.claim([Channel.EMAIL], 5)).to_send:
        await first.deliver(outgoing)
    assert (await second.claim([Channel.EMAIL], 5)).to_send == []
    office.wait(seconds=31)
    [probe] = (await second.claim([Channel.EMAIL], 5)).to_send
    await second.deliver(probe)
    assert (await first.claim([Channel.EMAIL], 5)).to_send == [], "it failed, and the rest is longer now"
    office.wait(seconds=61)
    [probe] = (await first.claim([Channel.EMAIL], 5)).to_send
    await first.deliver(probe)
    assert len(office.mail.taken) == 1
    office.wait(minutes=5)
    assert len((await second.claim([Channel.EMAIL], 20)).to_send) == 7
    await second.service.database.close()


async def test_all_instances_together_book_no_more_turns_than_the_pace(office: Any) -> None:
    """Ten a second for all: 2 that are due within 150 ms, then 1 after a tenth of a second, 2 after another second."""
    await office.contact(phone=None)
    await office.harness.play(*(quota_low(office.now, episode_id=f"E-{number}") for number in range(12)))
    paces = {Channel.EMAIL: Pace(10)}
    senders = [office.sender(paces=paces), office.sender(paces=paces, seed=2)]
    counts = []
    for seconds in (0, 0, 0.1, 1):
        office.wait(seconds=seconds)
        claims = [await sender.claim([Channel.EMAIL], 50) for sender in senders]
        counts.append(sum(len(claim.to_send) for claim in claims))
    assert counts == [2, 0, 1, 2]


async def test_a_backlog_drains_without_exceeding_the_pace_in_any_second(office: Any) -> None:
    """Forty at twenty a second by two instances, on the real clock, with the moments at which the server took them."""
    await office.contact(phone=None)
    office.harness.now = datetime.now(UTC)
    await office.harness.play(*(quota_low(office.now, episode_id=f"E-{number}") for number in range(40)))
    office.harness.now = None
    paces = {Channel.EMAIL: Pace(20)}
    first = office.sender(paces=paces)
    other = office.harness.instance()
    running = [first, office.sender(other, paces=paces, seed=2)]
    tasks = [asyncio.create_task(sender.run()) for sender in running]
    await office.until(lambda: len(office.mail.taken) == 40, seconds=20)
    for sender in running:
        sender.service.stopping.set()
    await asyncio.gather(*tasks)
    await other.database.close()
    moments = [mail.at for mail in office.mail.taken]
    assert all(later - earlier > 0.9 for earlier, later in zip(moments, moments[20:], strict=False))
    assert moments[-1] - moments[0] < 6, "and it does drain"


async def test_addresses_and_texts_are_forgotten_after_their_time(office: Any) -> None:
    await office.contact(phone=None)
    await office.harness.play(quota_low(office.now))
    await office.send()
    office.wait(days=29)
    assert await forget_once(office.harness.context, timedelta(days=30)) == 0
    office.wait(days=2)
    await office.harness.play(quota_low(office.now, episode_id="E-2"))
    assert await forget_once(office.harness.context, timedelta(days=30)) == 1
    assert len(await office.harness.rows("select * from delivery_content")) == 1
    assert len(await office.harness.rows("select * from delivery_history where state = 'sent'")) == 1


@asynccontextmanager
async def receiver(*answers: int) -> AsyncIterator[tuple[str, list[tuple[dict[str, str], bytes]]]]:
    """A receiver of webhooks: its address, and the requests that it got."""
    taken: list[tuple[dict[str, str], bytes]] = []
    script = list(answers)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        fields = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if line)
        raw = {
            line.split(": ", 1)[0].lower(): line.split(": ", 1)[1] for line in head.split("\r\n")[1:] if line
        }
        taken.append((raw, await reader.readexactly(int(fields["content-length"]))))
        status = script.pop(0) if script else 204
        writer.write(f"HTTP/1.1 {status} Answer\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, HOST, 0)
    try:
        yield f"http://{HOST}:{server.sockets[0].getsockname()[1]}/hook", taken
    finally:
        server.close()


SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()
BY_HOOK = {"preferences": {"quota-low": (Channel.WEBHOOK,)}}


async def hooked(office: Any, url: str) -> None:
    further = {"further": {Channel.WEBHOOK: url}, "secrets": {Channel.WEBHOOK: SECRET}}
    await office.contact(phone=None, **BY_HOOK, **further)


async def test_a_webhook_is_signed_as_the_standard_says_and_repeats_its_id(office: Any) -> None:
    async with receiver(503, 200) as (url, taken):
        await hooked(office, url)
        await office.harness.play(quota_low(office.now))
        sender = office.sender(hooks=WebhookChannel(seconds_max=5, allows_private=True))
        await office.send(sender)
        office.wait(minutes=1)
        await office.send(sender)
    assert await office.deliveries("channel, state, attempts") == [("webhook", "sent", 2)]
    assert len(taken) == 2
    for headers, body in taken:
        content = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        expected = base64.b64encode(hmac.new(b"k" * 32, content, hashlib.sha256).digest()).decode()
        assert headers["webhook-signature"] == f"v1,{expected}"
        assert json.loads(body)["data"]["event"]["quota"] == {"amount": "900.00", "currency": "CNY"}
    assert taken[0][0]["webhook-id"] == taken[1][0]["webhook-id"]
    assert taken[0][1] == taken[1][1]
    assert "@" not in taken[0][1].decode(), "no address goes along"


@pytest.mark.parametrize(
    ("answer", "state", "reason"), [(410, "failed", "endpoint-gone"), (400, "failed", "request-refused")]
)
async def test_a_webhook_that_refuses_is_not_tried_again(
    office: Any, answer: int, state: str, reason: str
) -> None:
    async with receiver(answer) as (url, taken):
        await hooked(office, url)
        await office.harness.play(quota_low(office.now))
        await office.send(office.sender(hooks=WebhookChannel(seconds_max=5, allows_private=True)))
    assert await office.deliveries() == [("webhook", state, reason)]
    assert len(taken) == 1


async def test_a_webhook_inside_the_own_network_is_not_called(office: Any) -> None:
    async with receiver() as (url, taken):
        await hooked(office, url)
        await office.harness.play(quota_low(office.now))
        await office.send(office.sender(hooks=WebhookChannel(seconds_max=5, allows_private=False)))
    assert await office.deliveries() == [("webhook", "failed", "address-not-allowed")]
    assert taken == []


@pytest.mark.parametrize(("status", "state"), [(200, "sent"), (500, "unknown")])
async def test_the_catalogue_says_yes_or_nothing_certain(office: Any, status: int, state: str) -> None:
    """Apprise's own JSON service stands for the catalogue: it speaks HTTP to a receiver of ours."""
    async with receiver(status) as (url, taken):
        address = url.replace("http://", "json://")
        by_catalogue = {
            "further": {Channel.APPRISE: address},
            "preferences": {"cash-gap": (Channel.APPRISE,)},
        }
        await office.contact(phone=None, **by_catalogue, **PREPARER)
        await office.harness.play(replace(cash_gap("appeared"), occurred_at=office.now))
        await office.send(office.sender(catalogue=CatalogueChannel(seconds_max=10)))
    assert await office.deliveries("channel, state") == [("apprise", state)]
    [(_, body)] = taken
    message = json.loads(body)
    assert message["title"] == "Cash gap of Shanghai branch: CNY 350,000.00 from 2026-11-20"
    assert "Lowest balance: CNY -250,000.00" in message["message"]


async def test_every_channel_of_a_person_has_a_delivery_of_its_own(office: Any) -> None:
    """Mail, a webhook and one of the catalogue's: one fails, one is unknown, one arrives, each on its row."""
    async with receiver(500) as (chat, _), receiver(410) as (hook, _):
        channels = (Channel.APPRISE, Channel.WEBHOOK, Channel.EMAIL)
        further = {Channel.APPRISE: chat.replace("http://", "json://"), Channel.WEBHOOK: hook}
        secrets = {Channel.WEBHOOK: SECRET}
        await office.contact(
            phone=None, further=further, secrets=secrets, preferences={"cash-gap": channels}, **PREPARER
        )
        await office.harness.play(replace(cash_gap("appeared"), occurred_at=office.now))
        await office.send(
            office.sender(
                catalogue=CatalogueChannel(seconds_max=10),
                hooks=WebhookChannel(seconds_max=5, allows_private=True),
            )
        )
    assert await office.deliveries("channel, state") == [
        ("apprise", "unknown"),
        ("email", "sent"),
        ("webhook", "failed"),
    ]
