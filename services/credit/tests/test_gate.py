"""The order gate: revisions in turn, one numbered answer per order event, occupancy that follows decisions."""

from typing import Any

import pytest
from credit.domain.arrivals import Answer, Effect, Expiry, Judgement, Settlement
from credit.domain.gate import ApprovalRefused, Gate, NotPending
from credit.domain.order_state import CheckFact

KEY = ("shop", "O-1")


def told(effect: Effect) -> list[tuple[int, int, str, str]]:
    """(revision, check number, operation, outcome) of what was answered."""
    return [(a.revision, a.check_number, a.operation, a.outcome) for a in effect.answers]


def codes(answer: Answer) -> list[str]:
    return [reason.code for reason in answer.reasons]


def used(gate: Gate, profile_id: str = "P-C-1-CNY") -> tuple[int, int]:
    profile = gate.profiles[profile_id]
    return profile.used, profile.settled


def decided(number: int, outcome: Any, order_id: str = "O-1") -> Settlement:
    return Settlement(("shop", order_id), number, outcome, f"D-{number}")


def judged(approve: bool) -> Judgement:
    return Judgement(KEY, approve, "ada", "an old customer")


@pytest.fixture
def held_gate(make: Any) -> Gate:
    """A limit of 100.00 under special approval, and an order of 150.00 that waits for it."""
    gate: Gate = make.gate(make.profile(limit=10_000, enforcement="special-approval", single=20_000))
    gate.apply(make.submission(amount=15_000))
    state = gate.orders[KEY]
    state.held = frozenset({("P-C-1-CNY", "credit-limit")})
    return gate


def test_a_submission_occupies_until_it_is_decided_and_then_stays(make: Any) -> None:
    gate = make.gate(make.profile())
    assert told(gate.apply(make.submission(amount=10_000))) == [(1, 1, "submit", "approved")]
    assert used(gate) == (10_000, 0)
    assert gate.apply(decided(1, "accepted")) == Effect()
    assert used(gate) == (10_000, 10_000)
    assert gate.orders[KEY].status == "accepted"


def test_a_declined_order_gives_back_what_it_added_and_can_be_submitted_anew(make: Any) -> None:
    gate = make.gate(make.profile())
    gate.apply(make.submission(amount=10_000))
    gate.apply(decided(1, "declined"))
    assert used(gate) == (0, 0)
    assert told(gate.apply(make.submission(amount=8_000, revision=2))) == [(2, 2, "submit", "approved")]
    assert used(gate) == (8_000, 0)


def test_a_decision_that_arrives_twice_changes_nothing(make: Any) -> None:
    gate = make.gate(make.profile())
    gate.apply(make.submission())
    gate.apply(decided(1, "declined"))
    assert gate.apply(decided(1, "declined")) == Effect()
    assert used(gate) == (0, 0)
    assert len(gate.changes.decisions) == 1


def test_a_decision_that_contradicts_an_earlier_one_is_put_on_record(make: Any) -> None:
    gate = make.gate(make.profile())
    gate.apply(make.submission())
    gate.apply(decided(1, "accepted"))
    refusal = gate.apply(decided(1, "declined")).refusal
    assert refusal is not None
    assert refusal.reason == "decision-conflict"
    assert used(gate) == (10_000, 10_000)


@pytest.mark.parametrize("outcome", ["accepted", "pending-approval"])
def test_fund_pool_cannot_accept_or_hold_what_credit_declined(make: Any, outcome: str) -> None:
    gate = make.gate(make.profile(limit=0))
    gate.apply(make.submission())
    gate.orders[KEY].facts[1] = CheckFact("submit", "declined", None)
    refusal = gate.apply(decided(1, outcome)).refusal
    assert refusal is not None
    assert refusal.reason == "decision-conflict"


def test_a_decision_on_a_check_that_never_was_is_put_on_record(make: Any) -> None:
    refusal = make.gate().apply(decided(1, "accepted")).refusal
    assert refusal is not None
    assert refusal.reason == "unknown-check"


def test_two_orders_that_together_exceed_the_limit_never_both_pass(make: Any) -> None:
    gate = make.gate(make.profile(limit=15_000))
    first = gate.apply(make.submission("O-1", 10_000))
    second = gate.apply(make.submission("O-2", 10_000))
    assert [told(effect)[0][3] for effect in (first, second)] == ["approved", "declined"]
    assert used(gate) == (10_000, 0)


def test_the_same_revision_with_the_same_content_is_a_duplicate(make: Any) -> None:
    gate = make.gate(make.profile())
    gate.apply(make.submission())
    assert gate.apply(make.submission()) == Effect()
    assert used(gate) == (10_000, 0)


def test_the_same_revision_with_another_content_is_a_recorded_conflict(make: Any) -> None:
    gate = make.gate(make.profile())
    gate.apply(make.submission())
    effect = gate.apply(make.submission(amount=20_000))
    assert effect.answers == []
    assert effect.refusal is not None
    assert effect.refusal.reason == "revision-conflict"
    assert used(gate) == (10_000, 0)


