"""Prints the part of requirements.lock that an image needs; standard library only, for it runs before any install.

usage: python requirements.py image|build

image: what the services and the receivers of the stack run on. build: what makes wheels of our packages.
The lock names no dependencies, so what only a left-out package needs stays in; it is small.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

BUILD = {"setuptools", "wheel"}
# The sections of requirements.in that hold what the image does without, and what it takes of them.
LEFT_OUT_SECTIONS = ("The stack without Docker", "Tests and checks", "Building the packages")
TAKEN = {"aiosmtpd", "psutil", "trustme"}

SECTION = re.compile(r"# -+ (?P<title>[^-].*?) -+$")
NAME = re.compile(r"[A-Za-z0-9._-]+")


def normal(name: str) -> str:
    """A package's name as every index spells it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def left_out(requirements: str) -> set[str]:
    """The packages of the sections that the image does without."""
    names: dict[str, set[str]] = {}
    section = ""
    for line in requirements.splitlines():
        if heading := SECTION.match(line):
            section = heading["title"]
        elif name := NAME.match(line):
            names.setdefault(section, set()).add(normal(name[0]))
    unwanted = [title for title in names if title.startswith(LEFT_OUT_SECTIONS)]
    if len(unwanted) != len(LEFT_OUT_SECTIONS):
        raise SystemExit(f"requirements.in must have the sections {', '.join(LEFT_OUT_SECTIONS)}")
    return set().union(*(names[title] for title in unwanted)) - TAKEN


def entries(lock: str) -> Iterator[tuple[str, str]]:
    """Name and text of each pinned package, its hashes included."""
    for entry in re.split(r"\n(?=[A-Za-z0-9])", lock):
        if name := NAME.match(entry):
            yield normal(name[0]), entry.rstrip()


def selected(lock: str, requirements: str, what: str) -> list[str]:
    """The entries of the lock for the image, or for building our packages."""
    unwanted = left_out(requirements)
    if what == "build":
        return [text for name, text in entries(lock) if name in BUILD]
    return [text for name, text in entries(lock) if name not in unwanted]


if __name__ == "__main__":
    lock, requirements = Path("requirements.lock").read_text(), Path("requirements.in").read_text()
    print("\n".join(selected(lock, requirements, sys.argv[1])))
