"""Alert rules: each is tested by promtool, has its page, and speaks of metrics that exist."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from chassis import metrics

ROOT = Path(__file__).resolve().parents[2]
PROMETHEUS = ROOT / "ops" / "prometheus"
RUNBOOKS = ROOT / "ops" / "runbooks"
DASHBOARDS = ROOT / "ops" / "grafana" / "dashboards"
RULE_FILES = sorted((PROMETHEUS / "rules").glob("*.yml"))
TEST_FILES = sorted((PROMETHEUS / "tests").glob("*.yml"))
PROMTOOL_SECONDS = 120
SECTIONS = ("## What it means", "## How to see it", "## What to do", "## When it is over")
SEVERITIES = {"critical", "warning"}
OUR_COMMANDS = ("serve", "migrate", "verify", "gaps", "accept-gap", "dead-letters", "redrive")
OF_PROMETHEUS = {"up", "ALERTS"}
WORDS_OF_PROMQL = {
    "and",
    "by",
    "count",
    "histogram_quantile",
    "max",
    "offset",
    "or",
    "sum",
    "unless",
    "vector",
    "without",
}
SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum"), "info": ("_info",)}

Json = dict[str, Any]


def rules() -> list[Json]:
    groups = [group for path in RULE_FILES for group in yaml.safe_load(path.read_text())["groups"]]
    return [rule for group in groups for rule in group["rules"]]


def alerts() -> dict[str, Json]:
    return {rule["alert"]: rule for rule in rules() if "alert" in rule}


def expectations() -> Iterator[Json]:
    for path in TEST_FILES:
        for test in yaml.safe_load(path.read_text())["tests"]:
            yield from test["alert_rule_test"]


def known_metrics() -> set[str]:
    families = metrics.REGISTRY.collect()
    ours = {family.name + suffix for family in families for suffix in SUFFIXES.get(family.type, ("",))}
    return ours | {rule["record"] for rule in rules() if "record" in rule} | OF_PROMETHEUS


def metrics_in(expression: str) -> set[str]:
    """The names that are neither functions, nor words of PromQL, nor labels."""
    bare = re.sub(r"\"[^\"]*\"|\{[^}]*\}|\[[^\]]*\]|\b(by|without|on)\s*\([^)]*\)", " ", expression)
    names = re.findall(r"\b[A-Za-z_][\w:]*\b(?!\s*\()", bare)
    return {name for name in names if name not in WORDS_OF_PROMQL and not re.fullmatch(r"\d+\w*", name)}


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed: on Debian, apt-get install prometheus")
    return subprocess.run(
        ["promtool", *arguments], capture_output=True, text=True, timeout=PROMTOOL_SECONDS, check=False
    )


def test_prometheus_takes_its_configuration_and_rules() -> None:
    result = promtool("check", "config", PROMETHEUS / "prometheus.yml")
    assert result.returncode == 0, result.stdout + result.stderr


def test_alerts_fire_and_resolve_as_their_tests_say() -> None:
    result = promtool("test", "rules", *TEST_FILES)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("name", alerts())
def test_every_alert_is_seen_firing_and_then_resolved(name: str) -> None:
    of_alert = [entry for entry in expectations() if entry["alertname"] == name]
    firing = [index for index, entry in enumerate(of_alert) if entry["exp_alerts"]]
    assert firing, f"no test sees {name} firing"
    assert any(not entry["exp_alerts"] for entry in of_alert[firing[0] :]), f"no test sees {name} resolved"


@pytest.mark.parametrize("name", alerts())
def test_every_alert_says_what_is_wrong_and_where_to_read_on(name: str) -> None:
    alert = alerts()[name]
    assert alert["labels"]["severity"] in SEVERITIES
    assert set(alert["annotations"]) == {"summary", "description", "runbook_url"}
    assert alert["annotations"]["runbook_url"] == f"ops/runbooks/{name}.md"


@pytest.mark.parametrize("name", alerts())
def test_every_alert_has_a_page_that_says_what_to_do(name: str) -> None:
    page = (RUNBOOKS / f"{name}.md").read_text()
    assert page.startswith(f"# {name}\n")
    assert [line for line in page.splitlines() if line.startswith("## ")] == list(SECTIONS)
    assert re.search(r"docker compose|curl ", page), "the page has no command"


def test_every_page_belongs_to_an_alert() -> None:
    assert {path.stem for path in RUNBOOKS.glob("*.md")} == {*alerts(), "README"}


@pytest.mark.parametrize("path", sorted(RUNBOOKS.glob("*.md")), ids=lambda path: path.stem)
def test_pages_name_only_what_exists(path: Path) -> None:
    page = path.read_text()
    for link in re.findall(r"\]\(([\w.]+)\)", page):
        assert (RUNBOOKS / link).is_file(), link
    for command in re.findall(r"python -m (?:MODULE|credit) ([a-z-]+)", page):
        assert command in OUR_COMMANDS, command
    for metric in re.findall(r"\bcoffer[_:][\w:]+", page):
        assert metric in known_metrics(), metric


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        ("max by (service) (coffer_open_gaps) > 0", {"coffer_open_gaps"}),
        ('sum(rate(a_total{x="b"}[5m])) / a:b or vector(0) * 1e3', {"a_total", "a:b"}),
        ("time() - max(c offset 10m)", {"c"}),
    ],
)
def test_names_are_found_in_an_expression(expression: str, names: set[str]) -> None:
    assert metrics_in(expression) == names


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: str(rule.get("alert") or rule.get("record")))
def test_rules_speak_of_metrics_that_exist(rule: Json) -> None:
    names = metrics_in(rule["expr"])
    assert names
    assert names <= known_metrics()


@pytest.mark.parametrize("path", sorted(DASHBOARDS.glob("*.json")), ids=lambda path: path.stem)
def test_dashboards_speak_of_metrics_that_exist(path: Path) -> None:
    for panel in json.loads(path.read_text())["panels"]:
        for target in panel["targets"]:
            names = metrics_in(target["expr"])
            assert names, panel["title"]
            assert names <= known_metrics(), panel["title"]
