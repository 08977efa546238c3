"""Check and occupy in one step: documents locked, their entities' plans locked, decided in turn, saved, answered."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from hashlib import blake2b
from typing import Any, Final, cast

from chassis.work import CausedBy, derived_id
from contracts.addressee import ADDRESSEES_MAX, Addressee
from contracts.money import Money, SignedMoney
from contracts.order import Reason
from contracts.plan_checked import PlanFinding as ToldFinding

from cashplan.domain.control import (
    SEVERITY,
    Book,
    Controller,
    Held,
    Holdings,
    Outcome,
    PlanDecision,
    PlanFinding,
    RateOf,
    Slot,
    Unmapped,
    policy_for,
)
from cashplan.domain.documents import (
    PARKED_MAX,
    DocumentKey,
    DocumentState,
    Posted,
    Settlement,
    Stance,
    heard,
    settlements_of,
    standing,
    with_settlement,
)
from cashplan.domain.systems import PlanningSystem
from cashplan.flows import tasks
from cashplan.repository import approvals as approval_rows
from cashplan.repository import control as control_rows
from cashplan.repository import parking as parking_rows
from cashplan.repository.approvals import SpecialApproval
from cashplan.repository.control import Answer, CellFrame, CheckRow, Entry, KnownDocument
from cashplan.repository.parking import Parked
from cashplan.repository.tasks import Task
from chassis import UnitOfWork
from contracts import PlanChecked, PlanExceeded

GRANT_UNCONFIRMED: Final = "grant-unconfirmed"
APPROVAL_EXPIRES: Final = "special-approval-expires"
DOCUMENT_PARKED: Final = "document-parked"
PREDECESSOR_MISSING: Final = "predecessor-missing"
PARKED_HOURS_MAX: Final = 24
CHECK_ID_BYTES: Final = 16
TOLD: Final[Mapping[Outcome, str]] = {
    "not-controlled": "not-controlled",
    "passed": "approved",
    "flagged": "approved",
    "warned": "approved",
    "tolerated": "approved",
    "held": "pending-approval",
    "blocked": "declined",
}


@dataclass(slots=True)
class Arrival:
    """A document operation to decide, and what it came from."""

    posted: Posted
    cause: CausedBy | None
    waived: frozenset[str] = frozenset()
    approval_id: str | None = None
    approved_by: str | None = None


@dataclass
class ControlDesk:
    """One transaction's work on documents: load once, decide in turn, save once."""

    work: UnitOfWork
    controller: Controller
    known: dict[DocumentKey, KnownDocument] = field(default_factory=dict)
    book: Book = field(default_factory=Book)
    changed: set[DocumentKey] = field(default_factory=set)
    holdings: dict[DocumentKey, Holdings] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    changes: dict[Slot, Held] = field(default_factory=dict)
    checks: list[CheckRow] = field(default_factory=list)
    unmapped: list[Unmapped] = field(default_factory=list)
    held: dict[DocumentKey, tuple[SpecialApproval, CausedBy | None]] = field(default_factory=dict)
    superseding: set[DocumentKey] = field(default_factory=set)
    stored: dict[DocumentKey, Holdings] = field(default_factory=dict)
    held_before: dict[DocumentKey, Holdings] = field(default_factory=dict)
    answers: dict[DocumentKey, dict[tuple[int, str], Answer]] = field(default_factory=dict)
    parked: dict[DocumentKey, list[Parked]] = field(default_factory=dict)
    unparked: list[Parked] = field(default_factory=list)
    system_by_id: dict[str, PlanningSystem] = field(default_factory=dict)
    cause: CausedBy | None = None

    def __post_init__(self) -> None:
        self.system_by_id = {system.id: system for system in self.controller.systems}

    async def decide_all(self, arrivals: Sequence[Arrival]) -> list[PlanDecision | None]:
        """Decides operations in their turn; None for those that were known already or came early."""
        if not arrivals:
            return []
        self.cause = arrivals[0].cause
        await self._load([arrival.posted for arrival in arrivals])
        await self._load_answers(arrivals)
        decisions = []
        for arrival in arrivals:
            decisions.append(self._decide(arrival))
            self._take_turns(arrival.posted.key)
        await self._save()
        return decisions

    async def give_up_waiting(self, keys: Mapping[DocumentKey, int], cause: CausedBy) -> None:
        """Ends the wait for what never came: requests up to these revisions are declined, facts are posted."""
        self.cause = cause
        await self._lock(keys)
        waiting = [each.posted for key in keys for each in self.parked.get(key, ())]
        await self._load_around(waiting)
        for key, revision in sorted(keys.items()):
            self._release_parked(key, revision)
        await self._save()

    async def _load(self, postings: Sequence[Posted]) -> None:
        keys = {key for posted in postings for key in self.controller.affected(posted)}
        await self._lock(keys)
        await self._load_around(
            [*postings, *(each.posted for found in self.parked.values() for each in found)]
        )

    async def _lock(self, keys: Collection[DocumentKey]) -> None:
        """The documents, what waits for them, and the documents that this comes from."""
        self.known = await control_rows.locked_documents(self.work.connection, keys)
        self.parked = await parking_rows.parked_of(
            self.work.connection, sorted(key for key, known in self.known.items() if known.parked)
        )
        postings = [each.posted for found in self.parked.values() for each in found]
        more = {key for posted in postings for key in self.controller.affected(posted)} - self.known.keys()
        if more:
            self.known |= await control_rows.locked_documents(self.work.connection, more)

    async def _load_around(self, postings: Sequence[Posted]) -> None:
        await self._load_holdings()
        await self._load_cells(postings)
        await self._load_rates(postings)

    async def _load_answers(self, arrivals: Sequence[Arrival]) -> None:
        """Answers that stand: a request that was granted or is held is answered alike when it comes again."""
        asked = [
            arrival.posted
            for arrival in arrivals
            if arrival.posted.stance == "request"
            and not arrival.waived
            and arrival.posted.revision <= self.known[arrival.posted.key].state.turn
        ]
        for (key, *place), answer in (
            await control_rows.standing_answers(self.work.connection, asked)
        ).items():
            self.answers.setdefault(key, {})[cast(Any, tuple(place))] = answer

    async def _load_holdings(self) -> None:
        """What the documents hold by the books, whatever a system's set-up says of them today."""
        known = [key for key, each in self.known.items() if each.state.is_known]
        self.held_before = await control_rows.holdings_of(self.work.connection, known)
        self.stored = dict(self.held_before)

    async def _load_cells(self, postings: Sequence[Posted]) -> None:
        """The cells of every place where a document stands or would stand, with those that policies add to them."""
        states = [known.state for known in self.known.values() if known.state.is_known]
        states += [known.confirmed for known in self.known.values() if known.confirmed]
        states += [_as_if(posted) for posted in postings]
        slots: dict[Slot, date] = {}
        for state in states:
            slots |= self.controller.slots(state)
        slots |= {slot: _some_day(slot) for held in self.stored.values() for slot in held}
        await control_rows.lock_entities(self.work.connection, {(slot.system, slot.entity) for slot in slots})
        if slots:
            years = [first_day.year for first_day in slots.values()]
            types = {state.key.document_type for state in states}
            groups: set[tuple[str, str, str, str]] = set()
            for slot in slots:
                groups.update(self._groups(slot, types))
            first, last = date(min(years) - 1, 12, 1), date(max(years) + 1, 1, 31)
            self.book = await control_rows.book(self.work.connection, groups, first, last)

    def _groups(self, slot: Slot, document_types: set[str]) -> Iterable[tuple[str, str, str, str]]:
        """A slot's own item, and the items that a policy for any document of the batch adds up with it."""
        system = self._system(slot.system)
        place = slot.system, slot.filing_type, slot.entity
        if slot.item not in system.item_by_id or slot.filing_type not in system.filing_type_by_id:
            return [(*place, slot.item)]
        items = {slot.item}
        for document_type in document_types:
            policy = policy_for(system, slot.filing_type, slot.entity, slot.item, document_type)
            if policy is not None and policy.item_total and policy.item:
                items.update(system.item_tree.subtree(policy.item))
        return [(*place, item) for item in items]

    def _system(self, system_id: str) -> PlanningSystem:
        return self.system_by_id[system_id]

    async def _load_rates(self, postings: Sequence[Posted]) -> None:
        """The rates of the newest effective rounds, where a document is in another currency than a plan."""
        currencies = {posted.currency for posted in postings}
        needing = {
            system.id
            for system in self.controller.systems
            if system.basics.plan_currency is not None and currencies - {system.basics.plan_currency}
        }
        if needing:
            rates = await control_rows.rates_by_system(self.work.connection, needing)
            self.controller = replace(self.controller, rates=RateOf(rates))

    def _decide(self, arrival: Arrival) -> PlanDecision | None:
        posted = arrival.posted
        known = self.known[posted.key]
        if arrival.waived:
            return self._decide_new(arrival, known)
        if posted.stance == "request" and posted.key in self.answers:
            answered = self.answers[posted.key].get((posted.revision, posted.operation))
            if answered is not None:
                self.work.emit(PlanChecked.adapter.validate_json(answered.body), arrival.cause)
                self.work.count("plan-check", "repeat")
                return None
        what = standing(known.state, posted)
        if what == "early":
            return self._park(arrival)
        if what in ("repeat", "superseded"):
            self._answer_old(arrival, what)
            return None
        return self._decide_new(arrival, known)

    def _park(self, arrival: Arrival) -> PlanDecision | None:
        """Keeps what came early until its turn; where too much waits, waiting ends."""
        posted = arrival.posted
        waiting = self.parked.setdefault(posted.key, [])
        early = Parked(posted, _cause_of(arrival, self.work))
        if any(each.place == early.place for each in waiting):
            self.work.count("plan-check", "repeat")
        elif len(waiting) < PARKED_MAX:
            waiting.append(early)
            self._count_parked(posted.key)
            due_at = self.work.now + timedelta(hours=PARKED_HOURS_MAX)
            self.work.set_timer(DOCUMENT_PARKED, _parked_key(early), due_at, arrival.cause)
            self.work.count("plan-check", "parked")
        else:
            self._release_parked(posted.key, posted.revision)
            return self._give_up(arrival)
        return None

    def _take_turns(self, key: DocumentKey) -> None:
        """Decides what waited, as far as its turn has come."""
        waiting = self.parked.get(key)
        while waiting:
            state = self.known[key].state
            ready = [each for each in waiting if standing(state, each.posted) != "early"]
            if not ready:
                return
            self._unpark(min(ready, key=_revision))

    def _unpark(self, early: Parked) -> None:
        self._forget_parked(early)
        self._decide(Arrival(early.posted, early.cause))

    def _forget_parked(self, early: Parked) -> None:
        key = early.posted.key
        self.parked[key].remove(early)
        self._count_parked(key)
        self.work.cancel_timer(DOCUMENT_PARKED, _parked_key(early))
        if early.is_stored:
            self.unparked.append(early)

    def _count_parked(self, key: DocumentKey) -> None:
        self.known[key].parked = len(self.parked[key])
        self.changed.add(key)

    def _release_parked(self, key: DocumentKey, revision: int) -> None:
        """Takes up, in turn, what has waited long enough, and then whatever follows it."""
        waiting = self.parked.get(key, [])
        for early in sorted(waiting, key=_revision):
            if early in waiting and early.posted.revision <= revision:
                self._forget_parked(early)
                self._give_up(Arrival(early.posted, early.cause))
                self._take_turns(key)

    def _give_up(self, arrival: Arrival) -> PlanDecision | None:
        """A fact is posted without what should have come before it; a request is declined."""
        posted = arrival.posted
        self.work.count("plan-check", PREDECESSOR_MISSING)
        known = self.known[posted.key]
        if posted.stance == "fact":
            return self._decide_new(arrival, known)
        text = f"Revision {posted.revision - 1} of this document has not come in {PARKED_HOURS_MAX} hours."
        reason = Reason(code=PREDECESSOR_MISSING, text=text)
        told = checked(arrival, "blocked", [], self.work.now, [reason])
        self.work.emit(told, arrival.cause)
        self._hear(posted)
        self._record(arrival, "blocked", told.to_json())
        return None

    def _hear(self, posted: Posted) -> None:
        """Its turn is over, whatever came of it."""
        known = self.known[posted.key]
        known.state = heard(known.state, posted.revision)
        self.changed.add(posted.key)

    def _answer_old(self, arrival: Arrival, what: str) -> None:
        """A request that its own fact has overtaken is granted by it; one of an older revision is declined."""
        self.work.count("plan-check", what)
        if arrival.posted.stance == "request":
            turn = self.known[arrival.posted.key].state.turn
            text = f"Revision {turn} of this document is known already."
            outcome: Outcome = "passed" if what == "repeat" else "blocked"
            code = "posted-already" if what == "repeat" else "superseded"
            told = checked(arrival, outcome, [], self.work.now, [Reason(code=code, text=text)])
            self.work.emit(told, arrival.cause)

    def _decide_new(self, arrival: Arrival, known: KnownDocument) -> PlanDecision:
        posted = arrival.posted
        keys = self.controller.affected(posted)
        states = {key: self.known[key].state for key in keys}
        decision = self.controller.decide(posted, states, self.book, arrival.waived, self.stored)
        if decision.is_applied:
            self._move_on(posted.key)
            self._apply(posted, decision, self._confirmed_before(posted, known))
        else:
            self._hear(posted)
        self._note(arrival, decision)
        self.work.count("plan-check", decision.outcome)
        return decision

    def _confirmed_before(self, posted: Posted, known: KnownDocument) -> DocumentState | None:
        """What to fall back to when a grant is never confirmed; nothing once a fact has told."""
        if posted.stance == "fact":
            return None
        return known.state if known.state.confirmed else known.confirmed

    def _apply(self, posted: Posted, decision: PlanDecision, confirmed: DocumentState | None) -> None:
        for key, state in decision.states.items():
            known = self.known[key]
            known.state = state
            if key == posted.key:
                known.confirmed = confirmed
            self.changed.add(key)
        self.holdings.update(decision.holdings)
        self.stored.update(decision.holdings)
        for slot, change in decision.changes.items():
            self.entries.append(Entry(posted, slot, change))
            self.changes[slot] = self.changes[slot].plus(change) if slot in self.changes else change
        self.superseding.add(posted.key)

    def _note(self, arrival: Arrival, decision: PlanDecision) -> None:
        """The answer, the warnings, the check's record, and the timers that follow from it."""
        posted = arrival.posted
        self.unmapped += decision.unmapped
        approval_id = arrival.approval_id
        if decision.outcome == "held":
            approval = self._approval(arrival, decision)
            approval_id = approval.approval_id
            self._move_on(posted.key)
            self.held[posted.key] = approval, arrival.cause
        arrival.approval_id = approval_id
        told = checked(arrival, decision.outcome, decision.findings, self.work.now, _reasons(decision))
        if posted.stance == "request":
            self.work.emit(told, arrival.cause)
            body = self.work.outbox[-1].body or b""
            self._stand(posted, decision.outcome, body)
        else:
            body = told.to_json()
        for finding in decision.findings:
            if finding.outcome != "passed":
                self.work.emit(self._exceeded(posted, finding), arrival.cause)
        self._record(arrival, decision.outcome, body)
        if posted.stance == "request" and decision.is_applied and decision.holdings.get(posted.key):
            self._set_confirm_timer(posted, decision, arrival.cause)

    def _stand(self, posted: Posted, outcome: Outcome, body: bytes) -> None:
        """Remembers an answer that stands from now on."""
        if outcome != "blocked":
            place = posted.revision, posted.operation
            self.answers.setdefault(posted.key, {})[place] = Answer(outcome, body)

    def _move_on(self, key: DocumentKey) -> None:
        """What was held of a document waits no more, and the answer that said so stands no more."""
        if answers := self.answers.get(key):
            self.answers[key] = {place: each for place, each in answers.items() if each.outcome != "held"}
        if self.held.pop(key, None):
            for row in self.checks:
                if row.key == key and row.outcome == "held":
                    row.outcome = "withdrawn"

    def _record(self, arrival: Arrival, outcome: str, body: bytes) -> None:
        posted = arrival.posted
        row = CheckRow(
            key=posted.key,
            revision=posted.revision,
            operation=posted.operation,
            stance=posted.stance,
            check_id=_check_id(posted),
            entity=posted.party,
            outcome=outcome,
            approval_id=arrival.approval_id,
            body=body,
        )
        self.checks.append(row)

    def _set_confirm_timer(self, posted: Posted, decision: PlanDecision, cause: CausedBy | None) -> None:
        hours = min(
            [self._system(slot.system).basics.confirm_hours for slot in decision.holdings[posted.key]]
        )
        key = "\t".join((*posted.key, str(posted.revision)))
        self.work.set_timer(GRANT_UNCONFIRMED, key, self.work.now + timedelta(hours=hours), cause)

    def _approval(self, arrival: Arrival, decision: PlanDecision) -> SpecialApproval:
        held = [finding for finding in decision.findings if finding.outcome == "held"]
        systems = sorted({finding.system for finding in held})
        days = min(self._system(system).basics.special_approval_days for system in systems)
        cause = _cause_of(arrival, self.work)
        return SpecialApproval(
            approval_id=derived_id(
                cause.source, cause.id, f"special-approval {_check_id(arrival.posted)}", 0
            ),
            posted=arrival.posted,
            entity=held[0].entity,
            state="waiting",
            policies=sorted({finding.policy for finding in held}),
            systems=systems,
            requested_at=self.work.now,
            expires_at=self.work.now + timedelta(days=days),
        )

    def _exceeded(self, posted: Posted, finding: PlanFinding) -> PlanExceeded:
        system = self._system(finding.system)
        entity, item = system.entity_by_id[finding.entity], system.item_by_id[finding.item]
        preparers = system.holders("preparer", finding.entity)
        currency = finding.currency
        return PlanExceeded(
            check_id=_check_id(posted, finding.system),
            system_id=finding.system,
            system_name=system.basics.name,
            entity=finding.entity,
            entity_name=entity.name,
            item=finding.item,
            item_name=item.name,
            period=finding.period,
            outcome=cast(Any, finding.outcome),
            reason=finding.reason,
            direction="payment" if item.direction == "out" else "receipt",
            document_type=posted.key.document_type,
            document_source=posted.key.source,
            document_id=posted.key.document_id,
            document_revision=posted.revision,
            amount=Money.of(finding.amount, currency),
            effective=SignedMoney.of(finding.effective, currency),
            pre_occupied=SignedMoney.of(finding.pre_occupied, currency),
            actual=SignedMoney.of(finding.actual, currency),
            available=SignedMoney.of(finding.available, currency),
            excess=Money.of(finding.excess, currency),
            addressees=[Addressee(kind="person", id=person) for person in preparers[:ADDRESSEES_MAX]],
            occurred_at=self.work.now,
        )

    async def _save(self) -> None:
        connection, now = self.work.connection, self.work.now
        changes = {slot: change for slot, change in self.changes.items() if any(change)}
        await control_rows.save(
            connection,
            documents={key: self.known[key] for key in self.changed},
            holdings=self.holdings,
            stored=self.held_before,
            entries=self.entries,
            changes=changes,
            frames={slot: self._frame(slot) for slot in changes},
            checks=self.checks,
            now=now,
        )
        await parking_rows.remove(connection, self.unparked)
        new = [each for waiting in self.parked.values() for each in waiting if not each.is_stored]
        await parking_rows.add(connection, new, now)
        await control_rows.save_unmapped(connection, self.unmapped, now)
        await self._save_approvals()

    def _frame(self, slot: Slot) -> CellFrame:
        system = self._system(slot.system)
        cell = self.book.cells[slot]
        first_day, is_new = cell.first_day, not cell.is_stored
        if slot.item not in system.item_by_id or slot.filing_type not in system.filing_type_by_id:
            return CellFrame(first_day=first_day, last_day=first_day, direction="none", is_new=is_new)
        leaf = system.filing_type_by_id[slot.filing_type].scheme.leaf(first_day)
        return CellFrame(
            first_day=leaf.first_day,
            last_day=leaf.last_day,
            direction=system.item_by_id[slot.item].direction or "none",
            is_new=is_new,
        )

    async def _save_approvals(self) -> None:
        """What newly waits for somebody; what waited for a document that has moved on is withdrawn."""
        await self._withdraw_approvals()
        for approval, cause in self.held.values():
            await approval_rows.add(self.work.connection, approval)
            self.work.set_timer(APPROVAL_EXPIRES, approval.approval_id, approval.expires_at, cause)
            await tasks.open_for(self.work, self._approvers(approval), _task(approval), cause)

    async def _withdraw_approvals(self) -> None:
        moved = {key for key in {*self.superseding, *self.held} if self.known[key].is_stored}
        holds = any(
            policy.enforcement == "special-approval"
            for system in self.controller.systems
            for policy in system.policies
        )
        if not moved or not holds:
            return
        kept = {approval.approval_id for approval, _ in self.held.values()}
        gone = await approval_rows.withdraw(self.work.connection, moved, kept, self.work.now)
        documents = [("special-approval", each) for each in gone]
        await tasks.close(self.work, documents, "withdrawn", cause=self.cause)

    def _approvers(self, approval: SpecialApproval) -> list[str]:
        people: set[str] = set()
        for system_id in approval.systems:
            system = self._system(system_id)
            people.update(system.holders("node-manager", approval.entity))
            people.update(system.holders("administrator", approval.entity))
        return sorted(people)

    async def restore(
        self, keys_revisions: Mapping[DocumentKey, int], causes: Mapping[DocumentKey, CausedBy]
    ) -> None:
        """Takes grants back that were never confirmed; whatever a fact has told since stays as it is."""
        self.cause = next(iter(causes.values()), None)
        await self._lock(keys_revisions)
        lapsed = {
            key: known
            for key, known in self.known.items()
            if not known.state.confirmed and known.state.revision == keys_revisions[key]
        }
        upstream = {key for known in lapsed.values() for key in settlements_of(known.state)} - set(self.known)
        self.known |= await control_rows.locked_documents(self.work.connection, upstream)
        await self._load_holdings()
        await self._load_cells([])
        for key in sorted(lapsed):
            self._restore(key, lapsed[key])
            self.work.count("plan-grant", "released")
        await control_rows.forget_answers(self.work.connection, {key: keys_revisions[key] for key in lapsed})
        await self._save()

    async def change_by_hand(
        self,
        key: DocumentKey,
        change: Callable[[DocumentState], DocumentState],
        operation: str,
        day: date | None,
    ) -> PlanDecision:
        """Changes a document's state by a decision of people, checked as a request. Errors: NothingLeft."""
        self.known = await control_rows.locked_documents(self.work.connection, [key])
        known = self.known[key]
        if not known.state.is_known:
            raise NothingLeft
        await self._load_holdings()
        changed = change(known.state)
        asked = _posting(changed, operation, "request")
        await self._load_cells([replace(asked, due_day=day or asked.due_day)])
        decision = self.controller.settle(
            {key: known.state}, {key: changed}, self.book, posted=asked, stored=self.stored
        )
        if not any(held.pre_occupied for held in self.stored.get(key, {}).values()):
            raise NothingLeft
        if decision.is_applied:
            self._apply(asked, decision, known.confirmed)
            await self._save()
        return decision

    def _restore(self, key: DocumentKey, known: KnownDocument) -> None:
        back = known.confirmed or DocumentState(key=key)
        back = replace(back, settled=known.state.settled, heard=known.state.turn)
        states_after = {key: back}
        settled_now = settlements_of(back)
        for upstream in settlements_of(known.state):
            nothing = Settlement(key=key, operations=(), currency=known.state.currency, amounts={})
            states_after[upstream] = with_settlement(
                self.known[upstream].state, settled_now.get(upstream, nothing)
            )
        before = {each: self.known[each].state for each in states_after}
        lapse = _posting(known.state, "lapse", "fact")
        decision = self.controller.settle(before, states_after, self.book, posted=lapse, stored=self.stored)
        self._apply(lapse, decision, None)


