"""From a template and a notice's words to the text of an SMS, of a chat message, or the bytes of an e-mail."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from functools import cache, lru_cache
from typing import Final
from uuid import UUID, uuid5

from jinja2 import PackageLoader, StrictUndefined, TemplateError, meta, nodes
from jinja2 import Template as Compiled
from jinja2.sandbox import ImmutableSandboxedEnvironment
from markupsafe import Markup

from notify.domain.contexts import Context, Reading, Row, Words, words
from notify.domain.samples import ACCOUNT_NAME, SAMPLES
from notify.domain.sms import segments
from notify.domain.templates import Style, Template, template_kind
from notify.domain.verification import CODE_VALID
from notify.domain.wording import inert
from notify.domain.words import digest_title, label, phrase

SMS_SEGMENTS_MAX: Final = 8
"""Below the gateway's own limit, behind which it cuts a text without a word."""
SUBJECT_CHARACTERS_MAX: Final = 200
RENDERED_CHARACTERS_MAX: Final = 50_000
THREADS: Final = UUID("5c1b8c8e-6a57-4f0e-8f43-0b1d40a3a6f5")
TABLE: Final = "\x02"
"""Stands for the table while a text is rendered: no data can contain it, for data is inert."""
COMMON: Final = frozenset({"name", "table", "language"})
LINE_BYTES: Final = 76
ONE_LINE: Final = SMTP.clone(max_line_length=998)


