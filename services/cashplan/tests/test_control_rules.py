"""Execution control, with worked numbers, and against a reference that recomputes from documents."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from random import Random
from typing import Any

import pytest
from cashplan.domain.control import Book, Cell, Controller, PlanDecision, RateOf, Slot
from cashplan.domain.documents import DocumentKey, DocumentLine, DocumentState, Posted, Stance, Upstream
from cashplan.domain.samples import monthly_with_weeks
from cashplan.domain.systems import ControlPolicy, Entity, FilingType, PlanningSystem
from contracts.money import Money
from hypothesis import given, settings
from hypothesis import strategies as st

JANUARY, FEBRUARY, MARCH = date(2026, 1, 10), date(2026, 2, 3), date(2026, 3, 5)


def system(*policies: ControlPolicy, name: str = "S", kind: Any = "month", **basics: Any) -> PlanningSystem:
    made = monthly_with_weeks(name, "G")
    return replace(
        made,
        basics=replace(made.basics, **basics),
        filing_types=(FilingType(id="month-plan", name="Month", period_kind=kind),),
        entities=(Entity(id="G", name="G"), *(Entity(id=each, name=each, parent="G") for each in "ABC")),
        policies=policies or (ControlPolicy(id="all", filing_type="month-plan"),),
    )


@dataclass
class World:
    """A book with plans and the documents posted so far."""

    systems: Sequence[PlanningSystem]
    rates: RateOf = field(default_factory=RateOf)
    book: Book = field(default_factory=Book)
    states: dict[DocumentKey, DocumentState] = field(default_factory=dict)

    def plan(self, item: str, day: date, effective: int, fields: str = "", **slot: str) -> None:
        for each in self.systems:
            leaf = each.filing_types[0].scheme.leaf(day)
            key = self.slot(item, day, fields, system=each.id, **slot)
            self.book.put(key, Cell(effective=effective, is_planned=True, first_day=leaf.first_day))

    def slot(self, item: str, day: date, fields: str = "", **slot: str) -> Slot:
        leaf = self.systems[0].filing_types[0].scheme.leaf(day)
        if item == "expenses":
            slot = {"members": "settlement=transfer", **slot}
        found = {"system": "S", "entity": "A", "currency": "CNY", "members": "", **slot}
        return Slot(filing_type="month-plan", item=item, period=leaf.code, fields=fields, **found)

    def cell(self, item: str, day: date, fields: str = "", **slot: str) -> tuple[int, int, int]:
        cell = self.book.cells[self.slot(item, day, fields, **slot)]
        return cell.pre_occupied, cell.actual, cell.effective - cell.occupied

    def post(self, posted: Posted) -> PlanDecision:
        controller = Controller(self.systems, self.rates)
        known = {key: self.states.get(key, DocumentState(key=key)) for key in controller.affected(posted)}
        decision = controller.decide(posted, known, self.book)
        self.states.update(decision.states)
        return decision


def posted(
    kind: str,
    document_id: str,
    minor: int,
    day: date,
    *,
    revision: int = 1,
    operation: str = "submit",
    stance: Stance = "request",
    item: str = "wages",
    entity: str = "A",
    currency: str = "CNY",
    settles: str | None = None,
    **attributes: str,
) -> Posted:
    upstream = (Upstream(DocumentKey("erp", "payment-request", settles), "", minor),) if settles else ()
    line = DocumentLine(
        line_id="1",
        minor=minor,
        attributes={"reporting-entity": entity, "plan-item": item, "document-type": kind, **attributes},
        upstream=upstream,
    )
    return Posted(
        key=DocumentKey("erp", kind, document_id),
        revision=revision,
        operation=operation,
        stance=stance,
        party=entity,
        currency=currency,
        day=day,
        due_day=day,
        lines=(line,),
    )


def request(document_id: str, minor: int, day: date, **others: Any) -> Posted:
    return posted("payment-request", document_id, minor, day, **others)


def payment(document_id: str, minor: int, day: date, **others: Any) -> Posted:
    return posted("payment", document_id, minor, day, **others)


def test_a_payment_in_another_month_moves_its_occupancy_there_and_is_checked_there() -> None:
    """January 100, February 50, a request of 100 in January, 60 of it paid on 3 February."""
    world = World([system()])
    world.plan("wages", JANUARY, 100)
    world.plan("wages", FEBRUARY, 50)
    assert world.post(request("R", 100, JANUARY)).outcome == "passed"
    refused = world.post(payment("P", 60, FEBRUARY, settles="R"))
    assert (refused.outcome, refused.findings[0].excess) == ("blocked", 10)
    assert world.cell("wages", JANUARY) == (100, 0, 0)
    world.plan("wages", FEBRUARY, 60)
    assert world.post(payment("P", 60, FEBRUARY, settles="R")).outcome == "passed"
    assert world.cell("wages", JANUARY) == (40, 0, 60)
    assert world.cell("wages", FEBRUARY) == (0, 60, 0)
    world.post(payment("P", 60, FEBRUARY, settles="R", revision=2, operation="recall", stance="fact"))
    assert world.cell("wages", JANUARY) == (100, 0, 0)
    assert world.cell("wages", FEBRUARY) == (0, 0, 60)


def test_closing_a_request_releases_what_is_not_paid_and_reopening_takes_it_back() -> None:
    world = World([system()])
    world.plan("wages", JANUARY, 100)
    world.post(request("R", 100, JANUARY))
    world.post(payment("P", 60, JANUARY, settles="R"))
    assert world.cell("wages", JANUARY) == (40, 60, 0)
    world.post(request("R", 100, JANUARY, revision=2, operation="close", stance="fact"))
    assert world.cell("wages", JANUARY) == (0, 60, 40)
    world.post(request("R2", 40, JANUARY))
    assert world.post(request("R", 100, JANUARY, revision=3, operation="reopen")).outcome == "blocked"
    flagged = world.post(request("R", 100, JANUARY, revision=3, operation="reopen", stance="fact"))
    assert flagged.outcome == "flagged"
    assert world.cell("wages", JANUARY) == (80, 60, -40)


def test_a_reversal_is_never_refused_and_flagged_where_it_no_longer_fits() -> None:
    world = World([system()])
    world.plan("wages", JANUARY, 100)
    world.plan("wages", FEBRUARY, 60)
    world.post(request("R", 100, JANUARY))
    world.post(payment("P", 60, FEBRUARY, settles="R"))
    world.post(request("R2", 60, JANUARY))
    back = world.post(payment("P", 60, FEBRUARY, settles="R", revision=2, operation="recall"))
    assert (back.outcome, back.findings[0].excess) == ("flagged", 60)
    assert world.cell("wages", JANUARY) == (160, 0, -60)


def test_the_fact_of_a_request_with_other_amounts_replaces_it() -> None:
    world = World([system()])
    world.plan("wages", JANUARY, 100)
    world.post(request("R", 70, JANUARY))
    world.post(request("R", 80, JANUARY, stance="fact"))
    assert world.cell("wages", JANUARY) == (80, 0, 20)


def policy(**changed: Any) -> ControlPolicy:
    return ControlPolicy(id="p", filing_type="month-plan", **changed)


@pytest.mark.parametrize(
    ("changed", "minor", "outcome"),
    [
        ({"enforcement": "none"}, 500, "passed"),
        ({"enforcement": "warn"}, 101, "warned"),
        ({"enforcement": "warn"}, 100, "passed"),
        ({"enforcement": "tolerate", "tolerance_percent": "5"}, 105, "tolerated"),
        ({"enforcement": "tolerate", "tolerance_percent": "5"}, 106, "blocked"),
        ({"enforcement": "tolerate", "tolerance": Money("0.03", "CNY")}, 103, "tolerated"),
        ({"enforcement": "tolerate", "tolerance": Money("0.03", "CNY")}, 104, "blocked"),
        ({"enforcement": "special-approval"}, 101, "held"),
        ({"enforcement": "block"}, 101, "blocked"),
        ({"enforcement": "block"}, 100, "passed"),
    ],
)
def test_how_hard_a_policy_controls(changed: dict[str, Any], minor: int, outcome: str) -> None:
    world = World([system(policy(**changed))])
    world.plan("wages", JANUARY, 100)
    decision = world.post(request("R", minor, JANUARY))
    assert decision.outcome == outcome
    held = minor if outcome in ("passed", "warned", "tolerated") else 0
    assert world.cell("wages", JANUARY)[0] == held


@pytest.mark.parametrize(
    ("unplanned", "outcome"),
    [("zero", "blocked"), ("pass", "passed"), ("warn", "warned"), ("block", "blocked")],
)
def test_where_nothing_was_planned(unplanned: Any, outcome: str) -> None:
    world = World([system(policy(unplanned=unplanned))])
    decision = world.post(request("R", 10, JANUARY))
    assert (decision.outcome, decision.findings[0].reason) == (outcome, "not-planned")


def quarter(draw_ahead: bool) -> World:
    world = World([system(policy(span="quarter", draw_ahead=draw_ahead))])
    for day, minor in ((JANUARY, 100), (FEBRUARY, 50), (MARCH, 30)):
        world.plan("wages", day, minor)
    return world


def test_cumulative_control_lets_what_was_left_be_used_later() -> None:
    world = quarter(draw_ahead=False)
    assert world.post(request("R1", 101, JANUARY)).outcome == "blocked"
    assert world.post(request("R2", 40, JANUARY)).outcome == "passed"
    assert world.post(request("R3", 110, FEBRUARY)).outcome == "passed"
    assert world.post(request("R4", 1, JANUARY)).outcome == "blocked"
    assert world.post(request("R5", 30, MARCH)).outcome == "passed"


def test_drawing_ahead_lets_the_whole_quarter_be_used_early() -> None:
    world = quarter(draw_ahead=True)
    assert world.post(request("R1", 180, JANUARY)).outcome == "passed"
    assert world.post(request("R2", 1, MARCH)).outcome == "blocked"


def test_an_item_total_is_controlled_over_the_items_below_it() -> None:
    world = World([system(policy(item="payments", item_total=True))])
    world.plan("wages", JANUARY, 100)
    world.plan("taxes", JANUARY, 50)
    assert world.post(request("R1", 140, JANUARY)).outcome == "passed"
    assert world.post(request("R2", 11, JANUARY, item="taxes")).outcome == "blocked"
    assert world.post(request("R3", 10, JANUARY, item="taxes")).outcome == "passed"


def test_the_nearest_policy_counts() -> None:
    near = policy(entity="A", item="wages", enforcement="warn")
    world = World([system(policy(item="payments"), replace(near, id="near"))])
    assert world.post(request("R1", 1, JANUARY)).outcome == "warned"
    assert world.post(request("R2", 1, JANUARY, entity="B")).outcome == "blocked"


def test_a_document_fits_its_contract_and_the_main_cell_and_counts_once() -> None:
    world = World([system(policy(fields=["contract-number"]))])
    world.plan("purchases", JANUARY, 100)
    world.plan("purchases", JANUARY, 70, "contract-number=C1")
    world.plan("purchases", JANUARY, 30, "contract-number=C2")
    refused = world.post(request("R1", 71, JANUARY, item="purchases", **{"contract-number": "C1"}))
    assert (refused.outcome, refused.findings[-1].on) == ("blocked", "contract-number=C1")
    assert world.post(request("R2", 70, JANUARY, item="purchases", **{"contract-number": "C1"})).is_applied
    assert world.cell("purchases", JANUARY) == (70, 0, 30)
    assert world.cell("purchases", JANUARY, "contract-number=C1") == (70, 0, 0)
    assert world.post(request("R3", 10, JANUARY, item="purchases")).outcome == "blocked"


def test_several_systems_at_once_the_most_severe_wins_and_none_is_occupied_alone() -> None:
    warns = system(policy(enforcement="warn"), name="S")
    blocks = system(policy(enforcement="block"), name="T")
    world = World([warns, blocks])
    world.plan("wages", JANUARY, 100)
    assert world.post(request("R", 101, JANUARY)).outcome == "blocked"
    assert world.cell("wages", JANUARY)[0] == world.cell("wages", JANUARY, system="T")[0] == 0
    assert world.post(request("R", 100, JANUARY)).outcome == "passed"
    assert world.cell("wages", JANUARY)[0] == world.cell("wages", JANUARY, system="T")[0] == 100


def test_the_first_rate_is_kept_for_the_reversal() -> None:
    world = World([system(currencies=["CNY", "USD"])], RateOf({("S", "USD", "CNY"): Decimal("7.1")}))
    world.plan("wages", JANUARY, 1_000_00)
    world.post(request("R", 100_00, JANUARY, currency="USD"))
    assert world.cell("wages", JANUARY) == (710_00, 0, 290_00)
    world.rates = RateOf({("S", "USD", "CNY"): Decimal("7.3")})
    world.post(request("R", 100_00, JANUARY, currency="USD", revision=2, operation="recall"))
    assert world.cell("wages", JANUARY) == (0, 0, 1_000_00)


def test_what_maps_to_nothing_is_listed() -> None:
    world = World([system()])
    decision = world.post(request("R", 10, JANUARY, item="sundries"))
    assert [(each.dimension, each.tried) for each in decision.unmapped] == [("item", "sundries")]


@dataclass
class Told:
    """A document as the reference keeps it: what was last accepted of it."""

    minor: int
    day: date
    entity: str
    item: str
    is_open: bool = True
    is_closed: bool = False
    settles: str | None = None


def reference(requests: dict[str, Told], payments: dict[str, Told]) -> dict[tuple[str, str, str], list[int]]:
    """Pre-occupied and actual by entity, item and month, added up from the documents alone."""
    held: dict[tuple[str, str, str], list[int]] = defaultdict(lambda: [0, 0])
    for name, told in requests.items():
        paid = sum(each.minor for each in payments.values() if each.settles == name and each.is_open)
        if told.is_open and not told.is_closed:
            held[told.entity, told.item, f"{told.day:%Y-%m}"][0] += max(0, told.minor - paid)
    for told in payments.values():
        if told.is_open:
            held[told.entity, told.item, f"{told.day:%Y-%m}"][1] += told.minor
    return {place: sums for place, sums in held.items() if any(sums)}


ITEMS = ("wages", "taxes", "expenses", "purchases")
SPANS: tuple[Any, ...] = ("period", "quarter", "year")


@dataclass
class History:
    """Random operations on documents, and what the reference keeps of those that were accepted."""

    world: World
    random: Random
    requests: dict[str, Told] = field(default_factory=dict)
    payments: dict[str, Told] = field(default_factory=dict)
    revisions: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def send(self, kind: str, name: str, told: Told, operation: str) -> bool:
        document = posted(
            kind,
            name,
            told.minor,
            told.day,
            revision=self.revisions[name] + 1,
            operation=operation,
            entity=told.entity,
            item=told.item,
            settles=told.settles,
        )
        decision = self.world.post(document)
        if decision.is_applied:
            self.revisions[name] += 1
            (self.requests if kind == "payment-request" else self.payments)[name] = told
        return decision.is_applied

    def request(self, step: int) -> None:
        random = self.random
        told = Told(random.randrange(1, 120), random.choice(DAYS), random.choice("ABC"), random.choice(ITEMS))
        self.send("payment-request", f"R{step}", told, "submit")

    def change(self, name: str, told: Told) -> None:
        self.send("payment-request", name, replace(told, minor=self.random.randrange(1, 150)), "submit")

    def move(self, name: str, told: Told) -> None:
        self.send("payment-request", name, replace(told, day=self.random.choice(DAYS)), "submit")

    def close(self, name: str, told: Told) -> None:
        assert self.send("payment-request", name, replace(told, is_closed=True), "close")

    def reopen(self, name: str, told: Told) -> None:
        self.send("payment-request", name, replace(told, is_closed=False), "reopen")

    def pay(self, name: str, told: Told) -> None:
        minor, day = self.random.randrange(1, told.minor + 1), self.random.choice(DAYS)
        paid = replace(told, minor=minor, day=day, settles=name, is_closed=False)
        self.send("payment", f"P{len(self.revisions)}", paid, "submit")

    def reverse(self, _name: str, _told: Told) -> None:
        if self.payments:
            name = self.random.choice(sorted(self.payments))
            assert self.send("payment", name, replace(self.payments[name], is_open=False), "recall")

    def step(self, number: int) -> None:
        actions = [self.change, self.move, self.close, self.reopen, self.pay, self.pay, self.reverse]
        if not self.requests or self.random.random() < 0.3:
            self.request(number)
            return
        name = self.random.choice(sorted(self.requests))
        self.random.choice(actions)(name, self.requests[name])


DAYS = [date(2026, month, 10) for month in (1, 2, 3, 4)]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**9), st.sampled_from(SPANS), st.booleans(), st.booleans())
def test_histories_occupy_what_the_documents_say(
    seed: int, span: Any, draw_ahead: bool, item_total: bool
) -> None:
    """Requests, changes, partial payments, reversals, closings, reopenings and moves on 3 entities x 4 items."""
    random = Random(seed)
    world = World([system(policy(item="payments", item_total=item_total, span=span, draw_ahead=draw_ahead))])
    for entity in "ABC":
        for item in ITEMS:
            for day in DAYS:
                world.plan(item, day, random.randrange(200), entity=entity)
    history = History(world, random)
    for number in range(40):
        history.step(number)
        found = {
            (slot.entity, slot.item, slot.period): [cell.pre_occupied, cell.actual]
            for slot, cell in world.book.cells.items()
            if cell.occupied
        }
        assert found == reference(history.requests, history.payments)


def fits(world: World, span: str, draw_ahead: bool, item_total: bool) -> bool:
    sums: dict[tuple[str, str, str], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for slot, cell in world.book.cells.items():
        month = int(slot.period[5:])
        window = slot.period if span == "period" else f"Q{(month - 1) // 3}" if span == "quarter" else "Y"
        sums[slot.entity, "all" if item_total else slot.item, window][slot.period] += (
            cell.effective - cell.occupied
        )
    for periods in sums.values():
        left = 0
        for period in sorted(periods):
            left += periods[period]
            if left < 0 and not (draw_ahead and span != "period"):
                return False
        if left < 0:
            return False
    return True


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**9), st.sampled_from(SPANS), st.booleans(), st.booleans())
def test_requests_alone_never_exceed_what_the_policy_allows(
    seed: int, span: Any, draw_ahead: bool, item_total: bool
) -> None:
    random = Random(seed)
    rule = policy(item="payments", item_total=item_total, span=span, draw_ahead=draw_ahead)
    world = World([system(rule)])
    days = [date(2026, month, 10) for month in (1, 2, 3, 4)]
    for entity in "AB":
        for item in ITEMS:
            for day in days:
                world.plan(item, day, random.randrange(150), entity=entity)
    made: list[str] = []
    for step in range(40):
        day, item, entity = random.choice(days), random.choice(ITEMS), random.choice("AB")
        if made and random.random() < 0.4:
            name = random.choice(made)
            state = world.states[DocumentKey("erp", "payment-request", name)]
            line = state.lines[0].attributes
            others = {"item": line["plan-item"], "entity": line["reporting-entity"]}
            world.post(payment(f"P{step}", random.randrange(1, 60), day, settles=name, **others))
        elif world.post(
            request(f"R{step}", random.randrange(1, 90), day, item=item, entity=entity)
        ).is_applied:
            made.append(f"R{step}")
        assert fits(world, span, draw_ahead, item_total)
