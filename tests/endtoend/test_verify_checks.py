"""Each check of make verify reports what it is there for, and nothing else."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from contracts.credit_checked import CreditOperation
from contracts.event import Event
from contracts.money import Money, SignedMoney
from contracts.order import OrderLine
from contracts.order_decided import Explanation, OrderOutcome

from contracts import BalanceChanged, CreditChecked, OrderCancelled, OrderDecided, OrderSubmitted
from ops.verify.checks import AGREEMENTS, Evidence, run_all
from ops.verify.log import Log, Logged

MOMENT = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
SHOP, ORDER, ACCOUNT = "shop", "SO-1", "A-1"
NOTHING = Money("0.00", "CNY")


def submitted() -> OrderSubmitted:
    line = OrderLine(
        line_id="1",
        material="M-1",
        quantity="1",
        price="100.00",
        discount=NOTHING,
        tax=NOTHING,
        amount=Money("100.00", "CNY"),
    )
    return OrderSubmitted(
        source=SHOP,
        order_id=ORDER,
        order_revision=1,
        currency="CNY",
        buyer="B-1",
        paying_account=ACCOUNT,
        business_organisation="BUS",
        settlement_organisation="LEG",
        sales_organisation="BUS",
        customer="C-1",
        ordering_user="U-1",
        payment_method="account",
        order_date=date(2026, 11, 2),
        lines=[line],
        total=Money("100.00", "CNY"),
    )


def cancelled() -> OrderCancelled:
    return OrderCancelled(
        source=SHOP,
        order_id=ORDER,
        order_revision=2,
        paying_account=ACCOUNT,
        reason="",
        cancelled_at=MOMENT,
    )


def checked(number: int, operation: CreditOperation) -> CreditChecked:
    return CreditChecked(
        source=SHOP,
        order_id=ORDER,
        order_revision=number,
        check_number=number,
        paying_account=ACCOUNT,
        operation=operation,
        outcome="approved",
        reasons=[],
        metrics=[],
        checked_at=MOMENT,
    )


def decided(number: int, operation: CreditOperation, outcome: OrderOutcome) -> OrderDecided:
    return OrderDecided(
        source=SHOP,
        order_id=ORDER,
        order_revision=number,
        check_number=number,
        operation=operation,
        outcome=outcome,
        paying_account=ACCOUNT,
        reasons=[],
        explanation=Explanation(text="", accounts=[], policy_version=0),
        decided_at=MOMENT,
    )


def balance(number: int, change: str, after: str) -> BalanceChanged:
    return BalanceChanged(
        account=ACCOUNT,
        account_type="cash",
        entry_id=f"E-{number}",
        entry_number=number,
        document_type="order",
        document_id=f"D-{number}",
        change=SignedMoney(change, "CNY"),
        balance=SignedMoney(after, "CNY"),
        effective_date=date(2026, 11, 2),
        posted_at=MOMENT,
    )


EVENTS: tuple[Event, ...] = (
    submitted(),
    cancelled(),
    checked(1, "submit"),
    checked(2, "cancel"),
    decided(1, "submit", "accepted"),
    decided(2, "cancel", "cancelled"),
    balance(1, "500.00", "500.00"),
    balance(2, "-100.00", "400.00"),
    balance(3, "100.00", "500.00"),
)


def sound() -> Evidence:
    """An order that was paid and taken back, told the same by everybody."""
    log = Log()
    for event in EVENTS:
        publish(log, event, f"id-{len(log.of(event.contract.topic))}")
    log.ends = {(topic, 0): len(records) for topic, records in log.records.items()}
    read = {
        "credit": ("order-submitted", "order-cancelled", "order-decided"),
        "fund-pool": ("credit-checked",),
    }
    return Evidence(
        log=log,
        positions={
            service: {(topic, 0): log.ends[topic, 0] for topic in topics} for service, topics in read.items()
        },
        dead_letters={service: frozenset() for service in read},
        facts={side: frozenset({("the same",)}) for _, _, *sides in AGREEMENTS for side in sides},
    )


def publish(log: Log, event: Event, event_id: str) -> None:
    topic = event.contract.topic
    records = log.records.setdefault(topic, [])
    records.append(Logged(event, topic, 0, len(records), "coffer/test", event_id))


def swap(log: Log, topic: str, index: int, event: Event) -> None:
    log.records[topic][index] = replace(log.records[topic][index], event=event)


def reported(evidence: Evidence) -> set[str]:
    return {outcome.name for outcome in run_all(evidence) if not outcome.holds}


def test_sound_evidence_passes_every_check() -> None:
    assert reported(sound()) == set()


def a_position_behind(evidence: Evidence) -> Evidence:
    return replace(evidence, positions={**evidence.positions, "credit": {("order-submitted", 0): 0}})


def a_position_beyond(evidence: Evidence) -> Evidence:
    return replace(evidence, positions={**evidence.positions, "credit": {("order-submitted", 0): 2}})


def an_order_without_answer(evidence: Evidence) -> Evidence:
    publish(evidence.log, replace(submitted(), order_id="SO-2"), "id-x")
    return at_the_ends(evidence)


def a_cancellation_without_answer(evidence: Evidence) -> Evidence:
    publish(evidence.log, replace(cancelled(), order_id="SO-2"), "id-x")
    return at_the_ends(evidence)


def a_malformed_record_that_nobody_kept(evidence: Evidence) -> Evidence:
    evidence.log.malformed.append(("order-submitted", 0, 0))
    return evidence


def a_check_passed_on_as_two_events(evidence: Evidence) -> Evidence:
    publish(evidence.log, checked(1, "submit"), "id-x")
    return at_the_ends(evidence)


def a_check_decided_twice(evidence: Evidence) -> Evidence:
    publish(evidence.log, decided(2, "cancel", "cancelled"), "id-x")
    return at_the_ends(evidence)


def a_check_that_is_not_decided(evidence: Evidence) -> Evidence:
    publish(evidence.log, checked(3, "submit"), "id-x")
    return at_the_ends(evidence)


def a_decision_without_a_check(evidence: Evidence) -> Evidence:
    publish(evidence.log, decided(3, "submit", "declined"), "id-x")
    return at_the_ends(evidence)


def a_check_number_left_out(evidence: Evidence) -> Evidence:
    publish(evidence.log, checked(4, "submit"), "id-x")
    publish(evidence.log, decided(4, "submit", "declined"), "id-x")
    return at_the_ends(evidence)


def a_wrong_balance(evidence: Evidence) -> Evidence:
    swap(evidence.log, "balance-changed", 1, balance(2, "-100.00", "400.01"))
    return evidence


def an_entry_with_two_contents(evidence: Evidence) -> Evidence:
    publish(evidence.log, balance(3, "100.01", "500.01"), "id-x")
    return evidence


def an_entry_number_left_out(evidence: Evidence) -> Evidence:
    publish(evidence.log, balance(5, "1.00", "501.00"), "id-x")
    return evidence


def at_the_ends(evidence: Evidence) -> Evidence:
    """Every service has read what was added, so that only the check in question has something to say."""
    return replace(
        evidence,
        log=replace(
            evidence.log,
            ends={(topic, 0): len(records) for topic, records in evidence.log.records.items()},
        ),
        positions={
            service: {place: len(evidence.log.of(place[0])) for place in places}
            for service, places in evidence.positions.items()
        },
    )


SPOILED: tuple[tuple[Callable[[Evidence], Evidence], str], ...] = (
    (a_position_behind, "positions-at-the-end"),
    (a_position_beyond, "positions-at-the-end"),
    (an_order_without_answer, "every-order-is-answered"),
    (a_cancellation_without_answer, "every-order-is-answered"),
    (a_malformed_record_that_nobody_kept, "malformed-records-are-kept"),
    (a_check_passed_on_as_two_events, "checks-are-decided-once"),
    (a_check_decided_twice, "checks-are-decided-once"),
    (a_check_that_is_not_decided, "checks-are-decided-once"),
    (a_decision_without_a_check, "checks-are-decided-once"),
    (a_check_number_left_out, "checks-are-decided-once"),
    (a_wrong_balance, "balances-follow"),
    (an_entry_with_two_contents, "balances-follow"),
    (an_entry_number_left_out, "balances-follow"),
)


@pytest.mark.parametrize(("spoil", "name"), SPOILED, ids=lambda part: getattr(part, "__name__", part))
def test_what_is_spoiled_is_reported_by_its_check_alone(
    spoil: Callable[[Evidence], Evidence], name: str
) -> None:
    assert reported(spoil(sound())) == {name}


@pytest.mark.parametrize("side", [0, 1], ids=["only the first has it", "only the second has it"])
@pytest.mark.parametrize("agreement", AGREEMENTS, ids=lambda agreement: agreement[0])
def test_a_fact_that_one_service_alone_states_is_reported(
    agreement: tuple[str, str, tuple[str, str], tuple[str, str]], side: int
) -> None:
    name, _, *sides = agreement
    evidence = sound()
    facts = {**evidence.facts, sides[side]: frozenset({("the same",), ("another",)})}
    assert reported(replace(evidence, facts=facts)) == {name}


def test_every_check_is_spoiled_here() -> None:
    spoiled = {name for _, name in SPOILED} | {name for name, *_ in AGREEMENTS}
    assert spoiled == {outcome.name for outcome in run_all(sound())}


def test_a_dead_letter_needs_no_answer() -> None:
    evidence = an_order_without_answer(sound())
    refused = {**evidence.dead_letters, "credit": frozenset({("order-submitted", 0, 1)})}
    assert reported(replace(evidence, dead_letters=refused)) == set()


def test_an_order_that_waits_for_its_predecessor_needs_no_answer_yet() -> None:
    evidence = an_order_without_answer(sound())
    facts = {**evidence.facts, ("credit", "parked-events"): frozenset({(SHOP, "SO-2", 1)})}
    assert reported(replace(evidence, facts=facts)) == set()
