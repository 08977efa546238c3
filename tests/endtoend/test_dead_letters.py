"""A valid record on which a bug raises: its neighbours are decided, and its redrive is applied once."""

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from ops.demo.day import Json
from tests.endtoend.buggy_credit import POISONED_VARIABLE
from tests.endtoend.house import House
from tests.endtoend.orders import new_orders

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.timeout(900)]

ACCOUNT = "A-1001-CN"
COUNT = 9


@pytest.fixture
def with_bug(prepared: House) -> Iterator[tuple[House, list[Json]]]:
    """Nine orders of one account that wait for credit, which will fail on the fifth."""
    orders = new_orders(prepared.day, ACCOUNT, COUNT)
    prepared.forget()
    credit = next(service for service in prepared.stack.services() if service.name == "credit-1")
    credit.stop()
    yield prepared, orders
    prepared.stop_services()
    prepared.start_services()


async def test_a_bug_costs_its_own_record_only_and_the_redrive_is_applied_once(
    with_bug: tuple[House, list[Json]],
) -> None:
    house, orders = with_bug
    poisoned = orders[COUNT // 2]
    order_id, message = poisoned["value"]["order_id"], poisoned["headers"]["ce_id"]
    async with house.playing() as day:
        await day.publish(orders)
        buggy = house.stack.start_service(
            "credit",
            argv=["-m", "tests.endtoend.buggy_credit", "serve"],
            extra_env={POISONED_VARIABLE: order_id},
        )
        buggy.wait_ready()
        await day.rest()

        outcomes = await decisions(house, orders)
        assert outcomes == {
            order["value"]["order_id"]: ["accepted"] for order in orders if order is not poisoned
        }
        [letter] = [
            letter
            for letter in await house.records("credit.dead-letter")
            if (b"ce_id", message.encode()) in [(name.encode(), value) for name, value in letter.headers]
        ]
        about = {name: value.decode() for name, value in letter.headers}
        assert about["dead_letter_reason"] == "processing-failed"
        assert "a bug that the tests bring along" in about["dead_letter_detail"]
        assert int(about["dead_letter_attempts"]) == 2
        original = await house.record_at(
            about["dead_letter_topic"], int(about["dead_letter_partition"]), int(about["dead_letter_offset"])
        )
        assert original.value == letter.value

        buggy.stop()
        house.stack.start_service("credit").wait_ready()
        before = await cash(day)
        assert redrive(house, about["dead_letter_id"]).returncode == 0
        await day.rest()
        assert (await decisions(house, orders))[order_id] == ["accepted"]
        paid = minor(poisoned["value"]["total"]["amount"])
        assert before - await cash(day) == paid

        again = redrive(house, about["dead_letter_id"])
        assert again.returncode == 1
        assert "redriven before, by a tester" in again.stdout
        await day.play([poisoned])
        assert (await decisions(house, orders))[order_id] == ["accepted"]
        assert before - await cash(day) == paid


async def decisions(house: House, orders: list[Json]) -> dict[str, list[str]]:
    """The outcomes of these orders, one per event that decided them."""
    wanted = {order["value"]["order_id"] for order in orders}
    found: dict[str, list[str]] = {}
    for decided in await house.events("order-decided"):
        if decided["order_id"] in wanted:
            found.setdefault(decided["order_id"], []).append(decided["outcome"])
    return found


async def cash(day: Any) -> int:
    """The cash of the account in minor units."""
    answer = await day.people.read("fund-pool", f"/accounts/{ACCOUNT}/balances")
    [purse] = [purse for purse in answer["fund_accounts"] if purse["account_type"] == "cash"]
    return minor(purse["balance"]["amount"])


def minor(amount: str) -> int:
    """Minor units of an amount with two decimals."""
    return int(amount.replace(".", ""))


def redrive(house: House, dead_letter_id: str) -> subprocess.CompletedProcess[str]:
    """What an operator does when the bug is gone."""
    environment = os.environ | house.stack.service_environment("credit", "command", 0)
    return subprocess.run(
        [sys.executable, "-m", "credit", "redrive", dead_letter_id, "--by", "a tester"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
