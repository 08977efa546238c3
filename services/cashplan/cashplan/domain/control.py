"""Execution control: what documents occupy, and whether a plan allows it.

Available = effective - pre-occupied - actual. Check and occupy are one step. Source: seed 003, 3.4 and section 4
(execution and control); worked numbers in the tests.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from typing import Final, Literal, NamedTuple

from contracts.event import message

from cashplan.domain.cells import members_text, reduced
from cashplan.domain.documents import (
    DocumentKey,
    DocumentLine,
    DocumentState,
    Posted,
    Settlement,
    after,
    in_effect,
    settlements_of,
    with_settlement,
)
from cashplan.domain.mappings import ENTITY, ITEM, MemberMapping, mapped, member_for
from cashplan.domain.periods import quarter_of
from cashplan.domain.rates import converted
from cashplan.domain.systems import ControlPolicy, FilingType, PlanningSystem

Outcome = Literal["not-controlled", "passed", "warned", "tolerated", "held", "blocked", "flagged"]
SEVERITY: Final[Mapping[Outcome, int]] = {
    "not-controlled": 0,
    "passed": 1,
    "flagged": 2,
    "warned": 3,
    "tolerated": 3,
    "held": 4,
    "blocked": 5,
}
DEFAULT_MAPPINGS: Final = (
    MemberMapping(dimension=ENTITY, attribute="reporting-entity"),
    MemberMapping(dimension=ITEM, attribute="plan-item"),
)
PAYMENTS_OUT: Final = frozenset({"payment-request", "payment", "refund"})


class Slot(NamedTuple):
    """A cell that documents occupy; `fields` is empty in the main layer, names a detail row's group else."""

    system: str
    filing_type: str
    entity: str
    item: str
    period: str
    currency: str
    members: str = ""
    fields: str = ""


class Held(NamedTuple):
    """What a document holds of a slot, in minor units."""

    pre_occupied: int = 0
    actual: int = 0

    @property
    def total(self) -> int:
        return self.pre_occupied + self.actual

    def plus(self, other: "Held") -> "Held":
        return Held(self.pre_occupied + other.pre_occupied, self.actual + other.actual)

    def minus(self, other: "Held") -> "Held":
        return Held(self.pre_occupied - other.pre_occupied, self.actual - other.actual)


NOTHING: Final = Held()
Holdings = dict[Slot, Held]


class Unmapped(NamedTuple):
    """A line of a document that a system's mapping puts nowhere."""

    system: str
    key: DocumentKey
    line_id: str
    dimension: str
    tried: str


@dataclass(slots=True)
class Cell:
    """A slot's figures; `is_planned` says that an effective plan of a binding period stands behind it."""

    effective: int = 0
    pre_occupied: int = 0
    actual: int = 0
    is_planned: bool = False
    first_day: date = date(2000, 1, 1)
    is_stored: bool = False

    @property
    def occupied(self) -> int:
        return self.pre_occupied + self.actual


Group = tuple[str, str, str, str, str]


@dataclass
class Book:
    """The cells that a batch looks at and changes; whoever loads it holds the locks of their entities."""

    cells: dict[Slot, Cell] = field(default_factory=dict)
    by_group: dict[Group, list[Slot]] = field(default_factory=lambda: defaultdict(list))

    def put(self, slot: Slot, cell: Cell) -> None:
        if slot not in self.cells:
            self.by_group[_group(slot)].append(slot)
        self.cells[slot] = cell

    def at(self, slot: Slot, first_day: date) -> Cell:
        """The cell of a slot; one that nobody planned is empty."""
        if slot not in self.cells:
            self.put(slot, Cell(first_day=first_day))
        return self.cells[slot]

    def slots(self, system: str, filing_type: str, entity: str, item: str, currency: str) -> Sequence[Slot]:
        return self.by_group.get((system, filing_type, entity, item, currency), ())

    def add(self, changes: Mapping[Slot, Held], first_days: Mapping[Slot, date], sign: int = 1) -> None:
        for slot, change in changes.items():
            cell = self.at(slot, first_days[slot])
            cell.pre_occupied += sign * change.pre_occupied
            cell.actual += sign * change.actual


