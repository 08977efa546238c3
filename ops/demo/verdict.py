"""What was expected of the day beside what was seen, kind by kind."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

import httpx

from examples.day import compare
from ops.demo.day import Day, Json
from ops.demo.playing import Playing

REQUEST_SECONDS: Final = 30.0
ENDED: Final = {"sms": "delivered", "email": "sent"}

Delivery = tuple[str, str, str, str, str]
"""Account, kind of notice, recipient, channel and state."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One kind of thing: how many were expected, what differs, and a word about them."""

    what: str
    expected: int
    differences: list[str]
    note: str = ""

    @property
    def seen(self) -> int:
        """How many came as expected."""
        return max(self.expected - len(self.differences), 0)

    @property
    def as_expected(self) -> bool:
        return not self.differences


async def findings(day: Playing, phase: compare.Phase = "after_evening") -> list[Finding]:
    """Everything that the day's expectations speak of, as it stands at the end of a phase."""
    expectations, kafka = day.day.expectations, day.stack.bootstrap_servers
    orders = compare.expected_orders(expectations, phase)
    decided = await compare.last_decisions(kafka)
    dead_letters = await compare.dead_letters(kafka)
    found = [
        Finding("orders", len(orders), list(compare.order_differences(orders, decided)), _outcomes(orders)),
        Finding(
            "dead letters",
            sum(sum(reasons.values()) for reasons in expectations["dead_letters"].values()),
            list(compare.dead_letter_differences(expectations["dead_letters"], dead_letters, 1)),
            f"{len(set().union(*expectations['dead_letters'].values()))} reasons",
        ),
    ]
    found += await _figures(day, phase, orders)
    return found + (await _notices(day) if phase == "after_evening" else [])


async def differences(day: Playing, phase: compare.Phase = "after_evening") -> list[str]:
    """What came out otherwise than expected, as sentences."""
    return [sentence for finding in await findings(day, phase) for sentence in finding.differences]


async def _figures(day: Playing, phase: compare.Phase, orders: Json) -> list[Finding]:
    """Balances, credit in use, payments and receipts, as the services tell them over HTTP."""
    expectations, url = day.day.expectations, day.stack.url
    figures, payments = expectations[phase], expectations["payments"]
    token = {"authorization": f"Bearer {day.people.tokens['audit']}"}
    async with httpx.AsyncClient(headers=token, timeout=REQUEST_SECONDS) as client:
        balances = [each async for each in compare.balance_differences(figures, client, url("fund-pool"))]
        used = [each async for each in compare.credit_differences(figures, client, url("credit"))]
        paid = [each async for each in compare.payment_differences(payments, client, url("fund-pool"))]
        receipts = [each async for each in compare.receipt_differences(orders, client, url("cashplan"))]
    to_come = [order for order in orders.values() if Decimal(order.get("expected_receipt", 0))]
    return [
        Finding("balances", len(figures["balances"]), balances, "cash, overdraft and deposit"),
        Finding("credit in use", len(figures["credit_used"]), used, "by customer and currency"),
        Finding("payments", len(payments), paid, f"{_unmatched(payments.values())} that nobody can match"),
        Finding("receipts to come", len(to_come), receipts, "of what accepted orders leave unpaid"),
    ]


async def _notices(day: Playing) -> list[Finding]:
    """quota-low notices, and the SMS and e-mails that they become."""
    notices = day.day.expectations["quota_low"]
    seen = await compare.notices(day.stack.bootstrap_servers)
    kinds = Counter(notice["kind"] for notice in notices)
    expected = expected_deliveries(day.day)
    delivered = Counter(
        (row["account"], row["kind"], row["recipient"], row["channel"], row["state"])
        for row in await day.deliveries()
    )
    channels = Counter(delivery[3] for delivery in expected.elements())
    return [
        Finding(
            "notices",
            len(notices),
            list(compare.notice_differences(notices, seen)),
            f"{kinds['opened']} accounts run low, {kinds['resolved']} recover",
        ),
        Finding(
            "deliveries",
            expected.total(),
            delivery_differences(expected, delivered),
            f"{channels['sms']} SMS, {channels['email']} e-mails",
        ),
    ]


def expected_deliveries(day: Day) -> Counter[Delivery]:
    """One SMS and one e-mail to each contact for each notice of its account."""
    return Counter(
        (notice["account"], f"quota-low-{notice['kind']}", contact["person"], channel, state)
        for notice in day.expectations["quota_low"]
        for contact in day.setup["contacts"]
        if contact["account"] == notice["account"]
        for channel, state in ENDED.items()
    )


def delivery_differences(expected: Counter[Delivery], seen: Counter[Delivery]) -> list[str]:
    """Deliveries that are missing or should not be, each as a sentence."""
    return [
        f"{' '.join(delivery[:4])} is {delivery[4]} {seen[delivery]} times, expected {expected[delivery]}"
        for delivery in sorted(expected.keys() | seen.keys())
        if expected[delivery] != seen[delivery]
    ]


def _outcomes(orders: Json) -> str:
    counts = Counter(order["outcome"] for order in orders.values())
    return ", ".join(f"{count:,} {outcome}" for outcome, count in sorted(counts.items()))


def _unmatched(reasons: Iterable[str]) -> int:
    return sum(reason != "posted" for reason in reasons)
