"""A deciding service runs the same number of statements for a batch of one record as for a batch of many."""

import urllib.request
from collections import Counter

import pytest
from prometheus_client.parser import text_string_to_metric_families

from examples.day.world import CUSTOMERS
from ops.demo.day import Day, Json
from tests.endtoend.house import House
from tests.endtoend.orders import new_orders

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.timeout(900)]

DECIDING = ("credit", "fund-pool")
FEW, MANY = 1, 100
ROUNDS = 5
MIXED = 2
"""More than a batch of either kind may cost one that holds orders and decisions: it asks what each of them needs."""
STATEMENTS = "coffer_batch_statements"
RECORDS = "coffer_batch_records"
HOT = tuple(customer.account for customer in CUSTOMERS if customer.role == "hot")

Histogram = Counter[float]
"""How many batches by the upper bound of their bucket."""


@pytest.mark.parametrize("service", DECIDING)
async def test_statements_do_not_grow_with_the_batch(prepared: House, service: str) -> None:
    prepared.forget()
    alone: Histogram = Counter()
    for _ in range(ROUNDS):
        alone += (await grown(prepared, service, orders(prepared.day, FEW)))[STATEMENTS]
    together = await grown(prepared, service, orders(prepared.day, MANY))
    assert max(together[RECORDS]) > 10, "some batches are large"
    assert max(together[STATEMENTS]) <= max(alone) + MIXED, (alone, together)


def orders(day: Day, count: int) -> list[Json]:
    """New orders of accounts that have plenty, in turn."""
    share = -(-count // len(HOT))
    return [order for account in HOT for order in new_orders(day, account, share)][:count]


async def grown(house: House, service: str, records: list[Json]) -> dict[str, Histogram]:
    """What playing these records adds to a service's histograms."""
    before = histograms(house.stack.url(service))
    async with house.playing() as day:
        await day.play(records)
    after = histograms(house.stack.url(service))
    return {name: after[name] - before[name] for name in after}


def histograms(url: str) -> dict[str, Histogram]:
    """The two histograms of a service's batches, as its /metrics tells them."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=30) as answer:
        families = list(text_string_to_metric_families(answer.read().decode()))
    return {
        family.name: _by_bucket(
            {
                float(sample.labels["le"]): int(sample.value)
                for sample in family.samples
                if sample.name.endswith("_bucket")
            }
        )
        for family in families
        if family.name in (STATEMENTS, RECORDS)
    }


def _by_bucket(up_to: dict[float, int]) -> Histogram:
    counts: Histogram = Counter()
    below = 0
    for bound, number in sorted(up_to.items()):
        counts[bound] = number - below
        below = number
    return counts
