"""Medians and their intervals."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

RESAMPLES: Final = 2_000
INTERVAL: Final = 0.90
SEED: Final = 7


@dataclass(frozen=True, slots=True)
class Estimate:
    """A median with its 90 % interval, by resampling."""

    middle: float
    low: float
    high: float


def estimate(values: Sequence[float]) -> Estimate:
    """The median of the values; its interval comes from resampling them with a fixed seed."""
    source = random.Random(SEED)  # resampling, not secrecy
    medians = sorted(median(source.choices(values, k=len(values))) for _ in range(RESAMPLES))
    tail = (1 - INTERVAL) / 2
    return Estimate(median(values), medians[int(RESAMPLES * tail)], medians[int(RESAMPLES * (1 - tail)) - 1])


def percentile(values: Sequence[float], fraction: float) -> float:
    """The value below which this fraction of the values lies."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * fraction), len(ordered) - 1)]
