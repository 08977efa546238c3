"""The cash position by day."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Annotated, Final

from chassis.http import CursorPage, FieldError, Now, Page, Policy, Problem, Reader, Router
from contracts.money import Money, SignedMoney
from contracts.text import CurrencyCode, Id
from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from cashplan.api.common import READERS
from cashplan.domain.organisations import TIME_ZONE_DEFAULT, Organisation, local_date
from cashplan.domain.position import (
    AccountBalance,
    Day,
    Flow,
    Place,
    PositionError,
    Range,
    SumTooLarge,
    chosen_range,
    position_by_day,
)
from cashplan.repository import organisations as organisation_rows
from cashplan.repository import position as position_rows

router = Router(tags=["cash position"])

PLACES_MAX: Final = 20


def _cny(amount: str) -> JsonDict:
    return {"amount": amount, "currency": "CNY"}


EXAMPLE: Final[JsonDict] = {
    "entity": "ORG-SHANGHAI",
    "currency": "CNY",
    "time_zone": "Asia/Shanghai",
    "today": "2026-03-10",
    "minimum_balance": _cny("30.00"),
    "lowest": {"day": "2026-03-11", "balance": _cny("20.00")},
    "gap": _cny("10.00"),
    "first_day_below_zero": None,
    "first_day_below_minimum": "2026-03-11",
    "overdue_receipts": _cny("40.00"),
    "overdue_payments": _cny("0.00"),
    "accounts": [
        {"account_id": "BANK-1", "bank": "ICBC Shanghai", "balance": _cny("100.00"), "as_of": "2026-03-10"}
    ],
    "days": [
        {
            "day": "2026-03-10",
            "opening": _cny("100.00"),
            "receipts": _cny("40.00"),
            "payments": _cny("0.00"),
            "overdue_receipts": _cny("40.00"),
            "overdue_payments": _cny("0.00"),
            "closing": _cny("140.00"),
        },
        {
            "day": "2026-03-11",
            "opening": _cny("140.00"),
            "receipts": _cny("10.00"),
            "payments": _cny("130.00"),
            "overdue_receipts": _cny("0.00"),
            "overdue_payments": _cny("0.00"),
            "closing": _cny("20.00"),
        },
    ],
}


class DayView(BaseModel):
    """One day: closing = opening + receipts - payments; what is overdue falls on today and is included."""

    day: date
    opening: SignedMoney
    receipts: Money
    payments: Money
    overdue_receipts: Money
    overdue_payments: Money
    closing: SignedMoney


class Lowest(BaseModel):
    day: date
    balance: SignedMoney


class AccountView(BaseModel):
    """A position account with the newest balance that counts; null when none was ever entered."""

    account_id: str
    bank: str
    balance: SignedMoney | None
    as_of: date | None


class PositionView(BaseModel):
    """The position of one entity in one currency; `gap` is how far it falls below the minimum balance."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    entity: str
    currency: str
    time_zone: str
    today: date = Field(description="In the entity's time zone; UTC when the organisation is not known.")
    minimum_balance: Money
    lowest: Lowest
    gap: Money
    first_day_below_zero: date | None
    first_day_below_minimum: date | None
    overdue_receipts: Money
    overdue_payments: Money
    accounts: list[AccountView]
    days: list[DayView]


@router.get("/position", policy=Policy("position:read", roles=READERS), summary="Cash position by day")
async def position(
    page: Page,
    reader: Reader,
    now: Now,
    entity: Annotated[Id | None, Query(examples=["ORG-SHANGHAI"])] = None,
    currency: Annotated[CurrencyCode | None, Query(examples=["CNY"])] = None,
    from_: Annotated[
        date | None, Query(alias="from", description="Today at the earliest, and by default.")
    ] = None,
    to: Annotated[date | None, Query(description="At most 366 days are shown, 31 by default.")] = None,
) -> CursorPage[PositionView]:
    """Today's balances of the enterprise's own accounts plus what is open in the pool, per entity and currency."""
    page.limit = min(page.limit, PLACES_MAX)
    after = page.after(str, str) or ("", "")
    found = await position_rows.places_after(reader, entity, currency, Place(*after), page.rows)
    places, following = page.page(found, tuple)
    zones = await _time_zones(reader, places)
    todays = _todays(zones, now)
    ranges = _ranges(todays, from_, to)
    balances = await position_rows.balances_by_place(reader, todays)
    flows = await position_rows.flows_by_place(reader, {place: ranges[place].last_day for place in places})
    views = [
        _view(
            place, zones[place], todays[place], ranges[place], balances.get(place, []), flows.get(place, [])
        )
        for place in places
    ]
    return CursorPage(items=views, next=following)


async def _time_zones(reader: Reader, places: Sequence[Place]) -> dict[Place, str]:
    known: Mapping[str, Organisation] = await organisation_rows.organisations_by_id(
        reader, {place.entity for place in places}
    )
    return {
        place: known[place.entity].time_zone if place.entity in known else TIME_ZONE_DEFAULT
        for place in places
    }


def _todays(zones: Mapping[Place, str], now: datetime) -> dict[Place, date]:
    return {place: local_date(now, zone) for place, zone in zones.items()}


def _ranges(
    todays: Mapping[Place, date], first_day: date | None, last_day: date | None
) -> dict[Place, Range]:
    try:
        return {place: chosen_range(today, first_day, last_day) for place, today in todays.items()}
    except PositionError as refused:
        raise Problem.invalid([FieldError(field="to", message=str(refused))], type="range-refused") from None


def _view(
    place: Place,
    time_zone: str,
    today: date,
    shown: Range,
    accounts: Sequence[AccountBalance],
    flows: Sequence[Flow],
) -> PositionView:
    try:
        position = position_by_day(accounts, flows, today, shown)
    except SumTooLarge as refused:
        raise Problem.conflict("sum-too-large", f"{place.entity} in {place.currency}: {refused}.") from None
    return PositionView(
        entity=place.entity,
        currency=place.currency,
        time_zone=time_zone,
        today=today,
        minimum_balance=Money.of(position.minimum_minor, place.currency),
        lowest=Lowest(day=position.lowest_day, balance=SignedMoney.of(position.lowest_minor, place.currency)),
        gap=Money.of(position.gap_minor, place.currency),
        first_day_below_zero=position.first_day_below_zero,
        first_day_below_minimum=position.first_day_below_minimum,
        overdue_receipts=Money.of(position.overdue_receipts_minor, place.currency),
        overdue_payments=Money.of(position.overdue_payments_minor, place.currency),
        accounts=[_account_view(account, place.currency) for account in accounts],
        days=[_day_view(day, place.currency) for day in position.days],
    )


def _account_view(account: AccountBalance, currency: str) -> AccountView:
    balance = None if account.balance_minor is None else SignedMoney.of(account.balance_minor, currency)
    return AccountView(account_id=account.account_id, bank=account.bank, balance=balance, as_of=account.as_of)


def _day_view(day: Day, currency: str) -> DayView:
    return DayView(
        day=day.day,
        opening=SignedMoney.of(day.opening_minor, currency),
        receipts=Money.of(day.receipts_minor, currency),
        payments=Money.of(day.payments_minor, currency),
        overdue_receipts=Money.of(day.overdue_receipts_minor, currency),
        overdue_payments=Money.of(day.overdue_payments_minor, currency),
        closing=SignedMoney.of(day.closing_minor, currency),
    )
