"""One customer's credit: an order that waits for special approval, and its chain with the numbers at each step."""

import uuid
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Final

from ops.demo.day import Json
from ops.demo.playing import Playing
from ops.demo.teller import Teller
from ops.demo.verdict import Finding

CUSTOMER: Final = "C-CHAIN"
ACCOUNT: Final = "A-CHAIN"
ORGANISATION: Final = "E-CHAIN"
ORDER: Final = "SO-CHAIN-1"
SHOP: Final = "demo-shop"
ERP: Final = "erp"
STAGES: Final = ("sales-order", "outbound", "receivable", "customer-credit")


@dataclass
class CreditChapter:
    """Plays the chapter on a running stack and tells it; `differences` are what did not come as it must."""

    day: Playing
    teller: Teller
    checked: int = 0
    differences: list[str] = field(default_factory=list)
    rows: list[tuple[str, ...]] = field(default_factory=list)

    async def play(self) -> Finding:
        """The whole chapter."""
        self.teller.act("One customer's credit")
        await self._prepare()
        await self._approval()
        await self._chain()
        return Finding(
            "credit chain", self.checked, self.differences, "held, approved, delivered, invoiced, paid"
        )

    def _expect(self, what: str, found: object, wanted: object) -> None:
        self.checked += 1
        if found != wanted:
            self.differences.append(f"{what}: {found} instead of {wanted}")

    async def _prepare(self) -> None:
        zone = {"organisation_type": "legal", "time_zone": "Asia/Shanghai"}
        await self.day.play(
            [
                _master(ORGANISATION, {"kind": "organisation", "name": "Chain", **zone}),
                _master(CUSTOMER, {"kind": "customer", "name": "Chain Trading"}),
                _master(
                    ACCOUNT,
                    {
                        "kind": "account",
                        "name": "Chain Trading",
                        "customer": CUSTOMER,
                        "settlement_organisation": ORGANISATION,
                    },
                ),
                _master("M-STEEL", {"kind": "material", "name": "Steel sheet"}, version=2),
            ]
        )
        limit = {"limit": _cny("100.00"), "enforcement": "special-approval"}
        body = {"credit_limit": limit, "reason": "a new customer"}
        await self.day.people.send("mei", "PUT", "credit", f"/customers/{CUSTOMER}/profiles/CNY", body)

    async def _approval(self) -> None:
        """10 x 12.00 on credit terms against a limit of 100.00: held, and approved within Amal's right."""
        await self.day.play([_order()])
        waiting = await self.day.people.read("credit", f"/pending-orders/{SHOP}/{ORDER}")
        self.teller.heading("     ", f"{ORDER}: 10 x 12.00 on credit terms; Chain Trading may use 100.00")
        self.teller.said("credit", waiting["state"], waiting["reasons"][0]["text"])
        self._expect("the order at first", waiting["state"], "pending")
        self._expect("used while it waits", (await self._stages()), {})
        await self.day.people.judge(SHOP, ORDER, "approve")
        await self.day.rest()
        [grant] = await self.day.people.listed("credit", "/approval-grants", customer=CUSTOMER)
        order = await self.day.people.read("credit", f"/orders/{SHOP}/{ORDER}")
        self.teller.said(
            "credit", order["status"], f"{grant['approver']} lets {grant['amount']['amount']} too much pass"
        )
        self._expect("what the approval took", grant["amount"]["amount"], "20.00")
        self._expect("the order at last", order["status"], "accepted")

    async def _chain(self) -> None:
        """Order 120; 4 delivered at 12.50, invoiced, 30 paid; 3 of them come back."""
        await self._row("the order", {"sales-order": "120.00"})
        link = _upstream("sales-order", ORDER, "1", quantity="4", source=SHOP)
        await self.day.play([_document("outbound", "D-1", "50.00", "4", link)])
        await self._row("4 delivered, at 12.50", {"sales-order": "72.00", "outbound": "50.00"})
        link = _upstream("outbound", "D-1", "1", quantity="4")
        await self.day.play([_document("receivable", "R-1", "50.00", "4", link)])
        await self._row("4 invoiced", {"sales-order": "72.00", "receivable": "50.00"})
        link = _upstream("receivable", "R-1", "1", amount="30.00")
        await self.day.play([_document("receipt", "P-1", "30.00", None, link)])
        await self._row("30.00 received", {"sales-order": "72.00", "receivable": "20.00"})
        link = _upstream("outbound", "D-1", "1", quantity="2")
        await self.day.play([_document("return", "B-1", "25.00", "2", link)])
        await self._row("2 come back", {"sales-order": "72.00", "customer-credit": "-5.00"})
        self.teller.blank()
        self.teller.line(
            "Nothing is counted twice, and what finds nothing to take from is the customer's credit:"
        )
        self.teller.table(("", *STAGES, "used"), self.rows)
        self.teller.line("The ERP may send these in any order, twice or late; the numbers come out the same.")

    async def _row(self, what: str, wanted: dict[str, str]) -> None:
        found = await self._stages()
        self._expect(what, found, wanted)
        status = (await self.day.people.listed("credit", f"/customers/{CUSTOMER}/status"))[0]
        self.rows.append((what, *(found.get(stage, "") for stage in STAGES), status["used"]["amount"]))

    async def _stages(self) -> dict[str, str]:
        rows = await self.day.people.listed("credit", "/used-by-stage", object_id=CUSTOMER)
        return {row["stage"]: row["amount"]["amount"] for row in rows if row["amount"]["amount"] != "0.00"}


