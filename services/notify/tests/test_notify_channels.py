"""The channels against servers that misbehave: what comes of an attempt, and what really arrived."""

import ssl
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from notify.channels.kannel import Gateway, KannelChannel
from notify.channels.port import ChannelPort, NotReady
from notify.channels.smtp import MailServer, SmtpChannel
from notify.domain.answers import Answer, Verdict
from notify.domain.delivery import Channel
from notify.domain.outgoing import Outgoing
from notify.testing import (
    HOST,
    PASSWORD,
    USERNAME,
    GatewayDouble,
    MailDouble,
    mail_server,
    sms_gateway,
)
from notify.testing import outgoing as outgoing_to

BRIEFLY = {"hang": 1.0}
"""Who falls silent is not waited for as long as who may only be slow."""
NOW = datetime(2026, 3, 10, 9, 0, tzinfo=UTC)
BODY = b"From: a@coffer.test\r\nSubject: x\r\nMessage-ID: <1@coffer.test>\r\n\r\nHello\r\n.hidden dot\r\n"


def outgoing(channel: Channel, address: str) -> Outgoing:
    return outgoing_to(channel, address, NOW)


async def attempt(channel: ChannelPort, message: Outgoing, body: bytes) -> Answer:
    """One attempt as the sender makes it."""
    try:
        async with channel.prepare(message) as ready:
            return await ready.transmit(body)
    except NotReady as refusal:
        return refusal.answer


@pytest.fixture
async def mail() -> AsyncIterator[MailDouble]:
    async with mail_server() as double:
        yield double


def to_mail(double: MailDouble, folder: Path, **changes: object) -> SmtpChannel:
    server = MailServer(
        host=HOST,
        port=double.port,
        sender="coffer@coffer.test",
        username=USERNAME,
        password=PASSWORD,
        tls=ssl.create_default_context(cafile=double.ca_file(folder)),
        is_tls_from_start=False,
        seconds_max=10.0,
    )
    return SmtpChannel(replace(server, **changes))  # type: ignore[arg-type]  # fields by name


MESSAGE = outgoing(Channel.EMAIL, "li.wei@example.com")


async def test_a_mail_arrives_encrypted_and_byte_for_byte(mail: MailDouble, tmp_path: Path) -> None:
    answer = await attempt(to_mail(mail, tmp_path), MESSAGE, BODY)
    assert (answer.verdict, answer.code) == (Verdict.ACCEPTED, 250)
    assert [taken.recipients for taken in mail.taken] == [["li.wei@example.com"]]
    assert mail.taken[0].content == BODY


@pytest.mark.parametrize(
    ("reply", "verdict", "code"),
    [
        ("450 4.2.1 greylisted", Verdict.TRANSIENT, 450),
        ("451 4.3.0 later", Verdict.TRANSIENT, 451),
        ("452 4.2.2 full", Verdict.TRANSIENT, 452),
        ("550 5.1.1 unknown", Verdict.PERMANENT, 550),
        ("421 4.3.2 shutting down", Verdict.TRANSIENT, None),
        ("close", Verdict.TRANSIENT, None),
        ("hang", Verdict.TRANSIENT, None),
    ],
)
async def test_what_is_refused_at_the_recipient_never_arrived(
    mail: MailDouble, tmp_path: Path, reply: str, verdict: Verdict, code: int | None
) -> None:
    mail.rcpt.append(reply)
    channel = to_mail(mail, tmp_path, seconds_max=BRIEFLY.get(reply, 10.0))
    answer = await attempt(channel, MESSAGE, BODY)
    assert (answer.verdict, answer.code if code else None) == (verdict, code)
    assert not mail.taken


@pytest.mark.parametrize(
    ("reply", "verdict", "code", "arrived"),
    [
        ("451 4.3.0 later", Verdict.TRANSIENT, 451, 0),
        ("452 4.3.1 full", Verdict.TRANSIENT, 452, 0),
        ("554 5.7.1 spam", Verdict.PERMANENT, 554, 0),
        ("close", Verdict.UNCLEAR, None, 1),
        ("drop", Verdict.UNCLEAR, None, 0),
        ("hang", Verdict.UNCLEAR, None, 1),
    ],
)
async def test_behind_the_final_dot_only_a_number_tells(
    mail: MailDouble, tmp_path: Path, reply: str, verdict: Verdict, code: int | None, arrived: int
) -> None:
    """Whether the server took the message and fell silent, or lost it: the answer is the same, so it is unclear."""
    mail.data.append(reply)
    channel = to_mail(mail, tmp_path, seconds_max=BRIEFLY.get(reply, 10.0))
    answer = await attempt(channel, MESSAGE, BODY)
    assert (answer.verdict, answer.code) == (verdict, code)
    assert len(mail.taken) == arrived


