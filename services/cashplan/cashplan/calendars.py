"""China's working days, make-up days among them, by a kept library."""

from datetime import date
from functools import lru_cache

import holidays

CHINA = "CN"


@lru_cache(maxsize=4096)
def is_chinese_working_day(day: date) -> bool:
    """Whether people work on a day: not on weekends and holidays, but on the days that make up for them."""
    return bool(_china().is_working_day(day))


@lru_cache(maxsize=1)
def _china() -> holidays.HolidayBase:
    return holidays.country_holidays(CHINA)