def _group(slot: Slot) -> Group:
    return slot.system, slot.filing_type, slot.entity, slot.item, slot.currency


@message
class PlanFinding:
    """What one policy says of one document, with the numbers before it."""

    system: str
    filing_type: str
    policy: str
    entity: str
    item: str
    period: str
    currency: str
    on: str
    outcome: Outcome
    reason: str
    amount: int
    effective: int
    pre_occupied: int
    actual: int
    excess: int

    @property
    def available(self) -> int:
        return self.effective - self.pre_occupied - self.actual


@message
class PlanDecision:
    """The answer to one document: the most severe outcome, every finding, and the states and cells after it."""

    outcome: Outcome
    findings: Sequence[PlanFinding]
    unmapped: Sequence[Unmapped]
    states: Mapping[DocumentKey, DocumentState]
    changes: Mapping[Slot, Held]
    holdings: Mapping[DocumentKey, Holdings]
    is_applied: bool


class RateOf:
    """Rates by system and pair of currencies, as the effective rounds of the time have them."""

    def __init__(self, rates: Mapping[tuple[str, str, str], Decimal] | None = None) -> None:
        self._rates = dict(rates or {})

    def rate(self, system: str, currency: str, target: str) -> Decimal | None:
        return Decimal(1) if currency == target else self._rates.get((system, currency, target))


