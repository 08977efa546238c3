"""Settings of sharing."""

from pydantic import Field

from chassis import Settings as ChassisSettings


class Settings(ChassisSettings):
    """The chassis' settings with sharing's own port."""

    http_port: int = Field(
        default=8004, ge=0, le=65_535, description="a port from 1 to 65535, or 0 for any free one"
    )
