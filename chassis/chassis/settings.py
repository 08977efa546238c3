"""Settings of a service: read from the environment once, refused with a clear sentence when wrong."""

import os
import re
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar, get_args

from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

PREFIX: Final = "COFFER_"
FILE_SUFFIX: Final = "_FILE"
SECRET_FILE_BYTES_MAX: Final = 65_536
EXIT_WRONG_SETTING: Final = 2

BROKER: Final = re.compile(r"[A-Za-z0-9_.-]+:\d{1,5}|\[[0-9A-Fa-f:]+\]:\d{1,5}")

SERVE: Final = ("kafka_bootstrap_servers", "database_dsn", "oidc_issuer", "oidc_audience", "oidc_jwks")
MIGRATE: Final = ("migration_dsn",)
DATABASE: Final = ("database_dsn",)


def _broker_list(value: str) -> str:
    if value and not all(BROKER.fullmatch(broker.strip()) for broker in value.split(",")):
        raise ValueError("not a list of brokers")
    return value


def _dsn(value: SecretStr) -> SecretStr:
    dsn = value.get_secret_value()
    if dsn and not dsn.startswith(("postgresql://", "postgres://")):
        raise ValueError("not a PostgreSQL address")
    return value


def _http_url(value: str) -> str:
    if value and not re.fullmatch(r"https?://[^\s/]+(/\S*)?", value):
        raise ValueError("not an http address")
    return value


BrokerList = Annotated[str, AfterValidator(_broker_list)]
Dsn = Annotated[SecretStr, AfterValidator(_dsn)]
HttpUrl = Annotated[str, AfterValidator(_http_url)]


def _own_instance() -> str:
    return f"{socket.gethostname()}-{os.getpid()}"


class Settings(BaseSettings):
    """What every service is told by its environment.

    The variable of a field is its name in capitals after `COFFER_`; a secret may also be named by a file, in
    the variable with `_FILE` appended. A field's description says what a right value looks like, because that
    is what a wrong one is answered with.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, extra="ignore", frozen=True, populate_by_name=True
    )

    kafka_bootstrap_servers: BrokerList = Field(
        default="",
        alias="KAFKA_BOOTSTRAP_SERVERS",
        description="host:port of the brokers, separated by commas, such as 127.0.0.1:9092",
    )
    database_dsn: Dsn = Field(
        default=SecretStr(""),
        description="the application role's PostgreSQL address, such as postgresql://credit:secret@db:5432/credit",
    )
    migration_dsn: Dsn = Field(
        default=SecretStr(""),
        description="the owner role's PostgreSQL address, such as postgresql://credit_owner:secret@db:5432/credit",
    )
    database_connections_max: int = Field(
        default=10, ge=2, le=200, description="a whole number from 2 to 200"
    )
    http_host: str = Field(
        default="127.0.0.1", min_length=1, description="the address to listen on, such as 0.0.0.0"
    )
    http_port: int = Field(
        default=8000, ge=0, le=65_535, description="a port from 1 to 65535, or 0 for any free one"
    )
    http_body_bytes_max: int = Field(
        default=1_048_576, ge=1_024, le=67_108_864, description="a number of bytes from 1024 to 67108864"
    )
    instance: str = Field(
        default_factory=_own_instance,
        min_length=1,
        max_length=200,
        description="a text of 1 to 200 characters",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="DEBUG, INFO, WARNING or ERROR"
    )
    log_format: Literal["json", "text"] = Field(default="json", description="json or text")
    oidc_issuer: str = Field(
        default="", description="the iss of the tokens to accept, such as https://login.example.com"
    )
    oidc_audience: str = Field(default="", description="the aud of the tokens to accept, such as coffer")
    oidc_jwks: str = Field(
        default="", description="the issuer's key set, as an http(s) address or as the path of a file"
    )
    invariant_seconds: float = Field(
        default=300, ge=1, le=86_400, description="seconds between checks of the invariants, from 1 to 86400"
    )
    batch_records_max: int = Field(default=500, ge=1, le=5_000, description="a whole number from 1 to 5000")
    otel_exporter_otlp_endpoint: HttpUrl = Field(
        default="",
        alias="OTEL_EXPORTER_OTLP_ENDPOINT",
        description="the collector's OTLP/HTTP address, such as http://127.0.0.1:4318, or nothing",
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, SecretFiles(settings_cls), env_settings


class UnusableSettings(ValueError):
    """Base of what is wrong with settings; its message is one sentence for the operator."""


class SettingsDisagree(UnusableSettings):
    """Settings that are each right and together wrong, by the service's own rule."""

    def __init__(self, rule: str) -> None:
        super().__init__(f"The settings do not go together: {rule}.")


