"""Shared money: allocated to a member, spent together with a voucher, reclaimed as far as it goes, and a return."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from ops.demo.day import Json
from ops.demo.playing import Playing
from ops.demo.story import money
from ops.demo.teller import Teller
from ops.demo.verdict import Finding

MANAGER: Final = "A-FUNDS-HQ"
MEMBER: Final = "A-FUNDS-SHOP"
CUSTOMER: Final = "C-FUNDS"
BUYER: Final = "U-FUNDS"
SETTLES: Final = "LEG-CN"
SELLS: Final = "BUS-SH"
SHOP: Final = "shop-shanghai"
ORDER: Final = "SO-FUNDS-1"
VOUCHER: Final = "V-SPRING"
PERMISSIONS: Final = ("sync-credit-identity", "view-financial-information")


def _cny(amount: str) -> Json:
    return {"amount": amount, "currency": "CNY"}


@dataclass
class FundsChapter:
    """Plays the chapter on accounts of its own; `differences` are what did not come as it must."""

    day: Playing
    teller: Teller
    checked: int = 0
    differences: list[str] = field(default_factory=list)

    async def play(self) -> Finding:
        """The whole chapter."""
        self.teller.act("Shared money")
        await self._prepare()
        await self._allocate()
        await self._spend()
        await self._reclaim()
        await self._return()
        return Finding("shared money", self.checked, self.differences, "allocate, voucher, reclaim, return")

    async def _send(self, method: str, path: str, body: Json | None = None) -> Json:
        return await self.day.people.send("mei", method, "fund-pool", path, body)

    def _expect(self, what: str, found: object, wanted: object) -> None:
        self.checked += 1
        if found != wanted:
            self.differences.append(f"{what}: {found} instead of {wanted}")

    async def _prepare(self) -> None:
        """Two accounts of one customer, money for one of them, and the relationship between them."""
        accounts = [(MANAGER, "Headquarters"), (MEMBER, "Corner shop")]
        customer = {"kind": "customer", "name": "Funds Trading", "credit_managed": False}
        records = [self._master_data(CUSTOMER, customer)]
        for account, name in accounts:
            told = {"kind": "account", "name": name, "customer": CUSTOMER, "settlement_organisation": SETTLES}
            records.append(self._master_data(account, told))
        right = {"kind": "user-right", "user": BUYER, "account": MEMBER, "right": "use-balance"}
        records.append(self._master_data(f"{BUYER}@{MEMBER}", right))
        await self.day.play(records)
        payment = {
            "payment_id": "PAY-FUNDS-1",
            "payer": MANAGER,
            "account": MANAGER,
            "amount": _cny("1000.00"),
            "received_on": self._today(),
        }
        await self.day.play([self._record("payment-received", MANAGER, payment, "bank-gateway")])
        await self._relate()
        self.teller.line(
            f"{MANAGER} has 1,000.00 CNY; {MEMBER} lets it see its finances and share credit with it."
        )

    async def _relate(self) -> None:
        people = self.day.people
        for account in (MANAGER, MEMBER):
            people.tokens[account] = self.day.stack.token("account-user", accounts=[account], subject=account)
        invitation: Json = {
            "kind": "financial",
            "management_account": MANAGER,
            "member_account": MEMBER,
            "permissions": list(PERMISSIONS),
        }
        invited = await people.send(MANAGER, "POST", "sharing", "/relationships", invitation)
        path = f"/relationships/{invited['relationship_id']}/accept"
        await people.send(MEMBER, "POST", "sharing", path, {"permissions": list(PERMISSIONS)})
        await self.day.rest()

    async def _allocate(self) -> None:
        pool = {"pool_id": "VP-FUNDS", "account": MANAGER, "amount": _cny("300.00")}
        await self._send("POST", "/voucher-pools", pool)
        voucher = {"voucher_id": VOUCHER, "amount": _cny("120.00"), "members": [MEMBER]}
        await self._send("POST", "/voucher-pools/VP-FUNDS/vouchers", voucher)
        seen = await self._send("POST", "/allocations/preview", self._allocation("allocate", "200.00"))
        given = await self._send("POST", "/allocations", self._allocation("allocate", "200.00"))
        self._expect("the preview", seen["rows"][0]["result"], "will-post")
        self._expect("the allocation", given["status"], "posted")
        self.teller.line(
            f"{MANAGER} allocates 200.00 CNY to {MEMBER}, and makes it a voucher of 120.00 CNY out of a pool of 300.00."
        )

    async def _spend(self) -> None:
        await self.day.play([self._record("order-submitted", MEMBER, self._order(), SHOP)])
        order = await self._send("GET", f"/orders/{SHOP}/{ORDER}")
        decision = order["decisions"][-1]["decision"]
        self.teller.heading(self._clock(), f"{MEMBER} orders {ORDER}: 2 lines, 180.00 CNY")
        self.teller.said("fund-pool", decision["outcome"], decision["explanation"]["text"])
        self.teller.blank()
        self._expect("the order", decision["outcome"], "accepted")
        self._expect("cash after the order", await self._cash(MEMBER), "140.00")
        self._expect("the voucher after the order", await self._remaining(), "0.00")

    async def _reclaim(self) -> None:
        refused = await self._send("POST", "/allocations", self._allocation("reclaim", "200.00"))
        row = refused["rows"][0]
        self._expect("reclaiming too much", (row["result"], row["most"]), ("refused", _cny("140.00")))
        taken = await self._send("POST", "/allocations", self._allocation("reclaim", "100.00"))
        self._expect("the reclaim", taken["status"], "posted")
        self.teller.line(
            f"{MANAGER} asks 200.00 CNY back and is refused: 60.00 of it are spent, at most {money(row['most'])} "
            "would pass. It takes 100.00 back."
        )

    async def _return(self) -> None:
        document = {
            "document_id": "RT-FUNDS-1",
            "posted_on": self._today(),
            "lines": [{"line_id": "1", "quantity": "1", "amount": _cny("100.00")}],
            "total": _cny("100.00"),
        }
        returned = {
            "source": SHOP,
            "order_id": ORDER,
            "order_revision": 2,
            "paying_account": MEMBER,
            "document": document,
            "reason": "broken on arrival",
            "returned_at": self._now(),
        }
        await self.day.play([self._record("order-returned", MEMBER, returned, SHOP)])
        self._expect("the voucher after the return", await self._remaining(), "100.00")
        self._expect("cash of the member", await self._cash(MEMBER), "40.00")
        self._expect("cash of its giver", await self._cash(MANAGER), "900.00")
        self.teller.line(
            "The line of 100.00 CNY comes back broken: the money returns to what paid it, the voucher, which has "
            f"{await self._remaining()} again; {MEMBER} keeps {await self._cash(MEMBER)} in cash."
        )

    async def _cash(self, account: str) -> str:
        told = await self._send("GET", f"/accounts/{account}/balances")
        purse = next(one for one in told["fund_accounts"] if one["account_type"] == "cash")
        return str(purse["balance"]["amount"])

    async def _remaining(self) -> str:
        told = await self._send("GET", f"/accounts/{MEMBER}/vouchers")
        return str(told["items"][0]["remaining"]["amount"])

    def _allocation(self, operation: str, amount: str) -> Json:
        rows = [{"member_account": MEMBER, "amount": _cny(amount)}]
        return {"operation": operation, "management_account": MANAGER, "rows": rows}

    def _order(self) -> Json:
        lines = [
            {
                "line_id": line,
                "material": f"M-FUNDS-{line}",
                "quantity": "1",
                "price": amount,
                "discount": _cny("0.00"),
                "tax": _cny("0.00"),
                "amount": _cny(amount),
            }
            for line, amount in (("1", "100.00"), ("2", "80.00"))
        ]
        return {
            "source": SHOP,
            "order_id": ORDER,
            "order_revision": 1,
            "currency": "CNY",
            "buyer": BUYER,
            "paying_account": MEMBER,
            "business_organisation": SELLS,
            "settlement_organisation": SETTLES,
            "sales_organisation": SELLS,
            "customer": CUSTOMER,
            "ordering_user": BUYER,
            "payment_method": "account",
            "order_date": self._today(),
            "lines": lines,
            "total": _cny("180.00"),
        }

    def _master_data(self, name: str, record: Json) -> Json:
        value = {"id": name, "version": 1, "active": True, "changed_at": self._now(), "record": record}
        return self._record("master-data-changed", name, value, "erp")

    def _record(self, topic: str, key: str, value: Json, source: str) -> Json:
        headers = {
            "ce_specversion": "1.0",
            "ce_id": f"funds-{topic}-{key}-{value.get('order_revision', 1)}",
            "ce_source": source,
            "ce_type": f"{topic}.v1",
            "ce_time": self._now(),
            "content-type": "application/json",
        }
        return {"topic": topic, "key": key, "headers": headers, "value": value}

    def _now(self) -> str:
        return datetime.now(UTC).isoformat().replace("+00:00", "Z")

    def _today(self) -> str:
        return datetime.now(UTC).date().isoformat()

    def _clock(self) -> str:
        return f"{datetime.now(UTC):%H:%M}"
