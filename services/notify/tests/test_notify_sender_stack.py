"""Sending on a real database: what arrives, what the history says, and what a kill in each phase leaves."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from chassis.testing import only
from notify.domain.answers import Answer, Verdict
from notify.domain.delivery import Channel, Limits
from notify.repository import contacts
from notify.testing import quota_low
from structlog.testing import capture_logs

from contracts import NotificationStatus

pytestmark = pytest.mark.stack

LEASE = Limits().lease
SENT_BY = (Channel.SMS, Channel.EMAIL)


async def opened(office: Any, **changes: Any) -> None:
    """The security contact, and a notice for it; without a phone by e-mail only."""
    await office.contact(**changes)
    await office.harness.play(quota_low(office.now))


async def history(office: Any, channel: str = "email") -> list[tuple[Any, ...]]:
    rows = await office.harness.rows(
        f"""
        select h.state, h.reason, h.attempt, h.phase, h.verdict, h.code
        from delivery_history h
        join delivery d on d.account = h.account and d.id = h.delivery_id
        where d.channel = '{channel}' and d.repeat_of is null
        order by h.step
        """
    )
    return [tuple(row.values()) for row in rows]


async def test_an_sms_and_a_mail_arrive_and_their_ends_are_told(office: Any) -> None:
    await opened(office)
    await office.send()
    assert await office.deliveries("channel, state, attempts, phase, lease") == [
        ("email", "sent", 1, None, None),
        ("sms", "sent", 1, None, None),
    ]
    [mail], [sms] = office.mail.taken, office.sms.taken
    assert mail.recipients == ["li@example.com"]
    assert "CNY 900.00" in mail.text
    assert sms.to == "+8613800138000"
    assert "CNY 900.00" in sms.text
    [told] = only(await office.harness.drain(), NotificationStatus)
    assert (told.channel, told.state, told.attempts, told.event_type) == ("email", "sent", 1, "quota-low.v1")
    assert [await office.report(8), await office.report(1)] == [200, 200]
    [told] = only(await office.harness.drain(), NotificationStatus)
    assert (told.channel, told.state, told.recipient) == ("sms", "delivered", "li")
    assert await history(office) == [
        ("accepted", None, None, None, None, None),
        ("sending", None, 1, "preparing", None, None),
        ("sending", None, 1, "transmitting", None, None),
        ("sent", None, 1, None, "accepted", 250),
    ]


async def test_reports_come_in_any_order_and_again(office: Any) -> None:
    """Delivered before taken by the SMSC, each three times, then a late failure: delivered it stays."""
    await opened(office, email=None)
    await office.send()
    await office.harness.drain()
    for status in (1, 8, 1, 8, 1, 8, 2):
        assert await office.report(status, "words") == 200
    assert ("sms", "delivered", None) in await office.deliveries()
    assert len(only(await office.harness.drain(), NotificationStatus)) == 1
    reports = await office.harness.rows("select status, times from delivery_report order by status")
    assert [tuple(report.values()) for report in reports] == [(1, 3), (2, 1), (8, 3)]


async def test_a_report_that_comes_before_the_answer_stands(office: Any) -> None:
    await opened(office, email=None)
    sender = office.sender()
    [outgoing] = (await sender.claim([Channel.SMS], 10)).to_send
    message = sender.writer.write(outgoing, sender.random)
    async with sender.channels[Channel.SMS].prepare(outgoing) as ready:
        assert await sender.begin_attempt(outgoing, message)
        answer = await ready.transmit(message.body)
        assert await office.report(1) == 200
        assert await sender.record_answer(outgoing, answer)
    assert ("sms", "delivered", None) in await office.deliveries()
    assert (await history(office, "sms"))[-2:] == [
        ("delivered", None, None, "transmitting", None, None),
        ("delivered", None, 1, None, "accepted", 202),
    ]


async def test_a_report_with_another_token_is_nobodys(office: Any) -> None:
    await opened(office)
    async with office.harness.client() as client:
        answer = await client.get("/sms-reports/guessed", params={"status": 1})
    assert answer.status_code == 404


async def test_what_may_pass_is_tried_again_with_the_same_bytes(office: Any) -> None:
    await opened(office, phone=None)
    office.mail.rcpt.append("450 4.2.0 li@example.com greylisted")
    office.mail.data.append("451 4.3.0 later")
    await office.send()
    assert ("email", "sending", "temporarily-refused") in await office.deliveries()
    await office.send()
    assert office.mail.attempts == 1, "not before its time"
    office.wait(seconds=31)
    await office.send()
    office.wait(seconds=61)
    await office.send()
    assert ("email", "sent", None) in await office.deliveries()
    [mail] = office.mail.taken
    bodies = await office.harness.rows("select body from delivery_content")
    assert [bytes(row["body"]) for row in bodies] == [mail.content]
    answers = await office.harness.rows("select answer from delivery_history where answer is not null")
    assert "4.2.0 *** greylisted" in [row["answer"] for row in answers]


async def test_tries_come_to_an_end(office: Any) -> None:
    await opened(office, phone=None)
    office.mail.rcpt.extend(["451 later"] * 20)
    for _ in range(30):
        await office.send()
        office.wait(minutes=61)
    assert ("email", "failed", "retries-exhausted") in await office.deliveries()
    assert office.mail.attempts == 12


async def test_one_that_cannot_pass_does_not_touch_the_other(office: Any) -> None:
    await opened(office)
    office.mail.rcpt.append("550 5.1.1 unknown")
    office.sms.answers.append("403 Not routable. Do not try again.")
    await office.send()
    assert await office.deliveries() == [
        ("email", "failed", "recipient-refused"),
        ("sms", "failed", "not-routable"),
    ]
    office.wait(hours=2)
    await office.send()
    assert (office.mail.attempts, office.sms.requests) == (1, 1)


async def test_a_server_that_is_back_too_late_is_spared_stale_notices(office: Any) -> None:
    await opened(office)
    office.mail.rcpt.append("451 later")
    office.sms.answers.append("503 Temporal failure, try again later.")
    await office.send()
    office.wait(hours=25)
    await office.send()
    assert await office.deliveries() == [("email", "expired", "stale"), ("sms", "expired", "stale")]
    assert (office.mail.taken, office.sms.taken) == ([], [])


@pytest.mark.parametrize(("silence", "arrived"), [("close", 2), ("drop", 1)])
async def test_silence_behind_the_dot_is_unknown_then_repeated_once(
    office: Any, silence: str, arrived: int
) -> None:
    """No phone to fall back to: at the deadline once more, same Message-ID, marked. It doubles where it had arrived."""
    await opened(office, phone=None)
    office.mail.data.append(silence)
    await office.send()
    assert ("email", "unknown", "no-answer") in await office.deliveries()
    office.wait(minutes=14)
    await office.send()
    assert office.mail.attempts == 1, "never blindly again"
    office.wait(minutes=2)
    await office.send()
    await office.send()
    assert len(office.mail.taken) == arrived
    repeat = office.mail.taken[-1].message
    assert repeat["Subject"].startswith("[Repeat] ")
    message_ids = {mail.message["Message-ID"] for mail in office.mail.taken}
    [original] = await office.harness.rows(
        "select id from delivery where channel = 'email' and repeat_of is null"
    )
    assert message_ids == {f"<{original['id']}@coffer.test>"}
    states = await office.deliveries("channel, state, repeat_of is not null")
    assert sorted(states) == [
        ("email", "sent", True),
        ("email", "unknown", False),
        ("sms", "suppressed", False),
    ]
    told = Counter(status.state for status in only(await office.harness.drain(), NotificationStatus))
    assert told == {"unknown": 1, "sent": 1}


async def test_the_other_channel_is_the_fallback_of_silence(office: Any, findings: Any) -> None:
    await opened(office)
    office.mail.data.append("close")
    await office.send()
    await office.report(1)
    office.wait(minutes=16)
    await office.send()
    await office.send()
    assert await office.deliveries() == [("email", "unknown", "no-answer"), ("sms", "delivered", None)]
    assert len(office.mail.taken) == 1


async def test_a_repeat_that_is_unknown_too_is_not_repeated(office: Any) -> None:
    await opened(office, phone=None)
    office.mail.data.extend(["drop"] * 5)
    for _ in range(8):
        await office.send()
        office.wait(minutes=16)
    assert office.mail.attempts == 2
    assert sorted(await office.deliveries("channel, state")) == [
        ("email", "unknown"),
        ("email", "unknown"),
        ("sms", "suppressed"),
    ]


async def test_an_sms_without_a_report_is_unknown_and_then_the_report_still_settles_it(office: Any) -> None:
    await opened(office)
    await office.send()
    office.wait(hours=4, minutes=16)
    await office.send()
    assert ("sms", "unknown", "no-report") in await office.deliveries()
    await office.report(1)
    assert ("sms", "delivered", None) in await office.deliveries()
    told = [status.state for status in only(await office.harness.drain(), NotificationStatus)]
    assert told == ["sent", "unknown", "delivered"]


async def test_an_episode_that_ends_while_a_notice_is_retried_stops_it(office: Any) -> None:
    await opened(office, phone=None)
    office.mail.rcpt.append("451 later")
    await office.send()
    await office.harness.play(quota_low(office.now, kind="superseded"))
    office.wait(minutes=5)
    await office.send()
    assert ("email", "suppressed", "episode-superseded") in await office.deliveries()
    assert office.mail.taken == []


async def test_an_episode_that_ends_while_an_attempt_is_under_way(office: Any) -> None:
    """Before the point of no return nothing goes out; behind it the answer decides, and it is never tried again."""
    await opened(office)
    sender = office.sender()
    claimed = {channel: (await sender.claim([channel], 10)).to_send[0] for channel in SENT_BY}
    sms = claimed[Channel.SMS]
    assert await sender.begin_attempt(sms, sender.writer.write(sms, sender.random))
    await office.harness.play(quota_low(office.now, kind="superseded"))
    await sender.deliver(claimed[Channel.EMAIL])
    await sender.record_answer(sms, Answer(Verdict.TRANSIENT, "temporarily-refused", 503))
    await office.send()
    assert await office.deliveries() == [
        ("email", "suppressed", "episode-superseded"),
        ("sms", "suppressed", "episode-superseded"),
    ]
    assert office.mail.taken == []


async def test_an_address_that_is_withdrawn_is_not_written_to(office: Any) -> None:
    await opened(office)
    await office.contact(email="other@example.com", phone=None)
    await office.send()
    assert await office.deliveries() == [
        ("email", "suppressed", "address-withdrawn"),
        ("sms", "suppressed", "address-withdrawn"),
    ]
    await opened(office, email="other@example.com")
    async with office.harness.connection() as connection:
        assert await contacts.remove(connection, "A-1", "li")
    await office.harness.play(quota_low(office.now, episode_id="E-2"))
    await office.send()
    assert (office.mail.taken, office.sms.taken) == ([], [])


# What a kill leaves: each test stops where the process would have died, and another instance goes on.


async def test_killed_after_the_claim_it_is_tried_again(office: Any) -> None:
    await opened(office, phone=None)
    await office.sender(seed=1).claim([Channel.EMAIL], 10)
    survivor = office.sender(office.harness.instance(), seed=2)
    await office.send(survivor)
    assert office.mail.attempts == 0, "the lease holds"
    office.wait(seconds=LEASE.total_seconds() + 1)
    await office.send(survivor)
    assert ("email", "sending", "interrupted") in await office.deliveries()
    office.wait(seconds=31)
    await office.send(survivor)
    assert ("email", "sent", None) in await office.deliveries()
    assert len(office.mail.taken) == 1


async def test_killed_behind_the_point_of_no_return_it_is_unknown(office: Any) -> None:
    await opened(office)
    dead = office.sender(seed=1)
    for channel in SENT_BY:
        [outgoing] = (await dead.claim([channel], 10)).to_send
        assert await dead.begin_attempt(outgoing, dead.writer.write(outgoing, dead.random))
    office.wait(seconds=LEASE.total_seconds() + 1)
    await office.send(office.sender(seed=2))
    assert await office.deliveries() == [
        ("email", "unknown", "interrupted"),
        ("sms", "unknown", "interrupted"),
    ]
    assert (office.mail.attempts, office.sms.requests) == (0, 0)


async def test_killed_between_the_acceptance_and_our_commit_it_doubles_at_most_once(
    office: Any, findings: Any
) -> None:
    """The provider had taken it: unknown, and at the deadline repeated, marked, because nothing else arrived."""
    office.harness.now = datetime.now(UTC) - timedelta(minutes=30)
    await opened(office, phone=None)
    dead = office.sender(seed=1)
    [outgoing] = (await dead.claim([Channel.EMAIL], 10)).to_send
    message = dead.writer.write(outgoing, dead.random)
    async with dead.channels[Channel.EMAIL].prepare(outgoing) as ready:
        assert await dead.begin_attempt(outgoing, message)
        assert (await ready.transmit(message.body)).verdict is Verdict.ACCEPTED
    survivor = office.sender(seed=2)
    for _ in range(6):
        office.wait(minutes=16)
        await office.send(survivor)
    assert [mail.message["Subject"].startswith("[Repeat]") for mail in office.mail.taken] == [False, True]
    assert await findings() == []


async def test_a_process_that_goes_on_after_its_lease_writes_nothing_and_sends_nothing(office: Any) -> None:
    await opened(office, phone=None)
    stalled, survivor = office.sender(seed=1), office.sender(seed=2)
    [outgoing] = (await stalled.claim([Channel.EMAIL], 10)).to_send
    office.wait(seconds=LEASE.total_seconds() + 1)
    await office.send(survivor)
    office.wait(seconds=31)
    await office.send(survivor)
    before = await history(office)
    await stalled.deliver(outgoing)
    assert not await stalled.record_answer(outgoing, Answer(Verdict.PERMANENT, "recipient-refused", 550))
    assert await history(office) == before
    assert len(office.mail.taken) == 1


async def test_an_answer_survives_a_database_that_is_away(
    office: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await opened(office, phone=None)
    sender = office.sender()
    record, faults = sender.record_answer, [ConnectionResetError(), TimeoutError()]

    async def failing(*arguments: Any) -> bool:
        if faults:
            raise faults.pop()
        recorded: bool = await record(*arguments)
        return recorded

    monkeypatch.setattr(sender, "record_answer", failing)
    monkeypatch.setattr("notify.sender.FAULT_PAUSE_SECONDS", 0.01)
    await office.send(sender)
    assert ("email", "sent", None) in await office.deliveries()
    assert len(office.mail.taken) == 1


async def test_a_database_that_is_away_is_waited_for_and_spoken_of_once(
    office: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    office.harness.now = None
    await opened(office, phone=None)
    monkeypatch.setattr("notify.sender.FAULT_PAUSE_SECONDS", 0.01)
    sender = office.sender()
    claim, faults = sender.claim, [ConnectionResetError()] * 20

    async def failing(lane: list[Channel], rows_max: int) -> Any:
        if faults and Channel.EMAIL in lane:
            raise faults.pop()
        return await claim(lane, rows_max)

    monkeypatch.setattr(sender, "claim", failing)
    with capture_logs() as logs:
        run = asyncio.create_task(sender.run())
        await office.until(lambda: office.mail.taken, seconds=10)
        office.harness.context.stopping.set()
        await run
    said = [line["event"] for line in logs if line.get("step") or line.get("steps")]
    assert said == ["sending waits for a fault to pass", "sending goes on"]


async def test_two_instances_never_send_one_delivery_twice(office: Any, findings: Any) -> None:
    office.harness.now = None
    for number in range(20):
        await office.contact(f"p-{number}", account=f"A-{number}")
    await office.harness.play(*(quota_low(office.now, account=f"A-{number}") for number in range(20)))
    contexts = [office.harness.context, office.harness.instance()]
    runs = [asyncio.create_task(office.sender(context).run()) for context in contexts]
    await office.until(lambda: len(office.mail.taken) + len(office.sms.taken) >= 40, seconds=60)
    for context in contexts:
        context.stopping.set()
    await asyncio.gather(*runs)
    assert len({mail.message["Message-ID"] for mail in office.mail.taken}) == 20
    assert (len(office.mail.taken), len(office.sms.taken)) == (20, 20)
    assert {row[0] for row in await office.deliveries("attempts")} == {1}
    await contexts[1].database.close()
    assert await findings() == []


async def test_a_slow_channel_delays_no_other_and_its_hands_are_bounded(office: Any) -> None:
    office.harness.now = None
    await office.contact()
    office.mail.data.extend(["hang"] * 4)
    await office.harness.play(*(quota_low(office.now, episode_id=f"E-{number}") for number in range(4)))
    context = office.harness.context
    run = asyncio.create_task(office.sender(at_once_max=2).run())
    await office.until(lambda: len(office.sms.taken) >= 4, seconds=15)
    assert office.mail.attempts <= 2
    context.stopping.set()
    async with asyncio.timeout(8):
        await run


async def test_a_stop_gives_back_what_has_not_gone_out(office: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("notify.sender.STOP_SECONDS_MAX", 0.1)
    office.harness.now = None
    await office.contact(phone=None)
    await office.harness.play(quota_low(office.now))
    office.mail.rcpt.append("hang")
    run = asyncio.create_task(office.sender().run())
    await office.until(lambda: office.mail.attempts, seconds=5)
    office.harness.context.stopping.set()
    run.cancel()
    await asyncio.gather(run, return_exceptions=True)
    due = "channel, phase, lease, due_at <= clock_timestamp()"
    assert ("email", None, None, True) in await office.deliveries(due)


async def test_a_new_delivery_wakes_the_sender(office: Any) -> None:
    """With a poll every minute the notice still goes out at once."""
    office.harness.now = None
    await office.contact()
    office.sms.answers.append("503 Temporal failure, try again later.")
    await office.harness.play(quota_low(office.now, episode_id="E-0"))
    run = asyncio.create_task(office.sender(poll_seconds=60).run())
    await office.until(lambda: office.mail.taken and office.sms.requests, seconds=5)
    await office.harness.play(quota_low(office.now))
    await office.until(lambda: len(office.mail.taken) == 2 and office.sms.taken, seconds=5)
    office.harness.context.stopping.set()
    await run


async def test_a_text_that_cannot_be_written_fails_with_its_reason(office: Any) -> None:
    await opened(office, phone=None)
    await office.harness.spoil("update delivery set kind = 'no-such-kind'")
    await office.send()
    assert ("email", "failed", "no-template") in await office.deliveries()
