"""Enters `setup.json` over HTTP, as credit, finance and treasury people would: it imports nothing of Coffer.

`python examples/day/enter.py` takes COFFER_CREDIT_URL, COFFER_FUND_POOL_URL, COFFER_NOTIFY_URL, COFFER_TOKEN, and
COFFER_APPROVER_TOKEN of another person: an opening balance import is approved by somebody who has not made it.
Entering it twice changes nothing but the balances, which are refused the second time.
"""

import asyncio
import json
import os
import uuid
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

SETUP = Path(__file__).with_name("setup.json")
REASON = "as agreed for the year"

Json = dict[str, Any]  # Any: a JSON document


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the services are, and who asks: the two tokens belong to different people."""

    credit: str
    fund_pool: str
    notify: str
    token: str
    approver_token: str

    @classmethod
    def of_environment(cls) -> "Addresses":
        """As `.local/env` names them."""
        env = os.environ
        return cls(
            credit=env["COFFER_CREDIT_URL"],
            fund_pool=env["COFFER_FUND_POOL_URL"],
            notify=env["COFFER_NOTIFY_URL"],
            token=env["COFFER_TOKEN"],
            approver_token=env["COFFER_APPROVER_TOKEN"],
        )


async def enter(setup: Json, addresses: Addresses) -> Counter[str]:
    """Enters everything; returns how many of each kind. Raises httpx.HTTPStatusError with the problem's text."""
    async with httpx.AsyncClient(timeout=30) as client:
        desk = _Desk(client, addresses)
        await desk.credit_profiles(setup["credit_profiles"])
        await desk.opening_balances(setup["opening_balances"])
        await desk.deduction_orders(setup["deduction_orders"])
        await desk.alert_thresholds(setup["alert_thresholds"])
        await desk.contacts(setup["contacts"])
    return Counter({kind: len(entries) for kind, entries in setup.items()})


class _Desk:
    """Sends one request per entry."""

    def __init__(self, client: httpx.AsyncClient, addresses: Addresses) -> None:
        self.client = client
        self.addresses = addresses

    async def send(self, method: str, url: str, body: Json, token: str | None = None) -> Json:
        """One command; a POST carries the key that makes it safe to repeat."""
        headers = {"authorization": f"Bearer {token or self.addresses.token}"}
        if method == "POST":
            headers["idempotency-key"] = str(uuid.uuid4())
        answer = await self.client.request(method, url, json=body, headers=headers)
        if answer.is_error:
            raise httpx.HTTPStatusError(
                f"{method} {url}: {answer.status_code} {answer.text}", request=answer.request, response=answer
            )
        answered: Json = answer.json()
        return answered

    async def credit_profiles(self, profiles: list[Json]) -> None:
        for profile in profiles:
            body = {name: part for name, part in profile.items() if name not in ("customer", "currency")}
            url = f"{self.addresses.credit}/customers/{profile['customer']}/profiles/{profile['currency']}"
            await self.send("PUT", url, body | {"reason": REASON})

    async def opening_balances(self, rows: list[Json]) -> None:
        url = f"{self.addresses.fund_pool}/opening-balance-imports"
        draft = await self.send("POST", url, {"rows": rows})
        approval = f"{url}/{draft['import_id']}/approve"
        await self.send("POST", approval, {}, self.addresses.approver_token)

    async def deduction_orders(self, entries: list[Json]) -> None:
        for entry in entries:
            of_customer = f"/customers/{entry['customer']}" if "customer" in entry else ""
            url = (
                f"{self.addresses.fund_pool}/deduction-orders/{entry['settlement_organisation']}{of_customer}"
            )
            await self.send("PUT", url, {"account_types": entry["account_types"]})

    async def alert_thresholds(self, entries: list[Json]) -> None:
        for entry in entries:
            account, currency = entry["account"], entry["threshold"]["currency"]
            url = f"{self.addresses.fund_pool}/accounts/{account}/quota-alerts/{currency}"
            await self.send("PUT", url, {"threshold": entry["threshold"]})

    async def contacts(self, entries: list[Json]) -> None:
        for entry in entries:
            body = {name: part for name, part in entry.items() if name not in ("account", "person")}
            url = f"{self.addresses.notify}/accounts/{entry['account']}/contacts/{entry['person']}"
            await self.send("PUT", url, body)


def main() -> None:
    """Enters the setup and says how much it was."""
    setup = json.loads(SETUP.read_text(encoding="utf-8"))
    for kind, count in asyncio.run(enter(setup, Addresses.of_environment())).items():
        print(f"{count:4} {kind.replace('_', ' ')}")


if __name__ == "__main__":
    main()