async def test_without_starttls_nothing_is_sent_in_clear(tmp_path: Path) -> None:
    async with mail_server(starttls=False) as clear:
        answer = await attempt(to_mail(clear, tmp_path), MESSAGE, BODY)
    assert (answer.verdict, answer.reason, answer.alarm) == (
        Verdict.TRANSIENT,
        "encryption-unavailable",
        True,
    )
    assert (clear.attempts, clear.taken) == (0, [])


@pytest.mark.parametrize("tls_from_start", [False, True])
async def test_a_certificate_for_another_name_is_refused(tmp_path: Path, tls_from_start: bool) -> None:
    async with mail_server(names=("other.test",), tls_from_start=tls_from_start) as other:
        answer = await attempt(to_mail(other, tmp_path, is_tls_from_start=tls_from_start), MESSAGE, BODY)
    assert (answer.verdict, answer.reason, answer.alarm) == (Verdict.TRANSIENT, "certificate-invalid", True)
    assert other.attempts == 0


async def test_a_certificate_of_an_unknown_authority_is_refused(mail: MailDouble, tmp_path: Path) -> None:
    channel = to_mail(mail, tmp_path, tls=ssl.create_default_context())
    answer = await attempt(channel, MESSAGE, BODY)
    assert (answer.reason, mail.attempts) == ("certificate-invalid", 0)


async def test_tls_from_the_start(tmp_path: Path) -> None:
    async with mail_server(tls_from_start=True) as double:
        answer = await attempt(to_mail(double, tmp_path, is_tls_from_start=True), MESSAGE, BODY)
    assert (answer.verdict, len(double.taken)) == (Verdict.ACCEPTED, 1)


async def test_a_wrong_password_alarms_and_is_not_tried_again(mail: MailDouble, tmp_path: Path) -> None:
    answer = await attempt(to_mail(mail, tmp_path, password="wrong"), MESSAGE, BODY)
    assert (answer.verdict, answer.reason, answer.alarm) == (Verdict.PERMANENT, "authorization-failed", True)
    assert mail.attempts == 0


async def test_a_server_that_is_away_may_come_back(mail: MailDouble, tmp_path: Path) -> None:
    answer = await attempt(to_mail(mail, tmp_path, port=1), MESSAGE, BODY)
    assert answer.verdict is Verdict.TRANSIENT


SMS = outgoing(Channel.SMS, "+8613800138000")


@pytest.fixture
async def sms() -> AsyncIterator[GatewayDouble]:
    async with sms_gateway() as double:
        yield double


async def by_gateway(
    double: GatewayDouble, text: str, message: Outgoing | None = None, **changes: object
) -> Answer:
    gateway = Gateway(
        url=double.url,
        username=USERNAME,
        password=PASSWORD,
        sender="Coffer",
        report_url="http://127.0.0.1:8005",
        validity_minutes=240,
        seconds_max=10.0,
    )
    channel = KannelChannel(replace(gateway, **changes))  # type: ignore[arg-type]  # fields by name
    try:
        return await attempt(channel, message or SMS, text.encode())
    finally:
        await channel.close()


@pytest.mark.parametrize(("text", "coding"), [("Quota is low", "0"), ("可用额度不足", "2"), ("naïve", "2")])
async def test_an_sms_goes_out_in_the_coding_that_loses_nothing(
    sms: GatewayDouble, text: str, coding: str
) -> None:
    answer = await by_gateway(sms, text)
    assert (answer.verdict, answer.code) == (Verdict.ACCEPTED, 202)
    [taken] = sms.taken
    assert (taken.to, taken.text) == ("+8613800138000", text)
    assert taken.headers["content-type"] == "text/plain; charset=UTF-8"
    kannel = {name: value for name, value in taken.headers.items() if name.startswith("x-kannel")}
    assert kannel == {
        "x-kannel-username": USERNAME,
        "x-kannel-password": PASSWORD,
        "x-kannel-from": "Coffer",
        "x-kannel-to": "+8613800138000",
        "x-kannel-coding": coding,
        "x-kannel-validity": "240",
        "x-kannel-dlr-mask": "19",
        "x-kannel-dlr-url": "http://127.0.0.1:8005/sms-reports/token-1?status=%d&reply=%A",
    }


