"""What must hold between the topics and the services; each check is a pure function that returns violations."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from contracts import (
    BalanceChanged,
    CreditChecked,
    EntryPosted,
    OrderCancelled,
    OrderDecided,
    OrderSubmitted,
)
from ops.verify.log import Log, Logged

Place = tuple[str, int, int]
Fact = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """One check, the sentence that must hold, and what breaks it."""

    name: str
    sentence: str
    violations: list[str]

    @property
    def holds(self) -> bool:
        return not self.violations


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the checks look at: the topics, and what each service says of its own state."""

    log: Log
    positions: Mapping[str, Mapping[tuple[str, int], int]]
    dead_letters: Mapping[str, frozenset[Place]]
    facts: Mapping[tuple[str, str], frozenset[Fact]]


# The same fact, as two services state it: (service, its query) on either side.
AGREEMENTS: Final = (
    (
        "orders-occupy-what-was-accepted",
        "credit holds exposure for exactly the orders that fund-pool has accepted, with the same totals.",
        ("credit", "accepted-orders"),
        ("fund-pool", "accepted-orders"),
    ),
    (
        "receipts-are-what-orders-leave-unpaid",
        "cashplan expects exactly the receipts that fund-pool's decisions leave.",
        ("fund-pool", "expected-receipts"),
        ("cashplan", "expected-receipts"),
    ),
    (
        "notices-are-delivered-or-accounted-for",
        "notify has deliveries for exactly the quota-low notices that fund-pool has sent.",
        ("fund-pool", "quota-notices"),
        ("notify", "quota-notices"),
    ),
    (
        "relationships-are-known-where-they-count",
        "fund-pool knows every relationship in the state in which sharing has it.",
        ("sharing", "relationships"),
        ("fund-pool", "relationships"),
    ),
)


def every_record_is_behind_its_position(evidence: Evidence) -> Outcome:
    """Each service has read each of its partitions to the end, and never beyond it."""
    violations = []
    for service, positions in evidence.positions.items():
        for place, position in positions.items():
            end = evidence.log.ends.get(place, 0)
            if position != end:
                violations.append(f"{service}: {place[0]}/{place[1]} is at {position}, its log ends at {end}")
    return Outcome(
        "positions-at-the-end", "Every acknowledged record is behind its reader's position.", violations
    )


def every_order_event_is_answered(evidence: Evidence) -> Outcome:
    """An order event that is not in credit's dead letter has an order-decided with its revision."""
    answered = {_revision(record.event) for record in evidence.log.of("order-decided")}
    refused = evidence.dead_letters.get("credit", frozenset())
    violations = [
        f"{record.topic}/{record.partition}/{record.offset}: order {record.event.order_id!r} revision "
        f"{record.event.order_revision} of {record.event.source!r} has no answer"
        for topic in ("order-submitted", "order-cancelled", "credit.redrive")
        for record in evidence.log.of(topic)
        if isinstance(record.event, OrderSubmitted | OrderCancelled)
        and (record.topic, record.partition, record.offset) not in refused
        and _revision(record.event) not in answered
        and not _waits(evidence, record)
    ]
    return Outcome("every-order-is-answered", "Every order event has its answer.", violations)


def _waits(evidence: Evidence, record: Logged) -> bool:
    """Whether credit says that this event waits for its predecessor."""
    return _revision(record.event) in evidence.facts.get(("credit", "parked-events"), frozenset())


def _revision(event: object) -> Fact:
    assert isinstance(event, OrderSubmitted | OrderCancelled | OrderDecided | CreditChecked)
    return (event.source, event.order_id, event.order_revision)


def every_malformed_record_is_a_dead_letter(evidence: Evidence) -> Outcome:
    """A record that no contract describes lies in the dead letter of each service that reads its topic."""
    violations = [
        f"{service}: {topic}/{partition}/{offset} cannot be decoded and is in no dead letter"
        for topic, partition, offset in evidence.log.malformed
        for service, positions in evidence.positions.items()
        if (topic, partition) in positions
        and (topic, partition, offset) not in evidence.dead_letters.get(service, frozenset())
    ]
    return Outcome("malformed-records-are-kept", "Every malformed record is in a dead letter.", violations)