class Place(NamedTuple):
    """Where a line stands in a filing type, whatever its period; without an entity, nowhere."""

    entity: str
    item: str
    members: str
    fields: str
    missing: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Controller:
    """Everything that decisions of one batch have in common."""

    systems: Sequence[PlanningSystem]
    rates: RateOf = field(default_factory=RateOf)
    concerned: dict[str, list[PlanningSystem]] = field(default_factory=dict)
    places: dict[tuple[int, str, str], tuple[DocumentLine, Place]] = field(default_factory=dict)
    """Places as they were found, by line, system and filing type; the line is kept, so that its id stays its own."""
    spots: dict[tuple[int, str, str, date, str], list[tuple[Slot, date]]] = field(default_factory=dict)
    """Slots as they were found, by line, system, filing type, day and currency."""

    def affected(self, posted: Posted) -> list[DocumentKey]:
        """The documents whose state an operation touches: its own, and those that its lines come from."""
        keys = {posted.key}
        for line in posted.lines:
            for each in line.upstream:
                keys.add(each.key)
        return sorted(keys)

    def systems_of(self, document_type: str) -> list[PlanningSystem]:
        """The systems whose timing speaks of a document type."""
        if document_type not in self.concerned:
            self.concerned[document_type] = [
                system
                for system in self.systems
                if any(timing.document_type == document_type for timing in system.timings)
            ]
        return self.concerned[document_type]

    def place(self, system: PlanningSystem, filing_type: FilingType, line: DocumentLine) -> Place:
        """Where a line stands, found once."""
        key = id(line), system.id, filing_type.id
        found = self.places.get(key)
        if found is None:
            found = self.places[key] = line, _place(system, filing_type, line)
        return found[1]

    def slots(self, state: DocumentState) -> dict[Slot, date]:
        """Where a document would stand if it counted, for loading and locking."""
        return _Reading(self, state).first_days()

    def holdings(self, state: DocumentState) -> tuple[Holdings, list[Unmapped], dict[Slot, date]]:
        """What a document holds now, in every system whose timing speaks of it."""
        return _Reading(self, state).holdings()

    def decide(
        self,
        posted: Posted,
        states: Mapping[DocumentKey, DocumentState],
        book: Book,
        waived: frozenset[str] = frozenset(),
        stored: Mapping[DocumentKey, Holdings] | None = None,
    ) -> PlanDecision:
        """Checks and, unless refused, occupies in the book. A fact or a reversal is never refused.

        `waived` names the policies that a special approval has set aside; `stored` is what documents hold by the
        books, which counts where the system was set up otherwise when they were posted.
        """
        states_after = self._states_after(posted, states)
        return self.settle(
            {key: states[key] for key in states_after},
            states_after,
            book,
            posted=posted,
            waived=waived,
            stored=stored,
        )

    def settle(
        self,
        before: Mapping[DocumentKey, DocumentState],
        states_after: Mapping[DocumentKey, DocumentState],
        book: Book,
        *,
        posted: Posted,
        waived: frozenset[str] = frozenset(),
        stored: Mapping[DocumentKey, Holdings] | None = None,
    ) -> PlanDecision:
        """The decision on going from one set of states to another."""
        states_after = {key: self._with_rates(state) for key, state in states_after.items()}
        changes, holdings, unmapped, first_days = self._changes(before, states_after, book, stored)
        is_forced = posted.stance == "fact" or posted.operation in ("recall", "un-audit", "cancel")
        book.add(changes, first_days)
        findings = _Judge(self, book, posted.key.document_type, waived).findings(changes, first_days)
        if is_forced:
            findings = [_flagged(finding) for finding in findings]
        outcome = _worst(findings, bool(holdings) or bool(changes))
        is_applied = SEVERITY[outcome] < SEVERITY["held"]
        if not is_applied:
            book.add(changes, first_days, -1)
        return PlanDecision(
            outcome=outcome,
            findings=findings,
            unmapped=unmapped,
            states=states_after if is_applied else dict(before),
            changes=changes if is_applied else {},
            holdings=holdings if is_applied else {},
            is_applied=is_applied,
        )

    def _states_after(
        self, posted: Posted, states: Mapping[DocumentKey, DocumentState]
    ) -> dict[DocumentKey, DocumentState]:
        own_before = states[posted.key]
        own = after(own_before, posted)
        changed = {posted.key: own}
        settled_now = settlements_of(own)
        settled_before = settlements_of(own_before)
        if settled_now or settled_before:
            for key in sorted({*settled_now, *settled_before} - {posted.key}):
                nothing = Settlement(key=posted.key, operations=(), currency=own.currency, amounts={})
                if key in states:
                    changed[key] = with_settlement(states[key], settled_now.get(key, nothing))
        return changed

    def _with_rates(self, state: DocumentState) -> DocumentState:
        """The rate that first converted a document stays with it, for its reversals too."""
        currencies = {state.currency, *[each.currency for each in state.settled]} - {""}
        rates: dict[str, str] = {}
        for system in self.systems:
            target = system.basics.plan_currency
            if target is None or currencies == {target}:
                continue
            for currency in currencies - {target}:
                name = f"{system.id} {currency}"
                rate = None if name in state.rates else self.rates.rate(system.id, currency, target)
                if rate is not None:
                    rates[name] = str(rate)
        return replace(state, rates={**state.rates, **rates}) if rates else state

    def _changes(
        self,
        before: Mapping[DocumentKey, DocumentState],
        states_after: Mapping[DocumentKey, DocumentState],
        book: Book,
        stored: Mapping[DocumentKey, Holdings] | None,
    ) -> tuple[dict[Slot, Held], dict[DocumentKey, Holdings], list[Unmapped], dict[Slot, date]]:
        changes: dict[Slot, Held] = {}
        holdings: dict[DocumentKey, Holdings] = {}
        unmapped: list[Unmapped] = []
        first_days: dict[Slot, date] = {}
        for key, state in states_after.items():
            held_before, days_before = self._held_before(before[key], book, stored)
            held, missing, days = self.holdings(state)
            first_days |= days_before | days
            unmapped += missing
            holdings[key] = held
            for slot in held_before.keys() | held.keys():
                change = held.get(slot, NOTHING).minus(held_before.get(slot, NOTHING))
                changes[slot] = changes[slot].plus(change) if slot in changes else change
        return (
            {slot: change for slot, change in changes.items() if any(change)},
            holdings,
            unmapped,
            first_days,
        )

    def _held_before(
        self, state: DocumentState, book: Book, stored: Mapping[DocumentKey, Holdings] | None
    ) -> tuple[Holdings, dict[Slot, date]]:
        if stored is None:
            held, _, days = self.holdings(state)
            return held, days
        kept = stored.get(state.key, {})
        return kept, {slot: book.cells[slot].first_day for slot in kept}


