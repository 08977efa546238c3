"""Writes the message of a delivery: the same bytes at every attempt, except for codes, which are always new."""

import secrets
from dataclasses import dataclass, field, replace
from hashlib import sha256
from random import Random
from typing import Any, Final

import orjson

from notify.domain.announcements import VERIFICATION_CODE
from notify.domain.contexts import place_name, words
from notify.domain.delivery import Channel, Role
from notify.domain.outgoing import Outgoing
from notify.domain.places import is_account
from notify.domain.templates import Style, Template, TemplateBook, style_of
from notify.domain.verification import CODE_DIGITS, SALT_BYTES, HashedCode, code_text
from notify.domain.words import phrase
from notify.rendering import (
    Letter,
    NotRenderable,
    Reader,
    code_words,
    composed,
    mail_bytes,
    message_id,
    sms_text,
    thread_id,
)

LINK_BYTES: Final = 24
ACKNOWLEDGE_PATH: Final = "/a/"
"""Short, for it stands in SMS too."""
VERIFY_PATH: Final = "/verify/"


@dataclass(frozen=True, slots=True)
class Message:
    """What goes out. A message with a code is not kept: only the hashes of its code and of its link are."""

    body: bytes
    code: HashedCode | None = None
    link_hash: bytes | None = None

    @property
    def kept_body(self) -> bytes | None:
        return None if self.code else self.body


def sample_link(public_url: str) -> str:
    """A link to acknowledge by as it looks in a message, for counting; it opens nothing."""
    return public_url.rstrip("/") + ACKNOWLEDGE_PATH + "x" * 16


def link_hash(token: str) -> bytes:
    """What is kept of the token in a link."""
    return sha256(token.encode()).digest()


@dataclass(slots=True)
class Writer:
    """Writes messages; `sender` is the From of e-mails, `public_url` where people reach this service."""

    sender: str
    public_url: str = "http://127.0.0.1:8005"
    book: TemplateBook = field(default_factory=TemplateBook)

    def write(self, outgoing: Outgoing, random: Random) -> Message:
        """The message of an attempt; raises NotRenderable."""
        if outgoing.body is not None:
            return Message(outgoing.body)
        if outgoing.delivery.kind == VERIFICATION_CODE:
            return self._code(outgoing, random)
        return Message(self._notice(outgoing))

    def _code(self, outgoing: Outgoing, random: Random) -> Message:
        code = code_text(random.randrange(10**CODE_DIGITS))
        reader, hashed_link = self._reader(outgoing), None
        if outgoing.delivery.channel is Channel.EMAIL:
            token = secrets.token_urlsafe(LINK_BYTES)
            hashed_link = link_hash(token)
            link = self.public_url + VERIFY_PATH + token
            reader = replace(reader, link=link, link_text=phrase("verify", outgoing.language))
        template = self._template(outgoing)
        body = self._written(outgoing, template, code_words(code), reader)
        return Message(body, HashedCode.of(code, random.randbytes(SALT_BYTES)), hashed_link)

    def _notice(self, outgoing: Outgoing) -> bytes:
        if outgoing.delivery.channel is Channel.WEBHOOK:
            return self._webhook(outgoing)
        reader = self._reader(outgoing)
        found = words(
            outgoing.delivery.kind, outgoing.event_type, outgoing.data, reader.reading(outgoing.account_name)
        )
        return self._written(outgoing, self._template(outgoing), found, reader)

    def _template(self, outgoing: Outgoing) -> Template:
        kind, style = outgoing.template or outgoing.delivery.kind, style_of(outgoing.delivery.channel)
        template = self.book.find(kind, style, outgoing.language)
        if template is None:
            raise NotRenderable("no-template", f"{kind}, {style}, {outgoing.language}")
        return template

    def _written(self, outgoing: Outgoing, template: Template, found: Any, reader: Reader) -> bytes:
        kind = outgoing.delivery.kind
        if template.key.style is Style.SMS:
            return sms_text(template, kind, found, reader).encode()
        content = composed(template, kind, found, reader)
        if template.key.style is Style.EMAIL:
            return mail_bytes(content, self._letter(outgoing), outgoing.language)
        return orjson.dumps({"subject": content.subject, "text": content.text})

    def _reader(self, outgoing: Outgoing) -> Reader:
        language = outgoing.language
        is_customer = is_account(outgoing.delivery.contact_place)
        link = None
        if outgoing.acknowledge_token:
            link = self.public_url + ACKNOWLEDGE_PATH + outgoing.acknowledge_token
        return Reader(
            name=outgoing.name,
            language=language,
            time_zone=outgoing.time_zone,
            place=place_name(outgoing.delivery.account, outgoing.account_name) if is_customer else "",
            marks=self._marks(outgoing),
            link=link,
            link_text=phrase("acknowledge", language) if link else "",
        )

    def _marks(self, outgoing: Outgoing) -> str:
        language = outgoing.language
        marks = [phrase("repeat", language)] if outgoing.is_repeat else []
        if outgoing.delivery.role is Role.ESCALATION:
            marks.append(phrase("escalation", language))
        if outgoing.reminder:
            marks.append(phrase("again", language, number=outgoing.reminder))
        return "".join(marks)

    def _letter(self, outgoing: Outgoing) -> Letter:
        episode, delivery = outgoing.episode_id, outgoing.delivery
        thread = None
        if episode:
            thread = thread_id(
                delivery.account, outgoing.family, outgoing.currency or "", episode, self.sender
            )
        return Letter(
            sender=self.sender,
            recipient_name=outgoing.name,
            address=outgoing.address,
            message_id=message_id(delivery.repeat_of or delivery.id, self.sender),
            thread_id=thread,
            date=outgoing.claimed_at,
            is_repeat=outgoing.is_repeat,
        )

    def _webhook(self, outgoing: Outgoing) -> bytes:
        """The event itself, for programs: type, time and data as the Standard Webhooks specification has them."""
        return orjson.dumps(
            {
                "type": outgoing.delivery.kind,
                "timestamp": outgoing.occurred_at.isoformat(),
                "data": {
                    "event_type": outgoing.event_type,
                    "event": orjson.loads(outgoing.data),
                    "recipient": outgoing.delivery.recipient,
                    "account": outgoing.delivery.account,
                },
            }
        )
