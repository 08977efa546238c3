"""The people of the company at their desks: what they do is an HTTP request with the token of their role."""

import asyncio
import re
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import httpx

from examples.day import enter
from ops.demo.day import Json
from ops.local.sinks import Message, Sink
from ops.local.stack import Stack

REQUEST_SECONDS: Final = 30.0
CODE_SECONDS: Final = 30.0
POLL_SECONDS: Final = 0.2
PAGE_ITEMS: Final = 500
CODE: Final = re.compile(r"(?<![0-9A-Za-z_-])[0-9]{6}(?![0-9A-Za-z_-])")

ROLES: Final[Mapping[str, tuple[str, ...]]] = {
    "mei": ("finance-maker", "credit-manager", "treasurer", "operator"),
    "jonas": ("finance-approver",),
    "amal": ("credit-approver",),
    "lin": ("plan-administrator",),
    "he": ("planner",),
    "su": ("planner",),
    "wei": ("planner",),
    "audit": ("auditor",),
}


class RequestRefused(Exception):
    """A request of a person was not granted; says which and why."""

    def __init__(self, method: str, url: str, status: int, answer: str) -> None:
        self.status = status
        super().__init__(f"{method} {url} was answered {status}: {answer[:500]}")


class CodeMissing(Exception):
    """The code that proves an address did not arrive."""

    def __init__(self, addresses: list[str]) -> None:
        super().__init__(f"no code arrived within {CODE_SECONDS:g} s at {', '.join(addresses)}")


class People:
    """Mei enters, Jonas approves money, Amal approves orders, and the auditor reads everything."""

    def __init__(self, stack: Stack, client: httpx.AsyncClient) -> None:
        self.stack = stack
        self.client = client
        self.tokens = {name: stack.token(*roles, subject=name) for name, roles in ROLES.items()}

    async def send(self, person: str, method: str, service: str, path: str, body: Json | None = None) -> Json:
        """One request of a person; a command carries a key of its own, so that it could be repeated."""
        headers = {"authorization": f"Bearer {self.tokens[person]}", "idempotency-key": str(uuid.uuid4())}
        url = f"{self.stack.url(service)}{path}"
        answer = await self.client.request(method, url, json=body, headers=headers)
        if answer.is_error:
            raise RequestRefused(method, url, answer.status_code, answer.text)
        document: Json = answer.json()
        return document

    async def read(self, service: str, path: str) -> Json:
        """One thing, as the auditor sees it."""
        return await self.send("audit", "GET", service, path)

    async def listed(self, service: str, path: str, **wanted: str) -> list[Json]:
        """All items of a list, page by page, as the auditor sees them."""
        headers = {"authorization": f"Bearer {self.tokens['audit']}"}
        url, items, cursor = f"{self.stack.url(service)}{path}", [], ""
        while True:
            asked: dict[str, Any] = {"limit": PAGE_ITEMS, **wanted, **({"cursor": cursor} if cursor else {})}
            answer = await self.client.get(url, params=asked, headers=headers)
            if answer.is_error:
                raise RequestRefused("GET", url, answer.status_code, answer.text)
            items += answer.json()["items"]
            cursor = answer.json()["next"]
            if not cursor:
                return items

    async def enter(self, setup: Json) -> None:
        """What must be there before the day: profiles, balances, deduction orders, thresholds, contacts."""
        addresses = enter.Addresses(
            credit=self.stack.url("credit"),
            fund_pool=self.stack.url("fund-pool"),
            notify=self.stack.url("notify"),
            token=self.tokens["mei"],
            approver_token=self.tokens["jonas"],
        )
        await enter.enter(setup, addresses)
        for currency in sorted({profile["currency"] for profile in setup["credit_profiles"]}):
            await self.send("mei", "PUT", "credit", f"/approval-rights/amal/{currency}", _right(currency))

    async def verify_addresses(self, contacts: list[Json]) -> list[tuple[Json, str, Message]]:
        """Each contact asks for a code by SMS and by e-mail and tells it back; returns the messages by channel."""
        asked = [(contact, channel) for contact in contacts for channel in ("sms", "email")]
        for contact, channel in asked:
            await self.send("mei", "POST", "notify", f"{_contact_path(contact)}/{channel}/code")
        arrived = await self._codes(asked)
        for contact, channel, message in arrived:
            code = CODE.findall(message["text"])[-1]
            path = f"{_contact_path(contact)}/{channel}/code/check"
            told = await self.send("mei", "POST", "notify", path, {"code": code})
            assert told["verified"], f"the code {code} was right: {told}"
        return arrived

    async def _codes(self, asked: list[tuple[Json, str]]) -> list[tuple[Json, str, Message]]:
        deadline = time.monotonic() + CODE_SECONDS
        while True:
            last = {
                "sms": await _last_messages(self.stack.sms),
                "email": await _last_messages(self.stack.mail),
            }
            found = [
                (contact, channel, last[channel].get(_address(contact, channel)))
                for contact, channel in asked
            ]
            missing = [_address(contact, channel) for contact, channel, message in found if message is None]
            if not missing:
                return [(contact, channel, message) for contact, channel, message in found if message]
            if time.monotonic() > deadline:
                raise CodeMissing(missing)
            await asyncio.sleep(POLL_SECONDS)

    async def judge(self, source: str, order_id: str, judgement: str) -> Json:
        """Amal approves or rejects an order that waits."""
        path = f"/pending-orders/{source}/{order_id}/{judgement}"
        reason = {"approve": "A customer of ten years.", "reject": "Too much for one delivery."}[judgement]
        return await self.send("amal", "POST", "credit", path, {"reason": reason})


def _right(currency: str) -> Json:
    """How much Amal may let pass in a month."""
    return {
        "ceiling": {"amount": "1000000000", "currency": currency},
        "period": "month",
        "metrics": ["credit-limit", "single-document-limit"],
        "valid_from": "2020-01-01",
        "valid_to": "2099-12-31",
        "reason": "head of sales finance",
    }


def _contact_path(contact: Json) -> str:
    return f"/accounts/{contact['account']}/contacts/{contact['person']}"


def _address(contact: Json, channel: str) -> str:
    address: str = contact["phone"] if channel == "sms" else contact["email"]
    return address


async def _last_messages(sink: Sink) -> dict[str, Message]:
    """The newest message to each recipient."""
    messages = await asyncio.to_thread(sink.messages)
    return {message["to"]: message for message in messages}


@asynccontextmanager
async def at_work(stack: Stack) -> AsyncIterator[People]:
    """The people of a stack, for as long as the block lasts."""
    async with httpx.AsyncClient(timeout=REQUEST_SECONDS) as client:
        yield People(stack, client)