def _flagged(finding: PlanFinding) -> PlanFinding:
    refused = finding.outcome in ("held", "blocked", "warned", "tolerated")
    return replace(finding, outcome="flagged") if refused else finding


def _worst(findings: Sequence[PlanFinding], is_controlled: bool) -> Outcome:
    least: Outcome = "passed" if is_controlled else "not-controlled"
    return max([least, *(finding.outcome for finding in findings)], key=lambda outcome: SEVERITY[outcome])


@dataclass(frozen=True, slots=True)
class _Reading:
    """One document as each system and filing type reads it."""

    controller: Controller
    state: DocumentState

    def holdings(self) -> tuple[Holdings, list[Unmapped], dict[Slot, date]]:
        held: Holdings = {}
        unmapped: list[Unmapped] = []
        first_days: dict[Slot, date] = {}
        for system in self._concerned():
            effects = effects_of(system, self.state.key.document_type, self.state.operations)
            if not effects:
                continue
            for filing_type in system.filing_types:
                for line in self.state.lines:
                    place = self.controller.place(system, filing_type, line)
                    unmapped += self._missing(system, line, place)
                    minor = self._occupied(system, filing_type, line, effects) if place.entity else NOTHING
                    if any(minor):
                        for slot, first_day in self._slots(
                            system, filing_type, line, place, "actual" in effects
                        ):
                            held[slot] = held[slot].plus(minor) if slot in held else minor
                            first_days[slot] = first_day
        return held, list(dict.fromkeys(unmapped)) if unmapped else unmapped, first_days

    def first_days(self) -> dict[Slot, date]:
        slots: dict[Slot, date] = {}
        for system in self._concerned():
            for filing_type in system.filing_types:
                for line in self.state.lines:
                    place = self.controller.place(system, filing_type, line)
                    for is_actual in self._stages() if place.entity else ():
                        slots.update(self._slots(system, filing_type, line, place, is_actual))
        return slots

    def _stages(self) -> tuple[bool, ...]:
        """Whether a document could stand elsewhere once it is actual."""
        is_same = self.state.day == self.state.due_day and not self.state.moved
        return (False,) if is_same else (False, True)

    def _concerned(self) -> Sequence[PlanningSystem]:
        return self.controller.systems_of(self.state.key.document_type) if self.state.is_known else ()

    def _missing(self, system: PlanningSystem, line: DocumentLine, place: Place) -> list[Unmapped]:
        return [
            Unmapped(system.id, self.state.key, line.line_id, dimension, tried)
            for dimension, tried in place.missing
        ]

    def _slots(
        self,
        system: PlanningSystem,
        filing_type: FilingType,
        line: DocumentLine,
        place: Place,
        is_actual: bool,
    ) -> list[tuple[Slot, date]]:
        """The main cell that a line fills, and its group of detail rows where a policy controls on fields."""
        day, currency = self._day(system, filing_type, line, is_actual), self.state.currency
        key = id(line), system.id, filing_type.id, day, currency
        found = self.controller.spots.get(key)
        if found is None:
            found = self.controller.spots[key] = _spots(system, filing_type, place, day, currency)
        return found

    def _day(
        self, system: PlanningSystem, filing_type: FilingType, line: DocumentLine, is_actual: bool
    ) -> date:
        state = self.state
        day = state.day if is_actual else state.due_day
        if state.moved and not is_actual:
            day = state.moved.get(f"{system.id}/{filing_type.id}/{line.line_id}", day)
        return day

    def _occupied(
        self, system: PlanningSystem, filing_type: FilingType, line: DocumentLine, effects: frozenset[str]
    ) -> Held:
        amount = self._converted(system, line.minor, self.state.currency)
        if "actual" in effects:
            return Held(0, amount)
        if "pre-occupy" not in effects or "release" in effects:
            return NOTHING
        if self.state.settled:
            amount -= self._settled(system, line)
        if self.state.released:
            amount -= self.state.released.get(f"{system.id}/{filing_type.id}/{line.line_id}", 0)
        return Held(max(0, amount), 0)

    def _settled(self, system: PlanningSystem, line: DocumentLine) -> int:
        """What payments have settled of a line: what names it, and its share of what names the whole, in turn."""
        own, whole = 0, 0
        named: dict[str, int] = defaultdict(int)
        for settlement in self.state.settled:
            effects = effects_of(system, settlement.key.document_type, settlement.operations)
            if not effects & {"actual", "pre-occupy"}:
                continue
            for line_id, minor in settlement.amounts.items():
                amount = self._converted(system, minor, settlement.currency)
                if line_id:
                    named[line_id] += amount
                else:
                    whole += amount
        for each in self.state.lines:
            left = max(0, self._converted(system, each.minor, self.state.currency) - named[each.line_id])
            share = min(left, whole)
            whole -= share
            if each.line_id == line.line_id:
                own = named[each.line_id] + share
        return own

    def _converted(self, system: PlanningSystem, minor: int, currency: str) -> int:
        target = system.basics.plan_currency or self.state.currency
        rate = self.state.rates.get(f"{system.id} {currency}")
        if currency == target or rate is None:
            return minor if currency == target else 0
        return converted(minor, currency, target, Decimal(rate))


