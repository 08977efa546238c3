"""Random passwords of one stack, kept in its directory and readable by its owner only."""

import json
import secrets
import threading
from pathlib import Path

USERNAME = "coffer"  # of the mail server and of the SMS gateway

_lock = threading.Lock()


def secret(directory: Path, name: str) -> str:
    """The stack's secret of this name, made at first use."""
    path = directory / "secrets.json"
    with _lock:
        known: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
        if name not in known:
            known[name] = secrets.token_urlsafe(18)
            write_private(path, json.dumps(known))
        return known[name]


def write_private(path: Path, text: str) -> None:
    """Write a file that nobody else may read, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".new")
    temporary.unlink(missing_ok=True)
    temporary.touch(mode=0o600)
    temporary.write_text(text)
    temporary.replace(path)