def _cny(amount: str) -> Json:
    return {"amount": amount, "currency": "CNY"}


def _now() -> str:
    return datetime.now(UTC).isoformat()


def _record(topic: str, version: int, key: str, source: str, value: Json) -> Json:
    headers = {
        "ce_specversion": "1.0",
        "ce_id": str(uuid.uuid4()),
        "ce_source": source,
        "ce_type": f"{topic}.v{version}",
        "ce_time": _now(),
        "content-type": "application/json",
    }
    return {"topic": topic, "key": key, "headers": headers, "value": value}


def _master(name: str, record: Json, version: int = 1) -> Json:
    """Master data; `version` is that of the contract."""
    value = {"id": name, "version": 1, "changed_at": _now(), "record": record}
    return _record("master-data-changed", version, name, ERP, value)


def _order() -> Json:
    line = {
        "line_id": "1",
        "material": "M-STEEL",
        "quantity": "10",
        "price": "12.00",
        "discount": _cny("0.00"),
        "tax": _cny("0.00"),
        "amount": _cny("120.00"),
    }
    value = {
        "source": SHOP,
        "order_id": ORDER,
        "order_revision": 1,
        "currency": "CNY",
        "buyer": "B-CHAIN",
        "paying_account": ACCOUNT,
        "business_organisation": ORGANISATION,
        "settlement_organisation": ORGANISATION,
        "sales_organisation": ORGANISATION,
        "customer": CUSTOMER,
        "ordering_user": "U-CHAIN",
        "payment_method": "credit-terms",
        "order_date": date.today().isoformat(),
        "lines": [line],
        "total": _cny("120.00"),
    }
    return _record("order-submitted", 1, ACCOUNT, SHOP, value)


def _upstream(
    kind: str,
    name: str,
    line: str,
    *,
    quantity: str | None = None,
    amount: str | None = None,
    source: str | None = None,
) -> Json:
    link: Json = {"document_type": kind, "document_id": name, "line_id": line}
    if source is not None:
        link["source"] = source
    if quantity is not None:
        link["quantity"] = quantity
    if amount is not None:
        link["amount"] = _cny(amount)
    return link


def _document(kind: str, name: str, worth: str, quantity: str | None, link: Json) -> Json:
    line: Json = {"line_id": "1", "amount": _cny(worth), "upstream": [link]}
    if quantity is not None:
        line["quantity"] = quantity
    value = {
        "source": ERP,
        "document_type": kind,
        "document_id": name,
        "document_revision": 1,
        "operation": "audit",
        "stance": "fact",
        "party": ACCOUNT,
        "customer": CUSTOMER,
        "sales_organisation": ORGANISATION,
        "currency": "CNY",
        "document_date": date.today().isoformat(),
        "lines": [line],
        "total": _cny(worth),
        "posted_at": _now(),
    }
    return _record("document-posted", 1, ACCOUNT, ERP, value)
