"""Custom formulas as a metric and as an occupancy, and what scoring takes from stored documents."""

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from contracts.document_checked import DocumentChecked
from credit.repository.providers import PROVIDERS, fed_values

from .test_documents_stack import answers, posted, upstream, used

pytestmark = pytest.mark.stack

WHY = {"reason": "the test says so"}


async def put(bench: Any, path: str, body: Any, status: int = 200) -> Any:
    async with bench.client({"credit-manager"}) as client:
        answer = await client.put(path, json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


async def ruled(bench: Any, make: Any, formula: str | None, *types: dict[str, Any]) -> None:
    """A customer without any limit under a rule of its own."""
    await bench.managed_customer(make, limit=None)
    rule = {"name": "own", "types": list(types), "custom_formula": formula, **WHY}
    await put(bench, "/check-rules/own", rule)
    body = {"check_rule": "own", "credit_limit": {"limit": None, "enforcement": "reject"}, **WHY}
    await put(bench, "/profiles/group/*/customer/C-1/CNY", body)


def of(name: str, enforcement: str = "reject", **more: Any) -> dict[str, Any]:
    return {"document_type": name, "enforcement": {"custom-formula": enforcement}, **more}


@pytest.mark.parametrize(
    ("enforcement", "outcome"),
    [("reject", "declined"), ("warn", "warned"), ("special-approval", "pending-approval")],
)
async def test_a_custom_formula_is_a_metric_with_its_own_enforcement(
    bench: Any, make: Any, enforcement: str, outcome: str
) -> None:
    """used + delta of at most 100.00 and single orders below 80.00: 70 passes, 80 does not, 30 does, 31 not."""
    await ruled(bench, make, "used + delta <= 10000 && amount < 8000", of("sales-order", enforcement))
    checks = await bench.checks(make.order("O-1", 8_000), make.order("O-2", 7_000), make.order("O-3", 3_100))
    assert [check.outcome for check in checks][:2] == [outcome, "approved"] or enforcement == "warn"
    assert checks[0].outcome == outcome
    [metric] = [one for one in checks[0].metrics if one.metric == "custom-formula"]
    assert (metric.delta.amount, metric.result == "passed") == ("80.00", False)
    assert [reason.code for reason in checks[0].reasons] == ["custom-formula-failed"]
    if enforcement == "reject":
        assert [check.outcome for check in await bench.checks(make.order("O-4", 3_000))] == ["approved"]
    assert await bench.broken() == []


async def test_a_formula_that_divides_by_zero_for_one_order_fails_it_and_says_so(
    bench: Any, make: Any
) -> None:
    await ruled(bench, make, "10000 / (amount - 7000) > 0", of("sales-order"))
    sound, broken = await bench.checks(make.order("O-1", 7_100), make.order("O-2", 7_000))
    assert (sound.outcome, broken.outcome) == ("approved", "declined")
    assert "divides by zero" in broken.reasons[0].text
    assert await bench.dead_letters() == []


async def test_a_formula_speaks_of_overdue_receivables(bench: Any, make: Any) -> None:
    bench.now = make.now
    await ruled(
        bench,
        make,
        "overdue_days <= 30 || overdue * 2 <= open_receivables",
        of("sales-order"),
        of("receivable", "warn"),
    )
    old = date(2026, 1, 10)
    await bench.play(posted(make, "receivable R", 5_000, due_date=old))
    [declined] = await bench.checks(make.order("O-1", 100))
    assert declined.outcome == "declined"
    await bench.play(posted(make, "receivable S", 5_000, due_date=date(2026, 12, 1)))
    [passed] = await bench.checks(make.order("O-2", 100))
    assert passed.outcome == "approved"


@pytest.mark.parametrize(
    ("formula", "word"),
    [
        ("1 / 0 > 1", "divides by zero"),
        ("[1, 2].all(x, x > 0)", "loops"),
        ("used > 0 || " * 1_000 + "true", "characters"),
        ("credit_score > 3", "credit_score is no field"),
        ("used + delta", "true or false"),
    ],
)
async def test_a_bad_formula_is_refused_when_it_is_saved(
    bench: Any, make: Any, formula: str, word: str
) -> None:
    rule = {"name": "own", "types": [of("sales-order")], "custom_formula": formula, **WHY}
    refused = await put(bench, "/check-rules/own", rule, 422)
    assert word in refused["errors"][0]["message"]
    assert refused["errors"][0]["field"] == "custom_formula"


async def test_a_formula_is_tried_on_a_sample(bench: Any) -> None:
    async with bench.client({"credit-manager"}) as client:

        async def tried(body: dict[str, Any]) -> Any:
            answer = await client.post(
                "/formulas/preview", json=body, headers={"Idempotency-Key": str(uuid4())}
            )
            return answer.json()

        sample = {"used": 100, "delta": 20}
        metric = {"kind": "metric", "formula": "used + delta <= 120", "sample": sample}
        assert (await tried(metric))["result"] is True
        assert (await tried(metric | {"sample": sample | {"delta": 21}}))["result"] is False
        amount = {"formula": "amount * 80 / 100", "sample": {"amount": 10_000}}
        assert (await tried(amount))["result"] == 8_000
        assert (
            "divides by zero"
            in (await tried(amount | {"formula": "1 / (amount - 10000)"}))["errors"][0]["message"]
        )


async def test_custom_documents_add_and_take_by_their_own_formulas(bench: Any, make: Any) -> None:
    """A guarantee of 100 takes 50; a consignment of 40 adds 60 by 3/2; both are taken back by un-audit."""
    await ruled(
        bench,
        make,
        None,
        of("sales-order"),
        of("custom", sub_type="guarantee", amount_formula="-amount / 2"),
        of("custom", sub_type="consignment", amount_formula="amount * 3 / 2"),
    )
    guarantee = posted(make, "custom G", 10_000, sub_type="guarantee")
    consignment = posted(make, "custom K", 4_000, sub_type="consignment")
    await bench.play(guarantee, consignment, posted(make, "custom X", 9_900, sub_type="unheard-of"))
    assert await used(bench) == "10.00"
    await bench.play(replace(guarantee, document_revision=2, operation="un-audit"))
    assert await used(bench) == "60.00"
    ask = posted(make, "custom Q", 100, sub_type="consignment", stance="request")
    [answer] = await answers(bench, ask)
    assert isinstance(answer, DocumentChecked)
    assert (answer.outcome, await used(bench)) == ("approved", "61.50")
    assert await bench.broken() == []


async def test_scoring_is_fed_from_stored_documents(bench: Any, make: Any) -> None:
    """Invoiced 100 + 50; 60 paid in time, 20 late: turnover 150, on time 75 %; 20 open since day 40."""
    await bench.managed_customer(make, limit=None)
    await bench.play(make.customer_record("C-2"))
    day = make.now.date()
    due = day - timedelta(days=40)

    def receivable(name: str, amount: int) -> Any:
        return posted(
            make, f"receivable {name}", amount, document_date=day - timedelta(days=70), due_date=due
        )

    def receipt(name: str, of_receivable: str, amount: int, paid_on: date) -> Any:
        link = upstream(f"receivable {of_receivable}", amount=amount)
        return posted(make, f"receipt {name}", amount, link, document_date=paid_on)

    await bench.play(
        receivable("R", 10_000),
        receivable("S", 5_000),
        receipt("P", "R", 6_000, due),
        receipt("Q", "R", 2_000, due + timedelta(days=1)),
        posted(make, "receipt A", 700),
    )
    async with bench.connection() as connection:
        wanted = {name: name for name in ("on-time-payment-rate", "turnover", "overdue-days")}
        found = await fed_values(connection, wanted, ["C-1", "C-2"], day)
    assert set(wanted) <= PROVIDERS.keys()
    assert found == {
        ("C-1", "on-time-payment-rate"): Decimal("75.00"),
        ("C-1", "turnover"): Decimal("150.00"),
        ("C-1", "overdue-days"): Decimal(40),
    }
