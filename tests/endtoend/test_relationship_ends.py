"""The end of a trusteeship across services: sharing asks, fund-pool and credit answer, use stops."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from ops.demo.day import Json
from ops.demo.playing import Playing
from tests.endtoend.house import House

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.timeout(900)]

WAITING = {"A-4006-KW", "A-2010-US", "A-1010-CN"}
"""Accounts of which the day leaves orders that wait for special approval."""
CENT = {"amount": "0.01", "currency": "CNY"}


async def test_a_trusteeship_ends_once_nothing_is_past_due_and_use_stops(prepared: House) -> None:
    async with prepared.playing() as day:
        manager, member = sorted(day.day.account_names().keys() - WAITING)[-2:]
        for account in (manager, member):
            day.people.tokens[account] = day.stack.token("account-user", accounts=[account], subject=account)
        day.people.tokens["billing"] = day.stack.token("billing-system", subject="billing")
        relationship = await trusteeship(day, manager, member)
        resource = await shared_resource(day, manager)
        decision = f"/accounts/{member}/resources/{resource}/decision"

        async def use() -> tuple[bool, str]:
            decided = await day.people.send(member, "GET", "sharing", decision)
            return decided["allowed"], decided["reason"]

        await day.rest()
        assert await use() == (True, "shared-with-account")

        bill = f"B-{uuid4()}"
        await day.play([issued(bill, member)])
        refused = await asked(day, member, relationship)
        answers = {each["answered_by"]: each["outcome"] for each in refused["answers"]}
        assert answers["fund-pool"] == "refused"
        assert answers.get("credit", "agreed") == "agreed", (
            "one refusal is enough; nobody waits for the other"
        )
        obstacles = [found for each in refused["answers"] for found in each["obstacles"]]
        assert [(found["code"], found["reference"]) for found in obstacles] == [("past-due-bill", bill)]
        assert (refused["outcome"], await use()) == ("refused", (True, "shared-with-account"))

        await day.play([settled(bill, member)])
        assert (await asked(day, member, relationship))["outcome"] == "ended"
        assert await use() == (False, "not-under-trusteeship")
        told = [each for each in await prepared.events("sharing-changed") if each["resource_id"] == resource]
        assert [(each["change"], each["reason"]) for each in told] == [
            ("gained", "shared-with-account"),
            ("lost", "not-under-trusteeship"),
        ]
        state = (await day.people.send(member, "GET", "sharing", relationship))["state"]
        named = relationship.rsplit("/", 1)[1]
        known = [row for row in await day.services.facts("fund-pool", "relationships") if row[0] == named]
        assert (state, [row[2] for row in known]) == ("ended", ["ended"])
    prepared.forget()


async def trusteeship(day: Playing, manager: str, member: str) -> str:
    invitation = {
        "kind": "trusteeship",
        "management_account": manager,
        "member_account": member,
        "permissions": [],
    }
    invited = await day.people.send(manager, "POST", "sharing", "/relationships", invitation)
    path = f"/relationships/{invited['relationship_id']}"
    await day.people.send(member, "POST", "sharing", f"{path}/accept", {"permissions": []})
    return path


async def shared_resource(day: Playing, manager: str) -> str:
    """A resource of the manager that each of its trustees may use."""
    resource = f"RI-{uuid4()}"
    body = {
        "version": 1,
        "owner": manager,
        "resource_type": "reserved-instance",
        "name": "Reserved Instance",
        "valid_from": "2026-01-01T00:00:00+08:00",
    }
    await day.people.send("billing", "PUT", "sharing", f"/resources/{resource}", body)
    changes = f"/accounts/{manager}/sharing/changes"
    shared = {"change": {"change": "share-types", "types": ["reserved-instance"]}}
    await day.people.send(manager, "POST", "sharing", changes, shared)
    members = [each["account"] for each in (await accounts(day, manager))["items"]]
    accepted = {"change": "accept-types", "accounts": members, "types": ["reserved-instance"]}
    await day.people.send(manager, "POST", "sharing", changes, {"change": accepted})
    return resource


async def accounts(day: Playing, manager: str) -> Any:
    return await day.people.send(manager, "GET", "sharing", f"/accounts/{manager}/sharing/accounts")


async def asked(day: Playing, member: str, relationship: str) -> Json:
    """The request to end, as it stands when every answer has come."""
    asked = await day.people.send(member, "POST", "sharing", f"{relationship}/end")
    await day.rest()
    request = f"{relationship}/end-requests/{asked['ending']}"
    return await day.people.send(member, "GET", "sharing", request)


def issued(bill: str, account: str) -> Json:
    today = datetime.now(UTC).date()
    return record(
        "bill-issued",
        {
            "bill_id": bill,
            "account": account,
            "amount": CENT,
            "issued_on": str(today - timedelta(days=30)),
            "due_on": str(today - timedelta(days=2)),
        },
    )


def settled(bill: str, account: str) -> Json:
    return record(
        "bill-settled",
        {
            "settlement_id": f"S-{bill}",
            "bill_id": bill,
            "account": account,
            "amount": CENT,
            "paid_from": "outside",
            "settled_on": str(datetime.now(UTC).date()),
        },
    )


def record(topic: str, value: Json) -> Json:
    headers = {
        "ce_specversion": "1.0",
        "ce_id": str(uuid4()),
        "ce_source": "bank-gateway",
        "ce_type": f"{topic}.v1",
        "ce_time": datetime.now(UTC).isoformat(),
        "content-type": "application/json",
    }
    return {"topic": topic, "key": value["account"], "headers": headers, "value": value}