def _revision(early: Parked) -> int:
    return early.posted.revision


def _parked_key(early: Parked) -> str:
    return "\t".join(map(str, early.place))


def _cause_of(arrival: Arrival, work: UnitOfWork) -> CausedBy:
    cause = arrival.cause or work.cause
    assert cause is not None, "an operation has come by a record, a timer or a command"
    return cause


def _some_day(slot: Slot) -> date:
    """A day of the year that a slot's period lies in; every period's code begins with its year."""
    return date(int(slot.period[:4]), 6, 30)


class NothingLeft(LookupError):
    """A document that has nothing pre-occupied."""


def _posting(state: DocumentState, operation: str, stance: Stance) -> Posted:
    """What is done with a document that nobody posted anew."""
    return Posted(
        key=state.key,
        revision=state.revision,
        operation=operation,
        stance=stance,
        party=state.party,
        currency=state.currency,
        day=state.day,
        due_day=state.due_day,
        lines=state.lines,
    )


def _as_if(posted: Posted) -> DocumentState:
    return DocumentState(
        key=posted.key,
        revision=posted.revision,
        operations=(posted.operation,),
        party=posted.party,
        currency=posted.currency,
        day=posted.day,
        due_day=posted.due_day,
        lines=posted.lines,
    )


def _check_id(posted: Posted, system: str = "") -> str:
    name = "/".join((*posted.key, str(posted.revision), posted.operation, posted.stance, system))
    return blake2b(name.encode(), digest_size=CHECK_ID_BYTES).hexdigest()


