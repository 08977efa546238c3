"""The texts: both languages, every kind, and data that would like to be more than data."""

from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from uuid import UUID

import pytest
from contracts.quota_low import QuotaTerms
from jinja2.exceptions import SecurityError
from notify.domain.sms import Coding, segments
from notify.rendering import (
    Context,
    Letter,
    NotRenderable,
    code_context,
    environment,
    mail_bytes,
    message_id,
    quota_low_context,
    sms_text,
    thread_id,
)
from notify.testing import quota_low

OCCURRED_AT = datetime(2026, 3, 10, 2, 15, tzinfo=UTC)
KINDS = ["opened", "reminder", "resolved"]
LANGUAGES = ["zh-CN", "en"]
LETTER = Letter(
    sender="Coffer <coffer@coffer.test>",
    recipient_name="李薇",
    address="li.wei@example.com",
    message_id="<1@coffer.test>",
    thread_id="<2@coffer.test>",
    date=OCCURRED_AT,
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
    "a\x00b",
    '"><h1>',
]


def context(language: str = "en", kind: str = "opened", **changes: str) -> Context:
    texts = {"account_name": "Huadong Trading", "name": "Li Wei", "time_zone": "Asia/Shanghai", **changes}
    event = quota_low(OCCURRED_AT, kind=kind, reminder_number=2 if kind == "reminder" else 0)
    return quota_low_context(
        event.to_json(),
        account_name=texts["account_name"],
        name=texts["name"],
        language=language,
        time_zone=texts["time_zone"],
    )


def parsed(mail: bytes) -> EmailMessage:
    return message_from_bytes(mail, policy=policy.default)


def part(mail: bytes, subtype: str) -> str:
    body = parsed(mail).get_body((subtype,))
    assert body is not None
    return str(body.get_content())


@pytest.mark.parametrize(
    ("language", "kind", "text"),
    [
        (
            "en",
            "opened",
            (
                "The available quota of Huadong Trading is CNY 900.00, below the alert threshold of CNY 1,000.00"
                " (2026-03-10 10:15 UTC+08:00)."
            ),
        ),
        (
            "en",
            "reminder",
            (
                "Reminder 2: the available quota of Huadong Trading is still CNY 900.00, below the alert threshold of"
                " CNY 1,000.00 (2026-03-10 10:15 UTC+08:00)."
            ),
        ),
        (
            "zh-CN",
            "opened",
            (
                "账户Huadong Trading的可用额度为CNY 900.00，低于预警阈值CNY 1,000.00"
                "（2026年3月10日 10:15 UTC+08:00）。请及时充值。"
            ),
        ),
        (
            "zh-CN",
            "resolved",
            (
                "账户Huadong Trading的可用额度已恢复至CNY 900.00，不低于预警阈值CNY 1,000.00"
                "（2026年3月10日 10:15 UTC+08:00）。"
            ),
        ),
    ],
)
def test_sms_texts(language: str, kind: str, text: str) -> None:
    assert sms_text(f"quota-low-{kind}", language, context(language, kind), is_repeat=False) == text


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_kind_has_an_sms_and_a_mail_in_both_languages(language: str, kind: str) -> None:
    values = context(language, kind)
    text = sms_text(f"quota-low-{kind}", language, values, is_repeat=False)
    assert segments(text).coding is (Coding.GSM_7 if language == "en" else Coding.UCS_2)
    assert segments(text).count <= 2
    mail = mail_bytes(f"quota-low-{kind}", language, values, LETTER)
    message = parsed(mail)
    assert message["Content-Language"] == language
    assert "Huadong Trading" in message["Subject"]
    terms = [name for name in QuotaTerms.__dataclass_fields__ if str(values[name]) in part(mail, "plain")]
    assert len(terms) == 7
    for said in ("CNY 900.00", "CNY 1,000.00", "UTC+08:00"):
        assert said in part(mail, "plain")
        assert said in part(mail, "html")
    assert "\n\n\n" not in part(mail, "plain")


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_code_is_said_with_how_long_it_is_valid(language: str) -> None:
    values = code_context("048213", "Li Wei")
    text = sms_text("verification-code", language, values, is_repeat=False)
    assert "048213" in text
    assert "10" in text
    mail = mail_bytes("verification-code", language, values, LETTER)
    assert "048213" in part(mail, "plain")
    assert "048213" in part(mail, "html")
    assert "048213" not in parsed(mail)["Subject"], "it would show on a locked screen"


