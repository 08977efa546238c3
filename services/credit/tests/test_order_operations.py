"""Changes, audits, closing and reopening of orders at the gate, and what they occupy meanwhile."""

from dataclasses import replace
from typing import Any

import pytest
from contracts.order import ReturnDocument, ReturnedLine
from contracts.order_changed import OrderChanged
from contracts.order_decided import OrderDecided
from contracts.order_returned import OrderReturned
from contracts.order_status_changed import OrderStatusChanged
from credit.domain.arrivals import Answer, Settlement
from credit.domain.gate import Gate
from credit.repository.bodies import in_turn

KEY = ("shop", "O-1")


def altering(make: Any, operation: str, revision: int, amount: int = 0, **changes: Any) -> Any:
    """A change to `amount`, a return, or a status operation."""
    event: Any
    if operation == "change":
        order = make.order(amount=amount, revision=revision, **changes)
        fields = {name: getattr(order, name) for name in order.__dataclass_fields__}
        event = OrderChanged(**fields)
    elif operation == "return":
        money = make.line("1", amount).amount
        lines = [ReturnedLine(line_id="1", quantity="1", amount=money)]
        document = ReturnDocument(document_id="R", posted_on=make.now.date(), lines=lines, total=money)
        event = OrderReturned(
            source="shop",
            order_id="O-1",
            order_revision=revision,
            paying_account="A-1",
            document=document,
            returned_at=make.now,
        )
    else:
        event = OrderStatusChanged(
            source="shop",
            order_id="O-1",
            order_revision=revision,
            paying_account="A-1",
            changed_at=make.now,
            **({"operation": operation, "stance": "request"} | changes),
        )
    return event


def tell(make: Any, gate: Gate, *arguments: Any, **changes: Any) -> Answer:
    event = altering(make, *arguments, **changes)
    [answer] = gate.apply(in_turn(make.origin(event), event)).answers
    return answer


def decide(gate: Gate, answer: Answer, outcome: Any) -> None:
    assert gate.apply(Settlement(KEY, answer.check_number, outcome, "D")).refusal is None


def accepted(make: Any, limit: Any = 10_000, amount: int = 6_000, **changes: Any) -> Gate:
    gate: Gate = make.gate(make.profile(limit=limit))
    [answer] = gate.apply(make.submission(amount=amount, **changes)).answers
    decide(gate, answer, "accepted")
    return gate


def used(gate: Gate) -> tuple[int, int]:
    [profile] = gate.profiles.values()
    assert profile.used == sum(entry.change for entry in gate.changes.entries)
    return profile.used, profile.settled


def test_a_change_occupies_the_larger_of_both_until_it_is_decided(make: Any) -> None:
    gate = accepted(make)
    answer = tell(make, gate, "change", 2, 9_000)
    assert (answer.operation, answer.outcome, used(gate)) == ("change", "approved", (9_000, 6_000))
    decide(gate, answer, "changed")
    assert used(gate) == (9_000, 9_000)
    smaller = tell(make, gate, "change", 3, 1_000)
    assert used(gate) == (9_000, 9_000)
    decide(gate, smaller, "change-declined")
    assert (used(gate), gate.orders[KEY].status) == ((9_000, 9_000), "accepted")


def test_a_change_beyond_the_limit_is_declined_and_the_order_stands(make: Any) -> None:
    gate = accepted(make)
    answer = tell(make, gate, "change", 2, 10_100)
    assert (answer.outcome, used(gate), gate.orders[KEY].status) == ("declined", (6_000, 6_000), "accepted")


def test_a_closed_order_occupies_nothing_and_reopening_is_checked_again(make: Any) -> None:
    """Limit 100: order A 100 is closed, B takes 50, reopening A would make 150: declined, A stays closed."""
    gate = accepted(make, amount=10_000)
    assert tell(make, gate, "close", 2).outcome == "approved"
    assert used(gate) == (0, 0)
    gate.apply(make.submission("O-2", 5_000))
    answer = tell(make, gate, "reopen", 3)
    assert (answer.outcome, gate.orders[KEY].status, used(gate)) == ("declined", "closed", (5_000, 0))
    gate.apply(make.cancelling("O-2"))
    answer = tell(make, gate, "reopen", 4)
    assert (answer.outcome, used(gate)) == ("approved", (10_000, 0))
    decide(gate, answer, "reopened")
    assert (gate.orders[KEY].status, used(gate)) == ("accepted", (10_000, 10_000))


def test_a_reopening_that_fund_pool_declines_leaves_the_order_closed(make: Any) -> None:
    gate = accepted(make)
    tell(make, gate, "terminate", 2)
    decide(gate, tell(make, gate, "un-terminate", 3), "reopen-declined")
    assert (gate.orders[KEY].status, used(gate)) == ("closed", (0, 0))


