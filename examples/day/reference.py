"""What the day's records must lead to, computed slowly and simply from the raw JSON.

It shares no code with the services: amounts are decimals, state is dictionaries, one record at a time. `credit`,
`fund` and the queues between them are kept apart, so that a test can interleave them in any way that Kafka could
and see that the outcome stays the same.
"""

from collections import defaultdict, deque
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from random import Random
from typing import Any

Json = dict[str, Any]  # Any: a parsed JSON document
OrderKey = tuple[str, str]

DECIMALS = {"CNY": 2, "USD": 2, "JPY": 0, "KWD": 3}
DEFAULT_DEDUCTION = ("cash", "overdraft")
SEVERITY = ("passed", "warn", "special-approval", "reject")
NO_MONEY = Decimal(0)
ACCEPTANCE = "bankers-acceptance"


def money(value: Json) -> Decimal:
    """The decimal of a wire amount."""
    return Decimal(value["amount"])


def rounded(value: Decimal, currency: str) -> Decimal:
    """Half up to the currency's decimals."""
    return value.quantize(Decimal(1).scaleb(-DECIMALS[currency]), ROUND_HALF_UP)


@dataclass(slots=True)
class Order:
    """One order as credit and fund-pool see it together; `answers` by revision: outcome and reason codes."""

    status: str = "new"
    last_revision: int = 0
    parked: dict[int, Json] = field(default_factory=dict)
    seen: set[int] = field(default_factory=set)
    value: Json | None = None
    occupied: Decimal = NO_MONEY
    answers: dict[int, tuple[str, list[str]]] = field(default_factory=dict)
    paid: dict[str, Decimal] = field(default_factory=dict)


@dataclass(slots=True)
class Watch:
    """The alert threshold of one account and currency, and whether its episode is open."""

    threshold: Decimal
    is_low: bool = False


