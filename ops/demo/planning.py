"""The month ahead: a filing, a roll-up with elimination, a payment request that is held, and the forecast."""

import uuid
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

import httpx

from ops.demo.day import Json
from ops.demo.people import RequestRefused
from ops.demo.playing import Playing
from ops.demo.teller import Teller
from ops.demo.verdict import Finding
from ops.local.stack import DEFAULT_DIRECTORY

SYSTEM: Final = "GROUP-PLAN"
CHART: Final = DEFAULT_DIRECTORY / "forecast.svg"
ENTITIES: Final = (
    {"id": "E-GROUP", "name": "Group"},
    {"id": "E-EAST", "name": "East", "parent": "E-GROUP"},
    {"id": "E-WEST", "name": "West", "parent": "E-GROUP"},
)
ROLES: Final = (
    {"subject": "lin", "role": "administrator"},
    {"subject": "he", "role": "node-manager", "entity": "E-GROUP"},
    {"subject": "su", "role": "preparer", "entity": "E-EAST"},
    {"subject": "wei", "role": "preparer", "entity": "E-WEST"},
)


@dataclass
class Chapter:
    """Plays the chapter on a running stack and tells it; `differences` are what did not come as it must."""

    day: Playing
    teller: Teller
    checked: int = 0
    differences: list[str] = field(default_factory=list)

    @property
    def path(self) -> str:
        return f"/planning-systems/{SYSTEM}"

    async def play(self) -> Finding:
        """The whole chapter."""
        self.teller.act("The month ahead")
        period = await self._plan()
        await self._request(period)
        await self._forecast(period)
        return Finding("cash plan", self.checked, self.differences, "filing, roll-up, control, forecast")

    async def _send(self, person: str, method: str, path: str, body: object = None) -> Json:
        return await self.day.people.send(person, method, "cashplan", path, body)  # type: ignore[arg-type]  # lists too

    def _expect(self, what: str, found: object, wanted: object) -> None:
        self.checked += 1
        if found != wanted:
            self.differences.append(f"{what}: {found} instead of {wanted}")

    async def _plan(self) -> Json:
        """Two entities file, the group rolls up, eliminates and approves; returns the period that was planned."""
        sample = {
            "sample": "monthly-with-weeks",
            "responsible_body": "E-GROUP",
            "name": "Cash plan of the group",
        }
        await self._send("lin", "POST", f"{self.path}/from-sample", sample)
        await self._send("lin", "PUT", f"{self.path}/entities", list(ENTITIES))
        await self._send("lin", "PUT", f"{self.path}/roles", list(ROLES))
        round_ = await self._open()
        period: Json = next(column for column in round_["columns"] if column["is_binding"])
        week = period["period"]
        self.teller.line(
            f"Lin starts a cash plan from a sample: months with weeks, two entities under a group. She opens the round "
            f"of {round_['period']}; Su plans for East, Wei for West."
        )
        filings = await self._filings(round_)
        east = {"sales": "50000.00", "wages": "30000.00"}
        west = {"sales": "40000.00", "wages": "20000.00"}
        await self._file(
            "su",
            filings["E-EAST"],
            week,
            east,
            {"internal": [_internal("payments", "E-WEST", week, "8000.00")]},
        )
        contract = {"row": "1", "period": week, "amount": "10000.00", "fields": {"contract-number": "C-7"}}
        details = {"internal": [_internal("receipts", "E-EAST", week, "6000.00")], "contracts": [contract]}
        await self._file("wei", filings["E-WEST"], week, west, details)
        await self._roll_up(round_, week)
        return period

    async def _open(self) -> Json:
        now = datetime.now(UTC)
        first = (date.today().replace(day=1) + timedelta(days=32)).replace(day=1)
        body = {
            "filing_type": "month-plan",
            "first_day": first.isoformat(),
            "starts_at": (now - timedelta(days=1)).isoformat(),
            "ends_at": (now + timedelta(days=20)).isoformat(),
            "cut_off": (now + timedelta(days=7)).isoformat(),
            "rates_on": date.today().isoformat(),
            "entities": ["E-EAST", "E-WEST"],
        }
        return await self._send("lin", "POST", f"{self.path}/rounds", body)

    async def _filings(self, round_: Json) -> dict[str, str]:
        progress = await self._send("he", "GET", f"{self.path}/rounds/{round_['round_id']}/progress")
        return {line["entity"]: line["filing_id"] for line in progress["lines"]}

    async def _file(
        self, person: str, filing: str, week: str, amounts: dict[str, str], details: Json
    ) -> None:
        cells = [
            {"sheet": "main", "item": item, "period": week, "currency": "CNY", "amount": amount}
            for item, amount in amounts.items()
        ]
        grid = {"version": 1, "cells": cells, "details": details}
        await self._send(person, "PATCH", f"/filings/{filing}/grid", grid)
        await self._send(person, "POST", f"/filings/{filing}/submit")
        await self._send("he", "POST", f"/filings/{filing}/approve")

    async def _roll_up(self, round_: Json, week: str) -> None:
        path = f"{self.path}/rounds/{round_['round_id']}/roll-ups/E-GROUP"
        pairs = await self._send("he", "POST", f"{path}/eliminate")
        pair = pairs[0]  # type: ignore[index]  # a list
        shown = await self._send("he", "GET", path)
        net = {each["item"]: each["amount"] for each in shown["net"] if each["period"] == week}
        await self._send("he", "POST", f"{path}/submit")
        approved = await self._send("lin", "POST", f"{path}/approve")
        self.teller.line(
            f"East plans to pay West {pair['out_amount']}, West expects {pair['in_amount']}: {pair['eliminated']} are "
            f"eliminated, {pair['unmatched_out']} reported to both. He rolls up, Lin approves: the plan is effective."
        )
        items = ("sales", "wages", "purchases", "internal-payments", "internal-receipts")
        self.teller.table(("the group, net", week), [(item, net[item]) for item in items])
        self._expect("eliminated", pair["eliminated"], "6000.00")
        self._expect("unmatched", pair["unmatched_out"], "2000.00")
        self._expect("internal payments, net", net["internal-payments"], "2000.00")
        self._expect("wages of the group", net["wages"], "50000.00")
        self._expect("the roll-up", approved["state"], "effective")

    async def _request(self, period: Json) -> None:
        """A payment request that its contract does not allow: held, then approved."""
        await self.day.play([_payment_request(period["first_day"])])
        (held,) = await self.day.people.listed("cashplan", "/special-approvals")
        checks = await self.day.people.listed("cashplan", "/plan-checks", document_id="PR-4711")
        findings = checks[0]["answer"]["findings"]
        self.teller.blank()
        self.teller.heading(
            "     ", "the ERP asks whether PR-4711 may be paid: 12,000.00 CNY under contract C-7"
        )
        finding = next(each for each in findings if "C-7" in each.get("controlled_on", ""))
        self.teller.said(
            "cashplan",
            "held",
            f"{finding['effective']['amount']} are planned for {finding['controlled_on']} in {finding['period']}, "
            f"{finding['available']['amount']} available, {finding['excess']['amount']} too much",
        )
        path = f"/special-approvals/{held['approval_id']}/approve"
        approved = await self._send("he", "POST", path, {"note": "The supplier delivers early."})
        await self.day.rest()
        checks = await self.day.people.listed("cashplan", "/plan-checks", document_id="PR-4711")
        self.teller.said(
            "cashplan", checks[0]["answer"]["outcome"], f"by {approved['decided_by']}: {approved['note']}"
        )
        self._expect("the request at first", findings[-1]["outcome"], "held")
        self._expect("its excess", finding["excess"]["amount"], "2000.00")
        self._expect("the request at last", checks[0]["answer"]["outcome"], "approved")

    async def _forecast(self, period: Json) -> None:
        """Today's balance from the bank, and what comes and goes until the month after next."""
        account = {
            "entity": "E-WEST",
            "currency": "CNY",
            "bank": "ICBC",
            "name": "Main account",
            "minimum_balance": {"amount": "5000.00", "currency": "CNY"},
        }
        await self.day.play([_organisation()])
        await self._send("mei", "PUT", "/position-accounts/ICBC-1", account)
        await self.day.play([_balance("10000.00")])
        told = await self.day.people.read("cashplan", f"{self.path}/forecast?entity=E-WEST&days=60")
        rungs = {
            "pre-occupied": "held by documents",
            "plan": "left of the plan",
        }
        self.teller.blank()
        self.teller.line(
            f"West has {told['balance']} CNY in the bank and must keep {told['kept']}. 60 days, each flow once:"
        )
        self.teller.table(("", "CNY"), [(name, told["by_rung"][rung]) for rung, name in rungs.items()])
        self.teller.line(
            f"The lowest day is {told['lowest_day']} with {told['lowest_balance']} CNY; the gap is {told['gap']}, "
            f"from {told['first_day_below']} on."
        )
        await self._chart()
        self._expect("the balance", told["balance"], "10000.00")
        self._expect("held by documents", told["by_rung"]["pre-occupied"], "-12000.00")
        self._expect("left of the plan", told["by_rung"]["plan"], "26000.00")
        self._expect("first day below", told["first_day_below"], period["first_day"])
        self._expect("the gap", told["gap"], "7000.00")

    async def _chart(self) -> None:
        people = self.day.people
        url = f"{people.stack.url('cashplan')}{self.path}/forecast"
        headers = {"authorization": f"Bearer {people.tokens['audit']}"}
        asked = {"entity": "E-WEST", "days": "60", "format": "svg"}
        answer: httpx.Response = await people.client.get(url, params=asked, headers=headers)
        if answer.is_error:
            raise RequestRefused("GET", url, answer.status_code, answer.text)
        _write(CHART, answer.content)
        self.teller.line(f"As a chart: {CHART}")
        self._expect("the chart", answer.content.lstrip()[:5] in (b"<?xml", b"<svg "), True)


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _internal(side: str, other: str, week: str, amount: str) -> Json:
    return {
        "row": f"{side}-{other}",
        "item": f"internal-{side}",
        "period": week,
        "amount": amount,
        "fields": {"counterparty": other},
    }