@pytest.mark.parametrize(("left", "minutes"), [(600, "10"), (86_400, "240"), (10, "1")])
async def test_an_sms_is_valid_no_longer_than_its_notice(sms: GatewayDouble, left: int, minutes: str) -> None:
    delivery = replace(SMS.delivery, expires_at=NOW + timedelta(seconds=left))
    await by_gateway(sms, "text", replace(SMS, delivery=delivery))
    assert sms.taken[0].headers["x-kannel-validity"] == minutes


@pytest.mark.parametrize(
    ("entry", "verdict", "arrived"),
    [
        ("202 3: Queued for later delivery", Verdict.ACCEPTED, 1),
        ("403 Authorization failed for sendsms", Verdict.PERMANENT, 0),
        ("403 Not routable. Do not try again.", Verdict.PERMANENT, 0),
        ("503 Temporal failure, try again later.", Verdict.TRANSIENT, 0),
        ("400 Missing receiver number, rejected", Verdict.PERMANENT, 0),
        ("429 slower", Verdict.TRANSIENT, 0),
        ("close", Verdict.UNCLEAR, 1),
        ("drop", Verdict.UNCLEAR, 0),
        ("hang", Verdict.UNCLEAR, 1),
    ],
)
async def test_what_the_gateway_answers(
    sms: GatewayDouble, entry: str, verdict: Verdict, arrived: int
) -> None:
    sms.answers.append(entry)
    answer = await by_gateway(sms, "text", seconds_max=BRIEFLY.get(entry, 10.0))
    assert (answer.verdict, len(sms.taken)) == (verdict, arrived)


async def test_a_gateway_that_is_away_has_nothing(sms: GatewayDouble) -> None:
    answer = await by_gateway(sms, "text", url="http://127.0.0.1:1/cgi-bin/sendsms")
    assert (answer.verdict, answer.reason) == (Verdict.TRANSIENT, "unreachable")


async def test_an_endless_answer_is_read_up_to_a_bound(sms: GatewayDouble) -> None:
    sms.answers.append("202 " + "x" * 1_000_000)
    answer = await by_gateway(sms, "text")
    assert (answer.verdict, len(answer.text)) == (Verdict.ACCEPTED, 4_096)


async def attempts(channel: SmtpChannel, *messages: Outgoing) -> list[Answer]:
    return [await attempt(channel, message, BODY) for message in messages]


async def test_a_connection_is_kept_for_the_next_mail(mail: MailDouble, tmp_path: Path) -> None:
    channel = to_mail(mail, tmp_path)
    answers = await attempts(channel, MESSAGE, outgoing(Channel.EMAIL, "wu@example.com"), MESSAGE)
    await channel.close()
    assert [answer.verdict for answer in answers] == [Verdict.ACCEPTED] * 3
    names = [taken.recipients[0].partition("@")[0] for taken in mail.taken]
    assert names == ["li.wei", "wu", "li.wei"]
    assert mail.connections == 1


async def test_a_refused_recipient_does_not_cost_the_connection(mail: MailDouble, tmp_path: Path) -> None:
    mail.rcpt.extend(["550 5.1.1 unknown", "250 taken", "451 4.3.0 later"])
    mail.data.append("554 5.7.1 spam")
    channel = to_mail(mail, tmp_path)
    answers = await attempts(channel, *[MESSAGE] * 4)
    await channel.close()
    assert [answer.code for answer in answers] == [550, 554, 451, 250]
    assert (mail.connections, len(mail.taken)) == (1, 1)


@pytest.mark.parametrize("how", ["421 4.4.2 idle for too long", "close"])
async def test_a_kept_connection_that_was_closed_is_replaced_unseen(
    mail: MailDouble, tmp_path: Path, how: str
) -> None:
    channel = to_mail(mail, tmp_path)
    first = await attempts(channel, MESSAGE)
    mail.rset.append(how)
    second = await attempts(channel, MESSAGE)
    await channel.close()
    assert [answer.verdict for answer in (*first, *second)] == [Verdict.ACCEPTED] * 2
    assert (mail.connections, len(mail.taken)) == (2, 2)


@pytest.mark.parametrize("reply", ["close", "hang"])
async def test_a_connection_that_fell_silent_is_not_kept(
    mail: MailDouble, tmp_path: Path, reply: str
) -> None:
    mail.data.append(reply)
    channel = to_mail(mail, tmp_path, seconds_max=BRIEFLY.get(reply, 10.0))
    answers = await attempts(channel, MESSAGE, MESSAGE)
    await channel.close()
    assert [answer.verdict for answer in answers] == [Verdict.UNCLEAR, Verdict.ACCEPTED]
    assert mail.connections == 2
