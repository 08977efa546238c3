"""Random histories at the gate, compared after every step with a slow reference that recomputes everything."""

import random
from collections import Counter, defaultdict
from typing import Any

import pytest
from credit.domain.arrivals import Answer, Arrival, Expiry, Judgement, OrderKey, Settlement
from credit.domain.checks import held_metrics
from credit.domain.gate import ApprovalRefused, Gate, NotPending
from credit.domain.order_state import CheckFact, OrderState
from hypothesis import given, settings
from hypothesis import strategies as st

ORDERS = {"O-1": "C-1", "O-2": "C-1", "O-3": "C-1", "O-4": "C-2"}
PASSED = ("approved", "warned")
REFUSED_AT_GATE = {"already-submitted", "paying-account-changed", "predecessor-missing", "cancelled"}

orders = st.sampled_from(sorted(ORDERS))
amounts = st.sampled_from([0, 40, 60, 100, 101])
limits = st.sampled_from([None, 0, 100, 200, "unlimited"])
enforcements = st.sampled_from(["reject", "special-approval", "warn"])
small = st.integers(1, 5)
STEPS = st.one_of(
    st.tuples(st.just("submit"), orders, small, amounts),
    st.tuples(st.just("submit"), orders, st.just(1), st.just(60)),
    st.tuples(st.just("cancel"), orders, st.integers(1, 6)),
    st.tuples(st.just("decide"), orders, small, st.sampled_from(["accepted", "declined"])),
    st.tuples(st.just("decide-open"), orders, st.sampled_from(["accepted", "declined"])),
    st.tuples(st.just("judge"), orders, st.booleans()),
    st.tuples(st.just("expire-parked"), orders, small),
    st.tuples(st.just("expire-pending"), orders, small),
    st.tuples(st.just("limit"), st.sampled_from(["C-1", "C-2"]), limits, enforcements),
)