def _headers(event_type: str, source: str) -> Json:
    return {
        "ce_specversion": "1.0",
        "ce_id": str(uuid.uuid4()),
        "ce_source": source,
        "ce_type": event_type,
        "ce_time": datetime.now(UTC).isoformat(),
        "content-type": "application/json",
    }


def _payment_request(day: str) -> Json:
    amount = {"amount": "12000.00", "currency": "CNY"}
    value = {
        "source": "erp",
        "document_type": "payment-request",
        "document_id": "PR-4711",
        "document_revision": 1,
        "operation": "submit",
        "stance": "request",
        "party": "E-WEST",
        "counterparty": "SUPPLIER-7",
        "contract_number": "C-7",
        "plan_item": "purchases",
        "currency": "CNY",
        "document_date": day,
        "lines": [{"line_id": "1", "amount": amount}],
        "total": amount,
        "posted_at": datetime.now(UTC).isoformat(),
    }
    return {
        "topic": "document-posted",
        "key": "E-WEST",
        "headers": _headers("document-posted.v1", "erp"),
        "value": value,
    }


def _organisation() -> Json:
    record = {
        "kind": "organisation",
        "name": "West",
        "organisation_type": "legal",
        "time_zone": "Asia/Shanghai",
    }
    value = {"id": "E-WEST", "version": 1, "changed_at": datetime.now(UTC).isoformat(), "record": record}
    return {
        "topic": "master-data-changed",
        "key": "E-WEST",
        "headers": _headers("master-data-changed.v1", "erp"),
        "value": value,
    }


def _balance(amount: str) -> Json:
    value = {
        "account": "ICBC-1",
        "as_of": (datetime.now(UTC) - timedelta(days=1)).date().isoformat(),
        "balance": {"amount": amount, "currency": "CNY"},
        "told_at": datetime.now(UTC).isoformat(),
    }
    return {
        "topic": "bank-balance-changed",
        "key": "ICBC-1",
        "headers": _headers("bank-balance-changed.v1", "bank/icbc"),
        "value": value,
    }
