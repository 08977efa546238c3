"""Chains of documents, recurring items, the forecast's ladder, and what a gap gives to tell."""

from datetime import date, timedelta
from random import Random

import pytest
from cashplan.domain.chains import ChainDocument, Link, open_amounts
from cashplan.domain.forecast import Flow, HeldFlow, PlanFlow, PoolFlow, flows_of, forecast, notice
from cashplan.domain.pool import ItemKey
from cashplan.domain.recurring import Calendar, RecurringItem, occurrences, working_day_of
from contracts.money import Money
from hypothesis import given, settings
from hypothesis import strategies as st

TODAY = date(2026, 3, 10)


def key(kind: str, number: int = 1) -> ItemKey:
    return ItemKey(kind, "erp", f"{kind}-{number}")


def order(unpaid: int) -> ChainDocument:
    return ChainDocument(key=key("order"), gross_minor=unpaid)


def after(kind: str, minor: int, of: ItemKey, number: int = 1, **others: bool) -> ChainDocument:
    return ChainDocument(
        key=key(kind, number),
        gross_minor=minor,
        upstream=(Link(of, minor),),
        sequence=(TODAY + timedelta(days=number), ""),
        **others,
    )


def opened(*documents: ChainDocument) -> dict[str, int]:
    return {each.document_id: minor for each, minor in open_amounts(documents).items() if minor}


def test_order_receivable_and_receipt_are_one_inflow() -> None:
    receivable = after("receivable", 100, key("order"))
    assert opened(order(100)) == {"order-1": 100}
    assert opened(order(100), receivable) == {"receivable-1": 100}
    assert opened(order(100), receivable, after("receipt", 30, key("receivable"))) == {"receivable-1": 70}
    assert opened(order(100), receivable, after("receipt", 100, key("receivable"))) == {}


def test_receivables_bring_no_more_than_the_orders_unpaid_part() -> None:
    """Of 100, 60 were paid from cash: 40 are to come, whatever the receivables say."""
    first, second = after("receivable", 70, key("order"), 1), after("receivable", 30, key("order"), 2)
    assert opened(order(40), first) == {"receivable-1": 40}
    assert opened(order(40), second) == {"order-1": 10, "receivable-2": 30}
    assert opened(order(40), first, second) == {"receivable-1": 40}
    recalled = after("receivable", 70, key("order"), 1, is_alive=False)
    assert opened(order(40), recalled, second) == {"order-1": 10, "receivable-2": 30}


def test_a_closed_request_brings_nothing_more() -> None:
    request = ChainDocument(key=key("payment-request"), gross_minor=100)
    payment = after("payment", 60, key("payment-request"))
    assert opened(request, payment) == {"payment-request-1": 40}
    closed = ChainDocument(key=key("payment-request"), gross_minor=100, is_closed=True)
    assert opened(closed, payment) == {}


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 10**9))
def test_a_chain_never_brings_more_than_its_order_and_falls_with_every_receipt(seed: int) -> None:
    random = Random(seed)
    documents = [order(random.randrange(200))]
    documents += [
        after("receivable", random.randrange(1, 80), key("order"), number, is_alive=random.random() < 0.8)
        for number in range(random.randint(0, 5))
    ]
    whole = sum(open_amounts(documents).values())
    assert whole == documents[0].gross_minor
    for number in range(random.randint(0, 5)):
        receivables = [each for each in documents if each.key.document_type == "receivable" and each.is_alive]
        if receivables:
            documents.append(
                after("receipt", random.randrange(1, 40), random.choice(receivables).key, number)
            )
    opens = open_amounts(documents)
    receipts = sum(each.gross_minor for each in documents if each.key.document_type == "receipt")
    assert all(minor >= 0 for minor in opens.values())
    assert whole - receipts <= sum(opens.values()) <= whole


def rent(**changed: object) -> RecurringItem:
    values: dict[str, object] = {
        "entity": "A",
        "direction": "out",
        "purpose": "Rent",
        "amount": Money("100.00", "CNY"),
        "day": 5,
        "starts_on": date(2026, 1, 1),
        **changed,
    }
    return RecurringItem(**values)  # type: ignore[arg-type]


def days(item: RecurringItem, last: date = date(2026, 12, 31), calendar: Calendar | None = None) -> list[str]:
    works = working_day_of(
        calendar or Calendar(id="c", name="c", base="weekdays"), lambda day: day.weekday() < 5
    )
    return [each.isoformat() for each in occurrences(item, date(2026, 1, 1), last, works).values()]


def test_rent_on_the_fifth_moves_off_weekends() -> None:
    """5 April 2026 is a Sunday, 5 September a Saturday."""
    assert days(rent(), date(2026, 5, 1)) == ["2026-01-05", "2026-02-05", "2026-03-05", "2026-04-06"]
    assert days(rent(shift="before"), date(2026, 4, 30))[-1] == "2026-04-03"
    assert days(rent(shift="none"), date(2026, 4, 30))[-1] == "2026-04-05"
    assert days(rent(ends_on=date(2026, 2, 28))) == ["2026-01-05", "2026-02-05"]


def test_the_31st_is_the_last_day_of_shorter_months() -> None:
    assert days(rent(day=31, shift="none"), date(2026, 4, 30)) == [
        "2026-01-31",
        "2026-02-28",
        "2026-03-31",
        "2026-04-30",
    ]


def test_weeks_and_quarters() -> None:
    assert days(rent(every="week", day=5), date(2026, 1, 20)) == ["2026-01-02", "2026-01-09", "2026-01-16"]
    assert days(rent(every="quarter"))[1] == "2026-04-06"


