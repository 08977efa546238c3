"""Texts of notices: versions, what a change would look like, and the change itself."""

from datetime import datetime
from typing import Annotated, Any, Final

from chassis.http import (
    Context,
    CurrentPrincipal,
    CursorPage,
    HttpContext,
    Policy,
    Problem,
    Reader,
    Router,
    Work,
)
from contracts.text import Code
from fastapi import Path, Query
from fastapi.responses import HTMLResponse
from markupsafe import escape
from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from notify.api.common import OPERATORS, Body, settings_of
from notify.domain.rules import may_wait_for_acknowledgement
from notify.domain.samples import KINDS
from notify.domain.templates import (
    SUBJECT_CHARACTERS_MAX,
    TEXT_CHARACTERS_MAX,
    Style,
    Template,
    TemplateKey,
)
from notify.domain.words import phrase
from notify.message import sample_link
from notify.rendering import NotRenderable, Preview, faults, preview
from notify.rendering import Reader as TextReader
from notify.repository import templates as template_rows

router = Router(tags=["texts"])

READ: Final = Policy("template:read", roles=OPERATORS)
WRITE: Final = Policy("template:write", roles=OPERATORS)
VERSIONS_MAX: Final = 100
EXAMPLE: Final[JsonDict] = {
    "subject": "Available quota of {{ account }} is low",
    "text": "Account {{ account }} has {{ quota }} left, below {{ threshold }}.\n\n{{ table }}\n\nPlease top up.",
    "html": None,
}
Language = Annotated[str, Path(pattern=r"^[a-z]{2}(-[A-Z]{2})?$")]


class TemplateBody(Body):
    """A text. `{{ table }}` stands where the figures are shown; `html` replaces the layout's body of an e-mail."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [EXAMPLE]})

    subject: Annotated[str, Field(max_length=SUBJECT_CHARACTERS_MAX)] = ""
    text: Annotated[str, Field(min_length=1, max_length=TEXT_CHARACTERS_MAX)]
    html: Annotated[str, Field(max_length=4 * TEXT_CHARACTERS_MAX)] | None = None


class TemplateView(BaseModel):
    """One version of a text."""

    kind: str
    style: Style
    language: str
    version: int
    subject: str
    text: str
    html: str | None
    saved_at: datetime
    saved_by: str


class PreviewView(BaseModel):
    """A text with sample data, as it would go out; `segments` counts an SMS in its coding."""

    subject: str
    text: str
    html: str | None
    coding: str | None
    segments: int | None


@router.get("/templates", policy=READ, summary="The newest version of every text")
async def templates(reader: Reader, kind: Annotated[Code | None, Query()] = None) -> CursorPage[TemplateView]:
    rows = await template_rows.newest(reader, kind)
    return CursorPage(items=[_view(row) for row in rows], next=None)


@router.get("/templates/{kind}/{style}/{language}", policy=READ, summary="The versions of one text")
async def versions(kind: Code, style: Style, language: Language, reader: Reader) -> CursorPage[TemplateView]:
    """Newest first."""
    rows = await template_rows.versions(reader, TemplateKey(kind, style, language), VERSIONS_MAX)
    if not rows:
        raise Problem.not_found()
    return CursorPage(items=[_view(row) for row in rows], next=None)


@router.put("/templates/{kind}/{style}/{language}", policy=WRITE, summary="Store the next version of a text")
async def store_template(
    kind: Code,
    style: Style,
    language: Language,
    body: TemplateBody,
    work: Work,
    principal: CurrentPrincipal,
    context: Context,
) -> TemplateView:
    """Refuses a text that could not be written for every notice of its kind, naming the variable."""
    template = _checked(kind, style, language, body, _reader(kind, language, context))
    version = await template_rows.save(work.connection, template, principal.subject, work.now)
    return TemplateView(
        kind=kind,
        style=style,
        language=language,
        version=version,
        subject=template.subject,
        text=template.text,
        html=template.html,
        saved_at=work.now,
        saved_by=principal.subject,
    )


@router.post(
    "/templates/{kind}/{style}/{language}/preview", policy=READ, summary="Show a text without storing it"
)
async def show_template(
    kind: Code, style: Style, language: Language, body: TemplateBody, work: Work, context: Context
) -> PreviewView:
    reader = _reader(kind, language, context)
    made = _shown(_checked(kind, style, language, body, reader), reader)
    return PreviewView(
        subject=made.subject, text=made.text, html=made.html, coding=made.coding, segments=made.segments
    )


@router.get(
    "/templates/{kind}/{style}/{language}/preview",
    policy=READ,
    response_class=HTMLResponse,
    summary="A page that shows a text in both its parts",
)
async def preview_page(
    kind: Code, style: Style, language: Language, reader: Reader, context: Context
) -> HTMLResponse:
    """The newest version with sample data: HTML and plain text side by side, below each other where it is narrow."""
    rows = await template_rows.versions(reader, TemplateKey(kind, style, language), 1)
    if not rows:
        raise Problem.not_found()
    headers = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-src 'self'"}
    made = _shown(template_rows.template_of(rows[0]), _reader(kind, language, context))
    return HTMLResponse(page_of(made), headers=headers)


def page_of(made: Preview) -> str:
    """Both parts of a text on one page; the HTML stands in a frame that can do nothing."""
    counted = f"<p>{made.segments} segments, {made.coding}</p>" if made.segments else ""
    frame = f'<iframe sandbox title="HTML" srcdoc="{escape(made.html)}"></iframe>' if made.html else ""
    return (
        "<!doctype html><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>{escape(made.subject)}</title><style>body{{font:16px/1.5 sans-serif;margin:16px}}"
        "main{display:flex;flex-wrap:wrap;gap:16px}iframe,pre{flex:1 1 320px;height:80vh;border:1px solid #ccc;"
        "margin:0;padding:8px;box-sizing:border-box;white-space:pre-wrap;overflow:auto}</style>"
        f"<h1>{escape(made.subject)}</h1>{counted}<main>{frame}<pre>{escape(made.text)}</pre></main>"
    )


def _reader(kind: str, language: str, context: HttpContext) -> TextReader:
    """A reader of the sample, with the link that notices of this kind carry."""
    has_link = may_wait_for_acknowledgement(kind)
    return TextReader(
        name="Li Wei",
        language=language,
        time_zone="Asia/Shanghai",
        place="A-1001",
        link=sample_link(settings_of(context).public_url) if has_link else None,
        link_text=phrase("acknowledge", language),
    )


def _checked(kind: str, style: Style, language: str, body: TemplateBody, reader: TextReader) -> Template:
    if kind not in KINDS:
        raise Problem.not_found("There are no notices of this kind.")
    template = Template(
        key=TemplateKey(kind, style, language),
        version=0,
        subject=body.subject,
        text=body.text,
        html=body.html,
    )
    found = [{"field": field, "message": message} for field, message in faults(template, reader)]
    if style is not Style.SMS and not body.subject.strip():
        found.append({"field": "subject", "message": "is required"})
    if style is not Style.EMAIL and body.html is not None:
        found.append({"field": "html", "message": "is for e-mails only"})
    if found:
        raise Problem.invalid(found)  # type: ignore[arg-type]  # field and message
    return template


def _shown(template: Template, reader: TextReader) -> Preview:
    try:
        return preview(template, reader)
    except NotRenderable as error:
        raise Problem.conflict(error.reason, f"This text cannot be written: {error.detail}.") from None


def _view(row: Any) -> TemplateView:
    return TemplateView.model_validate(dict(row._mapping))