class History:
    """A gate and, beside it, nothing but the list of what was answered and decided so far."""

    def __init__(self, make: Any) -> None:
        self.make = make
        self.gate: Gate = make.gate(
            make.profile("C-1", 200),
            make.profile("C-2", 100),
            customers=[make.customer("C-1"), make.customer("C-2")],
        )
        self.answers: dict[OrderKey, list[Answer]] = defaultdict(list)
        self.decisions: dict[OrderKey, dict[int, str]] = defaultdict(dict)
        self.contents: dict[tuple[OrderKey, int], bytes] = {}

    def exposure(self, customer: str, *, settled_only: bool = False) -> int:
        keys = [("shop", order_id) for order_id, owner in ORDERS.items() if owner == customer]
        return sum(self.settled(key) if settled_only else self.occupied(key) for key in keys)

    def passed(self, key: OrderKey) -> dict[int, int]:
        """What each check that let the order pass would occupy; nothing after a cancellation."""
        if self.standing(key) == "cancelled":
            return {}
        return {
            answer.check_number: answer.order.total.minor
            for answer in self.answers[key]
            if answer.operation == "submit" and answer.outcome in PASSED and answer.order is not None
        }

    def settled(self, key: OrderKey) -> int:
        accepted = [number for number in self.passed(key) if self.decisions[key].get(number) == "accepted"]
        return self.passed(key)[max(accepted)] if accepted else 0

    def occupied(self, key: OrderKey) -> int:
        """The largest of the settled check and the undecided ones, from the bare lists."""
        undecided = [
            amount for number, amount in self.passed(key).items() if number not in self.decisions[key]
        ]
        return max([self.settled(key), *undecided])

    def last_entered(self, key: OrderKey) -> Answer | None:
        """The last check that was of the order itself, and not of whether it may come at all."""
        for answer in reversed(self.answers[key]):
            if answer.operation == "submit" and not REFUSED_AT_GATE & {
                reason.code for reason in answer.reasons
            }:
                return answer
        return None

    def standing(self, key: OrderKey) -> str:
        """How the order stands, from nothing but what was answered and decided."""
        if any(answer.operation == "cancel" and answer.outcome == "approved" for answer in self.answers[key]):
            return "cancelled"
        last = self.last_entered(key)
        if last is None:
            return "new"
        if last.outcome in PASSED:
            return self.decisions[key].get(last.check_number, "undecided")
        return "pending" if last.outcome == "pending-approval" else "declined"

    def run(self, step: tuple[Any, ...]) -> None:
        kind, subject, *details = step
        if kind == "limit":
            limit, enforcement = details
            profile = self.gate.profiles[f"P-{subject}-CNY"]
            profile.rules = self.make.profile(limit=limit, enforcement=enforcement).rules
        else:
            self.arrive(getattr(self, kind.replace("-", "_"))(subject, *details))
        self.compare()

    def submit(self, order_id: str, revision: int, amount: int) -> Arrival:
        return self.make.submission(order_id, amount, revision, customer=ORDERS[order_id])  # type: ignore[no-any-return]

    def cancel(self, order_id: str, revision: int) -> Arrival:
        return self.make.cancelling(order_id, revision)  # type: ignore[no-any-return]

    def decide(self, order_id: str, number: int, outcome: Any) -> Arrival:
        return Settlement(("shop", order_id), number, outcome, "D")

    def decide_open(self, order_id: str, outcome: Any) -> Arrival:
        state = self.gate.orders["shop", order_id]
        return self.decide(order_id, state.open_check or 1, outcome)

    def judge(self, order_id: str, approve: bool) -> Arrival:
        return Judgement(("shop", order_id), approve, "ada", "why not")

    def expire_parked(self, order_id: str, number: int) -> Arrival:
        return Expiry("parked", ("shop", order_id), number)

    def expire_pending(self, order_id: str, number: int) -> Arrival:
        return Expiry("pending", ("shop", order_id), number)

    def arrive(self, arrival: Arrival) -> None:
        key = arrival.key
        ends = self.ends_a_wait(arrival)
        self.load(key)
        try:
            effect = self.gate.apply(arrival)
        except (NotPending, ApprovalRefused):
            return
        if isinstance(arrival, Settlement):
            self.note_decision(arrival, refused=effect.refusal is not None)
        elif not isinstance(arrival, Expiry | Judgement):
            self.note_content(key, arrival, conflict=effect.refusal is not None)
        assert ends in (None, bool(effect.answers))
        for answer in effect.answers:
            self.check_answer(answer, self.exposure(ORDERS[key[1]]))
            self.answers[key].append(answer)

    def load(self, key: OrderKey) -> None:
        """What the repository loads of earlier checks."""
        state = self.gate.orders[key]
        for answer in self.answers[key]:
            number = answer.check_number
            state.facts[number] = CheckFact(answer.operation, answer.outcome, self.decisions[key].get(number))
            if number == state.open_check:
                state.held = held_metrics(answer.metrics)

    def ends_a_wait(self, arrival: Arrival) -> bool | None:
        """Whether an expiry must be answered: only if it is of the very check that waits."""
        if not isinstance(arrival, Expiry) or arrival.kind == "parked":
            return None
        last = self.last_entered(arrival.key)
        return (
            self.standing(arrival.key) == "pending"
            and last is not None
            and last.check_number == arrival.number
        )

    def note_decision(self, settlement: Settlement, *, refused: bool) -> None:
        known = {answer.check_number: answer for answer in self.answers[settlement.key]}
        decisions = self.decisions[settlement.key]
        answer = known.get(settlement.check_number)
        if answer is None:
            assert refused
            return
        passed = answer.operation == "submit" and answer.outcome in PASSED
        possible = settlement.outcome == "declined" or passed
        assert refused == (
            decisions.get(answer.check_number, settlement.outcome) != settlement.outcome or not possible
        )
        if not refused:
            decisions[answer.check_number] = settlement.outcome

    def note_content(self, key: OrderKey, arrival: Any, *, conflict: bool) -> None:
        content = self.contents.setdefault((key, arrival.revision), arrival.origin.body)
        assert conflict == (content != arrival.origin.body)

    def check_answer(self, answer: Answer, before: int) -> None:
        """No answer lets exposure pass the limit but by warning or approval; a refusal has its cause."""
        codes = {reason.code for reason in answer.reasons}
        customer = ORDERS[answer.key[1]]
        limit = self.gate.profiles[f"P-{customer}-CNY"].limit("credit-limit")
        if answer.operation == "cancel" or answer.order is None:
            return
        amount = answer.order.total.minor
        fits = not isinstance(limit, int) or amount == 0 or before + amount <= limit
        if answer.outcome == "approved" and "special-approval" not in codes:
            assert fits
        assert ("credit-limit-exceeded" in codes) <= (not fits)

    def compare(self) -> None:
        for customer in ("C-1", "C-2"):
            profile = self.gate.profiles[f"P-{customer}-CNY"]
            entries = [entry for entry in self.gate.changes.entries if entry.profile_id == profile.profile_id]
            assert profile.used == self.exposure(customer) == sum(entry.change for entry in entries) >= 0
            assert profile.settled == self.exposure(customer, settled_only=True)
            assert [entry.entry_number for entry in entries] == list(range(1, profile.entries + 1))
            assert not entries or entries[-1].used_after == profile.used
        for key, answers in self.answers.items():
            assert [answer.check_number for answer in answers] == list(range(1, len(answers) + 1))
            self.compare_order(self.gate.orders[key], {a.revision for a in answers if a.origin is not None})

    def compare_order(self, state: OrderState, answered: set[int]) -> None:
        standing = self.standing(state.key)
        assert state.status == standing
        assert (state.open_check is not None) == (standing in ("undecided", "pending"))
        if standing not in ("undecided", "accepted"):
            assert state.occupancy.checks == {}
        for revision in state.parked:
            assert standing != "cancelled"
            assert standing == "undecided" or not set(range(1, revision)) <= answered, "its turn has come"

    def finish(self) -> None:
        """Nothing waits for ever: then each order event has had exactly one answer."""
        for key, state in self.gate.orders.items():
            for revision in sorted(state.parked):
                self.arrive(Expiry("parked", key, revision))
            assert state.parked == {}
        self.compare()
        answered = Counter(
            (key, answer.revision)
            for key, answers in self.answers.items()
            for answer in answers
            if answer.origin is not None
        )
        assert answered == Counter(dict.fromkeys(self.contents, 1))