def test_own_calendars_add_holidays_and_working_days() -> None:
    own = Calendar(
        id="c", name="c", base="weekdays", holidays=[date(2026, 1, 5)], working_days=[date(2026, 4, 5)]
    )
    assert days(rent(), date(2026, 4, 30), own) == ["2026-01-06", "2026-02-05", "2026-03-05", "2026-04-05"]


def plan(effective: int, pre: int = 0, actual: int = 0, cell: str = "c") -> PlanFlow:
    return PlanFlow(cell, date(2026, 3, 1), date(2026, 3, 31), "out", effective, pre, actual)


def held(pre: int, actual: int = 0, day: date = TODAY, document: str = "R") -> HeldFlow:
    return HeldFlow(("payment-request", "erp", document), "c", day, "out", pre, actual)


def pooled(minor: int, cell: str | None, document: str = "R") -> PoolFlow:
    return PoolFlow(("payment-request", "erp", document), cell, date(2026, 3, 20), "out", minor)


def test_actual_stands_above_pre_occupied_above_the_rest_of_the_plan() -> None:
    """100 planned, 60 paid, 40 requested: only the request is still to go."""
    assert flows_of([held(40), held(0, 60)], [], [plan(100, 40, 60)], TODAY) == [
        Flow(TODAY, "out", "pre-occupied", 40)
    ]
    assert flows_of([held(30)], [], [plan(100, 30, 60)], TODAY)[1:] == [
        Flow(date(2026, 3, 31), "out", "plan", 10)
    ]
    assert flows_of([], [], [plan(100, 30, 80)], TODAY) == []


def test_an_actual_of_tomorrow_is_still_to_come() -> None:
    tomorrow = TODAY + timedelta(days=1)
    assert flows_of([held(0, 60, tomorrow)], [], [plan(60, 0, 60)], TODAY) == [
        Flow(tomorrow, "out", "actual", 60)
    ]


def test_a_pool_item_counts_once_beside_its_document_and_its_plan() -> None:
    assert flows_of([held(40)], [pooled(40, "c")], [plan(100, 40)], TODAY)[0].rung == "pre-occupied"
    assert sum(each.minor for each in flows_of([held(40)], [pooled(40, "c")], [plan(100, 40)], TODAY)) == 100
    of_plan = flows_of([], [pooled(40, "c")], [plan(100)], TODAY)
    assert [(each.rung, each.minor) for each in of_plan] == [("pool", 40), ("plan", 60)]
    unplanned = flows_of([], [pooled(40, None)], [plan(100)], TODAY)
    assert [(each.rung, each.minor) for each in unplanned] == [("unplanned-pool", 40), ("plan", 100)]


def test_the_rest_of_a_plan_falls_on_the_end_the_first_day_or_evenly() -> None:
    assert flows_of([], [], [plan(100)], TODAY, "first-day") == [Flow(TODAY, "out", "plan", 100)]
    evenly = flows_of([], [], [plan(100)], TODAY, "evenly")
    assert (len(evenly), sum(each.minor for each in evenly)) == (22, 100)


def test_the_forecast_finds_the_lowest_day_and_the_gap() -> None:
    flows = [
        Flow(TODAY, "in", "pool", 50),
        Flow(TODAY + timedelta(days=2), "out", "plan", 130),
        Flow(TODAY + timedelta(days=3), "in", "unplanned-pool", 100),
    ]
    told = forecast(100, 30, flows, TODAY, 5)
    assert [day.closing for day in told.days] == [150, 150, 20, 120, 120]
    assert (told.first_day_below, told.gap, told.lowest.closing) == (TODAY + timedelta(days=2), 10, 20)
    assert told.days[3].unplanned_receipts == 100


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10**9))
def test_every_flow_is_counted_once(seed: int) -> None:
    """One chain per document: what is paid, held, pooled and planned adds up to the larger of plan and documents."""
    random = Random(seed)
    holds, items, cells, expected = [], [], [], 0
    for number in range(random.randint(1, 6)):
        cell, effective = f"c{number}", random.randrange(200)
        pre_total = actual_total = pool_total = 0
        for document in range(random.randint(0, 4)):
            name = f"{number}-{document}"
            request = random.randrange(1, 60)
            paid = random.randrange(request + 1)
            in_pool, is_held = random.random() < 0.7, random.random() < 0.6
            if is_held:
                holds.append(
                    HeldFlow(("payment-request", "erp", name), cell, TODAY, "out", request - paid, 0)
                )
                holds.append(HeldFlow(("payment", "erp", name), cell, TODAY, "out", 0, paid))
                pre_total += request - paid
                actual_total += paid
            if in_pool and request > paid:
                items.append(PoolFlow(("payment-request", "erp", name), cell, TODAY, "out", request - paid))
                pool_total += 0 if is_held else request - paid
        cells.append(PlanFlow(cell, TODAY, TODAY, "out", effective, pre_total, actual_total))
        expected += max(effective - actual_total, pre_total + pool_total)
    assert sum(each.minor for each in flows_of(holds, items, cells, TODAY)) == expected


@pytest.mark.parametrize(
    ("former", "gap", "told"),
    [(0, 0, None), (0, 5, "appeared"), (5, 5, None), (5, 3, None), (5, 6, "worsened"), (5, 0, "closed")],
)
def test_what_there_is_to_tell_of_a_gap(former: int, gap: int, told: str | None) -> None:
    assert notice(former, gap) == told
