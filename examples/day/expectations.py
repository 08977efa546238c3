"""What must come of the day, worked out by the reference from the records that were written."""

from collections import Counter
from decimal import Decimal
from itertools import cycle

from examples.day.reference import ACCEPTANCE, NO_MONEY, OrderKey, Reference, money
from examples.day.world import CUSTOMERS
from examples.day.writing import Json

CONTENDED = frozenset(customer.id for customer in CUSTOMERS if customer.contended)
JUDGEMENTS = ("approve", "reject", "approve", "leave")


def expectations(files: dict[str, list[Json]], setup: Json) -> Json:
    """Per order its outcome, then purses, profiles, notices, dead letters, and how many of each kind.

    `after_orders` holds once payments and orders have come to rest; `after_evening` after the approvals and the
    evening's payments besides.
    """
    reference = Reference(files["00-master-data"], setup)
    reference.play(files["10-payments"])
    reference.play(files["20-orders"])
    orders = {"/".join(key): outcome(reference, key) for key in sorted(reference.orders)}
    after_orders = figures(reference)
    approvals = judgements(reference)
    reference.play(files["30-evening"])
    return {
        "counts": counts(files, orders),
        "dead_letters": dead_letters(files),
        "approvals": approvals,
        "quota_low": [
            {"account": account, "currency": currency, "kind": kind}
            for account, currency, kind in sorted(reference.notices)
        ],
        "payments": dict(sorted(reference.payments.items())),
        "after_orders": after_orders,
        "after_evening": figures(reference),
        "orders": orders,
    }


def outcome(reference: Reference, key: OrderKey) -> Json:
    """How one order stands, with what it paid, and what is left to receive for it.

    `answers` has the outcome and the reasons per revision; a cancelled order has none, because whether its
    submission was answered first depends on when the cancellation came through.
    """
    order = reference.orders[key]
    value = order.value
    if value is None:  # only ever cancelled, or refused for being so
        return {"outcome": order.status, "contended": False}
    stands = {"outcome": order.status, "contended": value["customer"] in CONTENDED, **_named(value)}
    if order.status == "cancelled":
        return stands
    answers = {
        str(revision): [answer, reasons] for revision, (answer, reasons) in sorted(order.answers.items())
    }
    if order.status != "accepted":
        return stands | {"answers": answers}
    total = money(value["total"])
    return stands | {
        "answers": answers,
        "total": f"{total:f}",
        "paid": {kind: f"{amount:f}" for kind, amount in sorted(order.paid.items())},
        "unpaid": f"{total - sum(order.paid.values()):f}",
        "expected_receipt": f"{total - order.paid.get('cash', NO_MONEY):f}",
    }


def _named(value: Json) -> Json:
    return {
        "customer": value["customer"],
        "account": value["paying_account"],
        "currency": value["currency"],
        "revision": value["order_revision"],
    }


def figures(reference: Reference) -> Json:
    """Every purse, and what every credit profile has in use."""
    return {
        "balances": [
            {"account": account, "account_type": kind, "currency": currency, "balance": f"{balance:f}"}
            for (account, kind, currency), balance in sorted(reference.purses.items())
            if kind != ACCEPTANCE
        ],
        "credit_used": [
            {"customer": customer, "currency": currency, "used": f"{used:f}"}
            for (customer, currency), used in sorted(reference.used.items())
            if (customer, currency) in reference.profiles
        ],
    }


def judgements(reference: Reference) -> list[Json]:
    """What the approvers do with the orders that wait, in the order of their ids, and what follows."""
    pending = sorted(key for key, order in reference.orders.items() if order.status == "pending-approval")
    judged = []
    for key, judgement in zip(pending, cycle(JUDGEMENTS), strict=False):
        if judgement == "approve":
            reference.approve(key)
        elif judgement == "reject":
            reference.reject(key)
        source, order_id = key
        judged.append(
            {"source": source, "order_id": order_id, "judgement": judgement, "then": outcome(reference, key)}
        )
    return judged


def dead_letters(files: dict[str, list[Json]]) -> Json:
    """How many dead letters each service must end up with, by reason."""
    found: dict[str, Counter[str]] = {}
    for record in [*files["broken"], *files["20-orders"]]:
        if "expect" in record:
            for service in record.get("services", ["credit"]):
                found.setdefault(service, Counter())[record["expect"]] += 1
    return {service: dict(sorted(reasons.items())) for service, reasons in sorted(found.items())}


def counts(files: dict[str, list[Json]], orders: Json) -> Json:
    """How many of everything."""
    records = [record for name in ("10-payments", "20-orders", "30-evening") for record in files[name]]
    reasons = Counter(
        reason
        for order in orders.values()
        for answer, reasons in order.get("answers", {}).values()
        if answer == "declined"
        for reason in reasons
    )
    return {
        "records": {name: len(content) for name, content in files.items()},
        "topics": _sorted(Counter(record["topic"] for record in records)),
        "currencies": _sorted(Counter(order["currency"] for order in orders.values() if "currency" in order)),
        "odd": _sorted(Counter(record["kind"] for record in records if "kind" in record)),
        "outcomes": _sorted(Counter(order["outcome"] for order in orders.values())),
        "reasons": _sorted(reasons),
        "orders": len(orders),
        "accepted_total": _accepted_totals(orders),
    }


def _accepted_totals(orders: Json) -> Json:
    totals: dict[str, Decimal] = {}
    for order in orders.values():
        if order["outcome"] == "accepted":
            totals[order["currency"]] = totals.get(order["currency"], NO_MONEY) + Decimal(order["total"])
    return {currency: f"{total:f}" for currency, total in sorted(totals.items())}


def _sorted(counter: Counter[str]) -> dict[str, int]:
    return dict(sorted(counter.items()))
