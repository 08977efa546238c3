"""Scoring: a tree of indicators with weights, scorers with weights, and the grade that a score earns.

All numbers are exact until the very end, where the score is rounded half up to two decimals.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Final

LEVELS_MAX: Final = 10
WHOLE: Final = Decimal(100)
SCORE_DECIMALS: Final = 2

SYSTEM: Final = ""
"""Stands where a scorer would, for what the system feeds."""


class ScoringError(ValueError):
    """Base of what is wrong with indicators, models, sheets and standards; `field` says where."""

    code = "scoring-invalid"

    def __init__(self, field: str, message: str) -> None:
        self.field = field
        super().__init__(message)


class UnknownIndicator(ScoringError):
    code = "unknown-indicator"

    def __init__(self, field: str, indicator_id: str) -> None:
        super().__init__(field, f"names indicator {indicator_id}, which is not known")


class IndicatorCycle(ScoringError):
    code = "indicator-cycle"

    def __init__(self, path: Sequence[str]) -> None:
        super().__init__("parent", f"closes a circle: {' under '.join(path)}")


class TreeTooDeep(ScoringError):
    code = "tree-too-deep"

    def __init__(self, indicator_id: str) -> None:
        super().__init__("parent", f"puts {indicator_id} below level {LEVELS_MAX}, the deepest there is")


class ParentIsScored(ScoringError):
    code = "parent-is-scored"

    def __init__(self, field: str, indicator_id: str) -> None:
        message = f"makes {indicator_id} a parent, but it has a scale of its own; only one without can have children"
        super().__init__(field, message)


class BandsBroken(ScoringError):
    code = "bands-broken"


class NothingToScore(ScoringError):
    code = "nothing-to-score"

    def __init__(self, indicator_id: str) -> None:
        super().__init__("indicators", f"chooses {indicator_id}, but none of the indicators below it")


class WeightsNotWhole(ScoringError):
    code = "weights-not-whole"

    def __init__(self, field: str, of: str, total: Decimal) -> None:
        super().__init__(field, f"of {of} sum to {_plain(total)} %; 100 % would be right")


class WeightMissing(ScoringError):
    code = "weight-missing"

    def __init__(self, indicator_id: str) -> None:
        super().__init__("indicators", f"lacks the weight of {indicator_id}, which comes along as a parent")


class AnswerRefused(ScoringError):
    code = "answer-refused"


class GradesBroken(ScoringError):
    code = "grades-broken"


@dataclass(frozen=True, slots=True)
class Band:
    """Values from `at_least` (included) to `below` (left out); None is without end on that side."""

    at_least: Decimal | None
    below: Decimal | None
    score: Decimal

    def holds(self, value: Decimal) -> bool:
        return (self.at_least is None or self.at_least <= value) and (
            self.below is None or value < self.below
        )


@dataclass(frozen=True, slots=True)
class Scale:
    """What an indicator is scored by: options to choose from (qualitative) or bands of a number (quantitative)."""

    options: dict[str, Decimal] = field(default_factory=dict)
    bands: list[Band] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.options or self.bands)

    def score(self, answer: str, where: str) -> Decimal:
        """The score of an option's name or of a number as text; raises AnswerRefused."""
        if self.options:
            if answer not in self.options:
                raise AnswerRefused(where, f"is {answer!r}; the options are {', '.join(self.options)}")
            return self.options[answer]
        value = Decimal(answer)
        for band in self.bands:
            if band.holds(value):
                return band.score
        raise AnswerRefused(where, f"is {_plain(value)}, which no band holds")


@dataclass(frozen=True, slots=True)
class Indicator:
    """A node of the tree; one without scale gathers others; `provider` feeds it from the system."""

    indicator_id: str
    name: str
    parent: str | None = None
    scale: Scale = field(default_factory=Scale)
    provider: str | None = None


@dataclass(frozen=True, slots=True)
class Node:
    """An indicator in a model, with its weight among its siblings in percent."""

    indicator_id: str
    name: str
    parent: str | None
    weight: Decimal
    scale: Scale
    provider: str | None


