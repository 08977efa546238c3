"""Writes the dashboards: the same one for each service, and an overview. `python -m ops.grafana.generate`."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

FOLDER: Final = Path(__file__).parent / "dashboards"
SERVICES: Final = ("fund-pool", "credit", "cashplan", "sharing", "notify")
SCHEMA_VERSION: Final = 41
COLUMNS: Final = 24
DATASOURCE: Final = {"type": "prometheus", "uid": "prometheus"}
STEP: Final = "$__rate_interval"
# What machines ask is left out: /readyz answers 503 by design.
ASKED_BY_PEOPLE: Final = 'route!~"/livez|/readyz|/metrics"'

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel: PromQL expressions, each with how its series are called. `unit` is Grafana's id of it."""

    title: str
    queries: tuple[tuple[str, str], ...]
    unit: str = "short"
    kind: str = "timeseries"
    width: int = 12
    height: int = 8
    description: str = ""
    steps: tuple[tuple[str, float | None], ...] = ()


def service_panels(service: str) -> list[Panel]:
    """What there is to know about one service."""
    own = f'service="{service}"'
    return [
        *alarming_figures(own),
        rate("Records by outcome", "coffer_records_total", own, "outcome"),
        rate("Decisions by outcome", "coffer_decisions_total", own, "decision", "outcome"),
        quantiles("Time of a batch", "coffer_batch_seconds", own, "s"),
        quantiles("Statements of a batch", "coffer_batch_statements", own, "short"),
        series("Time lag", f"max by (topic) (coffer_consumer_time_lag_seconds{{{own}}})", "{{topic}}", "s"),
        series(
            "Records that wait", f"sum by (topic) (coffer:partition_waiting:records{{{own}}})", "{{topic}}"
        ),
        series("Age of the outbox", f"max(coffer_outbox_age_seconds{{{own}}})", "oldest event", "s"),
        series("Events in the outbox", f"max(coffer_outbox_rows{{{own}}})", "events"),
        rate("Events published", "coffer_relay_published_total", own, "topic"),
        increase("Dead letters by reason", "coffer_dead_letters_total", own, "reason"),
        rate("Requests by status", "coffer_http_requests_total", f"{own}, {ASKED_BY_PEOPLE}", "status"),
        slow_routes(own),
    ]


def alarming_figures(own: str) -> list[Panel]:
    """The figures on top: each that is red means an alarm."""
    dead_letters = f"sum(increase(coffer_dead_letters_total{{{own}}}[24h])) or vector(0)"
    return [
        figure("Ready instances", f"sum(coffer_ready{{{own}}})", wanted=1),
        figure("Publishing instances", f"sum(coffer_relay_leader{{{own}}})", wanted=1),
        figure("Open gaps", f"max(coffer_open_gaps{{{own}}})", red_from=1),
        figure(
            "Broken invariants", f"count(coffer_invariant_violations{{{own}}} > 0) or vector(0)", red_from=1
        ),
        figure("Dead letters, 24 h", dead_letters, red_from=1),
        figure("Latest timer", f"max(coffer_timer_overdue_seconds{{{own}}})", "s", red_from=120),
    ]


def overview_panels() -> list[Panel]:
    """All services beside one another."""
    by_service = "{{service}}"
    return [
        Panel(
            "Firing alerts",
            (('ALERTS{alertstate="firing", alertname=~"Coffer.*"}', ""),),
            kind="table",
            width=COLUMNS,
            description="Each has a page in ops/runbooks.",
        ),
        series("Ready instances", "sum by (service) (coffer_ready)", by_service),
        rate("Records", "coffer_records_total", 'outcome="applied"', "service"),
        rate("Decisions", "coffer_decisions_total", 'service=~"credit|fund-pool"', "decision", "outcome"),
        series("Time lag", "max by (service) (coffer_consumer_time_lag_seconds)", by_service, "s"),
        series("Age of the outbox", "max by (service) (coffer_outbox_age_seconds)", by_service, "s"),
        increase("Dead letters", "coffer_dead_letters_total", "", "service"),
        series(
            "Failed requests",
            "coffer:http_errors:rate5m / coffer:http_requests:rate5m",
            by_service,
            "percentunit",
        ),
        series("Memory", "max by (service) (process_resident_memory_bytes)", by_service, "bytes"),
    ]