def test_a_mail_has_its_headers() -> None:
    message = parsed(mail_bytes("quota-low-opened", "zh-CN", context("zh-CN"), LETTER))
    assert message["From"] == "Coffer <coffer@coffer.test>"
    assert message["To"] == "李薇 <li.wei@example.com>"
    assert message["Message-ID"] == "<1@coffer.test>"
    assert message["References"] == "<2@coffer.test>"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Subject"] == "账户Huadong Trading可用额度不足"


def test_the_same_mail_is_the_same_bytes() -> None:
    first, second = (mail_bytes("quota-low-opened", "en", context(), LETTER) for _ in range(2))
    assert first == second
    assert all(len(line) <= 998 for line in first.split(b"\r\n"))
    assert b"\n" not in first.replace(b"\r\n", b"")
    assert first.isascii()


def test_a_repeat_says_so() -> None:
    repeat = Letter(
        sender=LETTER.sender,
        recipient_name="Li Wei",
        address="li.wei@example.com",
        message_id=LETTER.message_id,
        thread_id=None,
        date=OCCURRED_AT,
        is_repeat=True,
    )
    message = parsed(mail_bytes("quota-low-opened", "en", context(), repeat))
    assert message["Subject"].startswith("[Repeat] ")
    assert message["Message-ID"] == LETTER.message_id
    assert sms_text("quota-low-opened", "zh-CN", context("zh-CN"), is_repeat=True).startswith("[重发] ")


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("language", LANGUAGES)
def test_hostile_names_stay_text(language: str, text: str) -> None:
    values = context(language, account_name=text, name=text)
    letter = Letter(
        sender=LETTER.sender,
        recipient_name=text,
        address=LETTER.address,
        message_id=LETTER.message_id,
        thread_id=None,
        date=OCCURRED_AT,
        is_repeat=False,
    )
    mail = mail_bytes("quota-low-opened", language, values, letter)
    message = parsed(mail)
    assert message["Bcc"] is None
    assert len(message.get_all("Subject", [])) == 1
    assert [address.addr_spec for address in message["To"].addresses] == ["li.wei@example.com"]
    html = part(mail, "html")
    assert "<script" not in html
    assert "<img" not in html
    assert html.count("<h1") == 1
    sms = sms_text("quota-low-opened", language, values, is_repeat=False)
    assert segments(sms).count <= 3
    for unwanted in ("\r", "\n", "\x00", "\u202e", "\u2066"):
        assert unwanted not in sms
        assert unwanted not in str(message["Subject"])
    if "7 * 7" in text:
        assert "{{ 7 * 7 }}" in sms, "what looks like a template is only said"
        assert "49" not in sms


def test_templates_run_in_a_sandbox() -> None:
    template = environment().from_string("{{ ''.__class__.__mro__ }}")
    with pytest.raises(SecurityError):
        template.render()


def test_a_missing_variable_and_a_missing_template_are_refused() -> None:
    with pytest.raises(NotRenderable, match="template-failed"):
        sms_text("quota-low-opened", "en", {"account": "x"}, is_repeat=False)
    with pytest.raises(NotRenderable, match="no-template"):
        sms_text("no-such-kind", "en", {}, is_repeat=False)


def test_another_language_falls_back_to_the_default() -> None:
    assert "available quota" in sms_text("quota-low-opened", "fr", context("fr"), is_repeat=False)


def test_a_text_longer_than_the_gateway_takes_is_refused() -> None:
    values = {**context(), "account": "额" * 1_000}
    with pytest.raises(NotRenderable, match="too-long"):
        sms_text("quota-low-opened", "en", values, is_repeat=False)


def test_ids_of_mails_are_stable() -> None:
    delivery = UUID("5f0c7f6e-4a1a-5c1b-8f35-2f6a4d1b9a10")
    assert message_id(delivery, "Coffer <a@b.test>") == "<5f0c7f6e-4a1a-5c1b-8f35-2f6a4d1b9a10@b.test>"
    thread = thread_id("A-1", "CNY", "E-1\r\nX: y", "a@b.test")
    assert thread == thread_id("A-1", "CNY", "E-1\r\nX: y", "a@b.test")
    assert thread.isprintable()
    assert thread != thread_id("A-1", "USD", "E-1\r\nX: y", "a@b.test")
