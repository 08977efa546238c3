"""The texts: both languages, every kind, and data that would like to be more than data."""

from dataclasses import replace
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from notify.domain.contexts import Words, digest_data, words
from notify.domain.samples import KINDS, credit_alerted, quota_low, task
from notify.domain.sms import Coding, segments
from notify.domain.templates import Style, Template, TemplateKey
from notify.rendering import (
    Letter,
    NotRenderable,
    Reader,
    composed,
    faults,
    mail_bytes,
    message_id,
    preview,
    sample_words,
    sms_text,
    thread_id,
)
from notify.testing import product_book

BOOK = product_book()
LANGUAGES = ["zh-CN", "en"]
AT = datetime(2026, 3, 10, 2, 15, tzinfo=UTC)
LETTER = Letter(
    sender="Coffer <coffer@coffer.test>",
    recipient_name="李薇",
    address="li.wei@example.com",
    message_id="<1@coffer.test>",
    thread_id="<2@coffer.test>",
    date=AT,
    is_repeat=False,
)
HOSTILE = [
    "Acme\r\nBcc: everybody@example.com",
    "Acme\nSubject: You have won",
    "{{ 7 * 7 }} {% for x in ().__class__.__base__.__subclasses__() %}",
    "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "\u202egpj.exe\u2066",
    '=HYPERLINK("http://evil.example","x")',
    "x" * 1_000_000,
    "a\x00b\x02\x02c",
    '"><h1>',
    "\u2028\u2029\ud800",
]


def reader(language: str = "en", **changes: Any) -> Reader:
    values: dict[str, Any] = {"name": "Li Wei", "time_zone": "Asia/Shanghai", "place": "A-1001", **changes}
    return Reader(language=language, **values)


def found(event: Any, language: str = "en", account_name: str = "Huadong Trading") -> Words:
    kind = f"quota-low-{event.kind}"
    return words(kind, event.contract.type, event.to_json(), reader(language).reading(account_name))


def template(kind: str, style: Style, language: str) -> Template:
    made = BOOK.find(kind, style, language)
    assert made is not None
    return made


def sms(kind: str, language: str, said: Words, **changes: Any) -> str:
    return sms_text(template(kind, Style.SMS, language), kind, said, reader(language, **changes))


def mail(kind: str, language: str, said: Words, letter: Letter = LETTER, **changes: Any) -> bytes:
    content = composed(template(kind, Style.EMAIL, language), kind, said, reader(language, **changes))
    return mail_bytes(content, letter, language)


def parsed(content: bytes) -> EmailMessage:
    return message_from_bytes(content, policy=policy.default)


def part(content: bytes, subtype: str) -> str:
    body = parsed(content).get_body((subtype,))
    assert body is not None
    return str(body.get_content())


@pytest.mark.parametrize(
    ("language", "kind", "text"),
    [
        (
            "en",
            "opened",
            (
                "The available quota of Huadong Trading is CNY 355.00, below the alert threshold of CNY 1,000.00"
                " (2026-11-07 10:00 UTC+08:00)."
            ),
        ),
        (
            "en",
            "reminder",
            (
                "Reminder 2: the available quota of Huadong Trading is still CNY 355.00, below the alert threshold of"
                " CNY 1,000.00 (2026-11-07 10:00 UTC+08:00)."
            ),
        ),
        (
            "zh-CN",
            "opened",
            (
                "账户Huadong Trading的可用额度为CNY 355.00，低于预警阈值CNY 1,000.00"
                "（2026年11月7日 10:00 UTC+08:00）。请及时充值。"
            ),
        ),
        (
            "zh-CN",
            "resolved",
            (
                "账户Huadong Trading的可用额度已恢复至CNY 1,355.00，不低于预警阈值CNY 1,000.00"
                "（2026年11月7日 10:00 UTC+08:00）。"
            ),
        ),
    ],
)
def test_sms_texts(language: str, kind: str, text: str) -> None:
    event = quota_low(kind, 2 if kind == "reminder" else 0)
    assert sms(f"quota-low-{kind}", language, found(event, language)) == text


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_kind_has_every_style_in_both_languages(language: str, kind: str) -> None:
    said = sample_words(kind, reader(language))
    text = sms(kind, language, said)
    if language == "zh-CN":
        assert segments(text).coding is Coding.UCS_2
    assert segments(text).count <= 3
    message = mail(kind, language, said)
    plain, html = part(message, "plain"), part(message, "html")
    assert parsed(message)["Content-Language"] == language
    for _, value in said.rows:
        assert value in plain.replace("\n", " "), value
    for unwanted in ("{{", "}}", "\x02", "None", "\n\n\n"):
        assert unwanted not in plain + html
    assert html.count("<h1") == 1
    assert (html.count("<tr>") > 0) == bool(said.rows)
    chat = composed(template(kind, Style.CHAT, language), kind, said, reader(language))
    assert chat.text == plain.replace("\r\n", "\n")


