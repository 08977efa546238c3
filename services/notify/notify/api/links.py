"""What the links in messages open: pages that ask, and the buttons on them that act.

Mail programs and scanners open links by themselves, so that opening one changes nothing. The secret in the path, made
for one delivery, is the proof; hence these routes take no token.
"""

from typing import Annotated, Final

from chassis.http import Policy, Reader, Router, Work
from fastapi import Path
from fastapi.responses import HTMLResponse
from markupsafe import escape

from notify.domain.announcements import ThreadKey
from notify.domain.verification import CODE_VALID
from notify.message import ACKNOWLEDGE_PATH, VERIFY_PATH, link_hash
from notify.repository import contacts as contact_rows
from notify.repository import notices, verifications

router = Router(tags=["links"])

ACKNOWLEDGE: Final = Policy.without_token("notice:acknowledge", proof="the secret in the link")
VERIFY: Final = Policy.without_token("address:verify", proof="the secret in the link")
Token = Annotated[str, Path(max_length=100, pattern=r"^[A-Za-z0-9_-]+$")]
HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
WORDS: Final = {
    "ask-seen": ("确认您已知悉此通知？", "Have you seen this notice?"),
    "seen": ("我已知悉", "I have seen it"),
    "was-seen": ("已确认，谢谢。", "Thank you; this is noted."),
    "ask-address": ("确认此邮箱地址属于您？", "Is this e-mail address yours?"),
    "yes": ("确认", "Yes, confirm it"),
    "confirmed": ("地址已确认，谢谢。", "Thank you; the address is confirmed."),
    "over": ("此链接已失效。", "This link is no longer valid."),
}


def _page(sentence: str, button: str | None, language: str, status: int = 200) -> HTMLResponse:
    index = 0 if language.startswith("zh") else 1
    form = f"<form method=post><button>{escape(WORDS[button][index])}</button></form>" if button else ""
    return HTMLResponse(
        f"<!doctype html><html lang={escape(language)}><meta charset=utf-8>"
        "<meta name=viewport content='width=device-width'><title>Coffer</title>"
        "<style>body{font:18px/1.5 sans-serif;margin:15vh auto;max-width:24em;padding:0 16px;text-align:center}"
        "button{font:inherit;padding:10px 24px}</style>"
        f"<p>{escape(WORDS[sentence][index])}</p>{form}</html>",
        status,
        headers=HEADERS,
    )


@router.get(
    ACKNOWLEDGE_PATH + "{token}",
    policy=ACKNOWLEDGE,
    response_class=HTMLResponse,
    summary="Ask whether it was seen",
)
async def ask_acknowledgement(token: Token, reader: Reader) -> HTMLResponse:
    found = await notices.by_acknowledge_token(reader, token)
    if found is None:
        return _page("over", None, "en", 404)
    if found.acknowledged_at is not None:
        return _page("was-seen", None, found.language)
    return _page("ask-seen", "seen", found.language)


@router.post(
    ACKNOWLEDGE_PATH + "{token}",
    policy=ACKNOWLEDGE,
    response_class=HTMLResponse,
    summary="Acknowledge a notice",
)
async def acknowledge(token: Token, work: Work) -> HTMLResponse:
    """Stops the thread's repeats and its escalation; the first who has seen it counts."""
    found = await notices.by_acknowledge_token(work.connection, token)
    if found is None:
        return _page("over", None, "en", 404)
    key = ThreadKey(found.account, found.family, found.currency, found.episode_id)
    if await notices.acknowledge(work.connection, key, found.recipient, work.now):
        work.count("acknowledged", found.family)
    return _page("was-seen", None, found.language)


@router.get(
    VERIFY_PATH + "{token}",
    policy=VERIFY,
    response_class=HTMLResponse,
    summary="Ask whether an address is one's own",
)
async def ask_address(token: Token) -> HTMLResponse:
    return _page("ask-address", "yes", "zh-CN")


@router.post(
    VERIFY_PATH + "{token}", policy=VERIFY, response_class=HTMLResponse, summary="Confirm an e-mail address"
)
async def confirm_address(token: Token, work: Work) -> HTMLResponse:
    """Verifies the address that the link was sent to, within its time and once."""
    found = await verifications.locked_by_link(work.connection, link_hash(token))
    if found is None or work.now >= found[1] + CODE_VALID:
        return _page("over", None, "zh-CN", 404)
    asked = found[0]
    await verifications.count_try(work.connection, asked.account, asked.id, True, work.now)
    await contact_rows.mark_verified(
        work.connection, asked.account, asked.person, asked.channel, asked.address, work.now
    )
    work.count("verification", "verified-by-link")
    return _page("confirmed", None, "zh-CN")
