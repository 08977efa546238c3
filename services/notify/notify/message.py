"""Writes the message of a delivery: the same bytes at every attempt, except for codes, which are always new."""

from dataclasses import dataclass
from random import Random

from notify.domain.delivery import Channel
from notify.domain.outgoing import Outgoing
from notify.domain.planning import VERIFICATION_CODE
from notify.domain.verification import CODE_DIGITS, SALT_BYTES, HashedCode, code_text
from notify.rendering import (
    Context,
    Letter,
    code_context,
    mail_bytes,
    message_id,
    quota_low_context,
    sms_text,
    thread_id,
)


@dataclass(frozen=True, slots=True)
class Message:
    """What goes out. A message with a code is not kept: only the hash of its code is."""

    body: bytes
    code: HashedCode | None = None

    @property
    def kept_body(self) -> bytes | None:
        return None if self.code else self.body


class Writer:
    """Writes messages; `sender` is the From of e-mails."""

    def __init__(self, sender: str) -> None:
        self.sender = sender

    def write(self, outgoing: Outgoing, random: Random) -> Message:
        """The message of an attempt; raises NotRenderable."""
        if outgoing.body is not None:
            return Message(outgoing.body)
        if outgoing.delivery.kind == VERIFICATION_CODE:
            code = code_text(random.randrange(10**CODE_DIGITS))
            body = self._body(outgoing, code_context(code, outgoing.name))
            return Message(body, HashedCode.of(code, random.randbytes(SALT_BYTES)))
        context = quota_low_context(
            outgoing.data,
            account_name=outgoing.account_name,
            name=outgoing.name,
            language=outgoing.language,
            time_zone=outgoing.time_zone,
        )
        return Message(self._body(outgoing, context))

    def _body(self, outgoing: Outgoing, context: Context) -> bytes:
        kind = outgoing.delivery.kind
        if outgoing.delivery.channel is Channel.SMS:
            return sms_text(kind, outgoing.language, context, is_repeat=outgoing.is_repeat).encode()
        return mail_bytes(kind, outgoing.language, context, self._letter(outgoing))

    def _letter(self, outgoing: Outgoing) -> Letter:
        episode = outgoing.episode_id
        thread = (
            thread_id(outgoing.delivery.account, outgoing.currency or "", episode, self.sender)
            if episode
            else None
        )
        return Letter(
            sender=self.sender,
            recipient_name=outgoing.name,
            address=outgoing.address,
            message_id=message_id(outgoing.delivery.repeat_of or outgoing.delivery.id, self.sender),
            thread_id=thread,
            date=outgoing.claimed_at,
            is_repeat=outgoing.is_repeat,
        )
