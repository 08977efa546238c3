"""Documents at the gate: a request is checked and answered, a fact is posted whatever it breaks."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, Literal

from contracts.money import Money
from contracts.order import DeliveredLine, DeliveryNotice, Order, Reason

from credit.domain.arrivals import DocumentAnswer, Effect, Lapse, Posting, Refusal
from credit.domain.book import Book, DocumentState, Exposure, LinePiece, Measuring, current_order
from credit.domain.chain import Chain
from credit.domain.changes import DocumentCheck, DocumentHold, DocumentHoldEnd
from credit.domain.checks import (
    NOTHING_HELD,
    Held,
    Measure,
    Permit,
    Verdict,
    declined,
    measured,
    refused_customer,
)
from credit.domain.directory import rounded
from credit.domain.documents import (
    OPERATION_RANK,
    SALES_ORDER,
    Document,
    DocumentKey,
    Line,
    order_document,
    plain_quantity,
)
from credit.domain.gate import RELEASED, Gate
from credit.domain.order_state import OrderState
from credit.domain.profiles import Entry, Profile

DELIVERY_NOTICE: Final = "delivery-notice"
RECALCULATED: Final = Permit("recalculated", None)
ADDING: Final = frozenset({"submit", "audit", "reopen", "un-terminate"})
"""The operations that can raise what is used; every other one takes back and is never declined."""


@dataclass(frozen=True, slots=True)
class Difference:
    """What one document occupies in one profile as it is stored, and as it should be."""

    key: DocumentKey
    profile_id: str
    stage: str
    stored: int
    right: int


class DocumentApprovalRefused(Exception):
    """The check, repeated at approval, fails for something that special approval does not waive."""

    def __init__(self, verdict: Verdict) -> None:
        self.verdict = verdict
        super().__init__("the document cannot be approved")


class DocumentNotPending(Exception):
    """Something came after the request that waits."""

    def __init__(self) -> None:
        super().__init__("the document does not wait for approval any more")


Standing = Literal["new", "same", "late", "confirms", "conflict"]
"""What a posting is to what is known of its document."""


class Desk:
    """Applies documents, and keeps what orders occupy in step with what was delivered and invoiced of them."""

    def __init__(self, gate: Gate, book: Book) -> None:
        self.gate = gate
        self.book = book
        self.measuring = Measuring(book, gate.directory, gate.profiles)
        gate.left = self.left

    def post(self, posting: Posting) -> Effect:
        """Applies one posting; a repeated one changes nothing."""
        effect = Effect()
        state = self.book.states[posting.document.key]
        standing = self._standing(state, posting)
        if standing == "conflict":
            key = posting.document.key
            effect.refusal = Refusal(
                "revision-conflict",
                f"revision {posting.document.revision} of {key.document_type} {key.document_id} of {key.source} "
                f"came before with another content",
            )
        elif standing == "confirms":
            self._confirm(state, posting, effect)
        elif standing == "late" and posting.stance == "request":
            text = f"Revision {state.revision} of the document is known; a request must be of the next one."
            self._answer(state, posting, declined("revision-passed", text), effect)
        elif standing == "new":
            self._apply(state, posting, effect)
        else:
            effect.known = True
        return effect

    def approve(self, posting: Posting, held: Held, person: str, reason: str) -> Effect:
        """Repeats the whole check of a request that waits; only what was held is waived.

        Errors: DocumentNotPending when the document has moved on, DocumentApprovalRefused; nothing has changed then.
        """
        state = self.book.states[posting.document.key]
        if self._standing(state, posting) != "new":
            raise DocumentNotPending
        effect = Effect()
        text = f"{person} gave special approval: {reason}"
        self._weigh(state, posting, effect, held, Reason(code="special-approval", text=text))
        self._end_hold(state.key, "approved", person, reason)
        return effect

    def refuse(self, posting: Posting, state: str, person: str | None, reason: str | None) -> Effect:
        """Declines a request that waits: rejected by a person, or expired."""
        effect = Effect()
        text = f"{person} refused special approval: {reason}" if person else "Nobody approved it in time."
        verdict = declined(f"special-approval-{state}", text)
        self._answer(self.book.states[posting.document.key], posting, verdict, effect)
        self._end_hold(posting.document.key, state, person, reason)
        return effect

    def own_amount(self, document: Document, profile_id: str) -> int:
        """What a document amounts to in the currency of a profile."""
        return self._own_amount(document, self.gate.profiles[profile_id])

    def lapse(self, lapse: Lapse) -> Effect:
        """Gives back what was granted and never happened."""
        effect = Effect()
        state = self.book.states[lapse.key]
        if state.confirmed or state.document is None or state.revision != lapse.revision:
            return effect
        granted = state.document
        before = self._exposure([lapse.key])
        state.document, state.confirmed = state.previous, True
        state.body = state.previous_body or state.body
        if state.document is None:
            state.document = granted.in_phase("reversed")
        state.previous, state.previous_body = None, None
        self._write(state, before, RELEASED, lapse.revision)
        text = "No fact confirmed the granted request in time; it holds no longer."
        self._record(
            state, lapse.revision, "lapse", "request", "lapsed", [Reason(code="not-confirmed", text=text)]
        )
        return effect

    def left(self, content: Order, order: OrderState) -> dict[str, int]:
        """What an order as `content` says it would leave, after what later documents took of it."""
        key = DocumentKey(SALES_ORDER, *order.key)
        documents = list(self.book.documents(self.book.component([key])))
        amounts: dict[str, int] = {}
        for rule in self.measuring.rules.values():
            chain = Chain([*documents, order_document(content, "audited")], rule.occupies)
            amounts |= self.measuring.order_amounts(content, chain.takes(key), rule)
        return amounts

    def pass_on_notices(self, order: OrderState) -> None:
        """The delivery notices that came before their order, which has been handed in now; a repeat changes nothing."""
        key = DocumentKey(SALES_ORDER, *order.key)
        for member in self.book.component([key]):
            state = self.book.states.get(member)
            if state is not None:
                self._pass_on(state, Effect(), only=order)

    def _pass_on(self, state: DocumentState, effect: Effect, only: OrderState | None = None) -> None:
        """Tells fund-pool what a delivery notice takes of each order, once it is a fact."""
        notice = state.document
        if notice is None or notice.document_type != DELIVERY_NOTICE or notice.phase != "audited":
            return
        if not state.confirmed:
            return
        for key in sorted({link.key for link in notice.links if link.key.document_type == SALES_ORDER}):
            order = self.gate.orders.get((key.source, key.document_id))
            content = None if order is None else current_order(order)
            if order is None or content is None or order.paying_account is None or only not in (None, order):
                continue
            place = (notice.key, key)
            drawn = {} if only is not None else self.book.drawn.get(place, {})
            counted = _counted(notice, key)
            more = {line_id: counted[line_id] - drawn.get(line_id, 0) for line_id in counted}
            delivered = _delivered(
                notice, content, {name: count for name, count in more.items() if count > 0}
            )
            if delivered is not None:
                effect.answers.append(self.gate.deliver(order, delivered))
                kept = {name: max(count, drawn.get(name, 0)) for name, count in counted.items()}
                self.book.drawn[place] = self.gate.changes.drawn[place] = drawn | kept

    def refold(self, order: OrderState, check_number: int) -> None:
        """Measures an order's chain again after the order itself has changed."""
        key = DocumentKey(SALES_ORDER, *order.key)
        component = self.book.component([key])
        exposure = self.measuring.exposure(list(self.book.documents(component)), self._orders(component))
        self._settle_differences(component, exposure, RELEASED, key, check_number)

    def differences(self) -> list[Difference]:
        """Where what is stored is not what the documents say under the rules now in force."""
        component = self._everything()
        exposure = self.measuring.exposure(list(self.book.documents(component)), self._orders(component))
        found = [
            Difference(*place, self.book.stored.get(place, 0), exposure.documents.get(place, 0))
            for place in sorted({*exposure.documents, *self.book.stored})
            if exposure.documents.get(place, 0) != self.book.stored.get(place, 0)
        ]
        for key, checks in sorted(exposure.orders.items()):
            paper = DocumentKey(SALES_ORDER, *key)
            for number, amounts in sorted(checks.items()):
                stored = self.gate.orders[key].occupancy.checks[number]
                found += [
                    Difference(paper, name, SALES_ORDER, stored.get(name, 0), amounts.get(name, 0))
                    for name in sorted({*stored, *amounts})
                    if stored.get(name, 0) != amounts.get(name, 0)
                ]
        return found

    def lines(self, profile_id: str) -> list[LinePiece]:
        """What each line of everything here occupies in a profile."""
        component = self._everything()
        documents = list(self.book.documents(component))
        profile = self.gate.profiles[profile_id]
        return list(self.measuring.lines(documents, self._orders(component), profile))

    def put_right(self, cause: DocumentKey) -> None:
        """Stores what the documents say, and posts the differences."""
        component = self._everything()
        exposure = self.measuring.exposure(list(self.book.documents(component)), self._orders(component))
        self._settle_differences(component, exposure, RECALCULATED, cause, 1)

    def straighten(self, drifts: Mapping[str, tuple[int, int]], cause: DocumentKey) -> None:
        """Takes out of profiles what no document accounts for: used and settled by profile id."""
        for profile_id, (used, settled) in sorted(drifts.items()):
            profile = self.gate.profiles[profile_id]
            profile.settled -= settled
            self.gate.changes.profiles[profile_id] = profile
            if used:
                self._enter(profile, -used, RECALCULATED, cause, 1)

    def _everything(self) -> list[DocumentKey]:
        orders = (DocumentKey(SALES_ORDER, *key) for key in self.gate.orders)
        return self.book.component([*self.book.states, *orders])

    def _standing(
        self, state: DocumentState, posting: Posting
    ) -> Literal["new", "same", "late", "confirms", "conflict"]:
        if state.document is None:
            return "new"
        known = state.revision, OPERATION_RANK[state.operation]
        if posting.rank > known:
            return "new"
        if posting.rank < known:
            return "late"
        if not state.confirmed and posting.stance == "fact":
            return "confirms"
        if state.digest == posting.digest or posting.stance == "request":
            return "same"
        if state.document == posting.document:
            return "same"
        return "conflict"

    def _confirm(self, state: DocumentState, posting: Posting, effect: Effect) -> None:
        """The fact of a granted request: it does not occupy again, and its amounts are the ones that hold."""
        before = self._exposure([posting.document.key, *(link.key for link in posting.document.links)])
        state.confirmed, state.previous, state.previous_body = True, None, None
        self._take(state, posting)
        self._write(state, before, Permit("fact", None), posting.document.revision)
        self._pass_on(state, effect)
        effect.confirmed.append((state.key, posting.document.revision))
        self._record(
            state, posting.document.revision, posting.operation, "fact", "approved", [], posting.event_id
        )

    def _apply(self, state: DocumentState, posting: Posting, effect: Effect) -> None:
        document = posting.document
        customer = self.gate.customers.get(document.parties.customer)
        refused = refused_customer(document.parties.customer, customer)
        if refused is not None and customer is None and posting.stance == "fact":
            effect.refusal = Refusal(refused.reasons[0].code, refused.reasons[0].text)
            return
        if refused is not None and posting.stance == "request":
            self._answer(state, posting, refused, effect)
            return
        if posting.stance == "request" and document.revision > state.revision + 1:
            text = f"Revision {state.revision + 1} is the next one of the document, not {document.revision}."
            self._answer(state, posting, declined("revision-skipped", text), effect)
            return
        self._weigh(state, posting, effect)

    def _weigh(
        self,
        state: DocumentState,
        posting: Posting,
        effect: Effect,
        waivable: Held = NOTHING_HELD,
        approval: Reason | None = None,
    ) -> None:
        """Measures the chain with the document; a request that fails leaves everything as it was.

        Only at an approval `waivable` is what was held, and `approval` says who let it pass.
        """
        document, old = posting.document, state.document
        keys = [document.key, *(link.key for link in document.links)]
        before = self._exposure(keys)
        state.document = document
        after = self._exposure(keys)
        verdict = self._verdict(posting, before, after, waivable)
        if posting.stance == "request" and not verdict.passes:
            state.document = old
            if approval is not None:
                raise DocumentApprovalRefused(verdict)
            self.gate.freeze(verdict)
            self._answer(state, posting, verdict, effect)
            if verdict.outcome == "pending-approval":
                self._hold(state, posting, verdict, effect)
            return
        if approval is not None:
            verdict.reasons.insert(0, approval)
        self._end_hold(state.key, "superseded")
        previous, previous_body, was_confirmed = old, state.body or None, state.confirmed
        self._take(state, posting)
        state.confirmed = posting.stance == "fact" or posting.operation not in ADDING
        if not state.confirmed:
            if was_confirmed:
                state.previous, state.previous_body = previous, previous_body
            effect.granted.append(
                (state.key, document.revision, self.gate.now + self.gate.periods.unconfirmed)
            )
        else:
            state.previous, state.previous_body = None, None
            if not was_confirmed and previous is not None:
                effect.confirmed.append((state.key, previous.revision))
        passed = verdict if verdict.passes else None
        self._write(state, before, _permit(posting, verdict), document.revision, passed)
        self._pass_on(state, effect)
        self.gate.freeze(verdict)
        if posting.stance == "request":
            self._answer(state, posting, verdict, effect)
        else:
            outcome = "approved" if verdict.passes else "exception"
            self._record(
                state,
                document.revision,
                posting.operation,
                "fact",
                outcome,
                verdict.reasons,
                posting.event_id,
                verdict,
            )

    def _hold(self, state: DocumentState, posting: Posting, verdict: Verdict, effect: Effect) -> None:
        self._end_hold(state.key, "superseded")
        due_at = self.gate.now + self.gate.periods.pending
        hold = DocumentHold(posting, state.checks, verdict.reasons, verdict.metrics, due_at)
        self.gate.changes.document_holds.append(hold)
        effect.held.append((state.key, state.checks, due_at))

    def _end_hold(
        self, key: DocumentKey, state: str, person: str | None = None, reason: str | None = None
    ) -> None:
        """Ends whatever waits of a document; what began to wait in this transaction never did."""
        holds = self.gate.changes.document_holds
        holds[:] = [hold for hold in holds if hold.posting.document.key != key]
        self.gate.changes.document_hold_ends.append(DocumentHoldEnd(key, state, person, reason))

    def _take(self, state: DocumentState, posting: Posting) -> None:
        state.document, state.operation = posting.document, posting.operation
        state.digest, state.body, state.is_changed = posting.digest, posting.body, True
        self.gate.changes.documents[state.key] = state

    def _verdict(
        self, posting: Posting, before: Exposure, after: Exposure, waivable: Held = NOTHING_HELD
    ) -> Verdict:
        document = posting.document
        mismatch = self._foreign(document)
        if mismatch is not None:
            return mismatch
        if posting.operation not in ADDING:
            return Verdict("approved")
        missing = [
            profile
            for profile in self.gate.directory.of_parties(document.parties, document.currency)
            if self.gate.directory.rate(document.currency, profile) is None
        ]
        customer = self.gate.customers.get(document.parties.customer)
        is_managed = customer is not None and customer.credit_managed
        if missing and is_managed:
            verdict = declined("no-exchange-rate", "")
            verdict.reasons[0] = Reason(
                code="no-exchange-rate",
                text=f"There is no rate from {document.currency} to {missing[0].currency}, which the credit profile of "
                f"{missing[0].object_type} {missing[0].object_id} is in; a rate would be right.",
            )
            return verdict
        changed = self._changed(before, after)
        profiles = [
            self.gate.profiles[profile_id]
            for profile_id in sorted(changed)
            if self._is_checked(posting, self.gate.profiles[profile_id])
        ]
        amounts = {profile.profile_id: self._own_amount(document, profile) for profile in profiles}
        measure = Measure(
            self.gate.directory.day(document.parties.sales_organisation),
            document_type=document.document_type,
            sub_type=document.sub_type,
            customer=document.parties.customer,
        )
        return measured(profiles, amounts, changed, measure, waivable)

    def _foreign(self, document: Document) -> Verdict | None:
        """Money in one currency settles nothing in another."""
        for link in document.links:
            upstream = self.book.states.get(link.key)
            known = upstream.document if upstream is not None else None
            if (
                document.document_type == "receipt"
                and known is not None
                and known.currency != document.currency
            ):
                text = (
                    f"The receipt is in {document.currency}, but {link.key.document_type} {link.key.document_id} is in "
                    f"{known.currency}; a receipt in {known.currency} would be right."
                )
                return declined("currency-mismatch", text)
        return None

    def _is_checked(self, posting: Posting, profile: Profile) -> bool:
        document = posting.document
        said = profile.check_rule.of(document.document_type, document.sub_type)
        return said.checked and not (posting.operation == "submit" and said.control_point == "audit")

    def _own_amount(self, document: Document, profile: Profile) -> int:
        rate = self.gate.directory.rate(document.currency, profile)
        return rounded(document.amount * rate) if rate is not None else 0

    def _orders(self, component: Iterable[DocumentKey]) -> list[OrderState]:
        keys = [(key.source, key.document_id) for key in component if key.document_type == SALES_ORDER]
        return [self.gate.orders[key] for key in keys if key in self.gate.orders]

    def _exposure(self, keys: Iterable[DocumentKey]) -> Exposure:
        component = self.book.component(keys)
        return self.measuring.exposure(list(self.book.documents(component)), self._orders(component))

    def _changed(self, before: Exposure, after: Exposure) -> dict[str, int]:
        """What is used more or less, per profile that any of it touches."""
        changed: dict[str, int] = {}
        for (_, profile_id, _), amount in after.documents.items():
            changed[profile_id] = changed.get(profile_id, 0) + amount
        for (_, profile_id, _), amount in before.documents.items():
            changed[profile_id] = changed.get(profile_id, 0) - amount
        for sign, exposure in ((1, after), (-1, before)):
            for checks in exposure.orders.values():
                for profile_id in {name for amounts in checks.values() for name in amounts}:
                    occupied = max(amounts.get(profile_id, 0) for amounts in checks.values())
                    changed[profile_id] = changed.get(profile_id, 0) + sign * occupied
        return changed

    def _write(
        self,
        state: DocumentState,
        before: Exposure,
        permit: Permit,
        revision: int,
        verdict: Verdict | None = None,
    ) -> None:
        keys = [state.key]
        if state.document is not None:
            keys += [link.key for link in state.document.links]
        component = self.book.component([*keys, *(key for key, _, _ in before.documents)])
        exposure = self.measuring.exposure(list(self.book.documents(component)), self._orders(component))
        state.is_changed = True
        self.gate.changes.documents[state.key] = state
        self._settle_differences(component, exposure, permit, state.key, revision, verdict)

    def _settle_differences(
        self,
        component: Iterable[DocumentKey],
        exposure: Exposure,
        permit: Permit,
        cause: DocumentKey,
        number: int,
        verdict: Verdict | None = None,
    ) -> None:
        """Posts to each profile what the chain uses more or less, and remembers where."""
        members = set(component)
        changed: dict[str, int] = {}
        settled: dict[str, int] = {}
        for place in {*exposure.documents, *(place for place in self.book.stored if place[0] in members)}:
            amount = exposure.documents.get(place, 0)
            change = amount - self.book.stored.get(place, 0)
            if change:
                changed[place[1]] = changed.get(place[1], 0) + change
                settled[place[1]] = settled.get(place[1], 0) + change
                self.book.stored[place] = self.gate.changes.places[place] = amount
        self.gate.changes.due.update(exposure.due)
        for key, checks in exposure.orders.items():
            self._rewrite(self.gate.orders[key], checks, changed, settled)
        for profile_id in sorted({*changed, *settled}):
            profile = self.gate.profiles[profile_id]
            profile.settled += settled.get(profile_id, 0)
            self.gate.changes.profiles[profile_id] = profile
            if changed.get(profile_id, 0):
                allowed = verdict.permits.get(profile_id, permit) if verdict is not None else permit
                self._enter(profile, changed[profile_id], allowed, cause, number)

    def _rewrite(
        self,
        order: OrderState,
        checks: dict[int, dict[str, int]],
        changed: dict[str, int],
        settled: dict[str, int],
    ) -> None:
        """What is left of an order under each of its live checks."""
        occupancy = order.occupancy
        ids = {*occupancy.profile_ids(), *(name for amounts in checks.values() for name in amounts)}
        before = {name: (occupancy.occupied(name), occupancy.settled(name)) for name in ids}
        for number, amounts in checks.items():
            known = occupancy.checks[number]
            occupancy.checks[number] = {name: amounts.get(name, 0) for name in {*known, *amounts}}
        self.gate.changes.orders[order.key] = order
        for name, (occupied, was_settled) in before.items():
            if occupancy.occupied(name) != occupied:
                changed[name] = changed.get(name, 0) + occupancy.occupied(name) - occupied
            if occupancy.settled(name) != was_settled:
                settled[name] = settled.get(name, 0) + occupancy.settled(name) - was_settled

    def _enter(self, profile: Profile, change: int, permit: Permit, cause: DocumentKey, number: int) -> None:
        profile.used += change
        profile.entries += 1
        entry = Entry(
            profile_id=profile.profile_id,
            entry_number=profile.entries,
            source=cause.source,
            order_id=cause.document_id,
            check_number=number,
            change=change,
            used_after=profile.used,
            permit=permit.why if change > 0 else RELEASED.why,
            limit=permit.limit if change > 0 else None,
            document_type=cause.document_type,
        )
        self.gate.changes.entries.append(entry)

    def _answer(self, state: DocumentState, posting: Posting, verdict: Verdict, effect: Effect) -> None:
        outcome = verdict.outcome
        assert outcome != "not-checked-yet", "only orders are checked later"
        effect.documents.append(DocumentAnswer(posting, outcome, verdict.reasons, verdict.metrics))
        self._record(
            state,
            posting.document.revision,
            posting.operation,
            "request",
            outcome,
            verdict.reasons,
            posting.event_id,
            verdict,
            customer=posting.document.parties.customer,
        )

    def _record(
        self,
        state: DocumentState,
        revision: int,
        operation: str,
        stance: str,
        outcome: str,
        reasons: list[Reason],
        event_id: str = "",
        verdict: Verdict | None = None,
        customer: str = "",
    ) -> None:
        state.checks += 1
        self.gate.changes.document_checks.append(
            DocumentCheck(
                key=state.key,
                number=state.checks,
                revision=revision,
                operation=operation,
                stance=stance,
                outcome=outcome,
                is_exception=outcome in ("exception", "lapsed", "declined", "pending-approval"),
                customer=customer or (state.document.parties.customer if state.document else ""),
                reasons=reasons,
                metrics=verdict.metrics if verdict is not None else [],
                event_id=event_id,
            )
        )