class Reference:
    """The state of credit and fund-pool after the master data and the setup."""

    def __init__(self, master_data: list[Json], setup: Json) -> None:
        records = newest_records(master_data)
        self.customers = {record["id"]: record for record in records if record["kind"] == "customer"}
        self.accounts = {record["id"]: record for record in records if record["kind"] == "account"}
        self.rights = {
            (record["user"], record["account"]) for record in records if record["kind"] == "user-right"
        }
        self.profiles = {(each["customer"], each["currency"]): each for each in setup["credit_profiles"]}
        self.deductions = {
            (each["settlement_organisation"], each.get("customer")): each["account_types"]
            for each in setup["deduction_orders"]
        }
        self.watches = {
            (each["account"], each["threshold"]["currency"]): Watch(money(each["threshold"]))
            for each in setup["alert_thresholds"]
        }
        self.used: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
        self.purses: dict[tuple[str, str, str], Decimal] = {}
        self.lines: dict[tuple[str, str], Decimal] = {}
        self.orders: dict[OrderKey, Order] = defaultdict(Order)
        self.seen_events: set[tuple[str, str]] = set()
        self.payments: dict[str, str] = {}
        self.notices: list[tuple[str, str, str]] = []
        self.to_fund: dict[str, deque[tuple[str, OrderKey, Json | None, int]]] = defaultdict(deque)
        self.to_credit: dict[str, deque[tuple[OrderKey, int, str, list[str]]]] = defaultdict(deque)
        for opening in setup["opening_balances"]:
            self._open(opening)

    def _open(self, opening: Json) -> None:
        account, kind, currency = opening["account"], opening["account_type"], opening["currency"]
        if kind == "overdraft":
            self.lines[account, currency] = money(opening["granted"])
            self.purses[account, kind, currency] = -money(opening["used"])
        else:
            self.purses[account, kind, currency] = money(opening["amount"])

    # records in log order, everything that follows from each at once

    def play(self, records: list[Json]) -> None:
        """Applies records one by one and lets each come to rest."""
        for record in records:
            self.receive(record)
            self._rest()

    def play_interleaved(self, records: list[Json], randomness: Random) -> None:
        """Applies records in any order that Kafka allows: one queue per topic and key, one between two services."""
        queues: dict[tuple[str, str], deque[Json]] = defaultdict(deque)
        for record in records:
            queues[record["topic"], record["key"]].append(record)
        while waiting := [key for key, queue in queues.items() if queue]:
            choice = randomness.random()
            if choice < 0.4:
                self.receive(queues[randomness.choice(waiting)].popleft())
            elif choice < 0.7:
                self._forward(self.to_fund, randomness)
            else:
                self._forward(self.to_credit, randomness)
        self._rest()

    def _forward(self, queues: dict[str, Any], randomness: Random) -> None:  # Any: either kind of queue
        waiting = [account for account, queue in queues.items() if queue]
        if waiting:
            self._step(queues, randomness.choice(waiting))

    def _step(self, queues: dict[str, Any], account: str) -> None:  # Any: either kind of queue
        message = queues[account].popleft()
        if queues is self.to_fund:
            self._fund(account, *message)
        else:
            self._settle(*message)

    def _rest(self) -> None:
        while any(self.to_fund.values()) or any(self.to_credit.values()):
            for queues in (self.to_fund, self.to_credit):
                for account in [account for account, queue in queues.items() if queue]:
                    self._step(queues, account)

    def receive(self, record: Json) -> None:
        """Applies one record of an outside system; one that carries `expect` is dead-lettered instead."""
        headers, value = record["headers"], record["value"]
        if "ce_id" not in headers:  # structured mode
            headers = {f"ce_{name}": value[name] for name in ("id", "source", "type")}
            value = value["data"]
        event = (headers["ce_source"], headers["ce_id"])
        if event in self.seen_events or "expect" in record:
            return
        self.seen_events.add(event)
        match record["topic"]:
            case "order-submitted":
                self._submit(value)
            case "order-cancelled":
                self._cancel(value)
            case "payment-received":
                self._receive_payment(value)

    # credit

    def _submit(self, value: Json) -> None:
        order = self.orders[value["source"], value["order_id"]]
        if value["order_revision"] in order.seen:
            return
        order.seen.add(value["order_revision"])
        order.parked[value["order_revision"]] = value
        self._advance(order)

    def _cancel(self, value: Json) -> None:
        key = value["source"], value["order_id"]
        order = self.orders[key]
        order.status = "cancelled"
        order.seen.add(value["order_revision"])
        self._release(order)
        self.to_fund[value["paying_account"]].append(("cancel", key, order.value, value["order_revision"]))
        self._advance(order)

    def _advance(self, order: Order) -> None:
        while order.parked:
            if order.status == "cancelled":
                order.answers[min(order.parked)] = ("declined", ["cancelled"])
                del order.parked[min(order.parked)]
                continue
            if order.status == "undecided" or order.last_revision + 1 not in order.parked:
                return
            order.last_revision += 1
            self._check(order, order.parked.pop(order.last_revision))

    def _check(self, order: Order, value: Json, waived: bool = False) -> None:
        revision = value["order_revision"]
        if order.status in ("accepted", "pending-approval") and not waived:
            order.answers[revision] = ("declined", ["already-submitted"])
            return
        order.value = value
        outcome, reasons = self.verdict(value, waived=waived)
        if outcome in ("approved", "warn"):
            order.status = "undecided"
            if outcome == "warn" or reasons != ["not-credit-managed"]:
                order.occupied = money(value["total"])
                self.used[value["customer"], value["currency"]] += order.occupied
            key = value["source"], value["order_id"]
            self.to_fund[value["paying_account"]].append(("submit", key, value, revision))
        else:
            order.status = outcome
            order.answers[revision] = (outcome, reasons)

    def verdict(self, value: Json, waived: bool = False) -> tuple[str, list[str]]:
        """credit's answer to an order as it stands: approved, warn, pending-approval or declined, with reasons."""
        faults = order_faults(value)
        customer = self.customers.get(value["customer"])
        if faults:
            return "declined", faults
        if customer is None:
            return "declined", ["unknown-customer"]
        if not customer["credit_managed"]:
            return "approved", ["not-credit-managed"]
        profile = self.profiles.get((value["customer"], value["currency"]))
        if profile is None:
            has_other = any(owner == value["customer"] for owner, _ in self.profiles)
            return "declined", ["no-exchange-rate" if has_other else "no-profile"]
        return self._measured(profile, value, waived)

    def _measured(self, profile: Json, value: Json, waived: bool) -> tuple[str, list[str]]:
        total = money(value["total"])
        used = self.used[value["customer"], value["currency"]]
        worst, reasons = "passed", []
        for metric, figure in (("credit-limit", used + total), ("single-document-limit", total)):
            rule = profile.get(metric.replace("-", "_"))
            if rule is None or rule["limit"] == "unlimited" or figure <= money(rule["limit"]):
                continue
            reasons.append(f"{metric}-exceeded")
            if not (waived and rule["enforcement"] == "special-approval"):
                worst = max(worst, rule["enforcement"], key=SEVERITY.index)
        outcomes = {"passed": "approved", "warn": "warn", "special-approval": "pending-approval"}
        return outcomes.get(worst, "declined"), reasons

    def _release(self, order: Order) -> None:
        if order.value is not None:
            self.used[order.value["customer"], order.value["currency"]] -= order.occupied
        order.occupied = NO_MONEY

    def _settle(self, key: OrderKey, revision: int, outcome: str, reasons: list[str]) -> None:
        order = self.orders[key]
        order.answers[revision] = (outcome, reasons)
        if order.status == "undecided":
            order.status = outcome
            if outcome == "declined":
                self._release(order)
            self._advance(order)

    def approve(self, key: OrderKey) -> None:
        """Special approval: the check is repeated, and what waits for approval is waived."""
        order = self.orders[key]
        assert order.value is not None
        assert order.status == "pending-approval"
        self._check(order, order.value, waived=True)
        self._rest()

    def reject(self, key: OrderKey) -> None:
        """Special approval refused."""
        order = self.orders[key]
        assert order.status == "pending-approval"
        order.status = "declined"
        order.answers[order.last_revision] = ("declined", ["special-approval-rejected"])

    # fund-pool

    def _fund(self, account: str, operation: str, key: OrderKey, value: Json | None, revision: int) -> None:
        order = self.orders[key]
        if operation == "cancel":
            for kind, amount in order.paid.items():
                assert value is not None
                self._move(account, kind, value["currency"], amount)
            order.paid = {}
            self.to_credit[account].append((key, revision, "cancelled", []))
            return
        assert value is not None
        reasons = self._pay(order, account, value)
        self.to_credit[account].append((key, revision, "declined" if reasons else "accepted", reasons))

    def _pay(self, order: Order, account: str, value: Json) -> list[str]:
        """Takes the money if the order is paid from the account; returns why not, if not."""
        if account not in self.accounts:
            return ["unknown-account"]
        if value["payment_method"] != "account":
            return []
        if (value["ordering_user"], account) not in self.rights:
            return ["not-allowed-to-use-balance"]
        left, takes = money(value["total"]), {}
        for kind in self._deduction_order(account):
            takes[kind] = min(left, self._usable(account, kind, value["currency"]))
            left -= takes[kind]
        if left:
            return ["insufficient-funds"]
        order.paid = {kind: amount for kind, amount in takes.items() if amount}
        for kind, amount in order.paid.items():
            self._move(account, kind, value["currency"], -amount)
        return []

    def _deduction_order(self, account: str) -> tuple[str, ...]:
        record = self.accounts[account]
        organisation = record["settlement_organisation"]
        of_customer = self.deductions.get((organisation, record["customer"]))
        return tuple(of_customer or self.deductions.get((organisation, None)) or DEFAULT_DEDUCTION)

    def _usable(self, account: str, kind: str, currency: str) -> Decimal:
        line = self.lines.get((account, currency), NO_MONEY) if kind == "overdraft" else NO_MONEY
        return self.purses.get((account, kind, currency), NO_MONEY) + line

    def _move(self, account: str, kind: str, currency: str, amount: Decimal) -> None:
        self.purses[account, kind, currency] = self.purses.get((account, kind, currency), NO_MONEY) + amount
        if amount and kind != "deposit":
            self._look(account, currency)

    def _look(self, account: str, currency: str) -> None:
        """What a changed quota means to whoever watches it."""
        watch = self.watches.get((account, currency))
        if watch is None:
            return
        is_low = self.quota(account, currency) < watch.threshold
        if is_low != watch.is_low:
            watch.is_low = is_low
            self.notices.append((account, currency, "opened" if is_low else "resolved"))

    def quota(self, account: str, currency: str) -> Decimal:
        """Cash, what is left of the overdraft line, and acceptances that are not cashed yet."""
        accepted = self.purses.get((account, ACCEPTANCE, currency), NO_MONEY)
        return (
            self._usable(account, "cash", currency) + self._usable(account, "overdraft", currency) + accepted
        )

    def _receive_payment(self, value: Json) -> None:
        if value["payment_id"] in self.payments:
            return
        reason = self._unmatched(value)
        self.payments[value["payment_id"]] = reason or "posted"
        amount = value["amount"]
        if reason is None:
            self._move(value["account"], value.get("account_type", "cash"), amount["currency"], money(amount))
        elif reason == "bankers-acceptance-not-cashed":
            self._move(value["account"], ACCEPTANCE, amount["currency"], money(amount))

    def _unmatched(self, value: Json) -> str | None:
        kind = value.get("account_type", "cash")
        if "account" not in value:
            return "no-account-named"
        if value["account"] not in self.accounts:
            return "unknown-account"
        if value.get("instrument") == ACCEPTANCE:
            return "bankers-acceptance-not-cashed"
        if kind not in ("cash", "overdraft", "deposit"):
            return "unknown-account-type"
        if kind == "overdraft":
            return "no-online-top-up"
        if kind == "deposit" and (value["account"], kind, value["amount"]["currency"]) not in self.purses:
            return "fund-account-not-opened"
        return None