class NotRenderable(Exception):
    """A notice that cannot become a text: a template is missing or wrong, or the text is too long."""

    def __init__(self, reason: str, detail: str) -> None:
        self.reason = reason
        self.detail = detail
        super().__init__(f"{reason}: {detail}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Who a text is written for, and what stands around it."""

    name: str
    language: str
    time_zone: str
    place: str = ""
    marks: str = ""
    """What is put in front of subject and SMS: repeated, escalated."""
    link: str | None = None
    link_text: str = ""

    def reading(self, account_name: str) -> Reading:
        return Reading(language=self.language, time_zone=self.time_zone, account_name=account_name)

    @property
    def greeting(self) -> str:
        return phrase("greeting", self.language, name=inert(self.name) or phrase("no-name", self.language))

    @property
    def footer(self) -> str:
        if not self.place:
            return phrase("footer-company", self.language)
        return phrase("footer", self.language, place=self.place)


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


@dataclass(frozen=True, slots=True)
class Composed:
    """A text in all its parts."""

    subject: str
    text: str
    html: str


@cache
def _environment(*, escapes: bool) -> ImmutableSandboxedEnvironment:
    return ImmutableSandboxedEnvironment(
        loader=PackageLoader("notify") if escapes else None,
        undefined=StrictUndefined,
        autoescape=escapes,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@lru_cache(maxsize=2_000)
def _compiled(source: str, *, escapes: bool) -> Compiled:
    return _environment(escapes=escapes).from_string(source)


@cache
def _layout() -> Compiled:
    return _environment(escapes=True).get_template("layout.html")


def _filled(what: str, source: str, variables: Mapping[str, object], *, escapes: bool = False) -> str:
    try:
        rendered = _compiled(source, escapes=escapes).render(variables)
    except (TemplateError, TypeError, ValueError, ArithmeticError, RecursionError, MemoryError) as error:
        raise NotRenderable("template-failed", f"{what}: {error}"[:300]) from None
    if len(rendered) > RENDERED_CHARACTERS_MAX:
        raise NotRenderable("too-long", f"{what} has {len(rendered)} characters")
    return rendered.strip()


def variables_of(kind: str, found: Words, reader: Reader) -> Context:
    """All that a template of this kind may use, `table` aside."""
    extra: dict[str, str | int] = {"name": inert(reader.name), "language": reader.language}
    if template_kind(kind) != kind:
        extra["title"] = digest_title(kind.partition("-")[2], reader.language)
    return {**found.variables, **extra}


def sms_text(template: Template, kind: str, found: Words, reader: Reader) -> str:
    """The text of an SMS; raises NotRenderable, also when it would take too many segments."""
    text = reader.marks + _filled("text", template.text, variables_of(kind, found, reader))
    count = segments(text).count
    if count > SMS_SEGMENTS_MAX:
        raise NotRenderable("too-long", f"{kind} takes {count} segments, at most {SMS_SEGMENTS_MAX}")
    return _with_link(text, reader)


def _with_link(text: str, reader: Reader) -> str:
    """The SMS with its link, where there is room for it: a notice without one is better than none."""
    if not reader.link:
        return text
    longer = text + phrase("acknowledge-sms", reader.language) + reader.link
    return longer if segments(longer).count <= SMS_SEGMENTS_MAX else text


def composed(template: Template, kind: str, found: Words, reader: Reader) -> Composed:
    """Subject, plain text and HTML of a notice; raises NotRenderable."""
    variables = variables_of(kind, found, reader)
    subject = inert(reader.marks + _filled("subject", template.subject, variables), SUBJECT_CHARACTERS_MAX)
    text = _filled("text", template.text, {**variables, "table": TABLE})
    rows = _labelled(kind, found.rows, reader.language)
    colon = phrase("colon", reader.language)
    table = "\n".join(f"{name}{colon}{value}" for name, value in rows)
    parts = [reader.greeting, text.replace(TABLE, table)]
    if reader.link:
        parts.append(f"{reader.link_text}{colon}{reader.link}")
    plain = "\n\n".join([*parts, reader.footer]) + "\n"
    return Composed(subject, plain, _html(template, subject, text, rows, variables, reader))


def _labelled(kind: str, rows: Sequence[Row], language: str) -> list[Row]:
    """Rows with their labels in words; a digest's rows bear the accounts' names already."""
    if template_kind(kind) != kind:
        return list(rows)
    return [(label(key, language), value) for key, value in rows]


def _html(
    template: Template, subject: str, text: str, rows: Sequence[Row], variables: Context, reader: Reader
) -> str:
    inner = None
    if template.html is not None:
        inner = Markup(  # noqa: S704  # rendered with autoescape
            _filled("html", template.html, {**variables, "rows": rows}, escapes=True)
        )
    paragraphs = [None if part.strip() == TABLE else part for part in text.split("\n\n")]
    return _layout().render(
        language=reader.language,
        subject=subject,
        greeting=reader.greeting,
        inner=inner,
        paragraphs=paragraphs if rows else [part for part in paragraphs if part is not None],
        rows=rows,
        link=reader.link,
        link_text=reader.link_text,
        footer=reader.footer,
    )


def mail_bytes(content: Composed, letter: Letter, language: str) -> bytes:
    """A whole e-mail as it goes over the wire: the same arguments always give the same bytes."""
    headers = EmailMessage(policy=SMTP)
    headers["From"] = letter.sender
    headers["To"] = Address(display_name=inert(letter.recipient_name), addr_spec=letter.address)
    headers["Subject"] = content.subject
    headers["Date"] = format_datetime(letter.date)
    headers["Message-ID"] = letter.message_id
    if letter.thread_id is not None:
        headers["In-Reply-To"] = letter.thread_id
        headers["References"] = letter.thread_id
    headers["Auto-Submitted"] = "auto-generated"
    headers["Content-Language"] = language
    headers["MIME-Version"] = "1.0"
    boundary = f"=_{letter.message_id.strip('<>').partition('@')[0]}_{int(letter.is_repeat)}"
    headers["Content-Type"] = f'multipart/alternative; boundary="{boundary}"'
    parts = [_part("plain", content.text), _part("html", content.html)]
    body = b"".join(b"--" + boundary.encode() + b"\r\n" + part for part in parts)
    head = b"".join(_folded(name, value) for name, value in headers.raw_items())
    return head + b"\r\n" + body + b"--" + boundary.encode() + b"--\r\n"


def _folded(name: str, value: str) -> bytes:
    """A header; one of ASCII stays in one line, for folding right behind the name leaves a blank in front of it."""
    return (ONE_LINE if str(value).isascii() else SMTP).fold_binary(name, value)


def _part(subtype: str, text: str) -> bytes:
    """One part of an e-mail; base64 keeps whatever it says away from SMTP's own marks."""
    encoded = base64.b64encode(text.replace("\n", "\r\n").encode())
    lines = [encoded[start : start + LINE_BYTES] for start in range(0, len(encoded), LINE_BYTES)]
    head = f"Content-Type: text/{subtype}; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    return head.encode() + b"\r\n".join(lines) + b"\r\n"


def message_id(delivery: UUID, sender: str) -> str:
    """The Message-ID of a delivery, the same for every attempt."""
    return f"<{delivery}@{_domain(sender)}>"


def thread_id(place: str, family: str, currency: str, episode_id: str, sender: str) -> str:
    """What all notices of one episode refer to, so that a mail program shows them as one thread."""
    return f"<{uuid5(THREADS, f'{place}/{family}/{currency}/{episode_id}')}@{_domain(sender)}>"


def _domain(sender: str) -> str:
    return sender.rstrip("> ").rpartition("@")[2]


def code_words(code: str) -> Words:
    return Words({"code": code, "minutes": int(CODE_VALID.total_seconds()) // 60}, [])


def sample_words(kind: str, reader: Reader) -> Words:
    """Sample data of a kind, for previews and for trying a template before it is kept."""
    if kind == "verification-code":
        return code_words("123456")
    if template_kind(kind) != kind or kind == "digest":
        rows = [(f"Member account {number}", f"CNY {number * 100}.00") for number in range(1, 41)]
        names = ", ".join(name for name, _ in rows[:3])
        title = digest_title("quota-low-opened", reader.language)
        more = phrase("more", reader.language, count=37)
        return Words({"count": 40, "names": f"{names}, {more}", "title": title}, rows)
    event_type, data = SAMPLES[kind]
    return words(kind, event_type, data, reader.reading(ACCOUNT_NAME))


@dataclass(frozen=True, slots=True)
class Preview:
    """What a template makes of the sample data."""

    subject: str
    text: str
    html: str | None
    coding: str | None
    segments: int | None


def preview(template: Template, reader: Reader, found: Words | None = None) -> Preview:
    """The template with sample data, as it would go out; raises NotRenderable."""
    kind = template.key.kind
    found = found or sample_words(kind, reader)
    if template.key.style is Style.SMS:
        text = sms_text(template, kind, found, reader)
        counted = segments(text)
        return Preview("", text, None, counted.coding.name.lower().replace("_", "-"), counted.count)
    made = composed(template, kind, found, reader)
    html = made.html if template.key.style is Style.EMAIL else None
    return Preview(made.subject, made.text, html, None, None)


def faults(template: Template, reader: Reader) -> list[tuple[str, str]]:
    """Why a template cannot be kept, as (field, sentence): wrong syntax, variables that the kind has not, too long."""
    known = set(sample_words(template.key.kind, reader).variables) | COMMON | {"title"}
    sources = {"subject": template.subject, "text": template.text, "html": template.html or ""}
    found = [
        (field, fault)
        for field, source in sources.items()
        for fault in _source_faults(source, known | ({"rows"} if field == "html" else set()))
    ]
    if not found:
        try:
            preview(template, reader)
        except NotRenderable as error:
            found.append(("text", error.detail))
    return found


def _source_faults(source: str, known: set[str]) -> list[str]:
    try:
        parsed = _environment(escapes=False).parse(source)
    except TemplateError as error:
        return [f"is not a template: {error.message}"]
    costly = next((node for node in parsed.find_all(nodes.Node) if not _is_plain(node)), None)
    if costly is not None:
        return [
            f"uses {type(costly).__name__.lower()}, which texts may not: variables, if, and few filters only"
        ]
    missing = sorted(meta.find_undeclared_variables(parsed) - known)
    return [f"uses {name}, which notices of this kind do not have" for name in missing]


FILTERS: Final = frozenset({"default", "escape", "e", "first", "length", "lower", "title", "trim", "upper"})
CALCULATING: Final = (
    nodes.Mul,
    nodes.Pow,
    nodes.Call,
    nodes.CallBlock,
    nodes.Macro,
    nodes.Slice,
    nodes.Getattr,
    nodes.Include,
    nodes.Import,
    nodes.FromImport,
    nodes.Extends,
)


def _is_plain(node: nodes.Node) -> bool:
    """Whether a piece of a template costs no more than its length says."""
    if isinstance(node, nodes.Filter):
        return node.name in FILTERS
    if isinstance(node, nodes.For):
        return isinstance(node.iter, nodes.Name) and node.iter.name == "rows"
    return not isinstance(node, CALCULATING)