def test_an_order_that_is_accepted_or_pending_is_not_submitted_anew(make: Any, held_gate: Gate) -> None:
    gate = make.gate(make.profile())
    gate.apply(make.submission())
    gate.apply(decided(1, "accepted"))
    for busy in (gate, held_gate):
        [answer] = busy.apply(make.submission(revision=2)).answers
        assert (answer.outcome, codes(answer)) == ("declined", ["already-submitted"])
    assert used(gate) == (10_000, 10_000)


def test_a_new_submission_waits_for_the_decision_of_the_one_before(make: Any) -> None:
    """Whoever has read `declined` submits anew at once; the answer must not depend on who reads faster."""
    gate = make.gate(make.profile(limit=10_000))
    gate.apply(make.submission())
    waiting = gate.apply(make.submission(revision=2))
    assert (waiting.answers, [wait.kind for wait in waiting.began]) == ([], ["parked"])
    effect = gate.apply(decided(1, "declined"))
    assert told(effect) == [(2, 2, "submit", "approved")]
    assert effect.ended == [("parked", KEY, 2)]


def test_a_new_submission_of_an_order_then_accepted_is_declined(make: Any) -> None:
    gate = make.gate(make.profile())
    gate.apply(make.submission())
    gate.apply(make.submission(revision=2))
    [answer] = gate.apply(decided(1, "accepted")).answers
    assert (answer.outcome, codes(answer)) == ("declined", ["already-submitted"])


def test_early_revisions_wait_for_their_turn(make: Any) -> None:
    gate = make.gate(make.profile(limit=0))
    assert gate.apply(make.submission(revision=3)).answers == []
    assert gate.apply(make.submission(revision=2)).answers == []
    assert gate.apply(make.submission(revision=2)) == Effect()
    conflict = gate.apply(make.submission(revision=2, amount=7)).refusal
    assert conflict is not None
    assert conflict.reason == "revision-conflict"
    effect = gate.apply(make.submission(revision=1))
    assert told(effect) == [
        (1, 1, "submit", "declined"),
        (2, 2, "submit", "declined"),
        (3, 3, "submit", "declined"),
    ]
    assert effect.ended == [("parked", KEY, 2), ("parked", KEY, 3)]


def test_what_waited_too_long_is_refused_and_the_missing_one_is_still_taken(make: Any) -> None:
    gate = make.gate(make.profile(limit=0))
    gate.apply(make.submission(revision=2))
    [answer] = gate.apply(Expiry("parked", KEY, 2)).answers
    assert (answer.outcome, codes(answer), answer.check_number) == ("declined", ["predecessor-missing"], 1)
    assert gate.apply(Expiry("parked", KEY, 2)) == Effect()
    assert gate.apply(make.submission(revision=2)) == Effect()
    assert told(gate.apply(make.submission(revision=1))) == [(1, 2, "submit", "declined")]
    assert told(gate.apply(make.submission(revision=3))) == [(3, 3, "submit", "declined")]


def test_at_most_64_revisions_wait(make: Any) -> None:
    gate = make.gate(make.profile())
    for revision in range(2, 66):
        assert gate.apply(make.submission(revision=revision)).answers == []
    [answer] = gate.apply(make.submission(revision=66)).answers
    assert codes(answer) == ["predecessor-missing"]
    assert len(gate.orders[KEY].parked) == 64


def test_a_flood_of_early_revisions_is_refused_without_an_answer(make: Any) -> None:
    gate = make.gate(make.profile())
    gate.orders[KEY].answered_ahead = set(range(100, 1100))
    refusal = gate.apply(make.submission(revision=5)).refusal
    assert refusal is not None
    assert refusal.reason == "too-many-early-revisions"


def test_a_cancellation_lowers_at_once_and_is_for_good(make: Any) -> None:
    gate = make.gate(make.profile())
    gate.apply(make.submission())
    assert told(gate.apply(make.cancelling(revision=2))) == [(2, 2, "cancel", "approved")]
    assert used(gate) == (0, 0)
    assert gate.apply(decided(1, "accepted")).refusal is None
    assert used(gate) == (0, 0)
    [answer] = gate.apply(make.submission(revision=3)).answers
    assert codes(answer) == ["cancelled"]


def test_a_cancellation_of_an_accepted_order_gives_back_its_occupancy(make: Any) -> None:
    gate = make.gate(make.profile())
    gate.apply(make.submission())
    gate.apply(decided(1, "accepted"))
    [answer] = gate.apply(make.cancelling(revision=2)).answers
    assert answer.order == make.order()
    assert used(gate) == (0, 0)


