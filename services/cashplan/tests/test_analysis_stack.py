"""Forecast, gaps, statistics, deviations and accuracy on a real PostgreSQL."""

from datetime import UTC, date, datetime, timedelta
from io import BytesIO
from typing import Any

import openpyxl
import pytest
from chassis.testing import only
from contracts.money import SignedMoney

from contracts import BankBalanceChanged, CashGapForecast

pytestmark = pytest.mark.stack

WEEK = "2026-11-W46"
DAY = date(2026, 11, 10)
NOVEMBER = "filing_type=month-plan&from=2026-11-01&to=2026-11-30"


def alone(types: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**each, "roll_up": False, "roll_up_nodes": []} for each in types]


async def store_account(group: Any, minimum: str = "0.00") -> None:
    async with group.harness.client(roles={"order-system", "treasurer"}) as client:
        body = {"version": 1, "name": "Alpha", "time_zone": "Asia/Shanghai"}
        assert (await client.put("/organisations/A", json=body)).status_code == 200
        account = {
            "entity": "A",
            "currency": "CNY",
            "bank": "ICBC",
            "name": "Main",
            "minimum_balance": {"amount": minimum, "currency": "CNY"},
        }
        assert (await client.put("/position-accounts/BANK-1", json=account)).status_code == 200


def balance(
    amount: str, told: datetime, account: str = "BANK-1", currency: str = "CNY"
) -> BankBalanceChanged:
    return BankBalanceChanged(
        account=account, as_of=date(2026, 10, 20), balance=SignedMoney(amount, currency), told_at=told
    )


async def planned(group: Any, post: Any, minimum: str = "0.00") -> None:
    """100 in the bank; November plans 90 of wages and 50 of sales in one week; 40 of wages are requested."""
    await group.set_up(filing_types=alone)
    await store_account(group, minimum)
    await group.harness.play(balance("100.00", datetime(2026, 10, 20, 6, tzinfo=UTC)))
    round_ = await group.open_round()
    await group.file(round_["filings"]["A"], {("wages", WEEK): "90.00", ("sales", WEEK): "50.00"})
    await group.harness.play(post("payment-request", "R1", "40.00", DAY))


async def test_balances_come_by_event_and_the_last_told_counts(group: Any) -> None:
    await store_account(group)
    early, late = (datetime(2026, 10, 20, hour, tzinfo=UTC) for hour in (6, 7))
    await group.harness.play(balance("100.00", late), balance("90.00", early))
    await group.harness.play(balance("100.00", late))
    await group.harness.play(balance("1.00", late, account="BANK-9"), balance("1.00", late, currency="USD"))
    rows = await group.harness.rows("select balance_minor from position_balance order by told_at desc")
    assert [row["balance_minor"] for row in rows] == [100_00, 90_00]
    letters = await group.harness.rows("select reason from dead_letter order by reason")
    assert [letter["reason"] for letter in letters] == ["currency-mismatch", "unknown-account"]
    assert await group.findings() == []


async def test_the_forecast_counts_each_flow_once(group: Any, post: Any) -> None:
    """100 + 50 sales - 40 requested - 50 left of the wages: whoever adds the pool's item again is 40 too low."""
    await planned(group, post, minimum="80.00")
    told = await group.ask("paul-a", "GET", group.path("forecast?entity=A&days=40"))
    assert told["balance"] == "100.00"
    assert told["by_rung"] == {
        "actual": "0.00",
        "pre-occupied": "-40.00",
        "pool": "0.00",
        "unplanned-pool": "0.00",
        "plan": "0.00",
    }
    by_day = {day["day"]: day for day in told["days"]}
    assert by_day["2026-11-10"]["closing"] == "60.00"
    assert (by_day["2026-11-15"]["receipts"], by_day["2026-11-15"]["payments"]) == ("50.00", "50.00")
    assert (told["first_day_below"], told["gap"]) == ("2026-11-10", "20.00")
    await group.harness.play(post("payment", "P1", "40.00", DAY, settles="R1"))
    paid = await group.ask("paul-a", "GET", group.path("forecast?entity=A&days=40"))
    assert paid["by_rung"]["actual"] == "-40.00"
    assert paid["by_rung"]["pre-occupied"] == "0.00"
    await group.ask("paul-b", "GET", group.path("forecast?entity=A"), expect=404)


