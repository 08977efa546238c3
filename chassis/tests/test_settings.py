from pathlib import Path
from typing import Self

import pytest
from chassis.settings import MIGRATE, Settings, load, read
from pydantic import Field, SecretStr, model_validator

RIGHT: dict[str, str] = {
    "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9092,broker-2:9092",
    "COFFER_DATABASE_DSN": "postgresql://credit:secret@127.0.0.1:5432/credit",
    "COFFER_OIDC_ISSUER": "https://issuer.test",
    "COFFER_OIDC_AUDIENCE": "coffer",
    "COFFER_OIDC_JWKS": "/run/keys.json",
}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*RIGHT, "COFFER_HTTP_PORT", "COFFER_MIGRATION_DSN", "OTEL_EXPORTER_OTLP_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def right(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name, value in RIGHT.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def refusals(capsys: pytest.CaptureFixture[str], settings: type[Settings] = Settings) -> list[str]:
    with pytest.raises(SystemExit) as stopped:
        load(settings)
    assert stopped.value.code == 2
    return capsys.readouterr().err.splitlines()


def test_right_settings_are_read(right: pytest.MonkeyPatch) -> None:
    right.setenv("COFFER_HTTP_PORT", "8002")
    settings = load(Settings)
    assert settings.http_port == 8002
    assert settings.batch_records_max == 500
    assert settings.database_dsn.get_secret_value() == RIGHT["COFFER_DATABASE_DSN"]
    assert "secret" not in repr(settings)


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        (
            "COFFER_HTTP_PORT",
            "eight",
            "COFFER_HTTP_PORT is 'eight'; it must be a port from 1 to 65535, or 0 for any free one.",
        ),
        ("COFFER_HTTP_PORT", "70000", "COFFER_HTTP_PORT is '70000'; it must be a port from 1 to 65535"),
        (
            "COFFER_BATCH_RECORDS_MAX",
            "0",
            "COFFER_BATCH_RECORDS_MAX is '0'; it must be a whole number from 1",
        ),
        ("COFFER_LOG_FORMAT", "xml", "COFFER_LOG_FORMAT is 'xml'; it must be json or text."),
        ("KAFKA_BOOTSTRAP_SERVERS", "broker", "KAFKA_BOOTSTRAP_SERVERS is 'broker'; it must be host:port of"),
        (
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "collector",
            "OTEL_EXPORTER_OTLP_ENDPOINT is 'collector'; it must be",
        ),
    ],
)
def test_a_wrong_setting_is_one_sentence(
    right: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], variable: str, value: str, sentence: str
) -> None:
    right.setenv(variable, value)
    (line,) = refusals(capsys)
    assert line.startswith(sentence)
    assert line.endswith(".")


def test_every_wrong_setting_is_told_at_once(
    right: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    right.setenv("COFFER_HTTP_PORT", "x")
    right.setenv("COFFER_LOG_LEVEL", "LOUD")
    assert len(refusals(capsys)) == 2


def test_a_wrong_secret_is_not_shown(right: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    right.setenv("COFFER_DATABASE_DSN", "mysql://credit:hunter2@db/credit")
    (line,) = refusals(capsys)
    assert line.startswith("COFFER_DATABASE_DSN does not have the right form; it must be")
    assert "hunter2" not in line


def test_what_a_command_needs_must_be_set(capsys: pytest.CaptureFixture[str]) -> None:
    lines = refusals(capsys)
    assert [line.split(" ")[0] for line in lines] == list(RIGHT)
    assert all(" is not set; it must be " in line for line in lines)


def test_a_migration_needs_no_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COFFER_MIGRATION_DSN", "postgresql://owner:x@db/credit")
    assert read(Settings, needs=MIGRATE).kafka_bootstrap_servers == ""


def test_an_empty_variable_counts_as_unset(
    right: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    right.setenv("COFFER_OIDC_ISSUER", "")
    assert refusals(capsys)[0].startswith("COFFER_OIDC_ISSUER is not set")


class MailSettings(Settings):
    smtp_host: str = Field(description="the mail server's host name, such as mail.example.com")
    smtp_password: SecretStr | None = None


def test_a_service_adds_settings_of_its_own(
    right: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (line,) = refusals(capsys, MailSettings)
    assert (
        line
        == "COFFER_SMTP_HOST is not set; it must be the mail server's host name, such as mail.example.com."
    )


class RetrySettings(Settings):
    retry_seconds: int = Field(default=5, description="a whole number")
    retry_seconds_max: int = Field(default=60, description="a whole number")

    @model_validator(mode="after")
    def retries_grow(self) -> Self:
        if self.retry_seconds > self.retry_seconds_max:
            raise ValueError("retry_seconds is above retry_seconds_max")
        return self


def test_settings_that_disagree_are_one_sentence(
    right: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    right.setenv("COFFER_RETRY_SECONDS", "61")
    (line,) = refusals(capsys, RetrySettings)
    assert line == (
        "The settings do not go together: COFFER_RETRY_SECONDS is above COFFER_RETRY_SECONDS_MAX."
    )


def test_a_secret_is_read_from_the_file_that_its_variable_names(
    right: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    secret = tmp_path / "password"
    secret.write_text("hunter2\n")
    right.setenv("COFFER_SMTP_HOST", "mail.test")
    right.setenv("COFFER_SMTP_PASSWORD_FILE", str(secret))
    password = load(MailSettings).smtp_password
    assert password is not None
    assert password.get_secret_value() == "hunter2"


def test_a_missing_secret_file_is_one_sentence(
    right: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    right.setenv("COFFER_DATABASE_DSN_FILE", "/nowhere/dsn")
    (line,) = refusals(capsys)
    assert line == (
        "COFFER_DATABASE_DSN_FILE names /nowhere/dsn, which cannot be read (No such file or directory); "
        "it must be a readable file."
    )
