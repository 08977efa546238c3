"""Make this checkout ready to run: the virtual environment, our packages, the broker's jars.

Needs nothing but Python's standard library, and returns at once when all is there already. What a
failure means is said in one sentence, and the exit code is 1.
"""

import sys

OLDEST_PYTHON = (3, 11)
NEWEST_PYTHON = (3, 13)  # PostgreSQL's wheel is made for no later one

# Imports and syntax below are read by any Python 3, so that one that is too old can say so.
import contextlib
import fcntl
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Dict, Iterator, List, Mapping, NoReturn, Optional, Sequence, Tuple, Union

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "coffer-setup.json"
LOG = VENV / "coffer-setup.log"
LOCK = ROOT / "requirements.lock"
KAFKA_SPECIFICATION = ROOT / "ops" / "local" / "kafka"
KAFKA_HOME = VENV / "kafka"
PACKAGES = (
    "contracts",
    "chassis",
    "services/fund-pool",
    "services/credit",
    "services/cashplan",
    "services/sharing",
    "services/notify",
)
FREE_BYTES_MIN = 1_500_000_000
STEP_SECONDS_MAX = 900
PROGRESS_SECONDS = 10
DOWNLOAD_ATTEMPTS = 3

# What a tool's output says, and what the person can do about it.
EXPLANATIONS = (
    (("no space left", "disk quota"), "The disk is full: free at least 1.5 GB for {root} and run this again."),
    (
        ("hash mismatch", "do not match the hashes", "checksum mismatch"),
        "A downloaded package is not the one that requirements.lock names (its hash differs): "
        "run this again, and if it stays so, find out which registry or proxy changed it.",
    ),
    (
        ("name or service not known", "name resolution", "dns error", "connection refused", "connecterror",
         "connection error", "failed to fetch", "failed to download", "max retries", "timed out", "tunnel",
         "could not find a version", "failed to resolve", "certificate verify failed"),
        "The package registries cannot be reached: check the network (and pip's proxy and index settings) "
        "and run this again.",
    ),
    (
        ("no matching distribution", "no wheels with a matching", "not a supported wheel"),
        "A package has no ready-made form for this system: use Linux or macOS on x86-64 or ARM64.",
    ),
)  # fmt: skip

Command = Sequence[Union[str, Path]]


class SetupError(Exception):
    """Setup cannot go on; the message is one sentence for the person who ran it."""


def fits(version: Sequence[int]) -> bool:
    return OLDEST_PYTHON <= tuple(version[:2]) <= NEWEST_PYTHON


def version_of(python: str) -> Optional[Tuple[int, ...]]:
    """The (major, minor) of an interpreter on the PATH, or None if it does not run."""
    command = [python, "-c", "import sys; print(*sys.version_info[:2])"]
    try:
        output = subprocess.check_output(command, stderr=subprocess.DEVNULL, timeout=30)
        return tuple(int(part) for part in output.split())
    except (OSError, subprocess.SubprocessError, ValueError):
        return None


def go_on_with_a_fitting_python() -> NoReturn:
    """Replace this process by a Python that fits, when this one is too old or too new."""
    for minor in range(NEWEST_PYTHON[1], OLDEST_PYTHON[1] - 1, -1):
        other = "python3.{}".format(minor)
        if version_of(other) == (3, minor):
            os.execvp(other, [other, *sys.argv])
    raise SetupError(
        "Python {}.{} is here, but Coffer needs 3.11, 3.12 or 3.13: install one of them "
        "(or name it: make setup PYTHON=/path/to/python3.13).".format(*sys.version_info[:2])
    )


def check_machine() -> None:
    if importlib.util.find_spec("ensurepip") is None or importlib.util.find_spec("venv") is None:
        raise SetupError(
            "Python's venv module is missing: install it (on Debian and Ubuntu: "
            "apt-get install python3-venv) and run this again."
        )
    free = shutil.disk_usage(ROOT).free
    if free < FREE_BYTES_MIN:
        raise SetupError(
            "Only {:.1f} GB are free on the disk of {}: free at least {:.1f} GB and run this again.".format(
                free / 1e9, ROOT, FREE_BYTES_MIN / 1e9
            )
        )
    if not os.access(ROOT, os.W_OK):
        raise SetupError("{} is not writable for this user: change its owner or use a copy.".format(ROOT))