@dataclass(frozen=True, slots=True)
class Choice:
    """An indicator that a model takes in; a scale of its own replaces the indicator's."""

    indicator_id: str
    weight: Decimal
    scale: Scale = field(default_factory=Scale)


@dataclass(frozen=True, slots=True)
class Result:
    """A score of two decimals, or what is missing for it: (scorer, indicator), the system's without scorer."""

    score: Decimal | None
    missing: list[tuple[str, str]]
    by_indicator: dict[str, Decimal]


@dataclass(frozen=True, slots=True)
class Grade:
    """A grade and the score that it begins at, included."""

    grade: str
    at_least: Decimal


def check_bands(bands: Sequence[Band], where: str = "bands") -> None:
    """Bands lie side by side, lowest first, without gap or overlap; raises BandsBroken."""
    for place, band in enumerate(bands):
        if band.at_least is not None and band.below is not None and band.at_least >= band.below:
            raise BandsBroken(
                f"{where}[{place}]", f"holds nothing: it begins at {band.at_least} and ends there"
            )
    for place, (lower, upper) in enumerate(pairwise(bands), start=1):
        if lower.below is None or upper.at_least is None or lower.below != upper.at_least:
            begin, end = _bound(upper.at_least), _bound(lower.below)
            message = (
                f"begins at {begin}, but the band before it ends at {end}; each begins where the other ends"
            )
            raise BandsBroken(f"{where}[{place}]", message)


def check_tree(tree: Mapping[str, Indicator]) -> None:
    """Every parent is known and gathers only, and no path is a circle or too deep; raises ScoringError."""
    for indicator in tree.values():
        path = [indicator.indicator_id]
        while (parent := tree[path[-1]].parent) is not None:
            if parent not in tree:
                raise UnknownIndicator("parent", parent)
            if parent in path:
                raise IndicatorCycle([*path, parent])
            if tree[parent].scale:
                raise ParentIsScored("parent", parent)
            path.append(parent)
            if len(path) > LEVELS_MAX:
                raise TreeTooDeep(indicator.indicator_id)


def build_model(tree: Mapping[str, Indicator], choices: Iterable[Choice]) -> list[Node]:
    """The nodes of a model: the chosen indicators and the parents that come along; raises ScoringError.

    A parent without a weight of its own is its level's only one, and so weighs 100 %.
    """
    chosen = {choice.indicator_id: choice for choice in choices}
    for indicator_id in chosen:
        if indicator_id not in tree:
            raise UnknownIndicator("indicators", indicator_id)
    taken = _with_parents(tree, chosen)
    siblings: dict[str | None, list[str]] = defaultdict(list)
    for indicator_id in taken:
        siblings[tree[indicator_id].parent].append(indicator_id)
    for indicator_id in taken:
        if not tree[indicator_id].scale and indicator_id not in siblings:
            raise NothingToScore(indicator_id)
    nodes = [_node(tree[each], chosen.get(each), siblings[tree[each].parent]) for each in taken]
    _check_weights(nodes)
    return nodes


def _with_parents(tree: Mapping[str, Indicator], chosen: Iterable[str]) -> list[str]:
    taken: dict[str, None] = {}
    for indicator_id in chosen:
        at: str | None = indicator_id
        while at is not None and at not in taken:
            taken[at] = None
            at = tree[at].parent
    return list(taken)


def _node(indicator: Indicator, choice: Choice | None, siblings: Sequence[str]) -> Node:
    if choice is None and len(siblings) > 1:
        raise WeightMissing(indicator.indicator_id)
    scale = choice.scale if choice is not None and choice.scale else indicator.scale
    if bool(scale.options) != bool(indicator.scale.options) or bool(scale) != bool(indicator.scale):
        raise ScoringError("indicators", f"gives {indicator.indicator_id} a scale of another kind")
    return Node(
        indicator.indicator_id,
        indicator.name,
        indicator.parent,
        choice.weight if choice is not None else WHOLE,
        scale,
        indicator.provider,
    )


def _check_weights(nodes: Sequence[Node]) -> None:
    totals: dict[str | None, Decimal] = defaultdict(Decimal)
    for node in nodes:
        totals[node.parent] += node.weight
    for parent, total in totals.items():
        if total != WHOLE:
            of = f"the indicators under {parent}" if parent is not None else "the topmost indicators"
            raise WeightsNotWhole("indicators", f"the weights {of}", total)