def series(title: str, expression: str, legend: str, unit: str = "short") -> Panel:
    """A figure over time."""
    return Panel(title, ((expression, legend),), unit)


def rate(title: str, counter: str, selector: str, *labels: str) -> Panel:
    """A counter per second, by labels."""
    expression = f"sum by ({', '.join(labels)}) (rate({counter}{{{selector}}}[{STEP}]))"
    return series(title, expression, legend_of(labels), "ops")


def increase(title: str, counter: str, selector: str, *labels: str) -> Panel:
    """How often something rare happened, by labels."""
    expression = f"sum by ({', '.join(labels)}) (increase({counter}{{{selector}}}[{STEP}]))"
    return series(title, expression, legend_of(labels))


def legend_of(labels: tuple[str, ...]) -> str:
    """The values of the labels, in Grafana's words."""
    return ": ".join(f"{{{{{label}}}}}" for label in labels)


def quantiles(title: str, histogram: str, selector: str, unit: str) -> Panel:
    """Median and slowest hundredth."""
    buckets = f"sum by (le) (rate({histogram}_bucket{{{selector}}}[{STEP}]))"
    queries = (
        (f"histogram_quantile({share}, {buckets})", name) for share, name in ((0.5, "p50"), (0.99, "p99"))
    )
    return Panel(title, tuple(queries), unit)


def slow_routes(own: str) -> Panel:
    """How long the slowest hundredth of the requests takes."""
    rates = f"rate(coffer_http_request_seconds_bucket{{{own}, {ASKED_BY_PEOPLE}}}[{STEP}])"
    expression = f"histogram_quantile(0.99, sum by (le, method, route) ({rates}))"
    return series("Time of a request, p99", expression, "{{method}} {{route}}", "s")


def figure(
    title: str, expression: str, unit: str = "short", *, red_from: float = 0, wanted: float = 0
) -> Panel:
    """One number, red from a limit on, or red below what is wanted."""
    steps = (("red", None), ("green", wanted)) if wanted else (("green", None), ("red", red_from))
    return Panel(title, ((expression, ""),), unit, kind="stat", width=4, height=4, steps=steps)


def dashboard(name: str, title: str, panels: list[Panel]) -> Json:
    """The document that Grafana loads."""
    return {
        "uid": f"coffer-{name}",
        "title": title,
        "tags": ["coffer"],
        "schemaVersion": SCHEMA_VERSION,
        "editable": False,
        "refresh": "15s",
        "time": {"from": "now-1h", "to": "now"},
        "links": [{"type": "dashboards", "tags": ["coffer"], "title": "Coffer", "keepTime": True}],
        "panels": [document(panel, place) for panel, place in zip(panels, places(panels), strict=True)],
    }


def places(panels: list[Panel]) -> list[Json]:
    """Where each panel lies: from left to right, a new row when one is full."""
    found, column, row = [], 0, 0
    height = 0
    for panel in panels:
        if column + panel.width > COLUMNS:
            column, row, height = 0, row + height, 0
        found.append({"x": column, "y": row, "w": panel.width, "h": panel.height})
        column, height = column + panel.width, max(height, panel.height)
    return found


def document(panel: Panel, place: Json) -> Json:
    """One panel in Grafana's words."""
    is_table = panel.kind == "table"
    defaults: Json = {"unit": panel.unit}
    if panel.steps:
        steps = [{"color": color, "value": value} for color, value in panel.steps]
        defaults["thresholds"] = {"mode": "absolute", "steps": steps}
    return {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": DATASOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "targets": [
            {
                "refId": chr(ord("A") + number),
                "expr": expression,
                "legendFormat": legend,
                "instant": is_table,
                "format": "table" if is_table else "time_series",
            }
            for number, (expression, legend) in enumerate(panel.queries)
        ],
    }


def dashboards() -> dict[str, str]:
    """The text of each file, by its name."""
    found = {"overview.json": dashboard("overview", "Coffer", overview_panels())}
    for service in SERVICES:
        found[f"{service}.json"] = dashboard(service, f"Coffer: {service}", service_panels(service))
    return {name: json.dumps(content, indent=1) + "\n" for name, content in found.items()}


def main() -> None:
    """Write the files."""
    FOLDER.mkdir(exist_ok=True)
    for name, text in dashboards().items():
        (FOLDER / name).write_text(text)


if __name__ == "__main__":
    main()
