"""Processes that have imported one service each and fork its instances: a start without the cost of the imports.

`python tests/faults/nursery.py credit` reads a line for each wish and writes a line for each answer. An instance is
a process of its own, in a session of its own, and runs what `launch.py` runs.
"""

import gc
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ops.local.errors import StackError
from ops.local.processes import MARKER
from ops.local.stack import ROOT
from tests.faults import launch

FAILED: Final = 1
END_SECONDS: Final = 5


class Nursery:
    """The test's side: starts instances of one service, and knows how each ended."""

    def __init__(self, name: str, directory: Path) -> None:
        self.command = [sys.executable, "-m", "tests.faults.nursery", name]
        self._process = subprocess.Popen(
            self.command,
            cwd=ROOT,
            env={**os.environ, MARKER: str(directory)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._lock = threading.Lock()

    def start(self, environment: Mapping[str, str], log_file: Path, *arguments: str) -> "Instance":
        """Forks a process that runs the service's command with these arguments; its output is appended to the log."""
        environment = {**os.environ, **environment}
        answer = self._ask({"environment": environment, "log": str(log_file), "arguments": arguments})
        return Instance(self, answer["pid"])

    def exit_code(self, pid: int) -> int | None:
        code: int | None = self._ask({"ended": pid})["code"]
        return code

    def close(self) -> None:
        """Ends it; its instances are ended by whoever started them."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(END_SECONDS)

    def _ask(self, wish: Mapping[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._lock:
            if self._process.poll() is not None:
                raise StackError(f"`{' '.join(self.command)}` has ended: run it by hand to see why")
            print(json.dumps(wish), file=self._process.stdin, flush=True)
            answer: dict[str, Any] = json.loads(self._process.stdout.readline())
            return answer


@dataclass
class Instance:
    """A forked instance, as far as a stack needs to know it."""

    nursery: Nursery
    pid: int
    code: int | None = None

    def poll(self) -> int | None:
        """Its exit code (negative: the signal); None while it runs."""
        if self.code is None:
            self.code = self.nursery.exit_code(self.pid)
        return self.code


def main(name: str) -> None:
    """The nursery's side: imports once, then grants wishes until its input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    launch.install_all(name)
    assert threading.active_count() == 1, "a process with threads cannot be forked"
    gc.collect()
    gc.freeze()
    for line in sys.stdin:
        print(json.dumps(_grant(name, json.loads(line))), file=answers, flush=True)


def _grant(name: str, wish: dict[str, Any]) -> dict[str, Any]:
    if "ended" in wish:
        pid, status = os.waitpid(wish["ended"], os.WNOHANG)
        return {"code": os.waitstatus_to_exitcode(status) if pid else None}
    pid = os.fork()
    if pid == 0:
        _be_an_instance(name, wish)
    return {"pid": pid}


def _be_an_instance(name: str, wish: dict[str, Any]) -> None:
    """Leaves nothing of the nursery but what was imported, and serves; never returns."""
    code = FAILED
    try:
        os.setsid()
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        _connect(Path(wish["log"]))
        os.environ.clear()
        os.environ.update(wish["environment"])
        launch.run(name, *wish["arguments"])
        code = 0
    except SystemExit as ending:
        code = ending.code if isinstance(ending.code, int) else FAILED
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _connect(log_file: Path) -> None:
    """Standard streams to the log, and every other file of the nursery closed."""
    log = os.open(log_file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    os.closerange(3, 256)
    sys.stdout = open(1, "w", buffering=1, closefd=False)  # noqa: SIM115  # the process's own stream
    sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115


if __name__ == "__main__":
    main(sys.argv[1])
