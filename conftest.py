"""What all tests share: the fixtures of the local stack, each part started when the first test asks for it."""

from typing import Final

import pytest
import structlog

import chassis  # noqa: F401  # before pytest takes the folder chassis/ for the package
import contracts  # noqa: F401

pytest_plugins = ["ops.local.fixtures"]

SHARING_FOLDERS: Final = ("tests/faults", "tests/endtoend")

structlog.configure(processors=[structlog.processors.KeyValueRenderer()])


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deals tests out to workers by file, but folders that run five services to one worker, one after the other.

    First of all hooks, because pytest-xdist reads the groups in its own.
    """
    places = {config.rootpath / folder: place for place, folder in enumerate(SHARING_FOLDERS)}
    for item in items:
        shared = item.path.parent in places
        group = "five services" if shared else str(item.path.relative_to(config.rootpath))
        item.add_marker(pytest.mark.xdist_group(group))
    items.sort(key=lambda item: places.get(item.path.parent, len(places)))
