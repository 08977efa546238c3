"""Statistics, execution, deviations, the accuracy of rolling forecasts, and the free pivot."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final, NamedTuple

from cashplan.domain.cells import members_of
from cashplan.domain.formulas import Evaluate
from cashplan.domain.systems import Indicator, Measure, PlanningSystem

BASES: Final = ("filed", "effective", "adjusted", "pre-occupied", "actual", "available")
ROWS_MAX: Final = 50_000


class Record(NamedTuple):
    """One cell's figures, in minor units; the main layer only, so that nothing is counted twice."""

    entity: str
    filing_type: str
    item: str
    period: str
    currency: str
    members: str
    filed: int
    effective: int
    adjusted: int
    pre_occupied: int
    actual: int

    @property
    def available(self) -> int:
        return self.effective - self.pre_occupied - self.actual

    def base(self, name: str) -> int:
        return int(getattr(self, name.replace("-", "_")))

    def member(self, dimension: str) -> str:
        if dimension in ("entity", "item", "period", "currency"):
            return str(getattr(self, dimension))
        if dimension == "filing-type":
            return self.filing_type
        return members_of(self.members).get(dimension, "")


@dataclass(frozen=True)
class PivotRow:
    """The members of the row dimensions, and the measures by the members of the column dimensions."""

    members: tuple[str, ...]
    values: Mapping[tuple[str, ...], Mapping[str, int | Decimal | None]]
    total: Mapping[str, int | Decimal | None]


@dataclass(frozen=True)
class Pivot:
    rows: Sequence[PivotRow]
    columns: Sequence[tuple[str, ...]]
    measures: Sequence[str]
    total: Mapping[str, int | Decimal | None] = field(default_factory=dict)


def pivot(
    records: Iterable[Record],
    rows: Sequence[str],
    columns: Sequence[str],
    measures: Sequence[str],
    known: Mapping[str, Measure],
    indicators: Mapping[str, Indicator],
    evaluate: Evaluate,
) -> Pivot:
    """Sums of the measures over any dimensions; indicators are worked out on the sums.

    The currency is always a row dimension, so that different monies are never added.
    """
    row_names = tuple(rows) if "currency" in (*rows, *columns) else (*rows, "currency")
    sums: dict[tuple[str, ...], dict[tuple[str, ...], dict[str, int]]] = defaultdict(
        lambda: defaultdict(lambda: dict.fromkeys(BASES, 0))
    )
    for record in records:
        row = tuple(record.member(name) for name in row_names)
        place = sums[row][tuple(record.member(name) for name in columns)]
        for base in BASES:
            place[base] += record.base(base)
    show = _Shown(measures, known, indicators, evaluate)
    shown = [
        PivotRow(
            members, {column: show(cell) for column, cell in cells.items()}, show(_added(cells.values()))
        )
        for members, cells in sorted(sums.items())
    ]
    heads = sorted({column for cells in sums.values() for column in cells})
    whole = _added([cell for cells in sums.values() for cell in cells.values()])
    one_currency = len({row[row_names.index("currency")] for row in sums if "currency" in row_names}) <= 1
    return Pivot(shown, heads, list(measures), show(whole) if one_currency else {})


def _added(cells: Iterable[Mapping[str, int]]) -> dict[str, int]:
    sums = dict.fromkeys(BASES, 0)
    for cell in cells:
        for base in BASES:
            sums[base] += cell[base]
    return sums


@dataclass(frozen=True)
class _Shown:
    measures: Sequence[str]
    known: Mapping[str, Measure]
    indicators: Mapping[str, Indicator]
    evaluate: Evaluate

    def __call__(self, sums: Mapping[str, int]) -> dict[str, int | Decimal | None]:
        return {name: self._value(name, sums) for name in self.measures}

    def _value(self, name: str, sums: Mapping[str, int]) -> int | Decimal | None:
        if name in self.indicators:
            value = self.evaluate(self.indicators[name].formula, {"measure": dict(sums)})
            return None if isinstance(value, bool) else value
        base = self.known[name].base if name in self.known else name
        return sums[base]


def execution_rate(record: Record) -> Decimal | None:
    """Actual in percent of effective, two decimals; None when nothing was planned."""
    if record.effective == 0:
        return None
    return (Decimal(100 * record.actual) / record.effective).quantize(Decimal("0.01"), "ROUND_HALF_UP")


@dataclass(frozen=True, kw_only=True)
class Deviation:
    """How far an executed period is from its plan; `is_due` where a reason must be given."""

    record: Record
    minor: int
    percent: Decimal | None
    is_due: bool


def deviations(system: PlanningSystem, records: Iterable[Record]) -> list[Deviation]:
    """Actual against effective; a reason is due above both the percentage and the amount of the system."""
    percent_max = Decimal(system.basics.deviation_percent)
    limit = system.basics.deviation_amount
    found = []
    for record in records:
        minor = record.actual - record.effective
        percent = Decimal(100 * abs(minor)) / record.effective if record.effective else None
        over_percent = minor != 0 and (percent is None or percent > percent_max)
        over_amount = limit is None or limit.currency != record.currency or abs(minor) > limit.minor
        rounded = None if percent is None else percent.quantize(Decimal("0.01"), "ROUND_HALF_UP")
        found.append(
            Deviation(record=record, minor=minor, percent=rounded, is_due=over_percent and over_amount)
        )
    return found


class Forecasted(NamedTuple):
    """What a round said about a later period, how many rounds ahead, and what became of it."""

    entity: str
    rounds_ahead: int
    forecast: int
    actual: int


class Accuracy(NamedTuple):
    """100 means that forecasts came true; measured on the sum of absolute errors."""

    entity: str
    rounds_ahead: int
    compared: int
    percent: Decimal | None


def accuracy(compared: Iterable[Forecasted]) -> list[Accuracy]:
    """Per entity and distance: 100 - 100 x sum of errors / sum of actuals, not below 0; None without actuals."""
    sums: dict[tuple[str, int], list[int]] = defaultdict(lambda: [0, 0, 0])
    for entity, ahead, forecast, actual in compared:
        place = sums[entity, ahead]
        place[0] += 1
        place[1] += abs(forecast - actual)
        place[2] += abs(actual)
    return [
        Accuracy(entity, ahead, number, _percent(errors, actuals))
        for (entity, ahead), (number, errors, actuals) in sorted(sums.items())
    ]


def _percent(errors: int, actuals: int) -> Decimal | None:
    if actuals == 0:
        return None
    return max(Decimal(0), 100 - Decimal(100 * errors) / actuals).quantize(Decimal("0.01"), "ROUND_HALF_UP")
