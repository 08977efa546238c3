"""What can go wrong with the local stack, each told in a sentence that says what to do."""

from pathlib import Path

LOG_LINES_SHOWN = 5


class StackError(Exception):
    """Base of everything that the local stack reports to the person who uses it."""


class PortBusyError(StackError):
    """A port that a part of the stack needs is taken by somebody else."""

    def __init__(self, port: int, needed_by: str, variable: str, holder: str) -> None:
        self.port = port
        self.needed_by = needed_by
        self.variable = variable
        super().__init__(
            f"Port {port} is needed by {needed_by}, but {holder} has it: "
            f"stop that, or choose another port with {variable}=NUMBER."
        )


class ProcessDiedError(StackError):
    """A process ended before it was ready."""

    def __init__(self, name: str, log_file: Path) -> None:
        self.name = name
        self.log_file = log_file
        super().__init__(f"{name} ended before it was ready; {log_file} says:\n{last_lines(log_file)}")


class NotReadyError(StackError):
    """Something did not become true in time."""

    def __init__(self, what: str, timeout_seconds: float, detail: str = "") -> None:
        super().__init__(f"{what} did not happen within {timeout_seconds:g} s{detail and ': ' + detail}")


class DidNotStopError(StackError):
    """A process ignored the request to stop, and was killed."""

    def __init__(self, name: str, timeout_seconds: float) -> None:
        super().__init__(f"{name} did not stop within {timeout_seconds:g} s and was killed")


class NotOursError(StackError):
    """A server that the environment points at is not this stack's to stop or start."""

    def __init__(self, variable: str) -> None:
        super().__init__(f"The server that {variable} names is not this stack's to stop or start.")


def last_lines(log_file: Path, count: int = LOG_LINES_SHOWN) -> str:
    """The end of a log, indented."""
    if not log_file.exists():
        return "  (no log)"
    lines = log_file.read_text(errors="replace").splitlines()[-count:]
    return "\n".join(f"  {line}" for line in lines) or "  (an empty log)"
