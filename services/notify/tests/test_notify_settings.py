"""Settings: what is wrong is said in a sentence, and bounds fit together."""

from datetime import timedelta

import pytest
from chassis.settings import read
from notify.domain.delivery import Channel
from notify.domain.noise import Rate
from notify.domain.pace import Pace
from notify.settings import Settings, recipient_rates


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("COFFER_SMTP_PORT", "70000"),
        ("COFFER_SMTP_TLS", "none"),
        ("COFFER_SMTP_CA_FILE", "/no/such/file"),
        ("COFFER_SMTP_FROM", "nobody"),
        ("COFFER_SMTP_FROM", "a@b\r\nBcc: c@d"),
        ("COFFER_SMS_URL", "gateway:13013"),
        ("COFFER_SMS_FROM", "with space"),
        ("COFFER_DELIVERIES_AT_ONCE_MAX", "0"),
        ("COFFER_SMTP_SECONDS_MAX", "121"),
        ("COFFER_RECIPIENT_SMS_PER_HOUR_MAX", "-1"),
        ("COFFER_RECIPIENT_MAIL_AT_ONCE_MAX", "0"),
        ("COFFER_HISTORY_DAYS", "30"),
    ],
)
def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ExceptionGroup) as refused:
        read(Settings)
    [wrong] = refused.value.exceptions
    assert str(wrong).startswith(variable)


def test_a_lease_outlives_every_step_of_an_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COFFER_SMTP_SECONDS_MAX", "120")
    settings = read(Settings)
    assert settings.limits.lease == timedelta(seconds=135)


def test_reports_are_waited_for_longer_than_a_message_is_valid() -> None:
    settings = read(Settings)
    assert settings.limits.report_wait > timedelta(minutes=settings.sms_validity_minutes)


@pytest.mark.parametrize(
    ("variable", "value", "other", "other_value"),
    [
        ("COFFER_DELIVERY_RETRY_SECONDS", "60", "COFFER_DELIVERY_RETRY_SECONDS_MAX", "30"),
        ("COFFER_SMS_REPORT_SECONDS", "300", "COFFER_SMS_VALIDITY_MINUTES", "10"),
        ("COFFER_HISTORY_DAYS", "100", "COFFER_CONTENT_DAYS", "200"),
    ],
)
def test_bounds_that_contradict_each_other_are_refused(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, other: str, other_value: str
) -> None:
    monkeypatch.setenv(variable, value)
    monkeypatch.setenv(other, other_value)
    with pytest.raises(ExceptionGroup) as refused:
        read(Settings)
    [wrong] = refused.value.exceptions
    assert variable in str(wrong)
    assert other in str(wrong)


def test_what_a_person_may_get_is_set_by_channel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four SMS at once, then one every ten minutes; mail without a limit; everything else as usual."""
    monkeypatch.setenv("COFFER_RECIPIENT_SMS_PER_HOUR_MAX", "6")
    monkeypatch.setenv("COFFER_RECIPIENT_SMS_AT_ONCE_MAX", "4")
    monkeypatch.setenv("COFFER_RECIPIENT_MAIL_PER_HOUR_MAX", "0")
    recipient_rates.cache_clear()
    rates = recipient_rates()
    recipient_rates.cache_clear()
    assert rates[Channel.SMS] == rates[Channel.TWILIO] == Rate(4, timedelta(minutes=10))
    assert Channel.EMAIL not in rates
    assert rates[Channel.SLACK] == Rate(60, timedelta(minutes=1))


def test_a_provider_without_a_number_has_no_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COFFER_SMS_PER_SECOND_MAX", "30")
    assert read(Settings).paces == {Channel.SMS: Pace(30)}
