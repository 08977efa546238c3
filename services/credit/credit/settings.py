"""Settings of credit."""

from datetime import timedelta
from functools import cache

from chassis.settings import read
from pydantic import Field

from chassis import Settings as ChassisSettings
from credit.domain.changes import Periods


class Settings(ChassisSettings):
    """The chassis' settings with credit's own."""

    http_port: int = Field(
        default=8002, ge=0, le=65_535, description="a port from 1 to 65535, or 0 for any free one"
    )
    parked_hours_max: int = Field(
        default=24, ge=1, le=720, description="a whole number of hours from 1 to 720"
    )
    pending_days_max: int = Field(default=7, ge=1, le=365, description="a whole number of days from 1 to 365")
    unconfirmed_hours_max: int = Field(
        default=24, ge=1, le=720, description="a whole number of hours from 1 to 720"
    )


@cache
def periods() -> Periods:
    """How long things wait at the gate, as the environment of this process says."""
    settings = read(Settings)
    return Periods(
        parked=timedelta(hours=settings.parked_hours_max),
        pending=timedelta(days=settings.pending_days_max),
        unconfirmed=timedelta(hours=settings.unconfirmed_hours_max),
    )