def effects_of(system: PlanningSystem, document_type: str, operations: Sequence[str]) -> frozenset[str]:
    """What a document does to the plan after these operations, by the system's timings."""
    key = document_type, tuple(operations)
    if key not in system.found_effects:
        system.found_effects[key] = frozenset(
            timing.effect
            for timing in system.timings
            if timing.document_type == document_type
            and in_effect(operations, timing.operation, timing.reversed_by)
        )
    return system.found_effects[key]


def _spots(
    system: PlanningSystem, filing_type: FilingType, place: Place, day: date, currency: str
) -> list[tuple[Slot, date]]:
    period = filing_type.scheme.leaf(day)
    main = Slot(
        system.id,
        filing_type.id,
        place.entity,
        place.item,
        period.code,
        system.basics.plan_currency or currency,
        place.members,
        "",
    )
    found = [(main, period.first_day)]
    if place.fields:
        found.append((main._replace(fields=place.fields), period.first_day))
    return found


NOWHERE: Final = Place("", "", "", "", ())


def _place(system: PlanningSystem, filing_type: FilingType, line: DocumentLine) -> Place:
    found = mapped(system.mappings or DEFAULT_MAPPINGS, system.members, line.attributes, system.aliases)
    missing = tuple(found.missing.items())
    members = found.members
    if ENTITY not in members or ITEM not in members:
        return NOWHERE._replace(missing=missing)
    entity, item = members[ENTITY], members[ITEM]
    dimensions = system.plan_dimensions(filing_type.id, entity, item)
    names = system.control_fields(filing_type.id, item)
    fields = {name: value for name in names if (value := _field(system, name, line))}
    return Place(
        entity,
        item,
        members_text({name: members[name] for name in dimensions if name in members}) if dimensions else "",
        (members_text(fields) or "-") if names else "",
        missing,
    )


def _field(system: PlanningSystem, name: str, line: DocumentLine) -> str | None:
    mapping = next((each for each in system.mappings if each.dimension == name), None)
    value = member_for(mapping, line.attributes) if mapping else line.attributes.get(name)
    return value.replace(" ", "_") if value else None


def policy_for(
    system: PlanningSystem, filing_type: str, entity: str, item: str, document_type: str
) -> ControlPolicy | None:
    """The most specific policy: nearest entity, then nearest item, then one that names the document type."""
    key = filing_type, system.named_above(entity, system.policy_entities), item, document_type
    if key not in system.found_policies:
        system.found_policies[key] = _policy_for(system, *key)
    return system.found_policies[key]


