"""What each operation does to an order and to the money behind it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from contracts.order import DeliveryNotice, Order, Reason, ReturnDocument
from contracts.order_decided import Explanation, OrderOutcome

from contracts import CreditChecked
from fund_pool.domain import explain
from fund_pool.domain.account_types import VOUCHER_KINDS
from fund_pool.domain.assessment import (
    assess,
    assessed,
    due_date,
    line_totals,
    payment_terms,
    refused,
    rewalk,
)
from fund_pool.domain.errors import OrderMissing
from fund_pool.domain.ledger import (
    FINAL_PAYMENT,
    HOLD_CAPTURE,
    ORDER_CANCELLATION,
    ORDER_CHANGE,
    ORDER_PAYMENT,
    ORDER_RECALL,
    ORDER_REOPENING,
    RETURN_REFUND,
    Document,
)
from fund_pool.domain.order_state import (
    PAID_FROM_ACCOUNT,
    Decision,
    Effects,
    LineHeld,
    OrderState,
)
from fund_pool.domain.pool import Pool
from fund_pool.domain.till import Till
from fund_pool.domain.usage import Rules
from fund_pool.domain.walk import NOTHING, LineAmount, LinePaid, walk

OPEN_TO_SUBMIT = ("new", "declined", "pending-approval", "recalled")


@dataclass(slots=True)
class Operation:
    """One check of an order with all that decides it."""

    order: OrderState
    pools: Mapping[str, Pool]
    check: CreditChecked
    now: datetime
    rules: Rules

    @property
    def pool(self) -> Pool | None:
        return self.pools.get(self.order.account)

    @property
    def is_fact(self) -> bool:
        return self.check.stance == "fact"

    def till(self, document_type: str) -> Till:
        order = self.order
        document = Document(document_type, order.source, order.order_id, self.check.check_number)
        return Till(order, self.pools, document, self.now)

    def unchanged(self, outcome: OrderOutcome, code: str, sentence: str) -> Decision:
        """An answer that moves nothing; credit's reasons where it declined, else the one given."""
        reasons = self.check.reasons if self.check.outcome == "declined" else []
        own = [] if reasons else [Reason(code=code, text=sentence)]
        return Decision(outcome, [*reasons, *own], explain.of_nothing(f"nothing changed: {sentence}"))


def submit(operation: Operation) -> Decision:
    order, check = operation.order, operation.check
    submitted = _carried(check)
    if order.status in ("accepted", "closed"):
        return operation.unchanged("declined", "already-submitted", "the order has been accepted already")
    if order.status == "cancelled":
        _take_over(order, check, submitted)
        return operation.unchanged("declined", "cancelled", "the order was cancelled before")
    _take_over(order, check, submitted)
    if check.outcome == "pending-approval":
        order.status = "pending-approval"
        sentence = "nothing taken: the order waits for a special approval"
        return Decision("pending-approval", check.reasons, explain.of_nothing(sentence))
    if check.outcome == "declined":
        return _declined_by_credit(order, check)
    return _approved(operation, submitted)


def cancel(operation: Operation) -> Decision:
    """Gives back what is left to the accounts that gave it, whether or not they may still pay."""
    order, check = operation.order, operation.check
    if check.outcome == "declined":
        return operation.unchanged("declined", "cancellation-declined", "credit declined the cancellation")
    if check.order is not None and order.currency is None:
        _take_over(order, check, check.order)
    order.status = "cancelled"
    return _given_back(operation, "cancelled", ORDER_CANCELLATION)


def recall(operation: Operation) -> Decision:
    """Takes a submission back: the money returns, and the order may be handed in anew."""
    order = operation.order
    if order.status == "cancelled":
        return operation.unchanged("recalled", "cancelled", "the order was cancelled before")
    order.status = "recalled"
    return _given_back(operation, "recalled", ORDER_RECALL)


def audit(operation: Operation) -> Decision:
    """Leaves the money as it is: it was taken when the order was submitted."""
    outcome = operation.check.outcome
    if outcome == "declined" and not operation.is_fact:
        return operation.unchanged("audit-declined", "audit-declined", "credit declined the audit")
    if outcome == "pending-approval":
        return operation.unchanged("pending-approval", "pending-approval", "the audit waits for approval")
    return Decision(
        "audited", operation.check.reasons, explain.of_nothing("audited; the money stays as it is")
    )


def un_audit(operation: Operation) -> Decision:
    sentence = "the audit is taken back; the money stays as it is"
    return Decision("un-audited", operation.check.reasons, explain.of_nothing(sentence))


