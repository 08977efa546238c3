"""One fleet for all tests of faults: five services, two instances each, with accounts, money, limits and people."""

import os
import re
from collections.abc import Iterator, Mapping
from typing import Final
from uuid import uuid4

import httpx
import pytest

from ops.local.stack import Stack
from ops.local.waiting import together, wait_until
from tests.faults.fleet import Fleet
from tests.faults.streams import Commander, Relationships, Stream, publish_now
from tests.faults.traffic import (
    ACCOUNTS,
    CURRENCY,
    HOT,
    HOT_LIMIT,
    LOW,
    LOW_THRESHOLD,
    customer_of,
)

CODE: Final = re.compile(r"(?<![0-9A-Za-z_-])[0-9]{6}(?![0-9A-Za-z_-])")


@pytest.fixture(scope="package")
def running_fleet() -> Iterator[Fleet]:
    """The fleet, set up once; broker, database and services are processes of their own."""
    fleet = Fleet(Stack.for_tests(f"faults-{os.getpid()}"))
    try:
        fleet.prepare()
        servers = fleet.stack.bootstrap_servers
        publish_now(servers, fleet.traffic.opening())
        fleet.start_missing()
        fleet.drain()
        publish_now(servers, fleet.traffic.opening_payments())
        enter_setup(fleet)
        fleet.drain()
        yield fleet
    finally:
        fleet.close()


@pytest.fixture
def fleet(running_fleet: Fleet) -> Iterator[Fleet]:
    """The fleet with every instance up, two in each group, and no fault ordered."""
    running_fleet.disarm()
    running_fleet.start_missing()
    running_fleet.wait_shared()
    yield running_fleet
    running_fleet.disarm()
    for process in running_fleet.processes.values():
        process.resume()


@pytest.fixture(scope="package")
def relationships() -> Relationships:
    return Relationships()


@pytest.fixture
def stream(fleet: Fleet) -> Stream:
    """Orders, cancellations, payments, master data, repeats and broken records, while the block runs."""
    return Stream(fleet.stack.bootstrap_servers, fleet.traffic.stream(), fleet.acknowledged)


@pytest.fixture
def commander(fleet: Fleet, relationships: Relationships) -> Commander:
    """Invitations, acceptances and endings over HTTP, while the block runs."""
    urls = [process.url for process in fleet.both("sharing")]
    return Commander(urls, fleet.stack.token("administrator"), relationships)


def enter_setup(fleet: Fleet) -> None:
    """Limits in credit, thresholds in fund-pool, and verified people in notify."""
    token = fleet.stack.token("administrator")
    with httpx.Client(headers={"Authorization": f"Bearer {token}"}, timeout=20) as client:
        for account in ACCOUNTS:
            limit = (
                {"amount": f"{HOT_LIMIT / 100:.2f}", "currency": CURRENCY}
                if account == HOT[0]
                else "unlimited"
            )
            _put(
                client,
                f"{fleet.url('credit')}/customers/{customer_of(account)}/profiles/{CURRENCY}",
                {"credit_limit": {"limit": limit, "enforcement": "reject"}, "reason": "for the faults"},
            )
        for number, account in enumerate(LOW, start=1):
            threshold = {"amount": f"{LOW_THRESHOLD / 100:.2f}", "currency": CURRENCY}
            _put(
                client,
                f"{fleet.url('fund-pool')}/accounts/{account}/quota-alerts/{CURRENCY}",
                {"threshold": threshold},
            )
            _enter_person(client, fleet, account, number)


def _enter_person(client: httpx.Client, fleet: Fleet, account: str, number: int) -> None:
    phone, email = f"+861380013800{number}", f"treasurer-{number}@faults.test"
    person = f"{fleet.url('notify')}/accounts/{account}/contacts/P-{number}"
    body = {
        "name": f"Treasurer {number}",
        "language": "en" if number % 2 else "zh-CN",
        "time_zone": "Asia/Shanghai",
        "phone": phone,
        "email": email,
        "security": True,
    }
    _put(client, person, body)
    together(
        lambda: _verify_address(client, f"{person}/sms", fleet.stack.sms.wait_for, phone),
        lambda: _verify_address(client, f"{person}/email", fleet.stack.mail.wait_for, email),
    )


def _verify_address(client: httpx.Client, url: str, wait_for: object, address: str) -> None:
    _post(client, f"{url}/code", None)
    assert callable(wait_for)
    [message] = wait_for(address)
    found = CODE.search(message["text"])
    assert found is not None, message["text"]
    code = {"code": found.group()}
    wait_until(lambda: _post(client, f"{url}/code/check", code)["verified"], 10, "The proof of an address")


def _put(client: httpx.Client, url: str, body: Mapping[str, object]) -> None:
    answer = client.put(url, json=body)
    assert answer.is_success, f"{url}: {answer.status_code} {answer.text}"


def _post(client: httpx.Client, url: str, body: Mapping[str, object] | None) -> dict[str, object]:
    answer = client.post(url, json=body, headers={"Idempotency-Key": str(uuid4())})
    assert answer.is_success, f"{url}: {answer.status_code} {answer.text}"
    document: dict[str, object] = answer.json()
    return document
