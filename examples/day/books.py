"""Master data, setup and payments: what must be there so that the orders turn out as the story wants."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, replace
from decimal import ROUND_UP, Decimal
from random import Random

from examples.day.world import CUSTOMERS, JAPAN, ORGANISATIONS, Customer
from examples.day.writing import Json, Placed, Publishers, clock, in_region, rounded, wire

PLENTY = Decimal(2)
TIGHT = Decimal("0.65")
LOW = Decimal("0.1")
OVERDRAFT = Decimal("0.4")
OPENING = Decimal("0.3")  # the share of the money that is there before the day begins
LARGE_DOCUMENT_CNY = "60000"
BANK, ERP = "bank-gateway", "erp"
IN_JAPAN = replace(
    CUSTOMERS[2], region=JAPAN, role="plain", orders=0
)  # a second account of the same customer
WATCHED_IN_PLENTY = ("C-1006", "C-2003")
WITH_DEPOSIT = ("C-1001", "C-2001")
RELIEVED = ("C-1004", "C-2004", "C-3004")  # get money in the evening


class Books:
    """Knows what every account spends by the orders of the day, and gives it more, enough, or less."""

    def __init__(self, placed: list[Placed], randomness: Random, publishers: Publishers) -> None:
        self.randomness = randomness
        self.publishers = publishers
        self.customers = [*CUSTOMERS, IN_JAPAN]
        self.payment_number = 0
        self.spent: dict[str, Decimal] = defaultdict(Decimal)
        self.owed: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
        for order in _orders_once(placed):
            total = Decimal(order["total"]["amount"])
            self.owed[order["customer"], order["currency"]] += total
            if order["payment_method"] == "account":
                self.spent[order["paying_account"]] += total

    def master_data(self) -> Iterator[Json]:
        """Organisations, customers, accounts and rights; some in several versions, one right taken back."""
        for organisation in ORGANISATIONS:
            record = {name: value for name, value in asdict(organisation).items() if value is not None}
            yield self._master(record.pop("id"), {"kind": "organisation", **record})
        for customer in CUSTOMERS:
            yield from self._customer(customer)
        for customer in self.customers:
            yield self._master(customer.account, _account(customer))
            right = {
                "kind": "user-right",
                "user": customer.user,
                "account": customer.account,
                "right": "use-balance",
            }
            right_id = f"{customer.user}:{customer.account}:use-balance"
            yield self._master(right_id, right)
            if customer.role == "no-right":
                yield self._master(right_id, right, version=2, active=False)

    def _customer(self, customer: Customer) -> Iterator[Json]:
        record = {"kind": "customer", "name": customer.name, "credit_managed": customer.role != "unmanaged"}
        if customer.customer_group:
            record["customer_group"] = customer.customer_group
        if customer.number % 10 != 3:
            yield self._master(customer.id, record)
            return
        yield self._master(customer.id, record | {"name": f"{customer.name} (旧)"}, version=1)
        yield self._master(customer.id, record, version=3)
        yield self._master(customer.id, record | {"name": "late and outdated"}, version=2)

    def _master(self, record_id: str, record: Json, version: int = 1, active: bool = True) -> Json:
        changed_at = clock(version / 100, days=-7)
        value = {
            "id": record_id,
            "version": version,
            "active": active,
            "changed_at": changed_at,
            "record": record,
        }
        return self.publishers.record(ERP, "master-data-changed", record_id, value, changed_at)

    def setup(self) -> Json:
        """What people enter over HTTP before the day begins."""
        return {
            "credit_profiles": list(self._profiles()),
            "opening_balances": list(self._openings()),
            "deduction_orders": list(self._deduction_orders()),
            "alert_thresholds": [
                {
                    "account": customer.account,
                    "threshold": wire(self._threshold(customer), customer.region.currency),
                }
                for customer in self._watched()
            ],
            "contacts": [_contact(number, customer) for number, customer in enumerate(self._watched())],
        }

    def _watched(self) -> list[Customer]:
        return [
            customer
            for customer in CUSTOMERS
            if customer.role in ("tight-purse", "running-low") or customer.id in WATCHED_IN_PLENTY
        ]

    def _profiles(self) -> Iterator[Json]:
        for customer in self.customers:
            if customer.role in ("unmanaged", "no-profile"):
                continue
            currency = "USD" if customer.role == "other-currency" else customer.region.currency
            yield {"customer": customer.id, "currency": currency, **self._limits(customer)}

    def _limits(self, customer: Customer) -> Json:
        owed = self.owed[customer.id, customer.region.currency]
        large = f"{in_region(LARGE_DOCUMENT_CNY, customer.region):f}"
        plenty = _limit(_round_figure(owed * PLENTY + 1, customer), customer, "reject")
        match customer.role:
            case "tight-limit":
                return {"credit_limit": _limit(_round_figure(owed * TIGHT, customer), customer, "reject")}
            case "warned":
                return {"credit_limit": _limit(_round_figure(owed * TIGHT, customer), customer, "warn")}
            case "approval":
                return {
                    "credit_limit": plenty,
                    "single_document_limit": _limit(large, customer, "special-approval"),
                }
            case "small-documents":
                return {"credit_limit": plenty, "single_document_limit": _limit(large, customer, "reject")}
            case "hot" | "plain":
                return {"credit_limit": plenty}
            case _:
                return {"credit_limit": {"limit": "unlimited", "enforcement": "reject"}}

    def _openings(self) -> Iterator[Json]:
        for customer in self.customers:
            cash = rounded(self._money(customer) * OPENING, customer.region)
            yield _opening(customer, "cash", amount=cash)
            if customer.role in ("tight-purse", "overdraft-first"):
                share, used = (LOW, "10") if customer.role == "tight-purse" else (OVERDRAFT, "0")
                granted = Decimal(_round_figure(self.spent[customer.account] * share, customer))
                yield _opening(customer, "overdraft", granted=granted, used=in_region(used, customer.region))
            if customer.id in WITH_DEPOSIT:
                yield _opening(customer, "deposit", amount=in_region("5000", customer.region))

    def _deduction_orders(self) -> Iterator[Json]:
        yield {"settlement_organisation": "LEG-KW", "account_types": ["overdraft", "cash"]}
        yield {"settlement_organisation": "LEG-CN", "account_types": ["cash", "overdraft"]}
        for customer in CUSTOMERS:
            if customer.role == "overdraft-first":
                yield {
                    "settlement_organisation": customer.region.legal,
                    "customer": customer.id,
                    "account_types": ["overdraft", "cash"],
                }

    def _money(self, customer: Customer) -> Decimal:
        """The cash that the account gets in all, before the evening."""
        spent = self.spent[customer.account]
        match customer.role:
            case "tight-purse":
                return spent * TIGHT
            case "running-low":
                return spent + self._threshold(customer) / 2
            case _:
                return spent * PLENTY + in_region("1000", customer.region)

    def _threshold(self, customer: Customer) -> Decimal:
        return Decimal(_round_figure(self.spent[customer.account] * LOW, customer))

    def payments(self) -> Iterator[Placed]:
        """Two or three per account, and the odd ones."""
        usual = [placed for customer in self.customers for placed in self._payments_of(customer)]
        yield from usual
        for original in self.randomness.sample(usual, 5):
            yield Placed(original.at + 0.01, {**original.record, "kind": "duplicate"})
        for original in self.randomness.sample(usual, 2):
            headers = {**original.record["headers"], "ce_id": self.publishers.next_id(BANK)}
            yield Placed(
                original.at + 0.02,
                {**original.record, "headers": headers, "kind": "same-payment-new-event-id"},
            )
        yield from self._unmatched_payments()

    def _payments_of(self, customer: Customer) -> Iterator[Placed]:
        money = self._money(customer)
        left = rounded(money, customer.region) - rounded(money * OPENING, customer.region)
        parts = self.randomness.choice((2, 3))
        for number in range(parts):
            amount = left if number == parts - 1 else rounded(left / (parts - number), customer.region)
            left -= amount
            received_on = "2026-11-02" if number else "2026-10-30"
            yield self._payment(
                customer, amount, received_on=received_on, reference=f"{customer.name} {number + 1}"
            )
        if customer.id in WITH_DEPOSIT:
            yield self._payment(customer, in_region("250", customer.region), account_type="deposit")

    def _unmatched_payments(self) -> Iterator[Placed]:
        poor, other = CUSTOMERS[4], CUSTOMERS[26]
        for number in range(3):
            stranger = f"CN-62220202001122{number:05d}"
            yield self._payment(
                CUSTOMERS[number], in_region("88.88", poor.region), payer=stranger, account=None
            )
        yield self._payment(poor, in_region("70", poor.region), payer="A-9999-CN", account="A-9999-CN")
        yield self._payment(other, in_region("70", other.region), payer="A-9998-US", account="A-9998-US")
        yield self._payment(poor, in_region("60", poor.region), account_type="deposit")
        yield self._payment(poor, in_region("50", poor.region), account_type="overdraft")
        yield self._payment(poor, in_region("40", poor.region), instrument="bankers-acceptance")

    def evening_payments(self) -> Iterator[Placed]:
        """Money that ends three low spells; published when all orders are decided."""
        for customer in CUSTOMERS:
            if customer.id in RELIEVED:
                placed = self._payment(
                    customer, self._threshold(customer) * 5, reference="尾款 evening transfer"
                )
                yield Placed(0.99, placed.record | {"kind": "relief"})

    def _payment(self, customer: Customer, amount: Decimal, **changes: str | None) -> Placed:
        self.payment_number += 1
        at = self.randomness.random()
        value: Json = {
            "payment_id": f"PAY-{self.payment_number:05d}",
            "payer": customer.account,
            "account": customer.account,
            "amount": wire(amount, customer.region.currency),
            "received_on": "2026-11-02",
            **changes,
        }
        value = {name: part for name, part in value.items() if part is not None}
        time = clock(at, customer.region)
        return Placed(at, self.publishers.record(BANK, "payment-received", value["payer"], value, time))


def _orders_once(placed: list[Placed]) -> Iterator[Json]:
    """The newest revision of each order that is no copy and not to be refused."""
    newest: dict[tuple[str, str], Json] = {}
    for record in (each.record for each in placed):
        if record["topic"] != "order-submitted" or "expect" in record:
            continue
        order = record["value"].get("data", record["value"])
        key = order["source"], order["order_id"]
        if key not in newest or newest[key]["order_revision"] < order["order_revision"]:
            newest[key] = order
    yield from newest.values()


def _round_figure(amount: Decimal, customer: Customer) -> str:
    """Rounded up to whole tens, in the decimals of the currency."""
    return f"{rounded((amount / 10).quantize(Decimal(1), ROUND_UP) * 10, customer.region):f}"


def _limit(amount: str, customer: Customer, enforcement: str) -> Json:
    return {"limit": {"amount": amount, "currency": customer.region.currency}, "enforcement": enforcement}


def _account(customer: Customer) -> Json:
    region = customer.region
    return {
        "kind": "account",
        "name": f"{customer.name} / {region.legal}",
        "customer": customer.id,
        "settlement_organisation": region.legal,
    }


def _opening(customer: Customer, account_type: str, **amounts: Decimal) -> Json:
    currency = customer.region.currency
    written = {name: wire(amount, currency) for name, amount in amounts.items()}
    return {"account": customer.account, "account_type": account_type, "currency": currency, **written}


def _contact(number: int, customer: Customer) -> Json:
    """A person told when the account runs low; numbers and addresses that belong to nobody."""
    phones = {"CN": f"+86138001380{number:02d}", "US": f"+121255501{number:02d}"}
    time_zones = {"CN": "Asia/Shanghai", "US": "America/New_York", "JP": "Asia/Tokyo", "KW": "Asia/Kuwait"}
    code = customer.region.code
    return {
        "account": customer.account,
        "person": f"P-{customer.number}",
        "name": f"Treasurer of {customer.name}",
        "language": "zh-CN" if code == "CN" else "en",
        "time_zone": time_zones[code],
        "security": True,
        "email": f"treasurer-{customer.number}@example.com",
        "phone": phones.get(code, f"+121255502{number:02d}"),
    }
