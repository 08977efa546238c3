"""What all tests share: the fixtures of the local stack, each part started when the first test asks for it."""

import structlog

import chassis  # noqa: F401  # before pytest takes the folder chassis/ for the package
import contracts  # noqa: F401

pytest_plugins = ["ops.local.fixtures"]

structlog.configure(processors=[structlog.processors.KeyValueRenderer()])