async def test_the_forecast_as_a_workbook_with_a_chart_and_as_svg(group: Any, post: Any) -> None:
    await planned(group, post)
    body = await group.ask("paul-a", "GET", group.path("forecast?entity=A&days=30&format=xlsx"))
    page: Any = openpyxl.load_workbook(BytesIO(body))["Table"]
    assert len(page._charts) == 1
    assert [page.cell(2, column).value for column in (1, 2, 5)] == ["2026-10-20", 100, 100]
    svg = await group.ask("paul-a", "GET", group.path("forecast?entity=A&days=30&format=svg"))
    assert b"<svg" in svg
    assert b"<script" not in svg


async def test_a_gap_is_told_when_it_appears_worsens_and_closes(group: Any, post: Any) -> None:
    await planned(group, post, minimum="80.00")
    soon = datetime(2026, 10, 20, 8, 1, tzinfo=UTC)
    group.harness.now = soon
    (appeared,) = only(await group.harness.fire_timers(soon), CashGapForecast)
    assert (appeared.kind, appeared.gap.amount, appeared.first_day) == ("appeared", "20.00", DAY)
    assert only(await group.harness.fire_timers(soon + timedelta(hours=1)), CashGapForecast) == []
    await group.harness.play(post("payment-request", "R2", "50.00", DAY))
    (worsened,) = only(await group.harness.fire_timers(soon + timedelta(hours=2)), CashGapForecast)
    assert (worsened.kind, worsened.gap.amount, worsened.notice_number) == ("worsened", "70.00", 2)
    assert worsened.episode_id == appeared.episode_id
    await group.harness.play(balance("500.00", soon))
    (closed,) = only(await group.harness.fire_timers(soon + timedelta(hours=4)), CashGapForecast)
    assert closed.former_gap is not None
    assert (closed.kind, closed.gap.amount, closed.former_gap.amount) == ("closed", "0.00", "70.00")


async def test_statistics_by_any_dimension_list_who_is_missing(group: Any, post: Any) -> None:
    await planned(group, post)
    measures = "measures=effective&measures=available&measures=execution-rate"
    query = f"{NOVEMBER}&rows=entity&rows=item&columns=period&{measures}"
    table = await group.ask("max", "GET", group.path(f"statistics?{query}"))
    wages = next(row for row in table["rows"] if row["members"][:2] == ["A", "wages"])
    assert wages["total"] == {"effective": "90.00", "available": "50.00", "execution-rate": "0"}
    assert table["missing"] == ["B", "C"]
    saved = await group.ask("max", "GET", group.path(f"statistics?{NOVEMBER}&template=by-item"))
    assert next(row for row in saved["rows"] if row["members"][0] == "wages")["total"]["effective"] == "90.00"
    body = await group.ask("max", "GET", group.path(f"statistics?{NOVEMBER}&template=by-item&format=xlsx"))
    page: Any = openpyxl.load_workbook(BytesIO(body))["Table"]
    assert len(page._charts) == 1
    own = await group.ask("paul-b", "GET", group.path(f"statistics?{NOVEMBER}"))
    assert own["rows"] == []
    wrong = await group.ask("max", "GET", group.path(f"statistics?{NOVEMBER}&rows=colour"), expect=422)
    assert "colour is no dimension" in wrong["detail"]


async def test_deviations_above_the_threshold_want_a_reason(group: Any, post: Any) -> None:
    await planned(group, post)
    await group.harness.play(post("payment", "P1", "40.00", DAY, settles="R1"))
    group.harness.now = datetime(2026, 12, 1, 8, tzinfo=UTC)
    path = group.path(f"deviations?{NOVEMBER}&due_only=true")
    due = {each["item"]: each for each in await group.ask("paul-a", "GET", path)}
    assert (due["wages"]["deviation"], due["wages"]["percent"]) == ("-50.00", "55.56")
    reason = {
        "filing_type": "month-plan",
        "entity": "A",
        "item": "wages",
        "period": WEEK,
        "currency": "CNY",
        "reason": "fewer people",
    }
    await group.ask("paul-b", "PUT", group.path("deviations/reason"), reason, expect=404)
    await group.ask("paul-a", "PUT", group.path("deviations/reason"), reason)
    assert "wages" not in {each["item"] for each in await group.ask("paul-a", "GET", path)}
    everything = await group.ask("paul-a", "GET", group.path(f"deviations?{NOVEMBER}"))
    assert next(each for each in everything if each["item"] == "wages")["reason"] == "fewer people"


