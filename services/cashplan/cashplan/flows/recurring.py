"""Recurring items: their occurrences stand in the pool for more than a year ahead, and are renewed each day."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

from chassis.work import CausedBy

from cashplan.calendars import is_chinese_working_day
from cashplan.domain.collection import RECURRING, ManualItem, PoolFact, manual_fact
from cashplan.domain.pool import ItemKey
from cashplan.domain.recurring import Calendar, RecurringItem, occurrences, working_day_of
from cashplan.flows.pool import PoolDesk, PoolNews
from cashplan.repository import pool as pool_rows
from cashplan.repository import recurring as recurring_rows
from cashplan.repository import settings as setting_rows
from chassis import UnitOfWork

RECURRING_DUE: Final = "recurring-items"
AHEAD: Final = timedelta(days=400)
CHINA: Final = Calendar(id="china", name="China")


class CalendarUnknown(LookupError):
    """A recurring item names a calendar that is not there."""

    def __init__(self, calendar: str) -> None:
        self.calendar = calendar
        super().__init__(f"there is no calendar {calendar}")


async def generate(work: UnitOfWork, items: Mapping[str, RecurringItem], today: date, event_id: str) -> int:
    """Puts the occurrences of these items into the pool and takes back those that no longer fall due.

    What has been due already is left alone. Errors: CalendarUnknown, NoWorkingDay.
    """
    calendars = {each.id: each for each in await setting_rows.calendars(work.connection)}
    wanted: dict[ItemKey, ManualItem] = {}
    for recurring_id, item in items.items():
        wanted |= _occurrences(recurring_id, item, calendars, today)
    known = await pool_rows.recurring_keys(work.connection, list(items), today)
    desk = PoolDesk(work)
    await desk.load([*wanted, *known], [])
    number = 0
    for key in sorted({*wanted, *known}):
        fact = _fact(desk, key, wanted)
        if fact is not None:
            number += desk.apply(PoolNews(fact, event_id, work.now)) != "known-already"
    await desk.save()
    await recurring_rows.mark_generated(work.connection, list(items), today + AHEAD)
    return number


def _occurrences(
    recurring_id: str, item: RecurringItem, calendars: Mapping[str, Calendar], today: date
) -> dict[ItemKey, ManualItem]:
    if not item.active:
        return {}
    calendar = calendars.get(item.calendar) or (CHINA if item.calendar == "china" else None)
    if calendar is None:
        raise CalendarUnknown(item.calendar)
    works = working_day_of(calendar, is_chinese_working_day)
    days = occurrences(item, today - timedelta(days=31), today + AHEAD, works)
    return {
        ItemKey(RECURRING, recurring_id, nominal.isoformat()): _entered(item, due)
        for nominal, due in days.items()
        if due >= today
    }


def _entered(item: RecurringItem, due: date) -> ManualItem:
    return ManualItem(
        entity=item.entity,
        direction=item.direction,
        currency=item.amount.currency,
        amount=item.amount,
        due_date=due,
        purpose=item.purpose,
        item=item.item,
        counterparty=item.counterparty,
    )


def _fact(desk: PoolDesk, key: ItemKey, wanted: Mapping[ItemKey, ManualItem]) -> PoolFact | None:
    """The next version of an occurrence where anything about it has changed; closed where it is not wanted."""
    current = desk.items.get(key)
    version = desk.versions.get(key, 0) + 1
    if key in wanted:
        fact = manual_fact(key, version, wanted[key], "generate")
        same = (
            current is not None
            and fact.item is not None
            and current.amount_minor
            and (
                (current.due_date, current.document_minor, current.direction, current.attributes)
                == (
                    fact.item.due_date,
                    fact.item.document_minor,
                    fact.item.direction,
                    dict(fact.item.attributes),
                )
            )
        )
        return None if same else fact
    if current is None or not current.amount_minor:
        return None
    return PoolFact(
        key=key,
        version=version,
        chain=replace(desk.chains[key], is_closed=True),
        item=current,
        operation="withdraw",
        outcome="entered",
    )


def next_run(now: datetime) -> datetime:
    """Shortly after the next midnight, UTC."""
    return datetime.combine(now.astimezone(UTC).date() + timedelta(days=1), time(0, 10), UTC)


async def renew_all(work: UnitOfWork, today: date, cause: CausedBy) -> int:
    """Renews every active item; the next run is set."""
    items: Sequence[tuple[str, RecurringItem]] = await recurring_rows.active(work.connection)
    number = await generate(work, dict(items), today, cause.id) if items else 0
    work.set_timer(RECURRING_DUE, "all", next_run(work.now), cause)
    return number
