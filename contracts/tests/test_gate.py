import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from contracts.__main__ import main

from contracts import gate

ORDER = "order-submitted.v1"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("schemas", "released", "examples"):
        shutil.copytree(gate.FOLDER / name, tmp_path / name)
    shutil.copy(gate.FOLDER / "asyncapi.json", tmp_path)
    return tmp_path


def edit(path: Path, **changes: Any) -> None:
    document = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(document | changes, ensure_ascii=False), encoding="utf-8")


def test_what_is_committed_passes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check"]) == 0
    assert capsys.readouterr().out == "contracts: schemas, examples and baseline agree\n"


def test_writing_again_changes_nothing(folder: Path) -> None:
    assert gate.write(folder) == []
    assert gate.release(folder) == []


def test_a_schema_that_the_models_do_not_say_is_stale(folder: Path) -> None:
    edit(folder / f"schemas/{ORDER}.json", description="")
    assert list(gate.findings(folder)) == [
        f"schemas/{ORDER}.json is not what the models say; run: python -m contracts schemas"
    ]
    assert gate.write(folder) == [folder / f"schemas/{ORDER}.json"]
    assert gate.findings(folder) == []


def test_a_missing_and_a_superfluous_file_are_found(folder: Path) -> None:
    (folder / "asyncapi.json").unlink()
    (folder / "schemas/order-shipped.v1.json").write_text("{}")
    assert gate.findings(folder) == [
        "asyncapi.json is missing; run: python -m contracts schemas",
        "schemas/order-shipped.v1.json has no model",
    ]


def test_a_removed_event_is_refused(folder: Path) -> None:
    (folder / "released/order-shipped.v1.json").write_text('{"title": "order-shipped.v1"}')
    assert gate.findings(folder) == [
        "order-shipped.v1: the event was removed, and older producers and consumers know it"
    ]


def test_a_broken_baseline_is_not_released_over(folder: Path) -> None:
    path = folder / f"released/{ORDER}.json"
    baseline = json.loads(path.read_text(encoding="utf-8"))
    baseline["properties"]["warehouse"] = {"type": "string"}
    path.write_text(json.dumps(baseline), encoding="utf-8")
    with pytest.raises(gate.Broken, match=r"order-submitted\.v1: warehouse was removed"):
        gate.release(folder)
    assert "warehouse" in path.read_text(encoding="utf-8")


def test_an_example_must_read_under_schema_and_model(folder: Path) -> None:
    edit(folder / f"examples/{ORDER}/odd.json", order_revision="1")
    gate.write(folder)
    found = gate.findings(folder)
    assert f"{ORDER}: example odd: $.order_revision: '1' is not of type 'integer'" in found
    assert f"{ORDER}: example odd: invalid-field: order_revision: Input should be a valid integer" in found


def test_an_example_with_an_unknown_field_is_no_example_for_producers(folder: Path) -> None:
    edit(folder / f"examples/{ORDER}/odd.json", colour="red")
    gate.write(folder)
    assert any("'colour' was unexpected" in finding for finding in gate.findings(folder))


def test_three_examples_are_asked_for(folder: Path) -> None:
    (folder / "examples/quota-low.v1/odd.json").unlink()
    gate.write(folder)
    assert gate.findings(folder) == ["quota-low.v1: has 2 golden examples, needs 3"]
