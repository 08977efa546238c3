"""`python -m contracts schemas|check|release`: generated files, the gate, the baseline."""

import argparse
import sys

from contracts import gate


def main(arguments: list[str] | None = None) -> int:
    """Runs one command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m contracts")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("schemas", help="write schemas/ and asyncapi.json from the models")
    commands.add_parser("check", help="refuse stale files, broken examples and incompatible changes")
    commands.add_parser("release", help="take the schemas of today as the baseline of every later check")
    command = parser.parse_args(arguments).command
    if command == "check":
        return _report(gate.findings())
    try:
        changed = gate.write() if command == "schemas" else gate.release()
    except gate.Broken as broken:
        return _report(broken.findings)
    print(*(f"wrote {path.relative_to(gate.FOLDER)}" for path in changed), sep="\n")
    return 0


def _report(findings: list[str]) -> int:
    for finding in findings:
        print(finding, file=sys.stderr)
    print(
        f"contracts: {len(findings)} findings"
        if findings
        else "contracts: schemas, examples and baseline agree"
    )
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