def newest_records(master_data: list[Json]) -> list[Json]:
    """The record of each (kind, id) with the highest version, unless that retires it; the id goes with it."""
    newest: dict[tuple[str, str], Json] = {}
    for value in (record["value"] for record in master_data):
        key = value["record"]["kind"], value["id"]
        if key not in newest or newest[key]["version"] < value["version"]:
            newest[key] = value
    return [value["record"] | {"id": value["id"]} for value in newest.values() if value["active"]]


def order_faults(value: Json) -> list[str]:
    """Why an order does not add up, if it does not: the codes of the most basic kind of fault."""
    currency = value["currency"]
    amounts = [value["total"]] + [
        line[name] for line in value["lines"] for name in ("discount", "tax", "amount")
    ]
    if any(amount["currency"] != currency for amount in amounts):
        return ["currency-mismatch"]
    ids = [line["line_id"] for line in value["lines"]]
    if len(ids) > len(set(ids)):
        return ["duplicate-line-id"]
    tolerance = Decimal(1).scaleb(-DECIMALS[currency])
    for line in value["lines"]:
        gross = rounded(Decimal(line["quantity"]) * Decimal(line["price"]), currency)
        owed = gross - money(line["discount"]) + money(line["tax"])
        if abs(owed - money(line["amount"])) > tolerance:
            return ["line-amount-mismatch"]
    if sum(money(line["amount"]) for line in value["lines"]) != money(value["total"]):
        return ["total-mismatch"]
    return []
