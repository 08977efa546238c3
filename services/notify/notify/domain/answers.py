"""What providers answer, and what it means: accepted, may pass, never passes, or nobody can tell."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

ANSWER_CHARACTERS_MAX: Final = 500
LOCAL_PART_LEGIBLE_MAX: Final = 3
"""A shorter part before the @ is left standing: it occurs in ordinary words."""


class Verdict(StrEnum):
    ACCEPTED = "accepted"
    TRANSIENT = "transient"
    PERMANENT = "permanent"
    UNCLEAR = "unclear"


class Stage(StrEnum):
    """The step of an SMTP dialogue that was answered, or was not."""

    CONNECT = "connect"
    TLS = "tls"
    LOGIN = "login"
    SENDER = "sender"
    RECIPIENT = "recipient"
    DATA = "data"


@dataclass(frozen=True, slots=True)
class Answer:
    """A provider's answer. `reason` is stable, `text` its own words; `alarm` says that an operator must act.

    `is_fault` says that the provider itself is unwell, whoever the recipient: its breaker counts these.
    """

    verdict: Verdict
    reason: str
    code: int | None = None
    text: str = ""
    alarm: bool = False
    is_fault: bool = False


class ReportMeaning(StrEnum):
    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"
    UNCLEAR = "unclear"
    ON_ITS_WAY = "on-its-way"


@dataclass(frozen=True, slots=True)
class Report:
    """What an SMS gateway reports about a message after it took it."""

    meaning: ReportMeaning
    reason: str


REFUSAL_REASONS: Final = {
    Stage.CONNECT: "server-refused",
    Stage.TLS: "encryption-unavailable",
    Stage.LOGIN: "authorization-failed",
    Stage.SENDER: "sender-refused",
    Stage.RECIPIENT: "recipient-refused",
    Stage.DATA: "message-refused",
}
OWN_STAGES: Final = frozenset({Stage.CONNECT, Stage.TLS, Stage.LOGIN, Stage.SENDER})
"""Steps at which the server has not heard of any recipient yet."""
AUTHORIZATION_CODES: Final = frozenset({530, 534, 535, 538})


def smtp_answer(stage: Stage, code: int, text: str) -> Answer:
    """The meaning of a numeric SMTP answer: 4xx may pass, 5xx does not, wherever it comes."""
    if stage is Stage.DATA and 200 <= code < 300:
        return Answer(Verdict.ACCEPTED, "accepted", code, text)
    if code in AUTHORIZATION_CODES:
        return Answer(Verdict.PERMANENT, REFUSAL_REASONS[Stage.LOGIN], code, text, alarm=True, is_fault=True)
    is_fault = stage in OWN_STAGES or code == 421
    if stage is Stage.TLS:
        return Answer(Verdict.TRANSIENT, REFUSAL_REASONS[stage], code, text, alarm=True, is_fault=True)
    if 500 <= code < 600:
        alarm = stage is Stage.SENDER
        return Answer(Verdict.PERMANENT, REFUSAL_REASONS[stage], code, text, alarm=alarm, is_fault=is_fault)
    return Answer(Verdict.TRANSIENT, "temporarily-refused", code, text, is_fault=is_fault)


def smtp_silence(stage: Stage, text: str) -> Answer:
    """No numeric answer: before DATA nothing was taken; from DATA on nobody can tell."""
    verdict = Verdict.UNCLEAR if stage is Stage.DATA else Verdict.TRANSIENT
    return Answer(verdict, "no-answer", text=text, is_fault=True)


def encryption_fault(reason: str, text: str) -> Answer:
    """No encrypted connection to be had. Nothing was sent, so it is tried again, slowly, and somebody is alarmed."""
    return Answer(Verdict.TRANSIENT, reason, text=text, alarm=True, is_fault=True)


def gateway_answer(status: int, body: str) -> Answer:
    """The meaning of the SMS gateway's HTTP answer, as Kannel's sendsms gives it."""
    if 200 <= status < 300:
        return Answer(Verdict.ACCEPTED, "accepted", status, body)
    if status in (401, 403) and "routable" not in body.lower():
        return Answer(Verdict.PERMANENT, "authorization-failed", status, body, alarm=True, is_fault=True)
    if status == 504:
        return Answer(Verdict.UNCLEAR, "no-answer", status, body, is_fault=True)
    if status in (408, 429) or status >= 500:
        return Answer(Verdict.TRANSIENT, "temporarily-refused", status, body, is_fault=True)
    reason = "not-routable" if status == 403 else "request-refused"
    return Answer(Verdict.PERMANENT, reason, status, body, alarm=status != 403)


def gateway_unreachable(text: str) -> Answer:
    """No connection was made, so the gateway has seen nothing."""
    return Answer(Verdict.TRANSIENT, "unreachable", text=text, is_fault=True)


def gateway_silence(text: str) -> Answer:
    """The request went out, or some of it, and no answer came back."""
    return Answer(Verdict.UNCLEAR, "no-answer", text=text, is_fault=True)


def webhook_answer(status: int, body: str) -> Answer:
    """The meaning of a webhook's HTTP answer (Standard Webhooks): 2xx taken, 410 wants no more, 429 and 5xx later.

    The id goes with every attempt and lets the receiver drop what it has, so that nothing here is unclear.
    """
    if 200 <= status < 300:
        return Answer(Verdict.ACCEPTED, "accepted", status, body)
    if status in (408, 425, 429) or status >= 500:
        return Answer(Verdict.TRANSIENT, "temporarily-refused", status, body)
    reason = "endpoint-gone" if status == 410 else "request-refused"
    return Answer(Verdict.PERMANENT, reason, status, body)


def webhook_silence(text: str) -> Answer:
    """No answer: it is safe to ask again, for the receiver knows the id."""
    return Answer(Verdict.TRANSIENT, "no-answer", text=text)


def catalogue_answer(is_taken: bool) -> Answer:
    """The meaning of Apprise's single word: its no may be a refusal, a silence, or a part that went out."""
    if is_taken:
        return Answer(Verdict.ACCEPTED, "accepted")
    return Answer(Verdict.UNCLEAR, "refused-or-lost", is_fault=True)


def gateway_report(status: int, reply: str) -> Report:
    """The meaning of Kannel's delivery report: 1 delivered, 2 failed, 4 buffered, 8 taken by the SMSC, 16 rejected."""
    words = reply.lower()
    match status:
        case 1:
            return Report(ReportMeaning.DELIVERED, "delivered")
        case 2 if "stat:unknown" in words:
            return Report(ReportMeaning.UNCLEAR, "report-unknown")
        case 2:
            return Report(ReportMeaning.UNDELIVERED, "not-delivered")
        case 16 if "retries exceeded" in words:
            return Report(ReportMeaning.UNCLEAR, "retries-exceeded")
        case 16:
            return Report(ReportMeaning.UNDELIVERED, "rejected")
        case _:
            return Report(ReportMeaning.ON_ITS_WAY, "on-its-way")


def redacted(text: str, address: str) -> str:
    """A provider's words, bounded, in one line and without the recipient's address that they like to repeat."""
    words = "".join(character if character.isprintable() else " " for character in text)
    local_part = address.partition("@")[0]
    secrets = [
        address,
        address.lstrip("+"),
        *([local_part] if len(local_part) > LOCAL_PART_LEGIBLE_MAX else []),
    ]
    pattern = "|".join(re.escape(secret) for secret in secrets if secret)
    return re.sub(pattern, "***", words, flags=re.IGNORECASE)[:ANSWER_CHARACTERS_MAX]