def change(operation: Operation) -> Decision:
    """Pays what the changed order costs more, all or nothing, and gives back what it costs less."""
    order, check = operation.order, operation.check
    changed = _carried(check)
    if order.status in OPEN_TO_SUBMIT:
        return _as_change(submit(operation))
    if order.status != "accepted":
        return operation.unchanged("change-declined", order.status, f"the order is {order.status}")
    if check.outcome == "pending-approval":
        return operation.unchanged("pending-approval", "pending-approval", "the change waits for approval")
    if check.outcome == "declined":
        return operation.unchanged("change-declined", "change-declined", "credit declined the change")
    if (changed.paying_account, changed.currency) != (order.account, order.currency):
        text = "paying account and currency stay as they are; cancel the order and submit it anew"
        return operation.unchanged("change-declined", "account-changed", text)
    refusal = refused(operation.pool, changed)
    if refusal is not None:
        return operation.unchanged("change-declined", refusal.code, refusal.text)
    return _changed(operation, changed)


def close(operation: Operation) -> Decision:
    """Sets what is held free and drops the unpaid rest; what has been paid stays."""
    order = operation.order
    if order.status != "accepted":
        if order.status in ("new", "pending-approval"):
            order.status = "closed"
        return operation.unchanged("closed", order.status, f"the order has no money; it is {order.status}")
    till = operation.till(ORDER_CHANGE)
    freed = order.held
    order.released = _as_lines(order, order.holds)
    for held in list(order.holds):
        till.release(held, held.amount)
    order.total_before, order.total = order.total, order.left_paid
    order.status = "closed"
    sentence = f"closed; {explain.said(freed, order.currency)} that was held is free"
    return Decision("closed", operation.check.reasons, explain.of_nothing(sentence), till.settle())


def reopen(operation: Operation) -> Decision:
    """Pays, or holds, again what closing set free; a fact that cannot be paid leaves it for the next notice."""
    order, check = operation.order, operation.check
    if order.status != "closed" or operation.pool is None or order.currency is None:
        return operation.unchanged(
            "reopen-declined", "not-closed", f"the order is {order.status}, not closed"
        )
    if not operation.is_fact and check.outcome == "declined":
        return operation.unchanged("reopen-declined", "reopen-declined", "credit declined the reopening")
    if not operation.is_fact and check.outcome == "pending-approval":
        return operation.unchanged("pending-approval", "pending-approval", "the reopening waits for approval")
    found = rewalk(
        operation.pool,
        order.currency,
        order.business_organisation,
        order.released,
        operation.now,
        operation.rules,
        "order-payment",
    )
    if found.reasons and not operation.is_fact:
        return Decision("reopen-declined", [*found.reasons, *check.reasons], found.explanation)
    till = operation.till(ORDER_REOPENING)
    if found.reasons:
        order.final = _merged(order.final, order.released)
    else:
        assert found.walk is not None
        till.take(found.walk)
    order.released = []
    order.status, order.total = "accepted", order.total_before
    return Decision("reopened", [*found.reasons, *check.reasons], found.explanation, till.settle())


def give_back_return(operation: Operation) -> Decision:
    """Refunds a return document: first to what paid its lines, then in reverse deduction order.

    Once per document; a later revision refunds what it returns beyond the one before.
    """
    order, document = operation.order, operation.check.returned
    if document is None or order.currency is None or order.status not in ("accepted", "closed"):
        return operation.unchanged("declined", "nothing-to-return", f"the order is {order.status}")
    if document.total.currency != order.currency:
        return operation.unchanged("declined", "currency-mismatch", f"the order is in {order.currency}")
    known = order.return_revisions.get(document.document_id, 0)
    if document.document_revision <= known:
        return operation.unchanged("refunded", "known-already", "this return was refunded before")
    wanted = _return_lines(order, document)
    till = operation.till(RETURN_REFUND)
    till.refund(_refunds(order, operation.pools, wanted, order.left_paid))
    effects = till.settle()
    order.total = max(order.left_paid + order.held, order.total - sum(wanted.values()))
    return Decision("refunded", operation.check.reasons, _told_refund(order, till), effects)


