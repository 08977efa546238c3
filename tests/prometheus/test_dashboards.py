"""Dashboards: generated, one per service and an overview, and loadable from files."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from ops.grafana import generate
from ops.local.services import SERVICES

GRAFANA = Path(generate.FOLDER).parent


def documents() -> dict[str, dict[str, Any]]:
    return {path.stem: json.loads(path.read_text()) for path in generate.FOLDER.glob("*.json")}


def test_the_files_are_what_the_program_writes() -> None:
    committed = {path.name: path.read_text() for path in generate.FOLDER.glob("*.json")}
    assert committed == generate.dashboards(), "run python -m ops.grafana.generate"


def test_there_is_one_dashboard_per_service_and_an_overview() -> None:
    assert set(documents()) == {service.name for service in SERVICES} | {"overview"}
    assert len({document["uid"] for document in documents().values()}) == len(SERVICES) + 1


@pytest.mark.parametrize("name", documents())
def test_panels_fill_rows_without_overlap(name: str) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in documents()[name]["panels"]:
        place = panel["gridPos"]
        cells = {
            (place["x"] + right, place["y"] + down)
            for right in range(place["w"])
            for down in range(place["h"])
        }
        assert place["x"] + place["w"] <= generate.COLUMNS
        assert not cells & taken, panel["title"]
        taken |= cells


def test_the_data_source_of_every_panel_is_provisioned() -> None:
    sources = yaml.safe_load((GRAFANA / "provisioning" / "datasources" / "prometheus.yml").read_text())
    known = {source["uid"] for source in sources["datasources"]}
    used = {panel["datasource"]["uid"] for document in documents().values() for panel in document["panels"]}
    assert used <= known
