"""What is worth telling of all that goes through the topics, in the order in which it happens."""

import json
from collections import Counter
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

from ops.demo.day import Day, Json
from ops.demo.teller import Teller
from ops.local.sinks import Message

TOPICS: Final = (
    "order-submitted",
    "order-cancelled",
    "credit-checked",
    "order-decided",
    "quota-low",
    "credit.dead-letter",
    "fund-pool.dead-letter",
)
# How often each kind of thing is told in full; whatever comes after is only counted.
TOLD_MAX: Final[Mapping[str, int]] = {
    "paid": 2,
    "paid-from-two": 2,
    "overdraft-first": 1,
    "nothing-taken": 1,
    "warned": 1,
    "over-limit": 1,
    "insufficient-funds": 1,
    "wrong-sum": 1,
    "pending": 1,
    "returned": 2,
    "before-its-order": 1,
    "special-approval": 2,
    "special-approval-rejected": 1,
    "dead-letter": 5,
    "quota-low": 2,
    "resolved": 1,
    "sms zh-CN": 2,
    "sms en": 1,
    "email zh-CN": 1,
}
WRONG_SUMS: Final = frozenset({"total-mismatch", "line-amount-mismatch", "currency-mismatch"})
LIMITS: Final = frozenset({"credit-limit-exceeded", "single-document-limit-exceeded"})
PAYMENT_METHODS: Final = {"credit-terms": "on credit terms", "bank-transfer": "by bank transfer"}
DETAIL_COLUMNS: Final = 60

Key = tuple[str, str]
Place = tuple[str, int, int]
Kafka = Any  # Any: aiokafka's record has no types
Listener = Callable[[Json, Kafka, dict[str, str]], None]


class Narrator:
    """Follows the topics and tells each kind of thing a few times."""

    def __init__(self, teller: Teller, day: Day) -> None:
        self.teller = teller
        self.counts: Counter[str] = Counter()
        self.told: Counter[str] = Counter()
        self.outcomes: dict[Key, str] = {}
        self._customers = day.customer_names()
        self._accounts = day.account_names()
        self._languages = {
            contact[address]: contact["language"]
            for contact in day.setup["contacts"]
            for address in ("phone", "email")
        }
        self._checked: dict[tuple[str, str, int], Json] = {}
        self._orders: dict[Key, Json] = {}
        self._clocks: dict[Key, str] = {}
        self._places: dict[Place, Key] = {}
        self._broken: list[tuple[Place, str]] = []
        self._listeners: Mapping[str, Listener] = {
            "order-submitted": self._order_event,
            "order-cancelled": self._order_event,
            "credit-checked": self._credit_checked,
            "order-decided": self._order_decided,
            "quota-low": self._quota_low,
        }

    def take(self, record: Kafka) -> None:
        """One record of a topic, in the order in which they come."""
        headers = {name: (value or b"").decode("utf-8", "replace") for name, value in record.headers}
        if record.topic.endswith(".dead-letter"):
            self._dead_letter(headers)
            return
        event = _parsed(record.value)
        if event is None or not ({"order_id", "episode_id"} & event.keys()):
            return
        self._listeners[record.topic](event, record, headers)

    def status(self) -> str:
        """The counts so far, on one line."""
        counts = self.counts
        return (
            f"{counts['in']} in, {counts['accepted']} accepted, {counts['declined']} declined, "
            f"{counts['pending-approval']} waiting, {counts['cancelled']} cancelled, "
            f"{counts['dead letter']} dead letters"
        )

    def _order_event(self, event: Json, record: Kafka, headers: dict[str, str]) -> None:
        self.counts["in"] += 1
        key = event["source"], event["order_id"]
        self._places[record.topic, record.partition, record.offset] = key
        self._clocks[key] = headers.get("ce_time", "")[11:16] or "     "

    def _credit_checked(self, event: Json, _record: Kafka, _headers: dict[str, str]) -> None:
        self._checked[event["source"], event["order_id"], event["check_number"]] = event
        if "order" in event:
            self._orders[event["source"], event["order_id"]] = event["order"]

    def _order_decided(self, event: Json, _record: Kafka, _headers: dict[str, str]) -> None:
        key = event["source"], event["order_id"]
        self.counts[event["outcome"]] += 1
        self.outcomes[key] = event["outcome"]
        kind = kind_of(event)
        checked = self._checked.get((*key, event["check_number"]))
        if kind == "before-its-order":
            if self._tells(kind):
                self._tell_early_cancellation(key, event)
        elif checked is not None and key in self._orders and self._tells(kind):
            self._tell_order(key, event, checked)

    def _tells(self, kind: str) -> bool:
        """Whether a thing of this kind is told once more."""
        self.told[kind] += 1
        return self.told[kind] <= TOLD_MAX.get(kind, 0)

    def _tell_order(self, key: Key, event: Json, checked: Json) -> None:
        order = self._orders[key]
        name = self._customers.get(order["customer"], order["customer"])
        lines = "1 line" if len(order["lines"]) == 1 else f"{len(order['lines']):,} lines"
        paid = PAYMENT_METHODS.get(order["payment_method"], f"from account {order['paying_account']}")
        what = "takes back" if event["operation"] == "cancel" else "orders"
        total = money(order["total"])
        self.teller.heading(
            self._clocks.get(key, "     "), f"{name} {what} {order['order_id']}: {lines}, {total}, {paid}"
        )
        if event["operation"] == "submit":
            self.teller.said("credit", checked["outcome"], credit_sentence(checked))
        self.teller.said("fund-pool", event["outcome"], fund_pool_sentence(event))

    def _tell_early_cancellation(self, key: Key, event: Json) -> None:
        self.teller.heading(
            self._clocks.get(key, "     "), f"{key[0]} takes back {key[1]}, which has not come yet"
        )
        self.teller.said("fund-pool", event["outcome"], event["explanation"]["text"])

    def _quota_low(self, event: Json, _record: Kafka, _headers: dict[str, str]) -> None:
        self.counts[f"quota-low {event['kind']}"] += 1
        is_low = event["kind"] == "opened"
        if not self._tells("quota-low" if is_low else "resolved"):
            return
        name = self._accounts.get(event["account"], event["account"])
        self.teller.heading("     ", f"{name} ({event['account']})")
        side = "below" if is_low else "no longer below"
        outcome = "low" if is_low else "resolved"
        text = f"{money(event['quota'])} available, {side} the threshold of {money(event['threshold'])}"
        self.teller.said("fund-pool", outcome, text)

    def _dead_letter(self, headers: dict[str, str]) -> None:
        self.counts["dead letter"] += 1
        place = headers["dead_letter_topic"], headers["dead_letter_partition"], headers["dead_letter_offset"]
        topic, partition, offset = place
        self._broken.append(((topic, int(partition), int(offset)), headers["dead_letter_reason"]))
        if self._tells("dead-letter"):
            detail = shortened(headers["dead_letter_detail"])
            self.teller.heading("     ", f"{topic}/{partition} holds a broken record at offset {offset}")
            self.teller.said(
                headers["dead_letter_service"], "dead letter", f"{headers['dead_letter_reason']}, {detail}"
            )

    def neighbours(self, count: int) -> list[str]:
        """Sentences about orders that lie beside broken records and were decided all the same."""
        sentences = []
        for (topic, partition, offset), reason in self._broken:
            beside = [self._places.get((topic, partition, at)) for at in (offset - 1, offset + 1)]
            decided = [(key[1], self.outcomes[key]) for key in beside if key in self.outcomes]
            if len(decided) == len(beside):
                (before, outcome_before), (after, outcome_after) = decided
                sentences.append(
                    f"{topic}/{partition} offset {offset} is {reason}; before it {before} is "
                    f"{outcome_before}, after it {after} is {outcome_after}"
                )
        return sentences[:count]

    def message(self, channel: str, message: Message) -> None:
        """A message that has arrived."""
        self.counts[channel] += 1
        if not self._tells(f"{channel} {self._languages.get(message['to'], '')}"):
            return
        if channel == "sms":
            parts = "1 part" if message["parts"] == 1 else f"{message['parts']} parts"
            self.teller.message(f"SMS to {message['to']}, {parts}", message["text"])
        else:
            self.teller.message(
                f"E-mail to {message['to']}: {message['subject']}", message["text"].replace("\r\n", "\n")
            )


