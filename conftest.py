"""What all tests share: the fixtures of the local stack, each part started when the first test asks for it."""

from pathlib import Path
from typing import Final

import pytest
import structlog

import chassis  # noqa: F401  # before pytest takes the folder chassis/ for the package
import contracts  # noqa: F401

pytest_plugins = ["ops.local.fixtures"]

SHARING_FOLDERS: Final = ("tests/faults", "tests/endtoend")

structlog.configure(processors=[structlog.processors.KeyValueRenderer()])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deals tests out to workers by file, but folders that share five running services whole and first."""
    shared = {config.rootpath / folder for folder in SHARING_FOLDERS}

    def group(item: pytest.Item) -> Path:
        return item.path.parent if item.path.parent in shared else item.path

    for item in items:
        item.add_marker(pytest.mark.xdist_group(str(group(item).relative_to(config.rootpath))))
    items.sort(key=lambda item: group(item) not in shared)
