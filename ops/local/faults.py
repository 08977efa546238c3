"""Faults that a test orders from the mail server or the SMS gateway, and what these keep."""

import json
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

FAULTS_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Fault:
    """One way in which the next attempts go wrong.

    phase: mail, rcpt or data (after the final dot) for e-mail; send for SMS. to: a part of the recipient,
    empty for any. answer: what is answered instead, such as `451 4.3.0 later` or `503 Temporal failure, try
    again later.`; empty: the usual answer. keep: the message counts as received all the same.
    close: the connection is cut instead of any answer (e-mail). reports: the delivery reports of this
    message (SMS). times: for how many attempts, 0 for all.
    """

    phase: str
    to: str = ""
    answer: str = ""
    delay_seconds: float = 0.0
    close: bool = False
    keep: bool = False
    reports: tuple[int, ...] | None = None
    report_delay_seconds: float | None = None
    times: int = 1

    @property
    def refuses(self) -> bool:
        """Whether the message is not received."""
        return bool(self.answer or self.close) and not self.keep

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> "Fault":
        """Read what a client posted; unknown fields are an error."""
        reports = document.get("reports")
        return cls(**{**document, "reports": None if reports is None else tuple(reports)})


class FaultList:
    """The faults that are still to happen, oldest first."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def add(self, fault: Fault) -> None:
        if len(self._faults) >= FAULTS_MAX:
            raise ValueError(f"at most {FAULTS_MAX} faults can wait")
        self._faults.append(fault)

    def take(self, phase: str, to: str) -> Fault | None:
        """The first fault for this phase and recipient; it has happened once more then."""
        for index, fault in enumerate(self._faults):
            if fault.phase == phase and fault.to in to:
                self._use_up(index, fault)
                return fault
        return None

    def _use_up(self, index: int, fault: Fault) -> None:
        if fault.times == 1:
            del self._faults[index]
        elif fault.times > 1:
            self._faults[index] = replace(fault, times=fault.times - 1)

    def clear(self) -> None:
        self._faults.clear()

    def as_json(self) -> list[dict[str, Any]]:
        return [asdict(fault) for fault in self._faults]


class Journal:
    """Records kept in memory and in a file of one JSON document per line."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self.records = read_journal(path)

    def append(self, record: dict[str, Any]) -> None:
        with self._lock, self.path.open("a") as journal:
            journal.write(json.dumps(record, ensure_ascii=False) + "\n")
            self.records.append(record)

    def select(self, keep: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
        """The records that the function keeps, oldest first."""
        return [record for record in self.records if keep(record)]

    def clear(self) -> None:
        with self._lock:
            self.path.unlink(missing_ok=True)
            self.records.clear()


def read_journal(path: Path) -> list[dict[str, Any]]:
    """The whole records of a file; a last line that was cut off by a kill is left out."""
    if not path.exists():
        return []
    lines = path.read_text().splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]