def test_figures_bear_their_labels_in_the_readers_language() -> None:
    english = part(mail("quota-low-opened", "en", found(quota_low("opened"))), "plain")
    chinese = part(mail("quota-low-opened", "zh-CN", found(quota_low("opened"), "zh-CN")), "plain")
    assert "Unsettled amount: CNY 230.00" in english
    assert "未结清金额：CNY 230.00" in chinese


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_code_is_said_with_how_long_it_is_valid(language: str) -> None:
    said = Words({"code": "048213", "minutes": 10}, [])
    text = sms("verification-code", language, said)
    assert "048213" in text
    assert "10" in text
    message = mail("verification-code", language, said)
    assert "048213" in part(message, "plain")
    assert "048213" in part(message, "html")
    assert "048213" not in parsed(message)["Subject"], "it would show on a locked screen"


def test_a_mail_has_its_headers() -> None:
    message = parsed(mail("quota-low-opened", "zh-CN", found(quota_low("opened"), "zh-CN")))
    assert message["From"] == "Coffer <coffer@coffer.test>"
    assert message["To"] == "李薇 <li.wei@example.com>"
    assert message["Message-ID"] == "<1@coffer.test>"
    assert message["References"] == message["In-Reply-To"] == "<2@coffer.test>"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Subject"] == "账户Huadong Trading可用额度不足"
    assert message.get_content_type() == "multipart/alternative"


def test_the_same_mail_is_the_same_bytes() -> None:
    first, second = (mail("quota-low-opened", "en", found(quota_low("opened"))) for _ in range(2))
    assert first == second
    assert all(len(line) <= 998 for line in first.split(b"\r\n"))
    assert b"\n" not in first.replace(b"\r\n", b"")
    assert first.isascii()


def test_marks_stand_in_front_of_subject_and_sms() -> None:
    said = found(quota_low("opened"))
    assert parsed(mail("quota-low-opened", "en", said, marks="[Repeat] "))["Subject"].startswith("[Repeat] ")
    assert sms("quota-low-opened", "zh-CN", found(quota_low("opened"), "zh-CN"), marks="[重发] ").startswith(
        "[重发] "
    )


def test_a_link_is_a_button_and_a_line() -> None:
    message = mail(
        "quota-low-opened", "en", found(quota_low("opened")), link="https://x.test/a/1", link_text="Seen"
    )
    assert "Seen: https://x.test/a/1" in part(message, "plain")
    assert '<a href="https://x.test/a/1"' in part(message, "html")


def test_the_link_of_an_sms_is_counted_and_left_out_where_it_has_no_room() -> None:
    """153 characters in a segment: 7 segments and 100 characters have room for 43 more, 8 whole ones have not."""
    link = "https://n.test/a/" + "x" * 16
    linked = reader(link=link)
    shorter = preview(own("x" * (7 * 153 + 100), style=Style.SMS), linked)
    assert (shorter.segments, shorter.text[-43:]) == (8, f" Seen it? {link}")
    assert preview(own("x" * 120, style=Style.SMS), linked).segments == 2
    assert preview(own("x" * 120, style=Style.SMS), reader()).segments == 1
    longer = preview(own("x" * (8 * 153), style=Style.SMS), linked)
    assert (longer.segments, link in longer.text) == (8, False)


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("language", LANGUAGES)
def test_hostile_names_stay_text(language: str, text: str) -> None:
    said = found(quota_low("opened"), language, text)
    letter = replace(LETTER, recipient_name=text, thread_id=None)
    message = mail("quota-low-opened", language, said, letter, name=text)
    head = parsed(message)
    assert head["Bcc"] is None
    assert len(head.get_all("Subject", [])) == 1
    assert [address.addr_spec for address in head["To"].addresses] == ["li.wei@example.com"]
    html = part(message, "html")
    assert "<script" not in html
    assert "<img" not in html
    assert html.count("<h1") == 1
    short = sms("quota-low-opened", language, said, name=text)
    assert segments(short).count <= 3
    for unwanted in ("\r", "\n", "\x00", "\u202e", "\u2066", "\u2028"):
        assert unwanted not in short
        assert unwanted not in str(head["Subject"])
    if "7 * 7" in text:
        assert "{{ 7 * 7 }}" in short, "what looks like a template is only said"
        assert "49" not in short


@pytest.mark.parametrize("text", HOSTILE[:6] + HOSTILE[8:9], ids=range(7))
def test_hostile_fields_of_other_events_stay_text(text: str) -> None:
    """Object names, reasons, subjects and messages are data too, in whatever kind they come."""
    one_line = " ".join(text.split())
    held = credit_alerted("order-held")
    reason = replace(held.reasons[0], text=text)
    for kind, event in (
        ("credit-order-held", replace(held, object_name=one_line, reasons=[reason] * 50)),
        ("task-opened", replace(task(), subject=one_line, message=text)),
    ):
        said = words(kind, event.contract.type, event.to_json(), reader().reading(""))
        html = part(mail(kind, "en", said), "html")
        assert "<script" not in html
        assert "<img" not in html
        assert html.count("<h1") == 1
        assert "\n" not in sms(kind, "en", said)