class WrongSetting(UnusableSettings):
    """A setting that cannot be used; says which, what is wrong and what would be right."""

    def __init__(self, variable: str, fault: str, remedy: str) -> None:
        self.variable = variable
        super().__init__(f"{variable} {fault}; it must be {remedy}.")


class SecretFiles(PydanticBaseSettingsSource):
    """Reads secrets from the files that `<VARIABLE>_FILE` names."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        variable = variable_of(field, field_name) + FILE_SUFFIX
        path = os.environ.get(variable, "")
        if not path or not _is_secret(field):
            return None, field_name, False
        return _read_secret(variable, Path(path)), field_name, False

    def __call__(self) -> dict[str, Any]:
        found = {}
        for name, field in self.settings_cls.model_fields.items():
            value, key, _ = self.get_field_value(field, name)
            if value is not None:
                found[key] = value
        return found


def _read_secret(variable: str, path: Path) -> str:
    try:
        with path.open(encoding="utf-8") as file:
            return file.read(SECRET_FILE_BYTES_MAX).strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise WrongSetting(
            variable, f"names {path}, which cannot be read ({reason})", "a readable file"
        ) from None


def variable_of(field: FieldInfo, name: str) -> str:
    """The environment variable of a field."""
    return field.alias or f"{PREFIX}{name.upper()}"


def _is_secret(field: FieldInfo) -> bool:
    return SecretStr in (field.annotation, *get_args(field.annotation))


def _with_variables(fields: Mapping[str, FieldInfo], rule: str) -> str:
    """The rule with the names of fields turned into those of their variables."""

    def variable(found: re.Match[str]) -> str:
        name = found.group()
        return variable_of(fields[name], name) if name in fields else name

    return re.sub(r"[a-z_]+", variable, rule)


S = TypeVar("S", bound=Settings)


def read(settings: type[S], *, needs: tuple[str, ...] = (), **values: Any) -> S:
    """Reads the settings; `values` go before the environment.

    Errors: ExceptionGroup of UnusableSettings, one per setting that is wrong or, of those in `needs`, missing.
    """
    try:
        found = settings(**values)
    except ValidationError as error:
        raise ExceptionGroup(
            "wrong settings", [_wrong(settings, detail) for detail in error.errors()]
        ) from None
    except WrongSetting as wrong:
        raise ExceptionGroup("wrong settings", [wrong]) from None
    missing = [_missing(settings, name) for name in needs if _is_empty(getattr(found, name))]
    if missing:
        raise ExceptionGroup("wrong settings", missing)
    return found


def load(settings: type[S], *, needs: tuple[str, ...] = SERVE, **values: Any) -> S:
    """Reads the settings, or prints one sentence per wrong one and ends the process with code 2."""
    try:
        return read(settings, needs=needs, **values)
    except ExceptionGroup as group:
        for wrong in group.exceptions:
            print(wrong, file=sys.stderr)
        sys.exit(EXIT_WRONG_SETTING)


def _is_empty(value: object) -> bool:
    text = value.get_secret_value() if isinstance(value, SecretStr) else value
    return text is None or text == ""


def _missing(settings: type[Settings], name: str) -> WrongSetting:
    field = settings.model_fields[name]
    return WrongSetting(variable_of(field, name), "is not set", field.description or "set")


def _wrong(settings: type[Settings], detail: Any) -> UnusableSettings:
    fields = settings.model_fields
    location = str(next(iter(detail["loc"]), ""))
    name = next((name for name, field in fields.items() if location in (name, field.alias)), None)
    if name is None:
        rule = str(detail["msg"]).removeprefix("Value error, ")
        return SettingsDisagree(_with_variables(fields, rule))
    field = fields[name]
    remedy = field.description or str(detail["msg"]).removeprefix("Input should be ")
    if detail["type"] == "missing":
        return WrongSetting(variable_of(field, name), "is not set", remedy)
    fault = "does not have the right form" if _is_secret(field) else f"is {str(detail['input'])[:100]!r}"
    return WrongSetting(variable_of(field, name), fault, remedy)