def test_a_cancellation_before_its_order_declines_the_order_when_it_comes(make: Any) -> None:
    gate = make.gate(make.profile())
    [answer] = gate.apply(make.cancelling(revision=2)).answers
    assert (answer.outcome, answer.order, answer.paying_account) == ("approved", None, "A-1")
    [late] = gate.apply(make.submission()).answers
    assert (late.outcome, codes(late), late.check_number) == ("declined", ["cancelled"], 2)


def test_a_cancellation_answers_what_was_parked(make: Any) -> None:
    gate = make.gate(make.profile())
    for revision in (4, 3):
        gate.apply(make.submission(revision=revision))
    effect = gate.apply(make.cancelling(revision=5))
    assert told(effect) == [
        (5, 1, "cancel", "approved"),
        (3, 2, "submit", "declined"),
        (4, 3, "submit", "declined"),
    ]


def test_a_second_cancellation_is_answered_and_changes_nothing(make: Any) -> None:
    gate = make.gate(make.profile())
    gate.apply(make.submission())
    gate.apply(make.cancelling(revision=2))
    [answer] = gate.apply(make.cancelling(revision=3)).answers
    assert (answer.outcome, codes(answer)) == ("approved", ["already-cancelled"])
    assert gate.apply(make.cancelling(revision=3)) == Effect()


def test_a_changed_paying_account_is_refused(make: Any) -> None:
    gate = make.gate(make.profile(limit=0))
    gate.apply(make.submission())
    for event in (
        make.submission(revision=2, paying_account="A-2"),
        make.cancelling(revision=3, paying_account="A-2"),
    ):
        [answer] = gate.apply(event).answers
        assert (answer.outcome, codes(answer), answer.paying_account) == (
            "declined",
            ["paying-account-changed"],
            "A-1",
        )
    assert gate.orders[KEY].status == "declined"


def test_a_pending_order_occupies_nothing(held_gate: Gate) -> None:
    assert held_gate.orders[KEY].status == "pending"
    assert used(held_gate) == (0, 0)
    assert [hold.answer.check_number for hold in held_gate.changes.holds] == [1]


def test_an_approval_is_a_second_check_that_waives_what_was_held(held_gate: Gate) -> None:
    [answer] = held_gate.apply(judged(approve=True)).answers
    assert (answer.check_number, answer.revision, answer.outcome, answer.person) == (2, 1, "approved", "ada")
    assert codes(answer) == ["special-approval", "credit-limit-exceeded"]
    assert [metric.result for metric in answer.metrics] == ["waived", "passed"]
    assert used(held_gate) == (15_000, 0)
    [end] = held_gate.changes.hold_ends
    assert (end.outcome, end.person, end.result_check) == ("approved", "ada", 2)
    held_gate.apply(decided(2, "declined"))
    assert used(held_gate) == (0, 0)


def test_an_approval_is_refused_for_what_was_not_held(make: Any, held_gate: Gate) -> None:
    held_gate.profiles["P-C-1-CNY"].rules = make.profile(
        limit=10_000, enforcement="special-approval", single=14_999
    ).rules
    with pytest.raises(ApprovalRefused) as refused:
        held_gate.apply(judged(approve=True))
    assert refused.value.verdict.outcome == "declined"
    assert held_gate.orders[KEY].status == "pending"
    assert held_gate.orders[KEY].checks == 1
    assert held_gate.changes.hold_ends == []


def test_a_rejection_declines_and_the_order_can_be_submitted_anew(make: Any, held_gate: Gate) -> None:
    [answer] = held_gate.apply(judged(approve=False)).answers
    assert (answer.check_number, answer.outcome, codes(answer)) == (
        2,
        "declined",
        ["special-approval-rejected"],
    )
    with pytest.raises(NotPending):
        held_gate.apply(judged(approve=True))
    assert told(held_gate.apply(make.submission(revision=2, amount=10_000))) == [(2, 3, "submit", "approved")]


def test_a_pending_order_expires(held_gate: Gate) -> None:
    [answer] = held_gate.apply(Expiry("pending", KEY, 1)).answers
    assert (answer.outcome, codes(answer)) == ("declined", ["special-approval-expired"])
    assert "7 days" in answer.reasons[0].text
    assert held_gate.apply(Expiry("pending", KEY, 1)) == Effect()


def test_a_cancellation_ends_the_wait_for_approval(make: Any, held_gate: Gate) -> None:
    effect = held_gate.apply(make.cancelling(revision=2))
    assert effect.ended == [("pending", KEY, 1)]
    assert held_gate.changes.hold_ends[0].outcome == "cancelled"
    with pytest.raises(NotPending):
        held_gate.apply(judged(approve=True))


def test_waits_have_their_time(make: Any, held_gate: Gate) -> None:
    [wait] = make.gate(make.profile()).apply(make.submission(revision=2)).began
    assert wait.due_at - make.now == make.periods.parked
    assert held_gate.changes.holds[0].due_at - make.now == make.periods.pending
