"""Settings of notify: its mail server, its SMS gateway, and how hard it tries."""

from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Final, Literal, Self

from chassis.settings import HttpUrl, read
from pydantic import Field, SecretStr, field_validator, model_validator

from chassis import Settings as ChassisSettings
from notify.domain.delivery import Channel, Limits
from notify.domain.noise import Rate
from notify.domain.pace import Pace

RECORD_SECONDS: Final = 15
"""What a lease leaves, behind the longest attempt, for writing down how it ended."""


class Settings(ChassisSettings):
    """The chassis' settings with notify's own."""

    http_port: int = Field(
        default=8005, ge=0, le=65_535, description="a port from 1 to 65535, or 0 for any free one"
    )

    smtp_host: str = Field(default="127.0.0.1", min_length=1, description="a name such as mail.example.com")
    smtp_port: int = Field(default=587, ge=1, le=65_535, description="a port from 1 to 65535")
    smtp_tls: Literal["starttls", "tls"] = Field(
        default="starttls", description="starttls or tls; mail is never sent in clear text"
    )
    smtp_username: str = Field(default="", description="the user to log in as, or nothing")
    smtp_password: SecretStr = Field(default=SecretStr(""), description="the user's password")
    smtp_ca_file: str = Field(
        default="", description="a file of certificates to trust, or nothing for those of the system"
    )
    smtp_from: str = Field(
        default="Coffer <coffer@localhost>",
        pattern=r"^[^\r\n]*[^\s<>@]+@[^\s<>@]+>?$",
        description="the sender, such as Coffer <coffer@example.com>",
    )
    smtp_seconds_max: float = Field(default=30, gt=0, le=120, description="seconds from above 0 to 120")

    sms_url: HttpUrl = Field(
        default="http://127.0.0.1:13013/cgi-bin/sendsms",
        min_length=1,
        description="the gateway's sendsms address, such as http://127.0.0.1:13013/cgi-bin/sendsms",
    )
    sms_username: str = Field(default="", description="the gateway's user")
    sms_password: SecretStr = Field(default=SecretStr(""), description="the user's password")
    sms_from: str = Field(
        default="Coffer", pattern=r"^[\x21-\x7e]{1,20}$", description="1 to 20 ASCII characters"
    )
    sms_report_url: HttpUrl = Field(
        default="http://127.0.0.1:8005",
        min_length=1,
        description="where the gateway reaches this service, such as http://notify:8005",
    )
    sms_seconds_max: float = Field(default=30, gt=0, le=120, description="seconds from above 0 to 120")
    sms_validity_minutes: int = Field(default=240, ge=1, le=10_080, description="minutes from 1 to 10080")

    public_url: HttpUrl = Field(
        default="http://127.0.0.1:8005",
        min_length=1,
        description="where people reach this service, such as https://notices.example.com",
    )
    webhook_seconds_max: float = Field(default=15, gt=0, le=120, description="seconds from above 0 to 120")
    webhook_private: bool = Field(
        default=False, description="true lets webhooks call addresses inside the company's network"
    )
    catalogue_schemas: str = Field(
        default="dingtalk,wecombot,lark,feishu,slack,twilio,msteams,tgram,discord,mattermost,pagerduty,opsgenie",
        pattern=r"^[a-z0-9]+(,[a-z0-9]+)*$",
        description="the schemas of Apprise that addresses may have, such as dingtalk,slack",
    )
    sms_per_second_max: int = Field(
        default=0, ge=0, le=10_000, description="messages a second from 1 to 10000, or 0 for no limit"
    )
    mail_per_second_max: int = Field(
        default=0, ge=0, le=10_000, description="messages a second from 1 to 10000, or 0 for no limit"
    )
    recipient_sms_per_hour_max: int = Field(
        default=20,
        ge=0,
        le=3_600,
        description="messages an hour to one person from 1 to 3600, or 0 for no limit",
    )
    recipient_sms_at_once_max: int = Field(
        default=20, ge=1, le=1_000, description="messages at once to one person from 1 to 1000"
    )
    recipient_mail_per_hour_max: int = Field(
        default=60,
        ge=0,
        le=3_600,
        description="messages an hour to one person from 1 to 3600, or 0 for no limit",
    )
    recipient_mail_at_once_max: int = Field(
        default=60, ge=1, le=1_000, description="messages at once to one person from 1 to 1000"
    )
    recipient_other_per_hour_max: int = Field(
        default=60,
        ge=0,
        le=3_600,
        description="messages an hour to one person by each further channel from 1 to 3600, or 0 for no limit",
    )
    recipient_other_at_once_max: int = Field(
        default=60, ge=1, le=1_000, description="messages at once to one person from 1 to 1000"
    )
    content_days: int = Field(default=30, ge=14, le=3_650, description="days from 14 to 3650")
    history_days: int = Field(
        default=730, ge=90, le=3_650, description="days from 90 to 3650, not fewer than those of the content"
    )

    deliveries_at_once_max: int = Field(default=24, ge=1, le=100, description="a whole number from 1 to 100")
    delivery_attempts_max: int = Field(default=12, ge=1, le=50, description="a whole number from 1 to 50")
    delivery_retry_seconds: float = Field(
        default=30, gt=0, le=3_600, description="seconds from above 0 to 3600"
    )
    delivery_retry_seconds_max: float = Field(
        default=3_600, gt=0, le=86_400, description="seconds from above 0 to 86400"
    )
    delivery_alarm_seconds: float = Field(
        default=900, gt=0, le=86_400, description="seconds from above 0 to 86400"
    )
    delivery_poll_seconds: float = Field(default=1, gt=0, le=60, description="seconds from above 0 to 60")
    mail_unknown_seconds: float = Field(
        default=900, gt=0, le=86_400, description="seconds from above 0 to 86400"
    )
    sms_report_seconds: float = Field(
        default=15_300,
        gt=0,
        le=691_200,
        description="seconds from above 0 to 691200, longer than the validity",
    )

    @field_validator("smtp_ca_file")
    @classmethod
    def _is_readable(cls, path: str) -> str:
        if path and not Path(path).is_file():
            raise ValueError("is not a file")
        return path

    @model_validator(mode="after")
    def _bounds_agree(self) -> Self:
        if self.delivery_retry_seconds > self.delivery_retry_seconds_max:
            raise ValueError("COFFER_DELIVERY_RETRY_SECONDS is above COFFER_DELIVERY_RETRY_SECONDS_MAX")
        if self.history_days < self.content_days:
            raise ValueError("COFFER_HISTORY_DAYS ends before COFFER_CONTENT_DAYS")
        if self.sms_report_seconds < self.sms_validity_minutes * 60:
            raise ValueError("COFFER_SMS_REPORT_SECONDS ends before COFFER_SMS_VALIDITY_MINUTES")
        return self

    @property
    def paces(self) -> dict[Channel, Pace]:
        """How fast messages may go to each provider; a channel without a pace is not held up."""
        given = {Channel.SMS: self.sms_per_second_max, Channel.EMAIL: self.mail_per_second_max}
        return {channel: Pace(each_second) for channel, each_second in given.items() if each_second}

    @property
    def recipient_rates(self) -> dict[Channel, Rate]:
        """What one person may get by each channel; Twilio carries SMS."""
        sms = (self.recipient_sms_per_hour_max, self.recipient_sms_at_once_max)
        mail = (self.recipient_mail_per_hour_max, self.recipient_mail_at_once_max)
        other = (self.recipient_other_per_hour_max, self.recipient_other_at_once_max)
        given = {Channel.SMS: sms, Channel.TWILIO: sms, Channel.EMAIL: mail}
        return {
            channel: Rate(burst=at_once, interval=timedelta(hours=1) / per_hour)
            for channel, (per_hour, at_once) in ((channel, given.get(channel, other)) for channel in Channel)
            if per_hour
        }

    @property
    def limits(self) -> Limits:
        """How often and how long a delivery is tried; a lease outlives the longest step of an attempt."""
        longest_step = max(self.smtp_seconds_max, self.sms_seconds_max, self.webhook_seconds_max)
        return Limits(
            attempts_max=self.delivery_attempts_max,
            backoff_first=timedelta(seconds=self.delivery_retry_seconds),
            backoff_max=timedelta(seconds=self.delivery_retry_seconds_max),
            alarm_wait=timedelta(seconds=self.delivery_alarm_seconds),
            lease=timedelta(seconds=longest_step + RECORD_SECONDS),
            report_wait=timedelta(seconds=self.sms_report_seconds),
            unknown_wait=timedelta(seconds=self.mail_unknown_seconds),
        )


@cache
def recipient_rates() -> dict[Channel, Rate]:
    """What one person may get by each channel, as the environment of this process says."""
    return read(Settings).recipient_rates
