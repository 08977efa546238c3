"""The order gate: every order event in, in the order's own turn; one numbered check out.

The rules are those of the life of an order: revisions in turn, early ones parked, a cancellation at once and
for good, check numbers without a gap, and an occupancy that follows what fund-pool decides.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Final, Protocol, cast

from contracts.credit_checked import CreditOperation
from contracts.order import DeliveryNotice, Order, Reason

from credit.domain.arrivals import (
    Alteration,
    Answer,
    Arrival,
    Cancellation,
    Effect,
    Expiry,
    InTurn,
    Judgement,
    OrderKey,
    Origin,
    Refusal,
    Settlement,
    Submission,
    Wait,
)
from credit.domain.changes import Changes, Freeze, Hold, HoldEnd, Parked, Periods
from credit.domain.checks import NOTHING_HELD, Held, Measure, Permit, Verdict, check, declined
from credit.domain.customers import Customer
from credit.domain.directory import Directory, Facts, rounded
from credit.domain.order_state import SETTLED_BY, CheckFact, OrderState
from credit.domain.profiles import Entry, Profile

PARKED_MAX: Final = 64
AHEAD_MAX: Final = 1000
REASON_CHARACTERS_MAX: Final = 1500
RELEASED: Final = Permit("released", None)
CHECKED: Final = frozenset({"change", "audit", "reopen", "un-terminate"})
"""The operations on an order that can raise what it occupies."""

NEEDED: Final[dict[str, tuple[str, ...]]] = {
    "change": ("accepted",),
    "audit": ("accepted",),
    "reopen": ("closed",),
    "un-terminate": ("closed",),
    "return": ("accepted", "closed"),
}
"""How an order has to stand for an operation; what only lowers applies to every order."""


class CreditError(Exception):
    """Base of what the gate refuses to a person."""


class NotPending(CreditError):
    """The order does not wait for special approval."""

    def __init__(self, key: OrderKey, status: str) -> None:
        self.key = key
        self.status = status
        super().__init__(f"order {key[1]} of {key[0]} is {status}, not pending")


class ApprovalRefused(CreditError):
    """The check, repeated at approval, fails for something that special approval does not waive."""

    def __init__(self, key: OrderKey, verdict: Verdict) -> None:
        self.key = key
        self.verdict = verdict
        super().__init__(f"order {key[1]} of {key[0]} cannot be approved")


class ChainDesk(Protocol):
    """What keeps the documents of an order's chain in step with the order."""

    def refold(self, order: OrderState, check_number: int) -> None: ...

    def pass_on_notices(self, order: OrderState) -> None: ...


