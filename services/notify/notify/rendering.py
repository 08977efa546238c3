"""From a notice and its recipient to the text of an SMS or the bytes of an e-mail."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from functools import cache
from typing import Final
from uuid import UUID, uuid5

from contracts.quota_low import QuotaTerms
from jinja2 import PackageLoader, StrictUndefined, TemplateError, TemplateNotFound
from jinja2.sandbox import ImmutableSandboxedEnvironment

from contracts import QuotaLow
from notify.domain.sms import segments
from notify.domain.verification import CODE_VALID
from notify.domain.wording import amount, inert, language_chain, moment

SMS_SEGMENTS_MAX: Final = 8
"""Below the gateway's own limit, behind which it cuts a text without a word."""
SUBJECT_CHARACTERS_MAX: Final = 200
THREADS: Final = UUID("5c1b8c8e-6a57-4f0e-8f43-0b1d40a3a6f5")

Context = Mapping[str, str | int | bool]


class NotRenderable(Exception):
    """A notice that cannot become a text: a template is missing or wrong, or the text is too long."""

    def __init__(self, reason: str, detail: str) -> None:
        self.reason = reason
        super().__init__(f"{reason}: {detail}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """What an e-mail has besides its text."""

    sender: str
    recipient_name: str
    address: str
    message_id: str
    thread_id: str | None
    date: datetime
    is_repeat: bool


@cache
def environment() -> ImmutableSandboxedEnvironment:
    return ImmutableSandboxedEnvironment(
        loader=PackageLoader("notify"),
        undefined=StrictUndefined,
        autoescape=lambda name: name is not None and name.endswith(".html"),
        trim_blocks=True,
        lstrip_blocks=True,
    )


def quota_low_context(data: bytes, *, account_name: str, name: str, language: str, time_zone: str) -> Context:
    """The words of a quota-low notice for one recipient: every value is an inert text."""
    event: QuotaLow = QuotaLow.adapter.validate_json(data)
    terms = {field.name: getattr(event.terms, field.name) for field in fields(QuotaTerms)}
    amounts = {**terms, "quota": event.quota, "threshold": event.threshold}
    return {
        **{term: amount(money.amount, money.currency) for term, money in amounts.items()},
        "account": inert(account_name or event.account),
        "name": inert(name),
        "at": moment(event.occurred_at, time_zone, language),
        "reminder_number": event.reminder_number,
    }


def code_context(code: str, name: str) -> Context:
    return {"code": code, "name": inert(name), "minutes": int(CODE_VALID.total_seconds()) // 60}


def sms_text(kind: str, language: str, context: Context, *, is_repeat: bool) -> str:
    """The text of an SMS; raises NotRenderable, also when it would take too many segments."""
    text = _rendered(kind, "sms.txt", language, context, is_repeat)
    count = segments(text).count
    if count > SMS_SEGMENTS_MAX:
        raise NotRenderable(
            "too-long", f"{kind} in {language} takes {count} segments, at most {SMS_SEGMENTS_MAX}"
        )
    return text


def mail_bytes(kind: str, language: str, context: Context, letter: Letter) -> bytes:
    """A whole e-mail as it goes over the wire: the same arguments always give the same bytes."""
    subject, _, text = _rendered(kind, "mail.txt", language, context, letter.is_repeat).partition("\n")
    html = _rendered(kind, "mail.html", language, context, letter.is_repeat)
    message = EmailMessage(policy=SMTP)
    message["From"] = letter.sender
    message["To"] = Address(display_name=inert(letter.recipient_name), addr_spec=letter.address)
    message["Subject"] = inert(subject, SUBJECT_CHARACTERS_MAX)
    message["Date"] = format_datetime(letter.date)
    message["Message-ID"] = letter.message_id
    if letter.thread_id is not None:
        message["References"] = letter.thread_id
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(text.lstrip("\n"), cte="base64")
    message.add_alternative(html, subtype="html", cte="base64")
    message["Content-Language"] = language
    message.set_boundary(f"=_{letter.message_id.strip('<>').partition('@')[0]}_{int(letter.is_repeat)}")
    return message.as_bytes()


def message_id(delivery: UUID, sender: str) -> str:
    """The Message-ID of a delivery, the same for every attempt."""
    return f"<{delivery}@{_domain(sender)}>"


def thread_id(account: str, currency: str, episode_id: str, sender: str) -> str:
    """What all notices of one episode refer to, so that a mail program shows them as one thread."""
    return f"<{uuid5(THREADS, f'{account}/{currency}/{episode_id}')}@{_domain(sender)}>"


def _domain(sender: str) -> str:
    return sender.rstrip("> ").rpartition("@")[2]


def _rendered(kind: str, part: str, language: str, context: Context, is_repeat: bool) -> str:
    names = [f"{candidate}/{kind}.{part}" for candidate in language_chain(language)]
    try:
        template = environment().select_template(names)
        return template.render(context, language=language, repeat=is_repeat).strip()
    except TemplateNotFound:
        raise NotRenderable("no-template", f"{kind}.{part} in {language}") from None
    except TemplateError as error:
        raise NotRenderable("template-failed", f"{kind}.{part} in {language}: {error.message}") from None
