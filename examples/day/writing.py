"""How records of the day are written: money, clocks, CloudEvents headers."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from examples.day.world import Region

Json = dict[str, Any]  # Any: a JSON document

MORNING = datetime.fromisoformat("2026-11-02T00:00:00+00:00")
OPENING_HOURS = timedelta(hours=14)
IN_CNY = {"CNY": "1", "USD": "0.14", "JPY": "21", "KWD": "0.043"}


@dataclass(slots=True)
class Placed:
    """A record with the part of the day (0 to 1) at which it is published."""

    at: float
    record: Json


def wire(amount: Decimal, currency: str) -> Json:
    """Money as it is written."""
    return {"amount": f"{amount:f}", "currency": currency}


def rounded(value: Decimal, region: Region) -> Decimal:
    """Half up to the region's currency."""
    return value.quantize(Decimal(1).scaleb(-region.decimals), ROUND_HALF_UP)


def in_region(amount_cny: str, region: Region) -> Decimal:
    """An amount in CNY, in the region's currency."""
    return rounded(Decimal(amount_cny) * Decimal(IN_CNY[region.currency]), region)


def clock(at: float, region: Region | None = None, days: int = 0) -> str:
    """The moment at a part of the day, as the region's clock shows it; UTC without a region."""
    moment = MORNING + timedelta(days=days, seconds=int(OPENING_HOURS.total_seconds() * at))
    if region is None:
        return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
    offset = timedelta(hours=int(region.utc_offset[:3]), minutes=int(region.utc_offset[4:]))
    return (moment + offset).strftime(f"%Y-%m-%dT%H:%M:%S{region.utc_offset}")


class Publishers:
    """Wraps values into records in CloudEvents' binary mode; each source counts its own ids."""

    def __init__(self) -> None:
        self._published: dict[str, int] = {}

    def next_id(self, source: str) -> str:
        """An id that the source has not used yet."""
        self._published[source] = self._published.get(source, 0) + 1
        return f"{source}-{self._published[source]:06d}"

    def headers(self, source: str, event: str, time: str) -> dict[str, str]:
        """Headers of a new event."""
        return {
            "ce_specversion": "1.0",
            "ce_id": self.next_id(source),
            "ce_source": source,
            "ce_type": f"{event}.v1",
            "ce_time": time,
            "content-type": "application/json",
        }

    def record(self, source: str, event: str, key: str, value: Json, time: str, **extra: str) -> Json:
        """One record; `extra` tells whoever plays the day what is odd about it."""
        return {
            "topic": event,
            "key": key,
            "headers": self.headers(source, event, time),
            "value": value,
            **extra,
        }