class Gate:
    """The orders, profiles and customers of one transaction, all under lock, and what is decided over them."""

    def __init__(
        self,
        orders: Iterable[OrderState],
        profiles: Iterable[Profile],
        customers: Mapping[str, Customer],
        now: datetime,
        periods: Periods,
        facts: Facts | None = None,
    ) -> None:
        self.orders = {order.key: order for order in orders}
        self.profiles = {profile.profile_id: profile for profile in profiles}
        self.customers = customers
        self.now = now
        self.periods = periods
        self.changes = Changes()
        self._effect = Effect()
        self._account: str | None = None
        self.left: Callable[[Order, OrderState], dict[str, int]] | None = None
        """What an order leaves in each profile that it hits, after what later documents took."""
        self.desk: ChainDesk | None = None
        """Where documents hang together with the orders of this transaction."""
        self.directory = Directory(self.profiles.values(), customers, facts or Facts(), now)

    def apply(self, arrival: Arrival) -> Effect:
        """Applies one arrival.

        Errors: NotPending and ApprovalRefused for a judgement; nothing has changed then.
        """
        self._effect = Effect()
        order = self.orders[arrival.key]
        self._account = getattr(arrival, "paying_account", None)
        match arrival:
            case Submission():
                self._submit(order, arrival)
            case Alteration():
                self._submit(order, arrival)
            case Cancellation():
                self._cancel(order, arrival)
            case Settlement():
                self._settle(order, arrival)
            case Expiry():
                self._expire(order, arrival)
            case Judgement():
                self._judge(order, arrival)
        if self.desk is not None and order.has_documents:
            self.desk.refold(order, max(order.checks, 1))
        return self._effect

    def preview(self, order: Order) -> Verdict:
        """What a submission of this order would get now, whatever its revision; changes nothing."""
        state = self.orders[order.source, order.order_id]
        return _refused_at_gate(state, order) or self.verdict(order, state)

    def verdict(
        self, order: Order, state: OrderState, waivable: Held = NOTHING_HELD, *, is_audit: bool = False
    ) -> Verdict:
        """The check of an order as it is; nothing is occupied by asking."""
        customer = self.customers.get(order.customer)
        raw = self.directory.of_order(order)
        if state.has_documents and self.left is not None:
            return self._verdict_of_rest(order, customer, state, waivable, is_audit)
        profiles = [self.profiles[profile_id] for profile_id in raw]
        measure = self._measure(order, raw, profiles, is_audit)
        no_profile = self.directory.facts.no_profile
        return check(order, customer, profiles, state.occupancy, waivable, measure, no_profile)

    def _verdict_of_rest(
        self, order: Order, customer: Customer | None, state: OrderState, waivable: Held, is_audit: bool
    ) -> Verdict:
        """The check of an order of which later documents have taken a part: only the rest counts."""
        assert self.left is not None
        amounts = self.left(order, state)
        profiles = [self.profiles[profile_id] for profile_id in amounts]
        day = self.directory.day(order.sales_organisation)
        measure = Measure(day, amounts, is_audit=is_audit, customer=order.customer)
        return check(
            order, customer, profiles, state.occupancy, waivable, measure, self.directory.facts.no_profile
        )

    def _measure(self, order: Order, raw: dict[str, int], profiles: list[Profile], is_audit: bool) -> Measure:
        """What an order amounts to in each profile, in the profile's own currency."""
        day = self.directory.day(order.sales_organisation)
        foreign = [profile for profile in profiles if profile.currency != order.currency]
        missing = []
        rates: dict[str, Fraction] = {}
        for profile in foreign:
            rate = self.directory.rate(order.currency, profile)
            if rate is None:
                missing.append(profile)
            else:
                raw[profile.profile_id] = rounded(raw[profile.profile_id] * rate)
                rates[profile.profile_id] = rate
        return Measure(day, raw, missing, is_audit=is_audit, customer=order.customer, rates=rates)

    def _submit(self, order: OrderState, submission: InTurn) -> None:
        revision = submission.revision
        if self._came_before(order, revision, submission.origin):
            return
        if revision > order.last_revision + 1 and len(order.answered_ahead) >= AHEAD_MAX:
            self._refuse_flood(order, revision)
        elif order.takes(revision):
            self._answer_in_turn(order, submission)
            self._answer_ready(order)
        elif len(order.parked) < PARKED_MAX:
            self._park(order, submission)
        else:
            text = (
                f"{PARKED_MAX} later revisions of this order already wait for revision {order.last_revision + 1}; "
                f"send that one first, and this one anew after it."
            )
            self._answer_early(order, submission, text)

    def _came_before(self, order: OrderState, revision: int, origin: Origin) -> bool:
        """Whether this revision is known; with another content it is refused as a conflict."""
        known = order.origin(revision)
        if known is None:
            assert not order.has_answered(revision), "what came before of this revision is loaded"
            return False
        if not known.says_the_same(origin):
            self._effect.refusal = Refusal(
                "revision-conflict",
                f"revision {revision} of order {order.order_id} of {order.source} came before with another content",
            )
        return True

    def _refuse_flood(self, order: OrderState, revision: int) -> None:
        self._effect.refusal = Refusal(
            "too-many-early-revisions",
            f"order {order.order_id} of {order.source} waits for revision {order.last_revision + 1}; "
            f"{AHEAD_MAX} later ones are refused already, and so is {revision}",
        )

    def _answer_in_turn(self, order: OrderState, arrival: InTurn) -> None:
        if isinstance(arrival, Submission):
            self._answer_submission(order, arrival)
        else:
            self._answer_alteration(order, arrival)

    def _answer_alteration(self, order: OrderState, alteration: Alteration) -> None:
        refused = _refused_alteration(order, alteration)
        if refused is not None:
            self._told(order, alteration, refused)
        elif alteration.operation in CHECKED:
            self._answer_checked(order, alteration)
        else:
            self._take_back(order, alteration)

    def _answer_checked(self, order: OrderState, alteration: Alteration) -> None:
        """A change, an audit or a reopening: what it adds is checked and occupies until fund-pool has decided."""
        content = alteration.order or order.order
        assert content is not None, "the order as it stands is loaded for what is checked again"
        verdict = self.verdict(content, order, is_audit=alteration.operation != "change" or order.is_audited)
        if not verdict.passes and alteration.stance == "fact":
            verdict = _as_fact(verdict)
        elif verdict.outcome == "pending-approval":
            verdict = replace(verdict, outcome="declined")
        answer = self._told(order, alteration, verdict, alteration.order)
        self.freeze(verdict)
        if not verdict.passes:
            return
        order.standing, order.open_operation = order.status, alteration.operation
        order.status, order.open_check = "undecided", answer.check_number
        order.contents[answer.check_number] = content
        self._occupy(order, answer.check_number, verdict)

    def _take_back(self, order: OrderState, alteration: Alteration) -> None:
        """What only lowers applies at once."""
        operation = alteration.operation
        verdict = Verdict(
            "approved", [Reason(code=operation, text=alteration.reason or f"The order: {operation}.")]
        )
        answer = self._told(order, alteration, verdict)
        number = answer.check_number
        if operation == "un-audit":
            order.is_audited = False
            self._move(order, number, order.occupancy.clear)
        elif operation == "recall":
            self._close(order, "cancelled", None, alteration.reason, number)
            self._move(order, number, order.occupancy.clear)
            order.status = "declined"
        elif operation in ("close", "terminate") and order.status == "accepted":
            self._move(order, number, order.occupancy.empty)
            order.status = "closed"

    def _told(
        self, order: OrderState, alteration: Alteration, verdict: Verdict, content: Order | None = None
    ) -> Answer:
        answer = self._answer(
            order, alteration.revision, verdict, content, alteration.origin, operation=alteration.operation
        )
        answer.stance = "fact" if alteration.stance == "fact" else None
        answer.returned = alteration.returned
        return answer

    def _answer_submission(self, order: OrderState, submission: Submission) -> None:
        refused = _refused_at_gate(order, submission.order)
        verdict = refused or self.verdict(submission.order, order)
        answer = self._answer(order, submission.revision, verdict, submission.order, submission.origin)
        if refused is None:
            order.paying_account = submission.order.paying_account
            order.order_check = answer.check_number
            order.order = submission.order
            self._enter(order, answer, verdict)

    def _enter(self, order: OrderState, answer: Answer, verdict: Verdict) -> None:
        """What a check makes of the order: undecided and occupying, pending, or declined."""
        self.freeze(verdict)
        if verdict.passes:
            order.status = "undecided"
            order.standing, order.open_operation = "declined", "submit"
            order.is_audited = answer.order is None or answer.order.audited
            order.open_check = answer.check_number
            if order.has_documents and answer.order is not None:
                order.contents[answer.check_number] = answer.order
            self._occupy(order, answer.check_number, verdict)
            if order.has_documents and self.desk is not None:
                self.desk.pass_on_notices(order)
        elif verdict.outcome == "pending-approval":
            order.status = "pending"
            order.open_check = answer.check_number
            self._hold(order, answer)
        else:
            order.status = "declined"
            order.open_check = None

    def deliver(self, order: OrderState, notice: DeliveryNotice) -> Answer:
        """Passes an admitted delivery notice on, numbered among the order's checks; nothing is occupied by it."""
        text = f"Delivery notice {notice.document_id} delivers of the order."
        verdict = Verdict("approved", [Reason(code="deliver", text=text)])
        revision = max(order.last_revision, 1)
        answer = self._answer(order, revision, verdict, None, None, operation="deliver")
        answer.delivered = notice
        return answer

    def freeze(self, verdict: Verdict) -> None:
        """Freezes the profiles whose metric says so."""
        for profile, metric in verdict.freezes:
            if not profile.frozen:
                profile.frozen = True
                self.changes.freezes.append(Freeze(profile.profile_id, f"{metric} failed"))

    def _hold(self, order: OrderState, answer: Answer) -> None:
        assert order.order is not None, "what is held was submitted just now"
        due_at = self.now + self.periods.pending
        self.changes.holds.append(Hold(answer, order.order, due_at))
        self._effect.began.append(Wait("pending", order.key, answer.check_number, due_at))

    def _answer_ready(self, order: OrderState) -> None:
        """Answers the parked revisions whose turn has come."""
        while (revision := order.next_ready()) is not None:
            self._answer_in_turn(order, self._unpark(order, revision))

    def _park(self, order: OrderState, submission: InTurn) -> None:
        revision = submission.revision
        due_at = self.now + self.periods.parked
        order.parked[revision] = submission
        self.changes.orders[order.key] = order
        self.changes.parked.append(Parked(submission, due_at))
        self._effect.began.append(Wait("parked", order.key, revision, due_at))

    def _unpark(self, order: OrderState, revision: int) -> InTurn:
        self.changes.unparked.append((order.key, revision))
        self._effect.ended.append(("parked", order.key, revision))
        return order.parked.pop(revision)

    def _answer_early(self, order: OrderState, submission: InTurn, text: str) -> None:
        """Refuses a revision whose turn never came; it changes nothing of the order."""
        verdict = declined("predecessor-missing", text)
        if isinstance(submission, Alteration):
            self._told(order, submission, verdict, submission.order)
        else:
            self._answer(order, submission.revision, verdict, submission.order, submission.origin)

    def _cancel(self, order: OrderState, cancellation: Cancellation) -> None:
        revision, origin = cancellation.revision, cancellation.origin
        if self._came_before(order, revision, origin):
            return
        if order.status == "cancelled" and len(order.answered_ahead) >= AHEAD_MAX:
            self._refuse_flood(order, revision)
            return
        assert order.order is not None or order.order_check is None, "the order as it stands is loaded"
        changed = _changed_account(order, cancellation.paying_account)
        order.paying_account = order.paying_account or cancellation.paying_account
        verdict = changed or Verdict("approved", [_cancelled_by(order, cancellation)])
        answer = self._answer(order, revision, verdict, order.order, origin, operation="cancel")
        if changed is None and order.status != "cancelled":
            self._close(order, "cancelled", None, cancellation.reason, answer.check_number)
            self._move(order, answer.check_number, order.occupancy.clear)
            order.status = "cancelled"
        self._answer_ready(order)

    def _settle(self, order: OrderState, settlement: Settlement) -> None:
        """accepted keeps what the check occupies; every other outcome undoes exactly that."""
        number = settlement.check_number
        if number > order.checks:
            self._effect.refusal = Refusal(
                "unknown-check",
                f"order {order.order_id} of {order.source} has had {order.checks} checks, not {number}",
            )
            return
        fact = self._fact(order, number)
        if fact.contradicts(settlement.outcome):
            known = fact.decided or fact.outcome
            self._effect.refusal = Refusal(
                "decision-conflict",
                f"check {number} of order {order.order_id} of {order.source} is {known}, not {settlement.outcome}",
            )
        elif fact.decided is None:
            fact.decided = settlement.outcome
            self.changes.decisions.append(settlement)
            self._follow_decision(order, settlement)

    def _fact(self, order: OrderState, number: int) -> CheckFact:
        if order.awaits_decision(number):
            return order.facts.setdefault(
                number, CheckFact(cast(CreditOperation, order.open_operation), "approved", None)
            )
        return order.facts[number]

    def _follow_decision(self, order: OrderState, settlement: Settlement) -> None:
        number, occupancy = settlement.check_number, order.occupancy
        accepted = settlement.outcome == SETTLED_BY.get(self._fact(order, number).operation)
        if number in occupancy.checks:
            self._move(order, number, lambda: (occupancy.accept if accepted else occupancy.undo)(number))
        if order.awaits_decision(number):
            order.status = "accepted" if accepted else order.standing
            order.open_check = None
            if accepted and order.open_operation == "audit":
                order.is_audited = True
            elif accepted and order.open_operation == "change":
                order.order_check = number
                order.order = order.contents.get(number, order.order)
            self.changes.orders[order.key] = order
            self._answer_ready(order)

    def _expire(self, order: OrderState, expiry: Expiry) -> None:
        if expiry.kind == "pending":
            if order.status == "pending" and order.open_check == expiry.number:
                text = f"Nobody approved the order within {_period(self.periods.pending)}."
                self._end_pending(order, "expired", None, text)
        elif expiry.number in order.parked:
            text = (
                f"Revision {expiry.number} waited {_period(self.periods.parked)} for what goes before it; the order "
                f"has been decided up to revision {order.last_revision}."
            )
            self._answer_early(order, self._unpark(order, expiry.number), text)
            self._answer_ready(order)

    def _judge(self, order: OrderState, judgement: Judgement) -> None:
        if order.status != "pending":
            raise NotPending(order.key, order.status)
        if judgement.approve:
            self._approve(order, judgement)
        else:
            text = f"{judgement.person} refused special approval: {judgement.reason}"
            self._end_pending(order, "rejected", judgement, text)

    def _approve(self, order: OrderState, judgement: Judgement) -> None:
        """Repeats the whole check; only what was held before, and is still for special approval, is waived."""
        assert order.order is not None, "the order as it stands is loaded for a judgement"
        verdict = self.verdict(order.order, order, order.held)
        if not verdict.passes:
            raise ApprovalRefused(order.key, verdict)
        text = f"{judgement.person} gave special approval: {judgement.reason}"
        verdict.reasons.insert(0, Reason(code="special-approval", text=text))
        answer = self._answer(
            order, order.order.order_revision, verdict, order.order, None, person=judgement.person
        )
        self._close(order, "approved", judgement.person, judgement.reason, answer.check_number)
        self._enter(order, answer, verdict)

    def _end_pending(self, order: OrderState, outcome: str, judgement: Judgement | None, text: str) -> None:
        assert order.order is not None, "the order as it stands is loaded when its wait ends"
        person = judgement.person if judgement else None
        verdict = declined(f"special-approval-{outcome}", text)
        answer = self._answer(order, order.order.order_revision, verdict, order.order, None, person=person)
        self._close(order, outcome, person, judgement.reason if judgement else None, answer.check_number)
        order.status = "declined"

    def _close(
        self, order: OrderState, outcome: str, person: str | None, reason: str | None, result_check: int
    ) -> None:
        """Ends what the order waited for: a special approval, or fund-pool's decision of its open check."""
        number = order.open_check
        if number is None:
            return
        if order.status == "pending":
            self.changes.hold_ends.append(HoldEnd(order.key, number, outcome, person, reason, result_check))
            self._effect.ended.append(("pending", order.key, number))
            order.facts[number] = CheckFact("submit", "pending-approval", None)
        else:
            order.facts[number] = CheckFact(cast(CreditOperation, order.open_operation), "approved", None)
        order.open_check = None

    def _answer(
        self,
        order: OrderState,
        revision: int,
        verdict: Verdict,
        content: Order | None,
        origin: Origin | None,
        *,
        operation: CreditOperation = "submit",
        person: str | None = None,
    ) -> Answer:
        """Numbers a check and passes it on; counts the revision of the order event that it answers."""
        order.checks += 1
        account = order.paying_account or (content.paying_account if content else self._account)
        assert account is not None, "every order event names its paying account"
        answer = Answer(
            key=order.key,
            revision=revision,
            check_number=order.checks,
            paying_account=account,
            operation=operation,
            outcome=verdict.outcome,
            reasons=verdict.reasons,
            metrics=verdict.metrics,
            order=content,
            origin=origin,
            person=person,
        )
        if origin is not None:
            order.mark_answered(revision, origin)
        self.changes.orders[order.key] = order
        self.changes.answers.append(answer)
        self._effect.answers.append(answer)
        return answer

    def _occupy(self, order: OrderState, check_number: int, verdict: Verdict) -> None:
        """Adds an undecided check to what the order occupies; that never lowers it."""
        for profile_id, amount in verdict.amounts.items():
            change = amount - order.occupancy.occupied(profile_id)
            if change > 0:
                self._post(
                    order, check_number, self.profiles[profile_id], change, verdict.permits[profile_id]
                )
        if verdict.amounts:
            order.occupancy.add(check_number, verdict.amounts)
        for profile_id, rate in verdict.rates.items():
            self.changes.order_rates[order.key, profile_id] = rate

    def _move(self, order: OrderState, check_number: int, move: Callable[[], None]) -> None:
        """Settles, undoes or clears, and posts to each profile what the order occupies less."""
        occupancy = order.occupancy
        before = {
            profile_id: (occupancy.occupied(profile_id), occupancy.settled(profile_id))
            for profile_id in occupancy.profile_ids()
        }
        move()
        self.changes.orders[order.key] = order
        for profile_id, (occupied, settled) in before.items():
            profile = self.profiles[profile_id]
            profile.settled += occupancy.settled(profile_id) - settled
            self.changes.profiles[profile_id] = profile
            change = occupancy.occupied(profile_id) - occupied
            if change:
                self._post(order, check_number, profile, change, RELEASED)

    def _post(
        self, order: OrderState, check_number: int, profile: Profile, change: int, permit: Permit
    ) -> None:
        self.changes.profiles[profile.profile_id] = profile
        profile.used += change
        profile.entries += 1
        entry = Entry(
            profile_id=profile.profile_id,
            entry_number=profile.entries,
            source=order.source,
            order_id=order.order_id,
            check_number=check_number,
            change=change,
            used_after=profile.used,
            permit=permit.why,
            limit=permit.limit,
        )
        self.changes.entries.append(entry)