@settings(max_examples=200, deadline=None)
@given(steps=st.lists(STEPS, max_size=60))
def test_used_is_what_the_history_says_after_every_step(make: Any, steps: list[tuple[Any, ...]]) -> None:
    history = History(make)
    for step in steps:
        history.run(step)
    history.finish()


@pytest.mark.parametrize("block", range(5))
def test_500_long_histories(make: Any, block: int) -> None:
    """Longer than what hypothesis likes to draw, and with events that fit what has happened so far."""
    chance = random.Random(block)
    for _ in range(100):
        history = History(make)
        for _ in range(60):
            history.run(_random_step(chance))
        history.finish()


def _random_step(chance: random.Random) -> tuple[Any, ...]:
    order_id, number = chance.choice(sorted(ORDERS)), chance.choice([1, 1, 2, 2, 3, 4, 5])
    outcome = chance.choice(["accepted", "declined"])
    return chance.choice(
        [
            ("submit", order_id, number, chance.choice([0, 40, 60, 100, 101])),
            ("submit", order_id, number, 60),
            ("submit", order_id, number, 100),
            ("cancel", order_id, number + chance.randint(0, 1))
            if chance.random() < 0.3
            else ("submit", order_id, 1, 60),
            ("decide", order_id, number, outcome),
            ("decide-open", order_id, outcome),
            ("decide-open", order_id, outcome),
            ("judge", order_id, chance.random() < 0.5),
            ("expire-parked", order_id, number),
            ("expire-pending", order_id, number),
            (
                "limit",
                chance.choice(["C-1", "C-2"]),
                chance.choice([None, 0, 100, 100, 200, 200, "unlimited"]),
                chance.choice(["reject", "special-approval", "warn"]),
            ),
        ]
    )