def kind_of(event: Json) -> str:
    """Which kind of thing a decision is, in the words of TOLD_MAX."""
    reasons = {reason["code"] for reason in event["reasons"]}
    shares = event["explanation"]["accounts"]
    if event["operation"] == "cancel":
        if "customer" not in event:
            return "before-its-order"
        return "returned" if any(share["code"] == "refunded" for share in shares) else "cancelled"
    if event["outcome"] == "accepted":
        return _kind_of_accepted(reasons, [share for share in shares if share["code"] == "paid"])
    if event["outcome"] == "pending-approval":
        return "pending"
    if reasons & LIMITS:
        return "over-limit"
    return "wrong-sum" if reasons & WRONG_SUMS else min(reasons, default="")


def _kind_of_accepted(reasons: set[str], paying: list[Json]) -> str:
    if "special-approval" in reasons:
        return "special-approval"
    if reasons & LIMITS:
        return "warned"
    if len(paying) > 1:
        return "paid-from-two"
    if not paying:
        return "nothing-taken"
    return "overdraft-first" if paying[0]["account_type"] == "overdraft" else "paid"


def credit_sentence(checked: Json) -> str:
    """credit's numbers, or its first reason."""
    if checked["outcome"] != "approved" or checked["reasons"]:
        return str(checked["reasons"][0]["text"])
    limits = [metric for metric in checked["metrics"] if metric["metric"] == "credit-limit"]
    if not limits:
        return "no limit applies"
    metric = limits[0]
    limit = metric.get("limit")
    of = f" of {money(limit)}" if isinstance(limit, dict) else ", and no limit is set"
    return f"{plain(metric['used'])} in use and {plain(metric['delta'])} more{of}"


def fund_pool_sentence(event: Json) -> str:
    """Which account gave what and why, and what is still to come."""
    sentence: str = event["explanation"]["text"]
    gave = [
        f"{share['account_type']} {share['text']}"
        for share in event["explanation"]["accounts"]
        if share["code"] == "paid"
    ]
    if len(gave) > 1:
        sentence += f" ({', '.join(gave)})"
    position = event.get("position")
    if event["outcome"] == "accepted" and position and Decimal(position["unpaid"]["amount"]):
        sentence += f"; {money(position['unpaid'])} to come by {position['due_date']}"
    return sentence


def money(amount: Json) -> str:
    """An amount with its currency, as people write it."""
    return f"{plain(amount)} {amount['currency']}"


def shortened(text: str) -> str:
    """The beginning of a long text."""
    return text if len(text) <= DETAIL_COLUMNS else f"{text[:DETAIL_COLUMNS].rstrip()} ..."


def plain(amount: Json) -> str:
    """An amount without its currency."""
    return f"{Decimal(amount['amount']):,}"


def _parsed(value: bytes | None) -> Json | None:
    """The event of a record, in CloudEvents' structured mode too; None where there is none."""
    try:
        document = json.loads(value or b"")
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict):
        return None
    event = document.get("data", document) if "specversion" in document else document
    return event if isinstance(event, dict) else None
