"""The assignment of sources of money to what is owed: each source in turn gives as much as it can.

A later source never lowers what an earlier one gives; it may only move it to another debt. What results is the
lexicographically largest of all assignments that pay as much as can be paid (augmenting paths; the amounts that
sources can give together form a polymatroid, on which the greedy order is the best one).
"""

from collections import deque
from collections.abc import Sequence
from itertools import pairwise

Flow = list[list[int]]


def assign(capacities: Sequence[int], eligible: Sequence[Sequence[int]], debts: Sequence[int]) -> Flow:
    """How much each source gives to each debt; `eligible[source]` names the debts that it may pay."""
    flow = [[0] * len(debts) for _ in capacities]
    room = list(debts)
    payers: list[list[int]] = [[] for _ in debts]
    for source, capacity in enumerate(capacities):
        left = capacity - _direct(source, capacity, eligible[source], flow, room)
        while left:
            path = _path(source, eligible, flow, room, payers)
            if path is None:
                break
            left -= _augment(source, path, flow, room, left)
        for debt in eligible[source]:
            payers[debt].append(source)
    return flow


def _direct(source: int, capacity: int, debts: Sequence[int], flow: Flow, room: list[int]) -> int:
    given = 0
    for debt in debts:
        part = min(capacity - given, room[debt])
        flow[source][debt] += part
        room[debt] -= part
        given += part
    return given


def _path(
    source: int, eligible: Sequence[Sequence[int]], flow: Flow, room: list[int], payers: list[list[int]]
) -> list[tuple[int, int]] | None:
    """The shortest way to a debt with room: (payer, debt) pairs, each payer moving from the debt before."""
    came: dict[int, tuple[int, int | None]] = dict.fromkeys(eligible[source], (source, None))
    waiting = deque(eligible[source])
    while waiting:
        debt = waiting.popleft()
        if room[debt]:
            return _traced(debt, came)
        for payer in payers[debt]:
            if not flow[payer][debt]:
                continue
            for following in eligible[payer]:
                if following not in came:
                    came[following] = (payer, debt)
                    waiting.append(following)
    return None


def _traced(debt: int, came: dict[int, tuple[int, int | None]]) -> list[tuple[int, int]]:
    path = []
    at: int | None = debt
    while at is not None:
        payer, before = came[at]
        path.append((payer, at))
        at = before
    return path[::-1]


def _augment(source: int, path: list[tuple[int, int]], flow: Flow, room: list[int], most: int) -> int:
    """Pushes as much as fits along a path: each payer on it moves from the debt before to its own."""
    amount = min(most, room[path[-1][1]])
    for (_, before), (payer, _) in pairwise(path):
        amount = min(amount, flow[payer][before])
    for at, (payer, debt) in enumerate(path):
        flow[payer][debt] += amount
        if at:
            flow[payer][path[at - 1][1]] -= amount
    room[path[-1][1]] -= amount
    return amount
