"""Writes orders that add up, and their cancellations, as the shops would."""

from decimal import Decimal
from random import Random
from typing import Any

from examples.day.world import MATERIALS, Customer, Material, Region
from examples.day.writing import IN_CNY, Json, Placed, Publishers, clock, rounded, wire

ORDER_DATE = "2026-11-02"
ALWAYS_FROM_ACCOUNT = ("tight-purse", "running-low", "no-right", "overdraft-first")
ALWAYS_ON_CREDIT = ("tight-limit", "warned")
REASONS = ("Ordered twice by mistake.", "客户取消", "No longer needed.", "")


def total(lines: list[Json], region: Region) -> Json:
    """The sum of the lines' amounts."""
    return wire(
        sum((Decimal(line["amount"]["amount"]) for line in lines), rounded(Decimal(0), region)),
        region.currency,
    )


class Shop:
    """Places orders; what it draws depends on its randomness alone."""

    def __init__(self, randomness: Random, publishers: Publishers) -> None:
        self.randomness = randomness
        self.publishers = publishers
        self.orders = 0

    def order(self, customer: Customer, lines: int = 0, scale: int = 1, **changes: Any) -> Json:  # Any: JSON
        """A whole order that adds up; `scale` multiplies its quantities, `changes` replaces fields."""
        region = customer.region
        self.orders += 1
        count = lines or self.randomness.choice((1, 1, 2, 2, 3, 3, 4, 6))
        items = [self.line(str(number + 1), region, scale) for number in range(count)]
        payment_method = changes.get("payment_method") or self.payment_method(customer)
        return {
            "source": region.source,
            "order_id": f"SO-{region.code}-{self.orders:06d}",
            "order_revision": 1,
            "currency": region.currency,
            "buyer": f"{customer.user}-{self.randomness.randint(1, 3)}",
            "paying_account": customer.account,
            "business_organisation": self.randomness.choice(region.businesses),
            "settlement_organisation": region.legal,
            "sales_organisation": self.randomness.choice(region.businesses),
            "customer": customer.id,
            "ordering_user": customer.user,
            "payment_method": payment_method,
            "order_date": ORDER_DATE,
            "requested_delivery_date": f"2026-11-{self.randomness.randint(3, 30):02d}",
            **self.terms(payment_method),
            "lines": items,
            "total": total(items, region),
            **changes,
        }

    def payment_method(self, customer: Customer) -> str:
        """Mostly from the account; goods on credit terms where the story is about credit."""
        if customer.role in ALWAYS_FROM_ACCOUNT:
            return "account"
        if customer.role in ALWAYS_ON_CREDIT:
            return "credit-terms"
        return self.randomness.choice(("account", "account", "account", "credit-terms", "bank-transfer"))

    def terms(self, payment_method: str) -> Json:
        """When an unpaid order is due: in some days, on a date, or at once."""
        choice = self.randomness.randint(1, 3)
        days, day = self.randomness.choice((7, 30, 60, 90)), self.randomness.randint(1, 31)
        if payment_method == "account" or choice == 3:
            return {}
        return {"payment_terms_days": days} if choice == 1 else {"due_date": f"2026-12-{day:02d}"}

    def line(self, line_id: str, region: Region, scale: int = 1) -> Json:
        """One line; some have a discount, and one in forty is a minor unit off, as rounding elsewhere is."""
        material = self.randomness.choice(MATERIALS)
        quantity, price = self.quantity(material) * scale, self.price(material, region)
        gross = rounded(quantity * price, region)
        discount = rounded(gross * self.randomness.choice((0, 0, 5, 12)) / 100, region)
        tax = rounded((gross - discount) * Decimal(region.tax_percent) / 100, region)
        amount = gross - discount + tax
        if self.randomness.randint(1, 40) == 1:
            amount += Decimal(1).scaleb(-region.decimals)
        return {
            "line_id": line_id,
            "material": material.id,
            "material_group": material.group,
            "quantity": f"{quantity:f}",
            "price": f"{price:f}",
            "discount": wire(discount, region.currency),
            "tax": wire(tax, region.currency),
            "amount": wire(amount, region.currency),
        }

    def quantity(self, material: Material) -> Decimal:
        """Pieces, or eighths of what is sold by weight."""
        if material.group == "MG-FOOD":
            return Decimal(self.randomness.randint(1, 160)) / 8
        return Decimal(self.randomness.randint(1, 20))

    def price(self, material: Material, region: Region) -> Decimal:
        """The material's price in the region's currency, with at most six decimals and no idle zeros."""
        price = (Decimal(material.price) * Decimal(IN_CNY[region.currency])).quantize(Decimal("0.000001"))
        return Decimal(f"{price:f}".rstrip("0").rstrip("."))

    def submitted(self, at: float, value: Json, region: Region, days: int = 0, **extra: str) -> Placed:
        """The record that hands an order in."""
        time = clock(at, region, days)
        key = value["paying_account"]
        return Placed(at, self.publishers.record(region.source, "order-submitted", key, value, time, **extra))

    def cancelled(self, at: float, value: Json, customer: Customer, **extra: str) -> Placed:
        """The record that takes an order back."""
        time, region = clock(at, customer.region), customer.region
        key = value["paying_account"]
        cancellation = {
            "source": value["source"],
            "order_id": value["order_id"],
            "order_revision": value["order_revision"] + 1,
            "paying_account": key,
            "reason": self.randomness.choice(REASONS),
            "cancelled_by": customer.user,
            "cancelled_at": time,
        }
        return Placed(
            at, self.publishers.record(region.source, "order-cancelled", key, cancellation, time, **extra)
        )