def test_an_order_that_is_audited_later_occupies_then(make: Any) -> None:
    gate: Gate = make.gate(make.profile(limit=10_000))
    [answer] = gate.apply(make.submission(amount=6_000, audited=False)).answers
    assert (answer.outcome, used(gate)) == ("not-checked-yet", (0, 0))
    decide(gate, answer, "accepted")
    audited = tell(make, gate, "audit", 2)
    assert (audited.outcome, used(gate)) == ("approved", (6_000, 0))
    decide(gate, audited, "audited")
    assert (gate.orders[KEY].is_audited, used(gate)) == (True, (6_000, 6_000))
    tell(make, gate, "un-audit", 3)
    assert (gate.orders[KEY].is_audited, gate.orders[KEY].status, used(gate)) == (False, "accepted", (0, 0))


def test_a_fact_is_never_declined(make: Any) -> None:
    gate: Gate = make.gate(make.profile(limit=1_000))
    [answer] = gate.apply(make.submission(amount=6_000, audited=False)).answers
    decide(gate, answer, "accepted")
    audited = tell(make, gate, "audit", 2, stance="fact")
    assert (audited.outcome, audited.stance, used(gate)) == ("warned", "fact", (6_000, 0))
    assert gate.changes.entries[-1].permit == "fact"


def test_a_recalled_order_may_be_submitted_anew(make: Any) -> None:
    gate = accepted(make)
    assert tell(make, gate, "recall", 2).outcome == "approved"
    assert used(gate) == (0, 0)
    [answer] = gate.apply(make.submission(revision=3, amount=7_000)).answers
    assert (answer.outcome, used(gate)) == ("approved", (7_000, 0))


def test_a_return_moves_money_only(make: Any) -> None:
    gate = accepted(make)
    answer = tell(make, gate, "return", 2, 1_000)
    assert (answer.operation, answer.outcome, used(gate)) == ("return", "approved", (6_000, 6_000))
    assert answer.returned is not None


@pytest.mark.parametrize(
    ("operation", "code"), [("change", "not-accepted"), ("reopen", "not-closed"), ("audit", "not-accepted")]
)
def test_an_operation_of_an_order_that_does_not_stand_so_is_declined(
    make: Any, operation: str, code: str
) -> None:
    gate: Gate = make.gate(make.profile(limit=100))
    gate.apply(make.submission(amount=6_000))
    answer = tell(make, gate, operation, 2, 1)
    assert (answer.outcome, [reason.code for reason in answer.reasons]) == ("declined", [code])


def test_an_operation_waits_for_its_turn(make: Any) -> None:
    gate: Gate = make.gate(make.profile(limit=10_000))
    closing = altering(make, "close", 3)
    assert gate.apply(in_turn(make.origin(closing), closing)).answers == []
    [answer] = gate.apply(make.submission(amount=6_000)).answers
    change = altering(make, "change", 2, 7_000)
    assert gate.apply(in_turn(make.origin(change), change)).answers == []
    [changed] = gate.apply(Settlement(KEY, answer.check_number, "accepted", "D")).answers
    [closed] = gate.apply(Settlement(KEY, changed.check_number, "changed", "D")).answers
    assert (changed.operation, closed.operation, used(gate)) == ("change", "close", (0, 0))


@pytest.mark.stack
async def test_the_life_of_an_order_is_the_same_in_the_database(bench: Any, make: Any) -> None:
    await bench.managed_customer(make, limit=10_000)

    async def told(event: Any, decision: Any = None) -> str:
        [check] = await bench.checks(event)
        if decision is not None:
            decided: OrderDecided = make.decision(check, decision)
            await bench.play(decided)
            await bench.play(replace(decided, sequel=1, outcome="hold-expired"))
        assert await bench.broken() == []
        return f"{check.operation} {check.outcome} {(await bench.status())['used']}"

    assert await told(make.order(amount=6_000, audited=False), "accepted") == "submit not-checked-yet 0.00"
    assert await told(altering(make, "audit", 2), "audited") == "audit approved 60.00"
    assert await told(altering(make, "change", 3, 9_000), "changed") == "change approved 90.00"
    assert await told(altering(make, "close", 4), "closed") == "close approved 0.00"
    assert await told(altering(make, "reopen", 5), "reopened") == "reopen approved 90.00"
    assert await told(altering(make, "return", 6, 1_000), "refunded") == "return approved 90.00"
    assert await told(altering(make, "recall", 7), "recalled") == "recall approved 0.00"
    assert await told(make.order(amount=5_000, revision=8), "accepted") == "submit approved 50.00"
    assert await bench.dead_letters() == []