def explain(title: str, output: str) -> str:
    lowered = output.lower()
    for signs, sentence in EXPLANATIONS:
        if any(sign in lowered for sign in signs):
            return sentence.format(root=ROOT)
    lines = [line for line in output.splitlines() if line.strip()]
    return "{} failed: {} (all of it: {})".format(title, lines[-1].strip() if lines else "no output", LOG)


def say(text: str) -> None:
    print(text, flush=True)


def start(
    command: Command, environment: Optional[Mapping[str, str]] = None, folder: Path = ROOT
) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [str(part) for part in command],
        cwd=str(folder),
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=LOG.open("ab"),
        stderr=subprocess.STDOUT,
    )


def finish(title: str, process: "subprocess.Popen[bytes]") -> int:
    """Wait for a step and say now and then that it still runs; its output goes to the log."""
    began = time.monotonic()
    while True:
        try:
            code = process.wait(timeout=PROGRESS_SECONDS)
            break
        except subprocess.TimeoutExpired:
            elapsed = time.monotonic() - began
            if elapsed > STEP_SECONDS_MAX:
                process.kill()
                raise SetupError("{} took more than {} s and was stopped.".format(title, STEP_SECONDS_MAX))
            say("  ... {} ({:.0f} s)".format(title, elapsed))
    return code


def run(
    title: str, command: Command, environment: Optional[Mapping[str, str]] = None, folder: Path = ROOT
) -> None:
    offset = LOG.stat().st_size if LOG.exists() else 0
    if finish(title, start(command, environment, folder)) != 0:
        raise SetupError(explain(title, log_since(offset)))


def log_since(offset: int) -> str:
    with LOG.open("rb") as log:
        log.seek(offset)
        return log.read().decode("utf-8", "replace")


def digest(*parts: object) -> str:
    total = hashlib.sha256()
    for part in parts:
        total.update(part if isinstance(part, bytes) else str(part).encode())
        total.update(b"\0")
    return total.hexdigest()


def present_packages() -> List[str]:
    return [name for name in PACKAGES if (ROOT / name / "pyproject.toml").is_file()]


def wanted() -> Dict[str, str]:
    """What each part is made from: a part is made again when its digest is another."""
    environment = digest(ROOT, sys.version_info[:2])
    packages = present_packages()
    definitions = [(ROOT / name / "pyproject.toml").read_bytes() for name in packages]
    return {
        "environment": environment,
        "requirements": digest(environment, LOCK.read_bytes()),
        "packages": digest(environment, *packages, *definitions),
        "kafka": digest(environment, (KAFKA_SPECIFICATION / "jgo.lock.toml").read_bytes()),
    }


def made() -> Dict[str, str]:
    """The digests of what the last run left behind."""
    try:
        stamp = json.loads(STAMP.read_text())
        return stamp if PYTHON.exists() and isinstance(stamp, dict) else {}
    except (OSError, ValueError):
        return {}


def remember(part: str, value: str) -> None:
    stamp = dict(made(), **{part: value})
    temporary = STAMP.with_suffix(".new")
    temporary.write_text(json.dumps(stamp))
    temporary.replace(STAMP)


def installer_environment() -> Dict[str, str]:
    """The environment for uv and jgo, with the index and the certificates that pip is set up with."""
    environment = dict(os.environ, UV_PYTHON_DOWNLOADS="never", UV_LINK_MODE="copy")
    listing = subprocess.run(
        [str(PYTHON), "-m", "pip", "config", "list"], capture_output=True, check=False, timeout=60
    ).stdout.decode("utf-8", "replace")
    names = {
        "index-url": ("UV_DEFAULT_INDEX",),
        "extra-index-url": ("UV_INDEX",),
        "cert": ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"),
    }
    for line in listing.splitlines():
        key, _, value = line.partition("=")
        for variable in names.get(key.rpartition(".")[2], ()):
            environment.setdefault(variable, value.strip("'\""))
    return environment


def locked_lines(package: str) -> List[str]:
    """The lines of the lock that pin one package, with its hashes."""
    lines, inside = [], False
    for line in LOCK.read_text().splitlines():
        inside = line.startswith(package + "==") or (inside and line.startswith(" "))
        if inside:
            lines.append(line)
    return lines


