"""Scoring: trees, weights, bands and grades, with worked numbers."""

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from credit.domain import scoring
from credit.domain.scoring import Band, Choice, Grade, Indicator, Scale
from hypothesis import given
from hypothesis import strategies as some

D = Decimal
GOOD_OR_BAD = Scale(options={"good": D(80), "fair": D(60), "best": D(90), "none": D(0)})
RATE = Scale(bands=[Band(None, D(50), D(0)), Band(D(50), D(90), D(60)), Band(D(90), None, D(100))])


def tree(*indicators: Indicator) -> dict[str, Indicator]:
    return {indicator.indicator_id: indicator for indicator in indicators}


TREE = tree(
    Indicator("conduct", "Conduct"),
    Indicator("punctual", "Punctual", "conduct", GOOD_OR_BAD),
    Indicator("honest", "Honest", "conduct", GOOD_OR_BAD),
    Indicator("strength", "Strength", None, GOOD_OR_BAD),
    Indicator("rate", "On-time rate", None, RATE, "on-time-payment-rate"),
)
WORKED = [
    Choice("punctual", D(50)),
    Choice("honest", D(50)),
    Choice("conduct", D(40)),
    Choice("strength", D(60)),
]


def test_the_worked_sheet_scores_82() -> None:
    nodes = scoring.build_model(TREE, WORKED)
    answers = {("ann", "punctual"): "good", ("ann", "honest"): "fair", ("ann", "strength"): "best"}
    result = scoring.score(nodes, {"ann": D(100)}, answers, {})
    assert (result.score, result.missing) == (D("82.00"), [])


def test_two_scorers_count_by_their_weights() -> None:
    nodes = scoring.build_model(TREE, [Choice("strength", D(100))])
    answers = {("ann", "strength"): "good", ("bob", "strength"): "best"}
    result = scoring.score(nodes, {"ann": D(70), "bob": D(30)}, answers, {})
    assert result.score == D("83.00"), "0.7 x 80 + 0.3 x 90"


def test_a_missing_indicator_leaves_the_sheet_incomplete() -> None:
    nodes = scoring.build_model(TREE, [Choice("strength", D(60)), Choice("rate", D(40))])
    result = scoring.score(nodes, {"ann": D(50), "bob": D(50)}, {("ann", "strength"): "good"}, {})
    assert result.score is None
    assert result.missing == [("", "rate"), ("bob", "strength")]
    fed = scoring.score(
        nodes,
        {"ann": D(50), "bob": D(50)},
        {(who, "strength"): "good" for who in ("ann", "bob")},
        {"rate": "90"},
    )
    assert fed.score == D("88.00"), "0.6 x 80 + 0.4 x 100"


@pytest.mark.parametrize(
    ("value", "score"), [("-1", 0), ("49.999", 0), ("50", 60), ("89.99", 60), ("90", 100), ("1e3", 100)]
)
def test_bands_are_closed_below_and_open_above(value: str, score: int) -> None:
    assert RATE.score(value, "rate") == score


@pytest.mark.parametrize(
    "bands",
    [
        [Band(D(5), D(5), D(1))],
        [Band(None, D(5), D(1)), Band(D(6), None, D(2))],
        [Band(None, D(5), D(1)), Band(D(4), None, D(2))],
        [Band(None, None, D(1)), Band(None, None, D(1))],
    ],
)
def test_bands_with_a_gap_or_an_overlap_are_refused(bands: list[Band]) -> None:
    with pytest.raises(scoring.BandsBroken):
        scoring.check_bands(bands)


def test_a_value_that_no_band_holds_and_an_unknown_option_are_refused() -> None:
    scale = Scale(bands=[Band(D(0), D(10), D(1))])
    with pytest.raises(scoring.AnswerRefused, match="which no band holds"):
        scale.score("10", "rate")
    with pytest.raises(scoring.AnswerRefused, match="the options are good, fair, best, none"):
        GOOD_OR_BAD.score("great", "honest")


def test_a_circle_is_named() -> None:
    circle = tree(Indicator("a", "A", "b"), Indicator("b", "B", "c"), Indicator("c", "C", "a"))
    with pytest.raises(scoring.IndicatorCycle, match="a under b under c under a"):
        scoring.check_tree(circle)
    with pytest.raises(scoring.IndicatorCycle, match="a under a"):
        scoring.check_tree(tree(Indicator("a", "A", "a")))