async def test_the_accuracy_of_rolling_forecasts(group: Any, post: Any) -> None:
    """Two rounds said 100 and 80 of one week; 90 became actual: 88.89 and 88.89 percent."""
    await group.set_up("weekly-rolling")
    group.filing_type = "week-plan"
    for day, amount in (("2026-11-02", "100.00"), ("2026-11-09", "80.00")):
        round_ = await group.open_round(day)
        await group.file(round_["filings"]["A"], {("sales", "2026-W46"): amount})
    await group.harness.play(post("receipt", "RC-1", "90.00", DAY))
    group.harness.now = datetime(2026, 12, 1, 8, tzinfo=UTC)
    path = group.path("forecast-accuracy?filing_type=week-plan&from=2026-11-01&to=2026-11-30")
    found = [each for each in await group.ask("max", "GET", path) if each["percent"] is not None]
    assert [(each["rounds_ahead"], each["percent"]) for each in found] == [(0, "88.89"), (1, "88.89")]


@pytest.mark.parametrize("view", ["statistics", "execution", "deviations", "forecast-accuracy"])
async def test_every_analysis_is_also_a_workbook_with_a_chart_and_a_picture(
    group: Any, post: Any, view: str
) -> None:
    await planned(group, post)
    await group.harness.play(post("payment", "P1", "40.00", DAY, settles="R1"))
    group.harness.now = datetime(2026, 12, 1, 8, tzinfo=UTC)
    path = group.path(f"{view}?{NOVEMBER}")
    book = openpyxl.load_workbook(BytesIO(await group.ask("max", "GET", f"{path}&format=xlsx")))
    page: Any = book["Table"]
    assert len(page._charts) == 1
    assert page.max_row > 1
    svg = await group.ask("max", "GET", f"{path}&format=svg")
    assert b"<svg" in svg
    assert b"<script" not in svg


async def test_items_are_fetched_from_balances_and_from_the_pool(group: Any, post: Any) -> None:
    """Cash at the beginning, and what is open to be paid in each week, read-only."""
    rules = [{"id": "cash", "source": "balances"}, {"id": "open", "source": "pool", "direction": "out"}]
    items = [
        {"id": "opening", "name": "Cash at the beginning", "source": "fetched", "fetch_rule": "cash"},
        {"id": "due", "name": "Open payments", "source": "fetched", "fetch_rule": "open"},
    ]
    await group.set_up(filing_types=alone, fetch_rules=lambda _: rules, items=lambda known: [*known, *items])
    templates = await group.ask("ada", "GET", group.path("templates"))
    templates[0]["sheets"][0]["rows"] += [
        {"id": each["id"], "members": {"item": each["id"]}} for each in items
    ]
    await group.ask("ada", "PUT", group.path("templates"), templates)
    await store_account(group)
    await group.harness.play(balance("100.00", datetime(2026, 10, 20, 6, tzinfo=UTC)))
    await group.harness.play(post("payment-request", "R1", "40.00", DAY))
    filing = (await group.open_round())["filings"]["A"]
    await group.ask("paul-a", "POST", f"/filings/{filing}/refresh")
    cells = (await group.ask("paul-a", "GET", f"/filings/{filing}/grid"))["sheets"][0]["cells"]
    fetched = {
        (cell["item"], cell["period"]): cell["amount"]
        for cell in cells
        if cell["source"] == "fetched" and cell["amount"] not in (None, "0.00")
    }
    assert fetched == {("opening", "2026-11-W44"): "100.00", ("due", WEEK): "40.00"}
