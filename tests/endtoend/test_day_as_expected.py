"""The whole day on real brokers and databases comes out as worked out by the reference."""

from itertools import pairwise
from typing import Any, TypeVar

import pytest
from contracts.codec import decode
from contracts.event import Event

from contracts import BalanceChanged, CreditChecked, OrderDecided, OrderSubmitted
from examples.day import play
from ops.demo.verdict import findings
from ops.verify.__main__ import verify
from ops.verify.log import Logged
from tests.endtoend.house import House

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.timeout(900)]

LARGEST_LINES = 1000
ABOUT = "dead_letter_"

E = TypeVar("E", bound=Event)
OrderEvent = TypeVar("OrderEvent", OrderSubmitted, CreditChecked, OrderDecided)


async def test_the_day_matches_its_expectations(played: House) -> None:
    async with played.playing() as day:
        found = await findings(day)
    assert {finding.what: finding.differences for finding in found if not finding.as_expected} == {}
    assert len(found) == 8


async def test_every_invariant_holds(played: House) -> None:
    async with played.playing() as day:
        outcomes = await verify(day.services, played.stack.bootstrap_servers, 60)
    assert {outcome.name: outcome.violations for outcome in outcomes if not outcome.holds} == {}


async def test_each_broken_record_is_a_dead_letter_with_bytes_coordinates_and_reason(played: House) -> None:
    letters = await dead_letters(played)
    for record in played.day.broken:
        sent = play.message(record)
        for service in record["services"]:
            found = [
                letter
                for letter, about in letters[service]
                if (letter.value, letter.key) == (sent.value, sent.key)
                and about["reason"] == record["expect"]
                and about["topic"] == sent.topic
                and sent.headers == own_headers(letter)
            ]
            assert len(found) == 1, f"{record['title']} in {service}.dead-letter"


async def test_the_coordinates_of_a_dead_letter_lead_to_its_record(played: House) -> None:
    for letters in (await dead_letters(played)).values():
        for letter, about in letters[:3]:
            original = await played.record_at(about["topic"], int(about["partition"]), int(about["offset"]))
            assert (original.key, original.value) == (letter.key, letter.value)
            assert list(original.headers) == own_headers(letter)
            assert about["detail"]
            assert int(about["attempts"]) >= 1


async def test_the_neighbours_of_broken_records_are_decided(played: House) -> None:
    log = await played.log()
    answered = {(event.source, event.order_id) for event in events(log.of("order-decided"), OrderDecided)}
    submitted = {
        (record.partition, record.offset): (record.event.source, record.event.order_id)
        for record in log.of("order-submitted")
        if isinstance(record.event, OrderSubmitted)
    }
    beside = {
        submitted[place]
        for _, about in (await dead_letters(played))["credit"]
        if about["topic"] == "order-submitted"
        for offset in (int(about["offset"]) - 1, int(about["offset"]) + 1)
        if (place := (int(about["partition"]), offset)) in submitted
    }
    assert len(beside) > len(played.day.broken)
    assert beside <= answered


async def test_the_largest_legal_order_passes_through_every_topic(played: House) -> None:
    [record] = [record for record in played.day.orders if record.get("kind") == "largest"]
    source, order_id = record["value"]["source"], record["value"]["order_id"]
    log = await played.log()
    [submitted] = of_order(events(log.of("order-submitted"), OrderSubmitted), source, order_id)
    [checked] = of_order(events(log.of("credit-checked"), CreditChecked), source, order_id)
    [decided] = of_order(events(log.of("order-decided"), OrderDecided), source, order_id)
    assert checked.order is not None
    assert decided.position is not None
    assert len(submitted.lines) == len(checked.order.lines) == LARGEST_LINES
    assert {payment.line_id for payment in decided.position.payments} == {
        line.line_id for line in submitted.lines if line.amount.minor
    }
    assert decided.position.total == submitted.total
    [change] = [
        event
        for event in events(log.of("balance-changed"), BalanceChanged)
        if event.document_id.startswith(f"{source}/{order_id}")
    ]
    assert change.change.minor == -submitted.total.minor
    async with played.playing() as day:
        history = await day.people.listed("cashplan", "/pool-items/history", source=source, order_id=order_id)
    assert [step["item"]["state"] for step in history] == ["closed"]


async def test_what_outsiders_read_is_what_the_contracts_say(played: House) -> None:
    topics = ("credit-checked", "order-decided", "balance-changed", "quota-low", "notification-status")
    for record in await played.records(*topics):
        headers = {name: value.decode() for name, value in record.headers}
        if not headers:
            continue  # the day publishes an answer that no service has given
        assert headers["content-type"] == "application/json"
        assert headers["ce_specversion"] == "1.0"
        event = decode(headers["ce_type"], record.value)
        assert event.key().encode() == record.key


async def test_entries_of_an_account_are_published_in_their_order(played: House) -> None:
    log = await played.log()
    numbers: dict[str, list[int]] = {}
    for event in events(log.of("balance-changed"), BalanceChanged):
        numbers.setdefault(event.account, []).append(event.entry_number)
    assert numbers
    for account, published in numbers.items():
        assert all(earlier <= later for earlier, later in pairwise(published)), account


def own_headers(letter: Any) -> list[tuple[str, bytes | None]]:
    """The headers that the record had before it became a dead letter."""
    return [(name, value) for name, value in letter.headers if not name.startswith(ABOUT)]


async def dead_letters(house: House) -> dict[str, list[tuple[Any, dict[str, str]]]]:
    """Each service's dead letters with what is said about them."""
    found: dict[str, list[tuple[Any, dict[str, str]]]] = {}
    for service in ("fund-pool", "credit", "cashplan", "sharing", "notify"):
        for letter in await house.records(f"{service}.dead-letter"):
            about = {
                name.removeprefix(ABOUT): value.decode()
                for name, value in letter.headers
                if name.startswith(ABOUT)
            }
            found.setdefault(service, []).append((letter, about))
    return found


def events(records: list[Logged], kind: type[E]) -> list[E]:
    return [record.event for record in records if isinstance(record.event, kind)]


def of_order(found: list[OrderEvent], source: str, order_id: str) -> list[OrderEvent]:
    return [event for event in found if (event.source, event.order_id) == (source, order_id)]