def _counted(notice: Document, order: DocumentKey) -> dict[str, int]:
    """How much of each line of an order a notice delivers."""
    counted: dict[str, int] = defaultdict(int)
    for line in notice.lines:
        for link in line.links:
            if link.key == order and link.line_id is not None:
                counted[link.line_id] += link.quantity if link.quantity is not None else line.quantity or 0
    return dict(counted)


def _delivered(notice: Document, content: Order, counted: dict[str, int]) -> DeliveryNotice | None:
    """What of an order's lines a notice delivers, worth what it was owed."""
    owed = {line.line_id: line for line in order_document(content, "audited").lines}
    lines = [
        DeliveredLine(
            line_id=line_id,
            quantity=plain_quantity(counted[line_id]),
            amount=Money.of(_share(owed[line_id], counted[line_id]), content.currency),
        )
        for line_id in sorted(counted.keys() & owed.keys())
    ]
    if not lines:
        return None
    return DeliveryNotice(
        document_id=notice.key.document_id,
        document_revision=notice.revision,
        posted_on=notice.document_date,
        lines=lines,
        final=notice.final,
    )


def _share(line: Line, quantity: int) -> int:
    """What a part of an order's line is worth, as it was owed; at most the whole."""
    if not line.quantity or quantity >= line.quantity:
        return line.amount
    return rounded(Fraction(line.amount * quantity, line.quantity))


def _permit(posting: Posting, verdict: Verdict) -> Permit:
    if posting.stance == "fact" and not verdict.passes:
        return Permit("fact", None)
    return Permit("within-limit", None)