def _task(approval: SpecialApproval) -> Task:
    document = approval.posted.key
    return Task(
        task_id="",
        kind="approve-document",
        assignee="",
        entity=approval.entity,
        document_type="special-approval",
        document_id=approval.approval_id,
        subject=f"{document.document_type} {document.document_id}",
        due_at=approval.expires_at,
    )


def checked(
    arrival: Arrival,
    outcome: Outcome,
    findings: Sequence[PlanFinding],
    now: datetime,
    reasons: Sequence[Reason],
) -> PlanChecked:
    """The answer to one operation."""
    posted = arrival.posted
    return PlanChecked(
        source=posted.key.source,
        document_type=cast(Any, posted.key.document_type),
        document_id=posted.key.document_id,
        document_revision=posted.revision,
        operation=cast(Any, posted.operation),
        entity=posted.party,
        outcome=cast(Any, TOLD[outcome]),
        reasons=list(reasons),
        findings=[_told(finding) for finding in findings],
        approval_id=arrival.approval_id,
        approved_by=arrival.approved_by,
        checked_at=now,
    )


def _told(finding: PlanFinding) -> ToldFinding:
    currency = finding.currency
    assert finding.outcome != "not-controlled"
    return ToldFinding(
        system_id=finding.system,
        filing_type=finding.filing_type,
        policy=finding.policy,
        entity=finding.entity,
        item=finding.item,
        period=finding.period,
        outcome=finding.outcome,
        reason=finding.reason,
        controlled_on=finding.on[:200] or None,
        amount=Money.of(finding.amount, currency),
        effective=SignedMoney.of(finding.effective, currency),
        pre_occupied=SignedMoney.of(finding.pre_occupied, currency),
        actual=SignedMoney.of(finding.actual, currency),
        available=SignedMoney.of(finding.available, currency),
        excess=Money.of(finding.excess, currency),
    )


def _reasons(decision: PlanDecision) -> list[Reason]:
    reasons = [
        Reason(code=finding.reason, text=_sentence(finding))
        for finding in decision.findings
        if SEVERITY[finding.outcome] > SEVERITY["passed"]
    ]
    return reasons + [
        Reason(
            code="unmapped",
            text=f"No {each.dimension} of {each.system} is meant by {each.tried}",
            line_id=each.line_id,
        )
        for each in decision.unmapped
    ]


def _sentence(finding: PlanFinding) -> str:
    available = SignedMoney.of(finding.available, finding.currency)
    amount = Money.of(finding.amount, finding.currency)
    on = f" for {finding.on}" if finding.on else ""
    planned = "has no effective plan" if finding.reason == "not-planned" else "has"
    return (
        f"{finding.item}{on} in {finding.period} {planned} {available.amount} {available.currency} available; "
        f"the document takes {amount.amount} {amount.currency}"
    ).replace("has no effective plan ", "has no effective plan and ")