def make_environment() -> None:
    say("Making .venv with Python {}.{} ...".format(*sys.version_info[:2]))
    shutil.rmtree(str(VENV), ignore_errors=True)
    VENV.mkdir(parents=True)
    run("Making the virtual environment", [sys.executable, "-m", "venv", VENV])
    with tempfile.TemporaryDirectory() as folder:
        only_uv = Path(folder) / "uv.txt"
        only_uv.write_text("\n".join(locked_lines("uv")) + "\n")
        run("Installing the installer", pip("install", "--require-hashes", "-r", only_uv))


def install_requirements() -> None:
    say("Installing the packages of requirements.lock ...")
    install("Installing the packages", "--require-hashes", "-r", LOCK)


def pip(*arguments: Union[str, Path]) -> Command:
    return [PYTHON, "-m", "pip", "--no-input", "--disable-pip-version-check", *arguments]


def install(title: str, *arguments: Union[str, Path]) -> None:
    """Install by uv, which takes seconds; by pip, which takes a minute, where uv fails."""
    uv = [VENV / "bin" / "uv", "pip", "install", "--no-progress", "--python", PYTHON, *arguments]
    try:
        run(title, uv, installer_environment())
    except (SetupError, OSError):
        say("  {} another way (a minute or two) ...".format(title))
        options = [argument for argument in arguments if argument != "--reinstall"]
        run(title, pip("install", *options))


def install_our_packages() -> None:
    packages = present_packages()
    if not packages:
        return
    say("Installing {} ...".format(", ".join(packages)))
    editable = [part for name in packages for part in ("-e", "./" + name)]
    # A plain path entry: the import hook that setuptools makes otherwise is asked after the folders of
    # this checkout, where `contracts` and `chassis` are found first, as empty namespaces.
    options = [
        "--no-deps",
        "--no-build-isolation",
        "--reinstall",
        "--config-settings",
        "editable_mode=compat",
    ]
    install("Installing our packages", *options, *editable)


def fetch_kafka() -> None:
    say("Fetching Apache Kafka (43 MB) ...")
    shutil.rmtree(str(KAFKA_HOME), ignore_errors=True)
    KAFKA_HOME.mkdir(parents=True)
    for name in ("jgo.toml", "jgo.lock.toml"):
        shutil.copy(str(KAFKA_SPECIFICATION / name), str(KAFKA_HOME))
    command: Command = [VENV / "bin" / "jgo", "--resolver", "python", "sync"]
    for attempt in range(1, DOWNLOAD_ATTEMPTS + 1):
        try:
            run("Fetching Apache Kafka", command, installer_environment(), KAFKA_HOME)
            break
        except SetupError:
            if attempt == DOWNLOAD_ATTEMPTS:
                raise
            say("  trying again ...")
    check_jars()


def check_jars() -> None:
    """Refuse any jar that the committed lock does not name with this hash."""
    import tomllib

    lock = tomllib.loads((KAFKA_SPECIFICATION / "jgo.lock.toml").read_text())
    expected = {
        "{artifactId}-{version}.jar".format(**entry): entry["sha256"] for entry in lock["dependencies"]
    }
    actual = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (KAFKA_HOME / "jars").rglob("*.jar")
    }
    for name in sorted(expected.keys() | actual.keys()):
        if expected.get(name) != actual.get(name):
            raise SetupError(
                "The jar {} is not the one that ops/local/kafka/jgo.lock.toml names: remove it from "
                "the Maven cache (~/.m2/repository) and run this again.".format(name)
            )


def set_up() -> None:
    target = wanted()
    if made() == target:
        return
    began = time.monotonic()
    check_machine()
    with alone():
        steps = (
            ("environment", make_environment),
            ("requirements", install_requirements),
            ("packages", install_our_packages),
            ("kafka", fetch_kafka),
        )
        for part, make in steps:
            if made().get(part) != target[part]:
                make()
                remember(part, target[part])
    say("Ready after {:.0f} s.".format(time.monotonic() - began))


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Let one setup of this checkout run at a time."""
    with (ROOT / ".venv.lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Another setup of this checkout runs: waiting for it ...")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def main() -> None:
    try:
        if not fits(sys.version_info[:2]):
            go_on_with_a_fitting_python()
        set_up()
    except SetupError as problem:
        sys.exit("setup: {}".format(problem))
    except PermissionError as problem:
        sys.exit("setup: {} may not be written by this user: change its owner.".format(problem.filename))
    except OSError as problem:
        sys.exit("setup: {}".format(explain("Setting up", str(problem))))
    except KeyboardInterrupt:
        sys.exit("setup: stopped; run it again to go on.")


if __name__ == "__main__":
    main()