def _policy_for(
    system: PlanningSystem, filing_type: str, entities: Sequence[str], item: str, document_type: str
) -> ControlPolicy | None:
    items = system.item_tree.path(item)
    direction = system.item_by_id[item].direction or ("out" if document_type in PAYMENTS_OUT else "in")
    fitting = [
        policy
        for policy in system.policies
        if (policy.filing_type, policy.direction) == (filing_type, direction)
        and policy.document_type in (None, document_type)
        and (policy.entity is None or policy.entity in entities)
        and (policy.item is None or policy.item in items)
    ]

    def rank(policy: ControlPolicy) -> tuple[int, int, int]:
        return (
            len(entities) if policy.entity is None else entities.index(policy.entity),
            len(items) if policy.item is None else items.index(policy.item),
            0 if policy.document_type else 1,
        )

    return min(fitting, key=rank, default=None)


class _Scope(NamedTuple):
    """What one policy adds up: the items, members and fields of an entity in a currency."""

    policy: ControlPolicy
    entity: str
    items: tuple[str, ...]
    currency: str
    members: str
    fields: str

    def covers(self, slot: Slot) -> bool:
        if bool(slot.fields) != bool(self.fields):
            return False
        if self.members and reduced(slot.members, self.policy.dimensions) != self.members:
            return False
        return not self.fields or _reduced_fields(slot.fields, self.policy.fields) == self.fields


def _reduced_fields(fields: str, names: Sequence[str]) -> str:
    return reduced(fields, names) or "-"