def _refused_at_gate(order: OrderState, submitted: Order) -> Verdict | None:
    """Why a submission is refused before anything of it is checked, if it is."""
    if order.status == "cancelled":
        return declined("cancelled", "The order is cancelled for good; hand it in under a new order id.")
    changed = _changed_account(order, submitted.paying_account)
    if changed is not None:
        return changed
    if order.status in ("accepted", "pending"):
        state = "is accepted" if order.status == "accepted" else "waits for special approval"
        return declined(
            "already-submitted", f"The order {state}; only an order that was declined can be submitted anew."
        )
    return None


def _refused_alteration(order: OrderState, alteration: Alteration) -> Verdict | None:
    """Why an operation cannot be of this order as it stands, if it cannot."""
    if order.status == "cancelled":
        return declined("cancelled", "The order is cancelled for good.")
    changed = _changed_account(order, alteration.paying_account)
    if changed is not None:
        return changed
    needed = NEEDED.get(alteration.operation)
    if needed is not None and order.status not in needed:
        text = f"The order is {order.status}; {alteration.operation} is of an order that is {' or '.join(needed)}."
        return declined(f"not-{needed[0]}", text)
    if alteration.operation == "audit" and order.is_audited:
        return declined("already-audited", "The order is audited already.")
    return None


def _as_fact(verdict: Verdict) -> Verdict:
    """A fact is never refused: what it breaks is a warning, and it occupies all the same."""
    permits = {profile_id: Permit("fact", None) for profile_id in verdict.amounts}
    return replace(verdict, outcome="warned", permits=permits)


def _changed_account(order: OrderState, paying_account: str) -> Verdict | None:
    if order.paying_account in (None, paying_account):
        return None
    return declined(
        "paying-account-changed",
        f"The order is paid by account {order.paying_account}, not by {paying_account}; cancel it and submit a new "
        f"order to change the account.",
    )


def _cancelled_by(order: OrderState, cancellation: Cancellation) -> Reason:
    if order.status == "cancelled":
        return Reason(
            code="already-cancelled", text="The order was cancelled before; nothing is left to cancel."
        )
    reason = cancellation.reason[:REASON_CHARACTERS_MAX] or "no reason given"
    return Reason(code="cancelled", text=f"The order system cancelled the order: {reason}")


def _period(period: timedelta) -> str:
    hours = period / timedelta(hours=1)
    return f"{hours / 24:g} days" if hours >= 48 else f"{hours:g} hours"
