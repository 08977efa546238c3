"""What all tests share: the fixtures of the local stack, each part started when the first test asks for it."""

from pathlib import Path
from typing import Any, Final

import pytest
import structlog
from xdist.scheduler import LoadScopeScheduling

import chassis  # noqa: F401  # before pytest takes the folder chassis/ for the package
import contracts  # noqa: F401

pytest_plugins = ["ops.local.fixtures"]

FIVE_SERVICES: Final = ("tests/faults", "tests/endtoend")
"""Folders whose tests start all services, and leave little of the machine to others of their kind."""

structlog.configure(processors=[structlog.processors.KeyValueRenderer()])


class ByFile(LoadScopeScheduling):
    """Deals tests out to workers by file, but those that run five services to one worker, one after the other."""

    def _split_scope(self, nodeid: str) -> str:
        file, _, _ = nodeid.partition("::")
        return "five services" if file.startswith(FIVE_SERVICES) else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    return ByFile(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begins with what takes longest."""
    longest = [config.rootpath / folder for folder in FIVE_SERVICES]
    items.sort(key=lambda item: _place(item.path, longest))


def _place(path: Path, folders: list[Path]) -> int:
    return next((place for place, folder in enumerate(folders) if path.is_relative_to(folder)), len(folders))