def deliver(operation: Operation) -> Decision:
    """Takes the delivered lines' share of what is held; the first notice walks the final payment."""
    order, notice = operation.order, operation.check.delivered
    if notice is None or order.status != "accepted" or operation.check.outcome == "declined":
        return operation.unchanged("declined", "nothing-to-deliver", f"the order is {order.status}")
    if notice.document_revision <= order.notices.get(notice.document_id, 0):
        return operation.unchanged("captured", "known-already", "this notice was applied before")
    order.notices[notice.document_id] = notice.document_revision
    expired = expire(order, operation.pools, operation.now, operation.check.check_number)
    till = operation.till(HOLD_CAPTURE)
    captured = _capture(order, till, notice)
    effects = _joined(expired, till.settle())
    sentence = f"{explain.said(captured, order.currency)} of what was held is taken"
    if not order.final:
        return Decision("captured", operation.check.reasons, explain.of_nothing(sentence), effects)
    final = pay_final(order, operation.pools, operation.now, operation.rules, operation.check.check_number)
    final.effects = _joined(effects, final.effects)
    return final


def pay_final(
    order: OrderState, pools: Mapping[str, Pool], now: datetime, rules: Rules, number: int
) -> Decision:
    """Walks what is left after the first payment, all or nothing; unpaid it stays for the next time."""
    assert order.currency is not None
    pool = pools[order.account]
    found = rewalk(
        pool, order.currency, order.business_organisation, order.final, now, rules, "final-payment"
    )
    if found.reasons:
        return Decision("final-unpaid", found.reasons, found.explanation)
    assert found.walk is not None
    till = Till(order, pools, Document(FINAL_PAYMENT, order.source, order.order_id, number), now)
    till.take(found.walk)
    order.final = []
    return Decision("final-paid", [], found.explanation, till.settle())


def expire(order: OrderState, pools: Mapping[str, Pool], now: datetime, number: int) -> Effects | None:
    """Moves what expired holds had set aside into what the next notice walks; None when none has expired."""
    ended = [held for held in order.holds if not pools[held.account].holds[held.hold_id].is_live(now)]
    if not ended:
        return None
    assert order.currency is not None
    order.final = _merged(order.final, _as_lines(order, ended))
    effects = Effects(notices={})
    for account in sorted({held.account for held in ended}):
        pool = pools[account]
        for hold_id in sorted({held.hold_id for held in ended if held.account == account}):
            pool.expire(pool.holds[hold_id])
    order.holds = [held for held in order.holds if held not in ended]
    live = [pools[held.account].holds[held.hold_id].expires_at for held in order.holds]
    order.hold_expires_at = min((moment for moment in live if moment is not None), default=None)
    return effects


def _carried(check: CreditChecked) -> Order:
    if check.order is None:
        raise OrderMissing(check.source, check.order_id, check.check_number)
    return check.order


def _approved(operation: Operation, submitted: Order) -> Decision:
    order, check = operation.order, operation.check
    assessment = assess(operation.pool, submitted, operation.now, operation.rules)
    if assessment.reasons:
        order.status = "declined"
        return Decision("declined", [*assessment.reasons, *check.reasons], assessment.explanation)
    effects = None
    if operation.pool is not None and assessment.walk is not None:
        till = operation.till(ORDER_PAYMENT)
        till.take(assessment.walk)
        order.final = assessment.final
        _remember_materials(order, submitted)
        effects = till.settle()
    order.status = "accepted"
    return Decision("accepted", check.reasons, assessment.explanation, effects)


def _as_change(decision: Decision) -> Decision:
    """A change of an order that has no money yet is decided like a submission and answered as a change."""
    named: dict[OrderOutcome, OrderOutcome] = {"accepted": "changed", "declined": "change-declined"}
    decision.outcome = named.get(decision.outcome, decision.outcome)
    return decision


def _changed(operation: Operation, changed: Order) -> Decision:
    order, pool = operation.order, operation.pool
    assert pool is not None
    by_account = changed.payment_method == PAID_FROM_ACCOUNT
    whole = order.payment_method == PAID_FROM_ACCOUNT and not order.final
    terms = payment_terms(pool, changed, operation.now, operation.rules, whole=whole)
    owed = terms.owed if by_account else []
    covered = _covered(order)
    less = _decreases(covered, line_totals(owed))
    more = [
        LineAmount(
            line.line_id, line.amount - covered.get(line.line_id, 0), line.material, line.material_group
        )
        for line in owed
        if line.amount > covered.get(line.line_id, 0)
    ]
    releases, refunds = _giving_back(order, operation.pools, less)
    outcome = NOTHING
    if more:
        with _as_if_given_back(operation.pools, order, releases, refunds):
            outcome = walk(
                pool,
                changed.currency,
                more,
                pool.today(operation.now),
                terms.policy,
                order_total=changed.total.minor,
            )
    found = assessed(pool, changed.currency, outcome, terms.policy, terms.final)
    if found.reasons:
        return Decision("change-declined", [*found.reasons, *operation.check.reasons], found.explanation)
    till = operation.till(ORDER_CHANGE)
    for held, amount in releases:
        till.release(held, amount)
    till.refund(refunds)
    till.take(outcome)
    _take_over(order, operation.check, changed)
    order.final = terms.final if by_account else []
    _remember_materials(order, changed)
    effects = till.settle()
    explanation = found.explanation if more else _told_refund(order, till)
    return Decision("changed", operation.check.reasons, explanation, effects)