def check_scorers(weights: Mapping[str, Decimal]) -> None:
    """The weights of a sheet's scorers sum to 100 %; raises WeightsNotWhole."""
    total = sum(weights.values(), Decimal())
    if total != WHOLE:
        raise WeightsNotWhole("scorers", "the weights of the scorers", total)


def leaves(nodes: Iterable[Node]) -> dict[str, Node]:
    """What is scored, by its id."""
    return {node.indicator_id: node for node in nodes if node.scale}


def score(
    nodes: Sequence[Node],
    scorers: Mapping[str, Decimal],
    answers: Mapping[tuple[str, str], str],
    values: Mapping[str, str],
) -> Result:
    """The score of a sheet: `answers` by (scorer, indicator), `values` the system's by indicator.

    The sum over the tree of weight x score, the scorers' by their weights: 0.4 x (0.5 x 80 + 0.5 x 60) +
    0.6 x 90 = 82.00. Anything missing leaves the sheet without a score.
    """
    missing: list[tuple[str, str]] = []
    found: dict[str, Fraction] = {}
    for indicator_id, node in leaves(nodes).items():
        asked = {SYSTEM: WHOLE} if node.provider is not None else scorers
        lacking = [each for each in asked if _answer(each, indicator_id, answers, values) is None]
        missing += [(scorer, indicator_id) for scorer in lacking]
        if not lacking:
            found[indicator_id] = sum(
                (
                    Fraction(weight)
                    / 100
                    * Fraction(
                        node.scale.score(_answer(each, indicator_id, answers, values) or "", indicator_id)
                    )
                    for each, weight in asked.items()
                ),
                Fraction(),
            )
    by_indicator = {indicator_id: half_up(value) for indicator_id, value in found.items()}
    if missing:
        return Result(None, sorted(missing), by_indicator)
    return Result(half_up(_total(nodes, found)), [], by_indicator)


def _answer(
    scorer: str, indicator_id: str, answers: Mapping[tuple[str, str], str], values: Mapping[str, str]
) -> str | None:
    return values.get(indicator_id) if scorer == SYSTEM else answers.get((scorer, indicator_id))


def _total(nodes: Sequence[Node], found: Mapping[str, Fraction]) -> Fraction:
    children: dict[str | None, list[Node]] = defaultdict(list)
    for node in nodes:
        children[node.parent].append(node)

    def of(parent: str | None) -> Fraction:
        parts = (
            Fraction(node.weight) / 100 * (found[node.indicator_id] if node.scale else of(node.indicator_id))
            for node in children[parent]
        )
        return sum(parts, Fraction())

    return of(None)


def half_up(value: Fraction) -> Decimal:
    """Two decimals, halves up: 82.005 gives 82.01."""
    unit = 10**SCORE_DECIMALS
    return Decimal((value * unit + Fraction(1, 2)).__floor__()).scaleb(-SCORE_DECIMALS)


def check_grades(grades: Sequence[Grade]) -> None:
    """Grades come best first, each from its score on, and the last from 0 on; raises GradesBroken."""
    if not grades or grades[-1].at_least != 0:
        raise GradesBroken("grades", "leave low scores without a grade; the last one begins at 0")
    for place, (upper, lower) in enumerate(pairwise(grades), start=1):
        if lower.at_least >= upper.at_least:
            message = (
                f"begins at {lower.at_least}, not below the {upper.at_least} of the better grade before it"
            )
            raise GradesBroken(f"grades[{place}]", message)
    if len({grade.grade for grade in grades}) < len(grades):
        raise GradesBroken("grades", "name a grade twice")


def grade_of(grades: Sequence[Grade], score: Decimal) -> str:
    """The best grade whose beginning the score reaches; one below 0 has the last."""
    return next((grade.grade for grade in grades if grade.at_least <= score), grades[-1].grade)


def _bound(value: Decimal | None) -> str:
    return "no end" if value is None else _plain(value)


def _plain(value: Decimal) -> str:
    return format(value.normalize(), "f")
