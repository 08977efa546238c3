"""The rows of the bench: what is measured, beside which floor, and what must be reached."""

from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from typing import Final

from tests.bench.site import Site
from tests.bench.statistics import Estimate, estimate

PAIRS: Final = 7


@dataclass(frozen=True, slots=True)
class Result:
    """One measured row; `ratio` is ours over the floor, or for times our figure alone over the goal."""

    name: str
    unit: str
    ours: float
    floor: float | None
    ratio: Estimate | None
    goal: float | None
    met: bool | None

    def as_json(self) -> dict[str, object]:
        """The row as a flat object: `ratio` is the median, `ratio_low` and `ratio_high` its 90 % interval."""
        ratio = self.ratio
        return asdict(self) | {
            "ratio": None if ratio is None else ratio.middle,
            "ratio_low": None if ratio is None else ratio.low,
            "ratio_high": None if ratio is None else ratio.high,
        }


@dataclass(frozen=True, slots=True)
class Row:
    """A name by which the row can be run alone, and how it is measured."""

    name: str
    sentence: str
    measure: Callable[[Site, int], Awaitable[list[Result]]]


def ratio_row(name: str, unit: str, ours: list[float], floor: list[float], goal: float | None) -> Result:
    """Pairs of alternating runs as one row; a goal is missed only when the whole interval lies below it."""
    ratio = estimate([a / b for a, b in zip(ours, floor, strict=True)])
    met = None if goal is None else ratio.high >= goal
    return Result(name, unit, estimate(ours).middle, estimate(floor).middle, ratio, goal, met)


def time_row(name: str, milliseconds: float, goal: float | None) -> Result:
    """A time in milliseconds that must stay below its goal."""
    met = None if goal is None else milliseconds < goal
    return Result(name, "ms", milliseconds, None, None, goal, met)
