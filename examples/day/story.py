"""The orders of the day: the usual ones, and one function for every odd thing that happens."""

import copy
from collections.abc import Iterator
from decimal import Decimal
from random import Random

from examples.day.orders import Shop, total
from examples.day.world import CUSTOMERS, Customer, Role
from examples.day.writing import Json, Placed, in_region, wire

MINUTES = 0.01  # of the day: about eight
LARGEST_LINES = 1000
LARGE_DOCUMENT = 60  # times the usual quantities


class Story:
    """Everything that is published to the order topics, unsorted."""

    def __init__(self, randomness: Random, shop: Shop) -> None:
        self.randomness = randomness
        self.shop = shop

    def placed(self) -> Iterator[Placed]:
        """All records of the day."""
        usual = list(self.usual())
        yield from usual
        yield from self.duplicates(usual)
        for odd in (
            self.cancellations,
            self.unknown_customers,
            self.unknown_accounts,
            self.sums_that_do_not_add_up,
            self.revisions_out_of_order,
            self.submitted_anew,
            self.late_events,
            self.structured_mode,
            self.conflicts,
            self.gifts,
            self.other_settlement,
            self.largest,
        ):
            yield from odd()

    def usual(self) -> Iterator[Placed]:
        """What every customer orders, spread over the day."""
        for customer in CUSTOMERS:
            for number in range(customer.orders):
                at = self.randomness.random()
                yield self.submitted(at, self.usual_order(customer, number), customer)

    def usual_order(self, customer: Customer, number: int) -> Json:
        """An order of ordinary size; every third of a customer with a limit per document is large."""
        is_large = customer.role in ("approval", "small-documents") and number % 3 == 0
        return self.shop.order(customer, lines=3 if is_large else 0, scale=LARGE_DOCUMENT if is_large else 1)

    def submitted(self, at: float, value: Json, customer: Customer, days: int = 0, **extra: str) -> Placed:
        return self.shop.submitted(at, value, customer.region, days, **extra)

    def of_role(self, *roles: Role) -> Customer:
        """Some customer of these roles."""
        return self.randomness.choice([customer for customer in CUSTOMERS if customer.role in roles])

    def in_plenty(self) -> Customer:
        """Some customer whose money and credit are never short, whatever else is ordered or cancelled."""
        return self.of_role("plain", "hot")

    def duplicates(self, usual: list[Placed]) -> Iterator[Placed]:
        """The same event again minutes later, and the same order under a new event id."""
        for original in self.randomness.sample(usual, 30):
            yield Placed(original.at + 2 * MINUTES, {**original.record, "kind": "duplicate"})
        for original in self.randomness.sample(usual, 6):
            record = {**original.record, "kind": "same-order-new-event-id"}
            source = record["headers"]["ce_source"]
            record["headers"] = {**record["headers"], "ce_id": self.shop.publishers.next_id(source)}
            yield Placed(original.at + 3 * MINUTES, record)

    def cancellations(self) -> Iterator[Placed]:
        """Orders taken back: after a while, at once, and before they arrive."""
        for number in range(54):
            customer = self.in_plenty()
            order = self.shop.order(customer)
            at = 0.1 + 0.8 * self.randomness.random()
            yield self.submitted(at, order, customer, kind="to-be-cancelled")
            early, later = number % 4 == 0, self.randomness.choice((1, 10, 40)) * MINUTES / 10
            kind = "cancelled-before-submitted" if early else "cancellation"
            yield self.shop.cancelled(at - later if early else at + later, order, customer, kind=kind)
        pending = next(customer for customer in CUSTOMERS if customer.role == "approval")
        order = self.shop.order(pending, lines=3, scale=LARGE_DOCUMENT)
        yield self.submitted(0.5, order, pending, kind="to-be-cancelled")
        yield self.shop.cancelled(0.6, order, pending, kind="cancelled-while-pending")

    def unknown_customers(self) -> Iterator[Placed]:
        """Customers that the ERP has not told of."""
        for number in range(12):
            customer = self.in_plenty()
            order = self.shop.order(customer) | {"customer": f"C-9{number:03d}"}
            yield self.submitted(self.randomness.random(), order, customer, kind="unknown-customer")

    def unknown_accounts(self) -> Iterator[Placed]:
        """Known customers with an account that nobody has opened."""
        for number in range(6):
            customer = self.of_role("plain")
            order = self.shop.order(customer, paying_account=f"A-9{number:03d}-XX")
            yield self.submitted(self.randomness.random(), order, customer, kind="unknown-account")

    def sums_that_do_not_add_up(self) -> Iterator[Placed]:
        """A total, a line, a currency or a line id that is wrong."""
        for spoil, times in ((wrong_total, 10), (wrong_line, 8), (wrong_currency, 4), (repeated_line, 3)):
            for _ in range(times):
                customer = self.in_plenty()
                order = spoil(self.shop.order(customer, lines=3), customer)
                kind = spoil.__name__.replace("_", "-")
                yield self.submitted(self.randomness.random(), order, customer, kind=kind)

    def revisions_out_of_order(self) -> Iterator[Placed]:
        """The mended order (revision 2) arrives before the one that is declined; or before one that is not."""
        for number in range(11):
            customer = self.in_plenty()
            good = self.shop.order(customer)
            first = wrong_total(copy.deepcopy(good), customer) if number < 8 else copy.deepcopy(good)
            at = 0.8 * self.randomness.random()
            yield self.submitted(at, good | {"order_revision": 2}, customer, kind="revision-2-first")
            yield self.submitted(at + MINUTES, first, customer, kind="revision-1-later")

    def submitted_anew(self) -> Iterator[Placed]:
        """Declined because of a wrong total, mended, and submitted anew in the right order."""
        for _ in range(6):
            customer = self.in_plenty()
            good = self.shop.order(customer)
            at = 0.8 * self.randomness.random()
            yield self.submitted(
                at, wrong_total(copy.deepcopy(good), customer), customer, kind="to-be-mended"
            )
            yield self.submitted(at + MINUTES, good | {"order_revision": 2}, customer, kind="submitted-anew")

    def late_events(self) -> Iterator[Placed]:
        """Orders of three days ago that arrive today."""
        for _ in range(10):
            customer = self.in_plenty()
            order = self.shop.order(customer, order_date="2026-10-30")
            yield self.submitted(self.randomness.random(), order, customer, days=-3, kind="late")

    def structured_mode(self) -> Iterator[Placed]:
        """Orders as CloudEvents in structured mode, the attributes beside the data in the value."""
        for _ in range(10):
            customer = self.in_plenty()
            placed = self.submitted(self.randomness.random(), self.shop.order(customer), customer)
            headers = placed.record["headers"]
            attributes = {
                name.removeprefix("ce_"): headers[name] for name in headers if name.startswith("ce_")
            }
            value = {**attributes, "datacontenttype": "application/json", "data": placed.record["value"]}
            content_type = {"content-type": "application/cloudevents+json; charset=UTF-8"}
            record = {**placed.record, "headers": content_type, "value": value, "kind": "structured-mode"}
            yield Placed(placed.at, record)

    def conflicts(self) -> Iterator[Placed]:
        """The same event id, and the same order revision, with another content."""
        for number in range(6):
            customer = self.in_plenty()
            order = self.shop.order(customer)
            placed = self.submitted(0.8 * self.randomness.random(), order, customer)
            yield placed
            other = copy.deepcopy(placed.record)
            other["value"]["buyer"] = "somebody-else"
            other["expect"] = other["kind"] = "id-conflict" if number < 4 else "revision-conflict"
            if number >= 4:
                other["headers"]["ce_id"] = self.shop.publishers.next_id(customer.region.source)
            yield Placed(placed.at + MINUTES, other)

    def gifts(self) -> Iterator[Placed]:
        """Orders that cost nothing."""
        for _ in range(2):
            customer = self.in_plenty()
            order = self.shop.order(customer, lines=1, payment_method="account")
            nothing = wire(in_region("0", customer.region), customer.region.currency)
            order["lines"][0] |= {"price": "0", "discount": nothing, "tax": nothing, "amount": nothing}
            yield self.submitted(self.randomness.random(), order | {"total": nothing}, customer, kind="gift")

    def other_settlement(self) -> Iterator[Placed]:
        """A Chinese customer that pays in yen from its account in Japan, beside its account at home."""
        customer = CUSTOMERS[2]
        abroad = next(other for other in CUSTOMERS if other.region.code == "JP").region
        for _ in range(8):
            order = self.shop.order(
                Customer(customer.number, customer.name, abroad, customer.role, 0),
                ordering_user=customer.user,
            )
            yield self.shop.submitted(self.randomness.random(), order, abroad, kind="second-account")

    def largest(self) -> Iterator[Placed]:
        """As many lines as an order may have."""
        customer = CUSTOMERS[0]
        order = self.shop.order(customer, lines=LARGEST_LINES, payment_method="account")
        yield self.submitted(0.5, order, customer, kind="largest")


def wrong_total(order: Json, customer: Customer) -> Json:
    """A total that is one minor unit more than the sum."""
    step = Decimal(1).scaleb(-customer.region.decimals)
    return order | {"total": wire(Decimal(order["total"]["amount"]) + step, order["currency"])}


def wrong_line(order: Json, customer: Customer) -> Json:
    """A line that owes two minor units too much; the total follows it."""
    step = Decimal(2).scaleb(-customer.region.decimals)
    line = order["lines"][1]
    owed = Decimal(line["quantity"]) * Decimal(line["price"])
    gross = owed.quantize(step, "ROUND_HALF_UP")
    exact = gross - Decimal(line["discount"]["amount"]) + Decimal(line["tax"]["amount"])
    line["amount"] = wire(exact + step, order["currency"])
    return order | {"total": total(order["lines"], customer.region)}


def wrong_currency(order: Json, customer: Customer) -> Json:
    """One tax in another currency."""
    order["lines"][2]["tax"] = {"amount": "1", "currency": "EUR"}
    return order


def repeated_line(order: Json, customer: Customer) -> Json:
    """Two lines of the same id."""
    order["lines"][2]["line_id"] = "1"
    return order
