"""What the services say of themselves, by their own command lines; nobody else reads their databases."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

SECONDS_MAX: Final = 600
SERVICES: Final = ("fund-pool", "credit", "cashplan", "sharing", "notify")


class ServiceCannotAnswer(Exception):
    """A service's command failed; says which and why."""

    def __init__(self, service: str, command: str, output: str) -> None:
        self.service = service
        last = output.strip().splitlines()[-1:] or ["it said nothing"]
        super().__init__(f"{service} could not answer `{command}`: {last[0]}")


@dataclass(frozen=True, slots=True)
class Services:
    """The five services' commands, run with each one's own database."""

    dsn_of: Mapping[str, str]

    def invariants(self, service: str) -> list[dict[str, Any]]:
        """Its own invariants: name, sentence and violations of each."""
        result = self._run(service, "verify")
        if result.returncode not in (0, 1) or not result.stdout.strip():
            raise ServiceCannotAnswer(service, "verify", result.stderr)
        checks: list[dict[str, Any]] = json.loads(result.stdout.strip().splitlines()[-1])["checks"]
        return checks

    def facts(self, service: str, name: str) -> list[list[Any]]:
        """The rows of one of its facts."""
        result = self._run(service, "facts", name)
        if result.returncode != 0:
            raise ServiceCannotAnswer(service, f"facts {name}", result.stderr)
        return [json.loads(line) for line in result.stdout.splitlines()]

    def dead_letters(self, service: str) -> frozenset[tuple[str, int, int]]:
        """The coordinates of its dead letters."""
        return frozenset((row[0], row[1], row[2]) for row in self.facts(service, "dead-letters"))

    def positions(self, service: str) -> dict[tuple[str, int], int]:
        return {(row[0], row[1]): row[2] for row in self.facts(service, "positions")}

    def _run(self, service: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = os.environ | {"COFFER_DATABASE_DSN": self.dsn_of[service]}
        return subprocess.run(
            [sys.executable, "-m", service.replace("-", "_"), *arguments],
            env=environment,
            capture_output=True,
            text=True,
            timeout=SECONDS_MAX,
            check=False,
        )


def from_environment(environment: Mapping[str, str]) -> Services:
    """The databases that the sourced `.local/env` names."""
    return Services({name: environment[f"COFFER_{name.upper().replace('-', '_')}_DSN"] for name in SERVICES})