def test_a_digest_names_three_and_counts_the_rest() -> None:
    events = [quota_low("opened") for _ in range(40)]
    data = digest_data(
        [
            ("quota-low-opened", "quota-low.v1", f"Member {number}", event.to_json())
            for number, event in enumerate(events)
        ]
    )
    kind = "digest-quota-low-opened"
    said = words(kind, "digest.v1", data, reader().reading(""))
    message = mail(kind, "en", said)
    assert parsed(message)["Subject"] == "40 member accounts: Member 0, Member 1, Member 2, and 37 more"
    assert part(message, "html").count("<tr>") == 40
    assert "Member 39: CNY 355.00" in part(message, "plain")
    assert sms(kind, "en", said) == (
        "available quota is low: 40 member accounts (Member 0, Member 1, Member 2, and 37 more)."
    )


def own(text: str, kind: str = "quota-low-opened", style: Style = Style.EMAIL, **changes: Any) -> Template:
    values: dict[str, Any] = {"subject": "Subject", **changes}
    return Template(key=TemplateKey(kind, style, "en"), version=0, text=text, **values)


@pytest.mark.parametrize(
    ("made", "field", "fault"),
    [
        (own("{{ qouta }}"), "text", "uses qouta, which notices of this kind do not have"),
        (own("{% if false %}{{ hidden }}{% endif %}"), "text", "uses hidden, which"),
        (own("x", subject="{{ overdue }}"), "subject", "uses overdue, which"),
        (own("{{ quota"), "text", "is not a template"),
        (own("{{ ''.__class__ }}"), "text", "uses getattr"),
        (own("{{ 'x' * 1000000000 }}"), "text", "uses mul"),
        (own("{{ quota|center(1000000000) }}"), "text", "uses filter"),
        (own("{% for a in range(9) %}x{% endfor %}"), "text", "uses for"),
        (own("{% include 'layout.html' %}"), "text", "uses include"),
        (own("x" * 2_000, style=Style.SMS), "text", "takes 14 segments, at most 8"),
        (own("x", html="{{ quota }}{{ nope }}"), "html", "uses nope, which"),
    ],
)
def test_a_template_that_could_fail_is_refused(made: Template, field: str, fault: str) -> None:
    [(where, sentence)] = [found for found in faults(made, reader()) if found[0] == field][:1]
    assert (where, fault in sentence) == (field, True), sentence


def test_a_good_template_is_shown_as_it_would_go_out() -> None:
    made = own(
        "Left: {{ quota }}.\n\n{{ table }}",
        html="<p>{{ name }}</p>{% for a, b in rows %}<i>{{ b }}</i>{% endfor %}",
    )
    assert faults(made, reader()) == []
    shown = preview(made, reader(name="<b>Li</b>"))
    assert "Left: CNY 355.00." in shown.text
    assert shown.html is not None
    assert "&lt;b&gt;Li&lt;/b&gt;" in shown.html
    short = preview(own("{{ quota }} 额度", style=Style.SMS), reader())
    assert (short.coding, short.segments) == ("ucs-2", 1)


def test_html_that_an_author_writes_as_text_is_text() -> None:
    shown = preview(own("a < b & <script>x</script>"), reader())
    assert shown.html is not None
    assert "a &lt; b &amp; &lt;script&gt;" in shown.html


def test_a_missing_variable_and_a_missing_template_are_refused() -> None:
    with pytest.raises(NotRenderable, match="template-failed"):
        sms("quota-low-opened", "en", Words({"account": "x"}, []))
    assert BOOK.find("no-such-kind", Style.SMS, "en") is None


def test_another_language_falls_back_to_the_default() -> None:
    made = BOOK.find("quota-low-opened", Style.SMS, "fr-CA")
    assert made is not None
    assert made.key.language == "en"


def test_the_same_delivery_has_the_same_ids() -> None:
    assert message_id(UUID(int=7), LETTER.sender) == f"<{UUID(int=7)}@coffer.test>"
    first = thread_id("A-1", "quota-low", "CNY", "E-1", LETTER.sender)
    assert first == thread_id("A-1", "quota-low", "CNY", "E-1", LETTER.sender)
    assert first != thread_id("A-1", "payment-overdue", "CNY", "E-1", LETTER.sender)


def test_every_kind_of_mail_has_its_pictures() -> None:
    """Made by `python -m ops.pictures`, shown in docs/notices.md."""
    docs = Path(__file__).parents[3] / "docs"
    page = (docs / "notices.md").read_text(encoding="utf-8")
    for kind in KINDS:
        for size, width in (("wide", 540), ("narrow", 300)):
            picture = docs / "images" / "notices" / f"{kind}-{size}.png"
            assert int.from_bytes(picture.read_bytes()[16:20]) == width, picture.name
            assert f"images/notices/{picture.name}" in page
