"""The local mail server: nothing without STARTTLS and AUTH, all that came is kept, faults on order."""

import smtplib
import ssl
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest

from ops.local.faults import Fault
from ops.local.ports import Ports
from ops.local.sinks import MailServer


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MailServer]:
    running = MailServer(tmp_path_factory.mktemp("mail"), Ports.free())
    running.start()
    yield running
    running.stop()


@pytest.fixture(autouse=True)
def _clean(server: MailServer) -> None:
    server.clear()
    server.clear_faults()


def connected(server: MailServer) -> smtplib.SMTP:
    return smtplib.SMTP("127.0.0.1", server.smtp_port, timeout=10)


def signed_in(server: MailServer) -> smtplib.SMTP:
    environment = server.environment()
    client = connected(server)
    client.starttls(context=ssl.create_default_context(cafile=environment["COFFER_SMTP_CA_FILE"]))
    client.login(environment["COFFER_SMTP_USERNAME"], environment["COFFER_SMTP_PASSWORD"])
    return client


def a_mail(to: str = "ann@example.test") -> EmailMessage:
    message = EmailMessage()
    message["From"] = "notices@coffer.local"
    message["To"] = to
    message["Subject"] = "余额不足 quota low"
    message["Message-ID"] = "<1@coffer.local>"
    message.set_content("可用额度 12.50 CNY\n")
    message.add_alternative("<p>可用额度</p>", subtype="html")
    return message


def test_a_mail_is_kept_and_can_be_read(server: MailServer) -> None:
    with signed_in(server) as client:
        client.send_message(a_mail())
    [received] = server.wait_for("ann@example.test")
    assert received["subject"] == "余额不足 quota low"
    assert received["text"] == "可用额度 12.50 CNY"
    assert (received["to"], received["message_id"]) == ("ann@example.test", "<1@coffer.local>")
    assert b"Message-ID: <1@coffer.local>" in server.content(received["number"])


def test_without_starttls_no_sender_is_taken(server: MailServer) -> None:
    with connected(server) as client:
        client.ehlo()
        assert client.mail("notices@coffer.local")[0] == 530


def test_without_a_login_no_sender_is_taken(server: MailServer) -> None:
    with connected(server) as client:
        client.starttls(
            context=ssl.create_default_context(cafile=server.environment()["COFFER_SMTP_CA_FILE"])
        )
        client.ehlo()
        assert client.mail("notices@coffer.local")[0] == 530


def test_a_wrong_password_is_answered(server: MailServer) -> None:
    with connected(server) as client:
        client.starttls(
            context=ssl.create_default_context(cafile=server.environment()["COFFER_SMTP_CA_FILE"])
        )
        with pytest.raises(smtplib.SMTPAuthenticationError) as refusal:
            client.login("coffer", "wrong")
    assert refusal.value.smtp_code == 535


def test_the_certificate_is_not_trusted_by_itself(server: MailServer) -> None:
    with connected(server) as client, pytest.raises(ssl.SSLCertVerificationError):
        client.starttls(context=ssl.create_default_context())


def test_an_ordered_answer_comes_once_and_the_mail_is_not_kept(server: MailServer) -> None:
    server.order_fault(Fault(phase="data", to="ann@", answer="451 4.3.0 try again"))
    with signed_in(server) as client:
        with pytest.raises(smtplib.SMTPDataError) as refusal:
            client.send_message(a_mail())
        assert refusal.value.smtp_code == 451
        assert server.messages() == []
        client.send_message(a_mail())
    assert len(server.messages()) == 1


def test_a_recipient_can_be_refused_for_good(server: MailServer) -> None:
    server.order_fault(Fault(phase="rcpt", to="gone@", answer="550 5.1.1 no such user", times=0))
    with signed_in(server) as client:
        for _attempt in range(2):
            with pytest.raises(smtplib.SMTPRecipientsRefused):
                client.send_message(a_mail("gone@example.test"))


def test_a_connection_cut_after_the_final_dot_leaves_the_mail_kept_if_so_ordered(server: MailServer) -> None:
    server.order_fault(Fault(phase="data", close=True, keep=True))
    client = signed_in(server)
    with pytest.raises((smtplib.SMTPServerDisconnected, OSError)):
        client.send_message(a_mail())
    client.close()
    assert len(server.wait_for("ann@")) == 1


def test_what_was_received_survives_a_kill(server: MailServer, tmp_path: Path) -> None:
    with signed_in(server) as client:
        client.send_message(a_mail("bob@example.test"))
    server.kill()
    assert [mail["to"] for mail in server.messages()] == ["bob@example.test"]
    server.start()
    with signed_in(server) as client:
        client.send_message(a_mail("eve@example.test"))
    assert [mail["number"] for mail in server.messages()] == [1, 2]