def _given_back(operation: Operation, outcome: OrderOutcome, document_type: str) -> Decision:
    """Everything that an order took and everything that it holds goes back."""
    order, check = operation.order, operation.check
    order.final, order.released, order.total_before = [], [], 0
    if not order.left_paid and not order.holds:
        return Decision(outcome, check.reasons, explain.of_refund(order.account, "", []))
    expire(order, operation.pools, operation.now, check.check_number)
    order.final = []
    till = operation.till(document_type)
    for held in list(order.holds):
        till.release(held, held.amount)
    till.refund([(paid, paid.amount) for paid in order.payments])
    effects = till.settle()
    return Decision(outcome, check.reasons, _told_refund(order, till), effects)


def _told_refund(order: OrderState, till: Till) -> Explanation:
    assert order.currency is not None
    sums: dict[tuple[str, str, str | None], int] = {
        key: amount for key, amount in till.changes.items() if amount > 0
    }
    refunds = []
    for (account, code, voucher_id), amount in sums.items():
        purse = till.pools[account].find(code, order.currency)
        usable = purse.usable if purse is not None else 0
        if voucher_id is not None:
            usable = till.pools[account].vouchers[voucher_id].usable
        refunds.append((code if voucher_id is None else f"{code} {voucher_id}", code, amount, usable))
    return explain.of_refunds(order.account, order.currency, refunds)


def _covered(order: OrderState) -> dict[str, int]:
    """What is paid or held of each line."""
    covered: dict[str, int] = {}
    parts: list[LinePaid | LineHeld] = [*order.payments, *order.holds]
    for part in parts:
        covered[part.line_id] = covered.get(part.line_id, 0) + part.amount
    return covered


def _decreases(covered: Mapping[str, int], owed: Mapping[str, int]) -> dict[str, int]:
    return {
        line: amount - owed.get(line, 0) for line, amount in covered.items() if amount > owed.get(line, 0)
    }


Releases = list[tuple[LineHeld, int]]
Refunds = list[tuple[LinePaid, int]]


def _giving_back(
    order: OrderState, pools: Mapping[str, Pool], less: Mapping[str, int]
) -> tuple[Releases, Refunds]:
    """What is given back of each line: what is held before what is paid."""
    releases: Releases = []
    left = dict(less)
    for held in reversed(order.holds):
        part = min(left.get(held.line_id, 0), held.amount)
        if part:
            releases.append((held, part))
            left[held.line_id] -= part
    return releases, _refunds(order, pools, left, None)


def _refunds(
    order: OrderState, pools: Mapping[str, Pool], wanted: Mapping[str, int], in_all: int | None
) -> Refunds:
    """Parts of the payments that go back: of the line itself first, then of the others, last payer first.

    Where `in_all` is None nothing but the lines' own payments goes back, else at most so much altogether.
    """
    found: dict[int, int] = {}
    ordered = _last_payer_first(order, pools)
    left = dict(wanted)
    most = sum(wanted.values()) if in_all is None else min(in_all, sum(wanted.values()))
    for at in ordered:
        paid = order.payments[at]
        part = min(left.get(paid.line_id, 0), paid.amount, most)
        if part:
            found[at] = part
            left[paid.line_id] -= part
            most -= part
    if in_all is not None:
        for at in ordered:
            part = min(order.payments[at].amount - found.get(at, 0), most)
            if part:
                found[at] = found.get(at, 0) + part
                most -= part
    return [(order.payments[at], part) for at, part in found.items()]


def _last_payer_first(order: OrderState, pools: Mapping[str, Pool]) -> list[int]:
    pool = pools.get(order.account)
    named = pool.deduction.account_types if pool is not None else ()
    ranks = [*(kind for kind in VOUCHER_KINDS if kind not in named), *named]

    def rank(at: int) -> tuple[int, int]:
        code = order.payments[at].account_type
        return (ranks.index(code) if code in ranks else len(ranks), at)

    return sorted(range(len(order.payments)), key=rank, reverse=True)


