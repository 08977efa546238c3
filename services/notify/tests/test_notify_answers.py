"""What providers' answers mean."""

import pytest
from notify.domain.answers import (
    ReportMeaning,
    Stage,
    Verdict,
    encryption_fault,
    gateway_answer,
    gateway_report,
    gateway_silence,
    gateway_unreachable,
    redacted,
    smtp_answer,
    smtp_silence,
)


@pytest.mark.parametrize(
    ("stage", "code", "verdict", "reason", "alarm"),
    [
        (Stage.DATA, 250, Verdict.ACCEPTED, "accepted", False),
        (Stage.CONNECT, 421, Verdict.TRANSIENT, "temporarily-refused", False),
        (Stage.CONNECT, 554, Verdict.PERMANENT, "server-refused", False),
        (Stage.TLS, 454, Verdict.TRANSIENT, "encryption-unavailable", True),
        (Stage.TLS, 502, Verdict.TRANSIENT, "encryption-unavailable", True),
        (Stage.LOGIN, 535, Verdict.PERMANENT, "authorization-failed", True),
        (Stage.LOGIN, 454, Verdict.TRANSIENT, "temporarily-refused", False),
        (Stage.SENDER, 530, Verdict.PERMANENT, "authorization-failed", True),
        (Stage.SENDER, 550, Verdict.PERMANENT, "sender-refused", True),
        (Stage.RECIPIENT, 421, Verdict.TRANSIENT, "temporarily-refused", False),
        (Stage.RECIPIENT, 450, Verdict.TRANSIENT, "temporarily-refused", False),
        (Stage.RECIPIENT, 451, Verdict.TRANSIENT, "temporarily-refused", False),
        (Stage.RECIPIENT, 452, Verdict.TRANSIENT, "temporarily-refused", False),
        (Stage.RECIPIENT, 550, Verdict.PERMANENT, "recipient-refused", False),
        (Stage.DATA, 451, Verdict.TRANSIENT, "temporarily-refused", False),
        (Stage.DATA, 552, Verdict.PERMANENT, "message-refused", False),
        (Stage.DATA, 554, Verdict.PERMANENT, "message-refused", False),
    ],
)
def test_smtp_codes(stage: Stage, code: int, verdict: Verdict, reason: str, alarm: bool) -> None:
    answer = smtp_answer(stage, code, "words")
    assert (answer.verdict, answer.reason, answer.alarm) == (verdict, reason, alarm)
    assert (answer.code, answer.text) == (code, "words")


@pytest.mark.parametrize("stage", list(Stage))
def test_silence_is_unclear_only_from_data_on(stage: Stage) -> None:
    expected = Verdict.UNCLEAR if stage is Stage.DATA else Verdict.TRANSIENT
    assert smtp_silence(stage, "closed").verdict is expected


def test_without_encryption_nothing_is_sent_and_somebody_is_alarmed() -> None:
    answer = encryption_fault("certificate-invalid", "expired")
    assert (answer.verdict, answer.alarm) == (Verdict.TRANSIENT, True)


@pytest.mark.parametrize(
    ("status", "body", "verdict", "reason", "alarm"),
    [
        (202, "0: Accepted for delivery", Verdict.ACCEPTED, "accepted", False),
        (202, "3: Queued for later delivery", Verdict.ACCEPTED, "accepted", False),
        (403, "Authorization failed for sendsms", Verdict.PERMANENT, "authorization-failed", True),
        (401, "", Verdict.PERMANENT, "authorization-failed", True),
        (403, "Not routable. Do not try again.", Verdict.PERMANENT, "not-routable", False),
        (503, "Temporal failure, try again later.", Verdict.TRANSIENT, "temporarily-refused", False),
        (429, "slower", Verdict.TRANSIENT, "temporarily-refused", False),
        (500, "", Verdict.TRANSIENT, "temporarily-refused", False),
        (504, "the gateway behind did not answer", Verdict.UNCLEAR, "no-answer", False),
        (400, "Missing receiver number, rejected", Verdict.PERMANENT, "request-refused", True),
        (302, "", Verdict.PERMANENT, "request-refused", True),
    ],
)
def test_gateway_answers(status: int, body: str, verdict: Verdict, reason: str, alarm: bool) -> None:
    answer = gateway_answer(status, body)
    assert (answer.verdict, answer.reason, answer.alarm) == (verdict, reason, alarm)


def test_only_a_connection_never_made_proves_that_the_gateway_has_nothing() -> None:
    assert gateway_unreachable("ConnectError").verdict is Verdict.TRANSIENT
    assert gateway_silence("ReadTimeout").verdict is Verdict.UNCLEAR


@pytest.mark.parametrize(
    ("status", "reply", "meaning"),
    [
        (1, "id:1 stat:DELIVRD", ReportMeaning.DELIVERED),
        (2, "id:1 stat:UNDELIV err:001", ReportMeaning.UNDELIVERED),
        (2, "id:1 stat:UNKNOWN", ReportMeaning.UNCLEAR),
        (4, "BUFFERED", ReportMeaning.ON_ITS_WAY),
        (8, "ACK/", ReportMeaning.ON_ITS_WAY),
        (16, "NACK/Rejected", ReportMeaning.UNDELIVERED),
        (16, "NACK/Retries Exceeded", ReportMeaning.UNCLEAR),
        (32, "", ReportMeaning.ON_ITS_WAY),
    ],
)
def test_gateway_reports(status: int, reply: str, meaning: ReportMeaning) -> None:
    assert gateway_report(status, reply).meaning is meaning


@pytest.mark.parametrize(
    ("text", "address", "expected"),
    [
        ("5.1.1 <Li.Wei@Example.com>: unknown", "li.wei@example.com", "5.1.1 <***>: unknown"),
        ("user li.wei unknown\r\nhere", "li.wei@example.com", "user *** unknown  here"),
        ("no route to 8613800138000", "+8613800138000", "no route to ***"),
        ("at a@example.com", "a@example.com", "at ***"),
    ],
)
def test_an_answer_is_kept_without_the_address_it_repeats(text: str, address: str, expected: str) -> None:
    assert redacted(text, address) == expected


def test_an_answer_is_kept_up_to_a_bound() -> None:
    assert len(redacted("x" * 1_000_000, "a@example.com")) == 500
