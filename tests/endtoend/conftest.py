"""One stack for all tests here; those that look at a played day share it, the others change it knowingly."""

from collections.abc import Iterator

import pytest

from ops.demo.day import Day
from ops.local.stack import Stack
from tests.endtoend.house import House


@pytest.fixture(scope="session")
def day() -> Day:
    """The day of examples/day."""
    return Day.load()


@pytest.fixture(scope="package")
def house(day: Day) -> Iterator[House]:
    """The five services on a broker and a database of their own, in whatever state the last test left them."""
    stack = Stack.for_tests("endtoend")
    try:
        yield House(stack, day)
    finally:
        stack.discard()


@pytest.fixture
def prepared(house: House) -> House:
    """Master data, profiles, balances and contacts are known; whatever else has happened."""
    house.require("prepared")
    return house


@pytest.fixture
def played(house: House) -> House:
    """The whole day has been played in its order, and nothing that changes it since."""
    house.require("played")
    return house