def test_a_parent_must_be_known_unscored_and_not_too_deep() -> None:
    with pytest.raises(scoring.UnknownIndicator):
        scoring.check_tree(tree(Indicator("a", "A", "nowhere")))
    with pytest.raises(scoring.ParentIsScored):
        scoring.check_tree(tree(Indicator("a", "A", "b"), Indicator("b", "B", None, GOOD_OR_BAD)))
    deep = [Indicator(str(level), "L", str(level - 1) if level else None) for level in range(11)]
    scoring.check_tree(tree(*deep[:10]))
    with pytest.raises(scoring.TreeTooDeep):
        scoring.check_tree(tree(*deep))


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ([Choice("strength", D(99))], "topmost indicators sum to 99 %"),
        ([*WORKED[:1], Choice("honest", D("49.5")), *WORKED[2:]], "under conduct sum to 99.5 %"),
        ([Choice("conduct", D(100))], "none of the indicators below it"),
        ([Choice("punctual", D(100)), Choice("strength", D(50))], "lacks the weight of conduct"),
        ([Choice("nothing", D(100))], "is not known"),
        ([Choice("strength", D(100), RATE)], "a scale of another kind"),
    ],
)
def test_models_that_do_not_add_up_are_refused(choices: list[Choice], message: str) -> None:
    with pytest.raises(scoring.ScoringError, match=message):
        scoring.build_model(TREE, choices)


def test_an_only_parent_comes_along_by_itself() -> None:
    nodes = scoring.build_model(TREE, [Choice("punctual", D(100))])
    assert {node.indicator_id: node.weight for node in nodes} == {"punctual": D(100), "conduct": D(100)}


def test_a_model_may_give_an_indicator_other_scores() -> None:
    nodes = scoring.build_model(TREE, [Choice("strength", D(100), Scale(options={"good": D(1)}))])
    assert scoring.score(nodes, {"ann": D(100)}, {("ann", "strength"): "good"}, {}).score == D("1.00")


@pytest.mark.parametrize(
    ("value", "rounded"), [("82.005", "82.01"), ("82.0049", "82.00"), ("0.005", "0.01"), ("-0.005", "0.00")]
)
def test_scores_round_half_up(value: str, rounded: str) -> None:
    assert scoring.half_up(Fraction(value)) == D(rounded)


GRADES = [Grade("AAA", D(90)), Grade("AA", D(80)), Grade("C", D(0))]


@pytest.mark.parametrize(
    ("score", "grade"), [("100", "AAA"), ("90", "AAA"), ("89.99", "AA"), ("79.99", "C"), ("0", "C")]
)
def test_a_grade_begins_at_its_score(score: str, grade: str) -> None:
    assert scoring.grade_of(GRADES, D(score)) == grade


@pytest.mark.parametrize(
    "grades",
    [
        [],
        [Grade("A", D(10))],
        [Grade("A", D(50)), Grade("B", D(50)), Grade("C", D(0))],
        [Grade("A", D(9)), Grade("A", D(0))],
    ],
)
def test_standards_with_holes_are_refused(grades: list[Grade]) -> None:
    with pytest.raises(scoring.GradesBroken):
        scoring.check_grades(grades)


@given(some.data())
def test_a_sheet_of_equal_scores_has_that_score_whatever_the_weights(data: Any) -> None:
    """Weights that sum to 100 % on every level average, so equal scores stay as they are."""
    score = data.draw(some.integers(0, 100))
    scale = Scale(options={"same": D(score)})
    cut = data.draw(some.integers(0, 100))
    nodes = scoring.build_model(
        tree(
            Indicator("g", "G"),
            Indicator("x", "X", "g", scale),
            Indicator("y", "Y", "g", scale),
            Indicator("z", "Z", None, scale),
        ),
        [Choice("x", D(cut)), Choice("y", D(100 - cut)), Choice("g", D(cut)), Choice("z", D(100 - cut))],
    )
    people = {"ann": D(cut), "bob": D(100 - cut)}
    answers = {(who, what): "same" for who in people for what in ("x", "y", "z")}
    assert scoring.score(nodes, people, answers, {}).score == D(score)