def every_check_is_decided_once(evidence: Evidence) -> Outcome:
    """Each (order, check number) was passed on and decided under one event id; numbers have no gap."""
    checked = _ids(evidence.log.of("credit-checked"), _check)
    decided = _ids(evidence.log.of("order-decided"), _check)
    violations = [
        f"check {key} was passed on as {len(ids)} events" for key, ids in checked.items() if len(ids) > 1
    ]
    violations += [
        f"check {key} was decided as {len(ids)} events" for key, ids in decided.items() if len(ids) > 1
    ]
    violations += [f"check {key} is not decided" for key in checked.keys() - decided.keys()]
    violations += [f"check {key} was decided and never passed on" for key in decided.keys() - checked.keys()]
    violations += _number_gaps("check", checked)
    return Outcome(
        "checks-are-decided-once", "Every check is decided once, and numbers have no gap.", violations
    )


def _check(event: object) -> Fact:
    assert isinstance(event, CreditChecked | OrderDecided)
    return (event.source, event.order_id, event.check_number)


def _ids(records: Iterable[Logged], key: Callable[[object], Fact]) -> dict[Fact, set[str]]:
    ids: dict[Fact, set[str]] = {}
    for record in records:
        ids.setdefault(key(record.event), set()).add(record.id)
    return ids


def _number_gaps(what: str, numbered: Iterable[Fact]) -> list[str]:
    """The last part of each key counts from 1 within the rest."""
    numbers: dict[Fact, set[int]] = {}
    for *owner, number in numbered:
        assert isinstance(number, int)
        numbers.setdefault(tuple(owner), set()).add(number)
    return [
        f"{what} numbers of {owner} have a gap: {sorted(found)[:20]}"
        for owner, found in numbers.items()
        if found != set(range(1, len(found) + 1))
    ]


def every_balance_follows_from_the_one_before(evidence: Evidence) -> Outcome:
    """In the order of entry numbers, each balance is the one before plus the change; no number is left out.

    An entry that touches vouchers alone is told of by entry-posted only.
    """
    entries: dict[tuple[str, str, str, int], BalanceChanged] = {}
    violations = []
    for record in evidence.log.of("balance-changed"):
        event = record.event
        assert isinstance(event, BalanceChanged)
        key = (event.account, event.account_type, event.balance.currency, event.entry_number)
        if entries.setdefault(key, event) != event:
            violations.append(f"entry {key} was published with two contents")
    balances: dict[tuple[str, str, str], int] = {}
    for key, event in sorted(entries.items()):
        purse = key[:3]
        expected = balances.get(purse, 0) + event.change.minor
        if event.balance.minor != expected:
            violations.append(
                f"entry {key} says balance {event.balance.amount}, the changes say {expected} minor units"
            )
        balances[purse] = event.balance.minor
    numbered = {(key[0], key[3]) for key in entries}
    for record in evidence.log.of("entry-posted"):
        assert isinstance(record.event, EntryPosted)
        numbered.add((record.event.account, record.event.entry_number))
    violations += _number_gaps("entry", numbered)
    return Outcome("balances-follow", "Every balance is the one before plus the change.", violations)


def services_agree(evidence: Evidence) -> list[Outcome]:
    """What two services say of the same thing is the same."""
    return [
        Outcome(name, sentence, _differences(evidence, left, right))
        for name, sentence, left, right in AGREEMENTS
    ]


def _differences(evidence: Evidence, left: tuple[str, str], right: tuple[str, str]) -> list[str]:
    ours, theirs = evidence.facts.get(left, frozenset()), evidence.facts.get(right, frozenset())
    only_left = [f"only {left[0]} has {fact}" for fact in sorted(ours - theirs, key=str)]
    only_right = [f"only {right[0]} has {fact}" for fact in sorted(theirs - ours, key=str)]
    return only_left + only_right


CHECKS: Final[Sequence[Callable[[Evidence], Outcome]]] = (
    every_record_is_behind_its_position,
    every_order_event_is_answered,
    every_malformed_record_is_a_dead_letter,
    every_check_is_decided_once,
    every_balance_follows_from_the_one_before,
)


def run_all(evidence: Evidence) -> list[Outcome]:
    """Every check over the evidence."""
    return [check(evidence) for check in CHECKS] + services_agree(evidence)
