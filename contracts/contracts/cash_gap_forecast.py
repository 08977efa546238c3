"""cash-gap-forecast: the forecast cash position falls below what must be kept."""

from dataclasses import dataclass
from typing import Literal

from contracts.addressee import Addressees
from contracts.event import Event, event
from contracts.money import Amount, SignedAmount
from contracts.numbers import Counter
from contracts.text import CurrencyCode, Id, Name
from contracts.times import CalendarDate, Moment


@event("cash-gap-forecast", 1, key="entity", producers=("cashplan",))
@dataclass(frozen=True, slots=True, kw_only=True)
class CashGapForecast(Event):
    """One notice of one gap: appeared, worsened, or closed again."""

    entity: Id
    entity_name: Name | None = None
    currency: CurrencyCode
    kind: Literal["appeared", "worsened", "closed"]
    episode_id: Id
    """Holds the notices of one gap together."""
    notice_number: Counter
    """Counts the episode's notices from 1 without a gap."""
    first_day: CalendarDate | None = None
    """The first day below; absent when closed."""
    lowest_day: CalendarDate
    """The day of the lowest balance up to the horizon."""
    lowest_balance: SignedAmount
    kept_balance: Amount
    """What must be kept; 0 unless the entity set more."""
    gap: Amount
    """kept_balance - lowest_balance, not below 0; 0 when closed."""
    former_gap: Amount | None = None
    """What the notice before said."""
    horizon: CalendarDate
    """The last day that the forecast covers."""
    addressees: Addressees
    """Who hears of it; empty, the entity's treasurers."""
    occurred_at: Moment
