"""Settings: what is wrong is said in a sentence, and bounds fit together."""

from datetime import timedelta

import pytest
from chassis.settings import read
from notify.settings import Settings


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
