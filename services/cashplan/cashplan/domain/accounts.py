"""Position accounts: the enterprise's own bank and cash accounts, never customers' money."""

from dataclasses import dataclass
from datetime import date, datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionAccount:
    """One account of an entity; `minimum_minor` is what must stay on it."""

    account_id: str
    entity: str
    currency: str
    bank: str
    name: str
    minimum_minor: int
    active: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceEntry:
    """A balance as somebody entered it; a later entry for the same date corrects an earlier one."""

    entry_number: int
    as_of: date
    balance_minor: int
    entered_by: str
    entered_at: datetime