@dataclass(frozen=True)
class _Judge:
    """Looks at every group of cells that a change has filled further."""

    controller: Controller
    book: Book
    document_type: str
    waived: frozenset[str]

    def findings(self, changes: Mapping[Slot, Held], first_days: Mapping[Slot, date]) -> list[PlanFinding]:
        found: list[PlanFinding] = []
        for system in self.controller.systems:
            own = {slot: change for slot, change in changes.items() if slot.system == system.id}
            if not own:
                continue
            for scope, slots in self._scopes(system, own).items():
                found += self._judged(system, scope, {slot: own[slot] for slot in slots}, first_days)
        return found

    def _scopes(self, system: PlanningSystem, changes: Mapping[Slot, Held]) -> dict[_Scope, list[Slot]]:
        scopes: dict[_Scope, list[Slot]] = defaultdict(list)
        for slot in sorted(changes):
            if slot.item not in system.item_by_id or slot.entity not in system.entity_by_id:
                continue
            policy = policy_for(system, slot.filing_type, slot.entity, slot.item, self.document_type)
            if policy is None or policy.enforcement == "none":
                continue
            if slot.fields and not policy.fields:
                continue
            items = system.item_tree.subtree(policy.item or slot.item) if policy.item_total else [slot.item]
            members = reduced(slot.members, policy.dimensions) if policy.dimensions else ""
            fields = _reduced_fields(slot.fields, policy.fields) if slot.fields else ""
            scopes[_Scope(policy, slot.entity, tuple(items), slot.currency, members, fields)].append(slot)
        return scopes

    def _judged(
        self,
        system: PlanningSystem,
        scope: _Scope,
        changes: Mapping[Slot, Held],
        first_days: Mapping[Slot, date],
    ) -> list[PlanFinding]:
        """One finding per window that holds more than before: the first point in it that does not fit, if any."""
        windows: dict[str, list[Slot]] = defaultdict(list)
        filing_type = system.filing_type_by_id[scope.policy.filing_type]
        for slot in changes:
            windows[_window(scope.policy, filing_type, first_days[slot])].append(slot)
        found = []
        for window, slots in windows.items():
            cells = self._cells(system, scope, filing_type, window)
            finding = self._window_finding(system, scope, cells, {slot: changes[slot] for slot in slots})
            if finding is not None:
                found.append(finding)
        return found

    def _cells(
        self, system: PlanningSystem, scope: _Scope, filing_type: FilingType, window: str
    ) -> list[tuple[Slot, Cell]]:
        cells = [
            (slot, self.book.cells[slot])
            for item in scope.items
            for slot in self.book.slots(system.id, filing_type.id, scope.entity, item, scope.currency)
            if scope.covers(slot)
        ]
        return [
            (slot, cell)
            for slot, cell in cells
            if _window(scope.policy, filing_type, cell.first_day) == window
        ]

    def _window_finding(
        self,
        system: PlanningSystem,
        scope: _Scope,
        cells: Sequence[tuple[Slot, Cell]],
        changes: Mapping[Slot, Held],
    ) -> PlanFinding | None:
        """The point of the window with the largest excess, among those that the change has made worse."""
        worst: PlanFinding | None = None
        for last_day in self._points(scope.policy, cells):
            upto = [(slot, cell) for slot, cell in cells if cell.first_day <= last_day]
            grown = Held()
            for slot, change in changes.items():
                if self.book.cells[slot].first_day <= last_day:
                    grown = grown.plus(change)
            if grown.total <= 0:
                continue
            finding = self._finding(system, scope, upto, grown, min(changes))
            if worst is None or finding.excess > worst.excess:
                worst = finding
        return worst

    def _points(self, policy: ControlPolicy, cells: Sequence[tuple[Slot, Cell]]) -> list[date]:
        """The days up to which sums must fit: each period's, or the window's end alone when drawing ahead."""
        days = sorted({cell.first_day for _, cell in cells})
        return days[-1:] if policy.draw_ahead or policy.span == "period" else days

    def _finding(
        self,
        system: PlanningSystem,
        scope: _Scope,
        cells: Sequence[tuple[Slot, Cell]],
        grown: Held,
        slot: Slot,
    ) -> PlanFinding:
        effective = sum(cell.effective for _, cell in cells)
        pre_occupied = sum(cell.pre_occupied for _, cell in cells) - grown.pre_occupied
        actual = sum(cell.actual for _, cell in cells) - grown.actual
        excess = max(0, pre_occupied + actual + grown.total - effective)
        is_planned = any(cell.is_planned for _, cell in cells)
        outcome, reason = self._outcome(scope.policy, effective, excess, is_planned)
        return PlanFinding(
            system=system.id,
            filing_type=slot.filing_type,
            policy=scope.policy.id,
            entity=scope.entity,
            item=scope.policy.item if scope.policy.item_total and scope.policy.item else slot.item,
            period=slot.period,
            currency=scope.currency,
            on=" ".join(part for part in (scope.members, scope.fields) if part),
            outcome=outcome,
            reason=reason,
            amount=grown.total,
            effective=effective,
            pre_occupied=pre_occupied,
            actual=actual,
            excess=excess,
        )

    def _outcome(
        self, policy: ControlPolicy, effective: int, excess: int, is_planned: bool
    ) -> tuple[Outcome, str]:
        if excess == 0:
            return "passed", "fits"
        reason = "exceeded" if is_planned else "not-planned"
        if policy.id in self.waived and policy.enforcement == "special-approval":
            return "passed", "specially-approved"
        if not is_planned and policy.unplanned != "zero":
            by_choice: Mapping[str, Outcome] = {"pass": "passed", "warn": "warned", "block": "blocked"}
            return by_choice[policy.unplanned], reason
        if policy.enforcement == "tolerate":
            return ("tolerated" if excess <= tolerance(policy, effective) else "blocked"), reason
        by_enforcement: Mapping[str, Outcome] = {
            "warn": "warned",
            "special-approval": "held",
            "block": "blocked",
        }
        return by_enforcement[policy.enforcement], reason


def _window(policy: ControlPolicy, filing_type: FilingType, first_day: date) -> str:
    """Which span a period belongs to, by its first day."""
    if policy.span == "head":
        return filing_type.scheme.head(first_day).code
    if policy.span == "quarter":
        return quarter_of(first_day).code
    return str(first_day.year) if policy.span == "year" else first_day.isoformat()


def tolerance(policy: ControlPolicy, effective: int) -> int:
    """How much above the effective figure is let pass: percent of it or an amount, the smaller where both are set."""
    allowed = []
    if policy.tolerance_percent is not None:
        allowed.append(int(Decimal(effective) * Decimal(policy.tolerance_percent) / 100))
    if policy.tolerance is not None:
        allowed.append(policy.tolerance.minor)
    return min(allowed, default=0)
