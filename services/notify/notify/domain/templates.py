"""Templates of notices: by kind, style and language, each with its versions; checked before they are kept."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from notify.domain.announcements import DIGEST
from notify.domain.delivery import Channel
from notify.domain.wording import language_chain

SUBJECT_CHARACTERS_MAX: Final = 300
TEXT_CHARACTERS_MAX: Final = 10_000


class Style(StrEnum):
    """How a channel wants its text: short, as a letter, or as a message with a title."""

    SMS = "sms"
    EMAIL = "email"
    CHAT = "chat"


def style_of(channel: Channel) -> Style:
    if channel in (Channel.SMS, Channel.TWILIO):
        return Style.SMS
    return Style.EMAIL if channel is Channel.EMAIL else Style.CHAT


@dataclass(frozen=True, slots=True)
class TemplateKey:
    kind: str
    style: Style
    language: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """One version of a text. `html`, if given, replaces what an e-mail's layout makes of `text`."""

    key: TemplateKey
    version: int
    subject: str
    text: str
    html: str | None = None


def template_kind(kind: str) -> str:
    """The kind whose texts a delivery of this kind uses: all digests share one."""
    return DIGEST if kind.startswith(DIGEST) else kind


class TemplateBook:
    """The newest version of every template."""

    def __init__(self, templates: Iterable[Template] = (), *, number: int = 0) -> None:
        self.number = number
        self._templates: Mapping[TemplateKey, Template] = {template.key: template for template in templates}

    def find(self, kind: str, style: Style, language: str) -> Template | None:
        """The template in the reader's language, else in the next best one."""
        keys = (TemplateKey(template_kind(kind), style, language) for language in language_chain(language))
        return next((self._templates[key] for key in keys if key in self._templates), None)
