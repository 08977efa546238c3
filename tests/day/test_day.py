"""The day in `examples/day` is what its source writes, well formed or broken as it says, and has one outcome."""

import json
from decimal import Decimal
from functools import cache
from itertools import pairwise
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import jsonschema
import pytest
from chassis.errors import Refused
from chassis.records import read
from contracts.codec import decode, encode

from contracts import REGISTRY
from contracts.schemas import schema
from examples.day import generate, play
from examples.day.reference import Reference
from examples.day.world import CUSTOMERS

FOLDER = Path(generate.__file__).parent
FILES = ("00-master-data", "10-payments", "20-orders", "30-evening")
BYTES_MAX = 5 * 1024 * 1024


@cache
def records(name: str) -> list[dict[str, Any]]:
    return play.load(FOLDER / f"{name}.ndjson")


def document(name: str) -> Any:
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def raw(record: dict[str, Any]) -> Any:
    message = play.message(record)
    return SimpleNamespace(**message._asdict(), partition=0, offset=0, timestamp=0)


def test_the_committed_files_are_what_the_generator_writes() -> None:
    for name, text in generate.day().items():
        assert (FOLDER / name).read_text(encoding="utf-8") == text, (
            f"{name}: run python -m examples.day.generate"
        )


def test_the_files_stay_small() -> None:
    assert sum(path.stat().st_size for path in FOLDER.glob("*json")) < BYTES_MAX


@pytest.mark.parametrize("name", FILES)
def test_well_formed_records_read_under_schema_and_chassis(name: str) -> None:
    validators = {
        contract.type: jsonschema.Draft202012Validator(schema(contract)) for contract in REGISTRY.values()
    }
    for record in records(name):
        admitted = read(raw(record), "none.redrive")
        value = record["value"].get("data", record["value"])
        validators[admitted.type].validate(value)
        assert admitted.event.key() == record["key"]
        assert decode(admitted.type, encode(admitted.event)) == admitted.event


@pytest.mark.parametrize("record", records("broken"), ids=lambda record: record["title"])
def test_broken_records_are_refused_for_the_reason_they_name(record: dict[str, Any]) -> None:
    with pytest.raises(Refused) as refused:
        read(raw(record), "none.redrive")
    assert refused.value.reason == record["expect"]
    assert refused.value.detail


def test_the_recipe_of_the_too_large_order_is_one_byte_above_one_mebibyte() -> None:
    sizes = [
        len(play.message(record).value or b"")
        for record in records("broken")
        if record["expect"] == "too-large"
    ]
    assert sizes == [1024 * 1024 + 1]


def test_there_is_something_of_everything() -> None:
    counts = document("expectations")["counts"]
    assert counts["orders"] >= 1000
    assert set(counts["currencies"]) == {"CNY", "USD", "JPY", "KWD"}
    assert len({record["expect"] for record in records("broken")}) >= 15
    assert len(CUSTOMERS) >= 40
    zones = {record["value"]["record"].get("time_zone") for record in records("00-master-data")} - {None}
    assert len(zones) >= 3
    assert {"id-conflict", "late", "revision-2-first", "cancelled-before-submitted"} <= set(counts["odd"])
    assert max(len(record["value"].get("lines", ())) for record in records("20-orders")) == 1000


def after(play_orders: Any) -> Reference:
    reference = Reference(records("00-master-data"), document("setup"))
    reference.play(records("10-payments"))
    play_orders(reference)
    return reference


def outcome(reference: Reference) -> Any:
    orders = {key: (order.status, order.paid) for key, order in reference.orders.items()}
    used = {key: amount for key, amount in reference.used.items() if amount}
    return orders, reference.purses, used, sorted(reference.notices)


@pytest.mark.parametrize("seed", range(5))
def test_the_outcome_is_the_same_however_the_services_interleave(seed: int) -> None:
    orders = records("20-orders")
    in_turn = after(lambda reference: reference.play(orders))
    interleaved = after(lambda reference: reference.play_interleaved(orders, Random(seed)))
    assert outcome(interleaved) == outcome(in_turn)


def test_playing_the_day_twice_changes_nothing() -> None:
    orders = records("20-orders")
    once = after(lambda reference: reference.play(orders))
    twice = after(lambda reference: reference.play(orders + orders))
    assert outcome(twice) == outcome(once)


def test_orders_that_share_no_limit_and_no_purse_do_not_mind_any_order() -> None:
    orders = records("20-orders")
    contended = {customer.account for customer in CUSTOMERS if customer.contended}
    independent = [record for record in orders if record["key"] not in contended]
    backwards = after(lambda reference: reference.play(independent[::-1]))
    in_turn = after(lambda reference: reference.play(independent))
    assert {key: order.status for key, order in backwards.orders.items()} == {
        key: order.status for key, order in in_turn.orders.items()
    }


def test_no_purse_passes_its_limit() -> None:
    reference = after(lambda reference: reference.play(records("20-orders")))
    for (account, kind, currency), balance in reference.purses.items():
        line = reference.lines.get((account, currency), Decimal(0)) if kind == "overdraft" else Decimal(0)
        assert balance + line >= 0


def test_shuffling_keeps_the_order_within_a_topic_and_key() -> None:
    orders = records("20-orders")
    shuffled = play.shuffled(orders, seed=7)
    assert shuffled != orders
    assert sorted(map(repr, shuffled)) == sorted(map(repr, orders))
    for lane in {(record["topic"], record["key"]) for record in orders}:
        before, after_it = (
            [each for each in played if (each["topic"], each["key"]) == lane] for played in (orders, shuffled)
        )
        assert after_it == before


def test_broken_records_are_spread_among_the_others() -> None:
    together = play.mixed(records("20-orders"), records("broken"))
    places = [index for index, record in enumerate(together) if "title" in record]
    assert len(places) == len(records("broken"))
    assert max(later - earlier for earlier, later in pairwise(places)) < 40
