"""How measured runs become rows, and rows become results that a program can read."""

import json
from pathlib import Path

import pytest

from tests.bench.__main__ import verdict, write
from tests.bench.rows import ratio_row, time_row
from tests.bench.statistics import estimate, percentile

MISSED = ratio_row("slow", "records/s", [40.0, 41.0, 42.0], [100.0, 100.0, 100.0], 0.5)
REACHED = ratio_row("fast", "records/s", [60.0, 61.0, 62.0], [100.0, 100.0, 100.0], 0.5)


def test_the_median_of_ratios_stands_between_the_ends_of_its_interval() -> None:
    found = estimate([0.4, 0.5, 0.6, 0.5, 0.5, 0.7, 0.3])
    assert found.middle == 0.5
    assert found.low <= found.middle <= found.high


def test_a_percentile_is_a_value_that_was_measured() -> None:
    assert percentile([float(n) for n in range(1, 101)], 0.99) == 100.0
    assert percentile([3.0, 1.0, 2.0], 0.5) == 2.0


@pytest.mark.parametrize(
    ("ours", "met"),
    [([49.0, 50.0, 51.0], True), ([40.0, 49.0, 60.0], True), ([40.0, 41.0, 49.0], False)],
    ids=["around the goal", "an interval that reaches it", "wholly below"],
)
def test_a_goal_is_missed_only_when_the_whole_interval_is_below(ours: list[float], met: bool) -> None:
    assert ratio_row("row", "records/s", ours, [100.0] * 3, 0.5).met is met


def test_a_time_must_stay_below_its_goal() -> None:
    assert time_row("p99", 149.9, 150.0).met is True
    assert time_row("p99", 150.0, 150.0).met is False
    assert time_row("p50", 150.0, None).met is None


def test_a_missed_goal_fails_only_where_it_was_asked_for() -> None:
    assert verdict([REACHED, MISSED], strict=True) == 1
    assert verdict([REACHED, MISSED], strict=False) == 0
    assert verdict([REACHED], strict=True) == 0


def test_results_are_kept_by_name_and_a_row_that_is_run_alone_replaces_only_itself(tmp_path: Path) -> None:
    path = tmp_path / "bench.json"
    write([MISSED, REACHED], path)
    write([ratio_row("slow", "records/s", [70.0] * 3, [100.0] * 3, 0.5)], path)
    slow, fast = json.loads(path.read_text())
    assert {"name", "ours", "floor", "ratio", "goal", "met"} <= slow.keys()
    assert (slow["name"], slow["ratio"], slow["met"]) == ("slow", 0.7, True)
    assert (fast["ours"], fast["floor"], fast["ratio"], fast["goal"]) == (61.0, 100.0, 0.61, 0.5)