@dataclass(slots=True)
class _as_if_given_back:  # noqa: N801 - reads as a phrase after `with`
    """While it is open, the pools stand as if parts had been released and refunded already."""

    pools: Mapping[str, Pool]
    order: OrderState
    releases: Releases
    refunds: Refunds
    _sign: int = field(default=1)

    def __enter__(self) -> None:
        self._apply(1)

    def __exit__(self, *_: object) -> None:
        self._apply(-1)

    def _apply(self, sign: int) -> None:
        currency = self.order.currency or ""
        for held, amount in self.releases:
            pool = self.pools[held.account]
            source = (
                pool.vouchers[held.voucher_id]
                if held.voucher_id is not None
                else pool.fund_accounts[held.account_type, currency]
            )
            source.held -= sign * amount
        for paid, amount in self.refunds:
            pool = self.pools[paid.account]
            if paid.voucher_id is not None:
                pool.vouchers[paid.voucher_id].remaining += sign * amount
            else:
                pool.fund_accounts[paid.account_type, currency].balance += sign * amount


def _return_lines(order: OrderState, document: ReturnDocument) -> dict[str, int]:
    """What a return document returns beyond its revision before."""
    before = order.returns.get(document.document_id, {})
    now: dict[str, int] = {}
    for line in document.lines:
        now[line.line_id] = now.get(line.line_id, 0) + line.amount.minor
    order.returns[document.document_id] = {
        line: max(amount, before.get(line, 0)) for line, amount in {**before, **now}.items()
    }
    order.return_revisions[document.document_id] = document.document_revision
    return {
        line: amount - before.get(line, 0) for line, amount in now.items() if amount > before.get(line, 0)
    }


def _capture(order: OrderState, till: Till, notice: DeliveryNotice) -> int:
    """Takes the delivered share of what is held, line by line; a final notice sets the rest free."""
    captured = 0
    for line in notice.lines:
        left = line.amount.minor
        for held in [one for one in order.holds if one.line_id == line.line_id]:
            part = min(left, held.amount)
            if part:
                till.capture(held, part)
                left -= part
                captured += part
    if notice.final:
        for held in list(order.holds):
            order.total -= held.amount
            till.release(held, held.amount)
    return captured


def _as_lines(order: OrderState, holds: Sequence[LineHeld]) -> list[LineAmount]:
    materials = {line.line_id: line for line in order.materials}
    sums: dict[str, int] = {}
    for held in holds:
        sums[held.line_id] = sums.get(held.line_id, 0) + held.amount
    return [
        LineAmount(
            line_id,
            amount,
            materials[line_id].material if line_id in materials else "",
            materials[line_id].material_group if line_id in materials else None,
        )
        for line_id, amount in sums.items()
    ]


def _merged(first: Sequence[LineAmount], second: Sequence[LineAmount]) -> list[LineAmount]:
    merged: dict[str, LineAmount] = {}
    for line in (*first, *second):
        known = merged.get(line.line_id)
        amount = line.amount + (known.amount if known is not None else 0)
        merged[line.line_id] = LineAmount(line.line_id, amount, line.material, line.material_group)
    return list(merged.values())


def _joined(first: Effects | None, second: Effects | None) -> Effects:
    parts = [part for part in (first, second) if part is not None]
    notices: dict[str, list[object]] = {}
    joined = Effects()
    for part in parts:
        joined.posted += part.posted
        for account, told in part.notices.items():
            notices.setdefault(account, []).extend(told)
    joined.notices = notices  # type: ignore[assignment]
    return joined


def _remember_materials(order: OrderState, submitted: Order) -> None:
    """Lines are kept only while something of them may be walked again."""
    if not order.holds:
        order.materials = []
        return
    order.materials = [
        LineAmount(line.line_id, 0, line.material, line.material_group) for line in submitted.lines
    ]


def _declined_by_credit(order: OrderState, check: CreditChecked) -> Decision:
    """A second submission of a waiting order is declined without touching the one that waits."""
    waits = order.status == "pending-approval"
    if not (waits and any(reason.code == "already-submitted" for reason in check.reasons)):
        order.status = "declined"
    return Decision("declined", check.reasons, explain.of_nothing("nothing taken: credit declined the order"))


def _take_over(order: OrderState, check: CreditChecked, submitted: Order) -> None:
    """The order as handed in or changed."""
    if order.status != "cancelled":
        order.account = check.paying_account
    order.currency = submitted.currency
    order.customer = submitted.customer
    order.business_organisation = submitted.business_organisation
    order.settlement_organisation = submitted.settlement_organisation
    order.payment_method = submitted.payment_method
    order.total = submitted.total.minor
    order.due_date = due_date(submitted)
