"""What the import rules of pyproject.toml cannot say: domains are pure, and every target tells what it does."""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOMAINS = sorted(path.parent for path in ROOT.glob("services/*/*/domain/__init__.py"))
# The clock, chance and the outside world are handed in by whoever calls.
IMPURE_MODULES = {"asyncio", "http", "os", "random", "secrets", "socket", "subprocess", "time", "urllib"}
CLOCKS = {"datetime.now", "datetime.utcnow", "datetime.today", "date.today", "uuid.uuid1", "uuid.uuid4"}


def imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


@pytest.mark.parametrize("domain", DOMAINS, ids=lambda path: path.parent.name)
def test_a_domain_imports_the_standard_library_contracts_and_itself(domain: Path) -> None:
    service = domain.parent.name
    for path in domain.rglob("*.py"):
        for module in imported(ast.parse(path.read_text())):
            top = module.partition(".")[0]
            own = module == f"{service}.domain" or module.startswith(f"{service}.domain.")
            pure = top in sys.stdlib_module_names and top not in IMPURE_MODULES
            assert own or pure or top == "contracts", f"{path.relative_to(ROOT)} imports {module}"


@pytest.mark.parametrize("domain", DOMAINS, ids=lambda path: path.parent.name)
def test_a_domain_reads_no_clock_and_rolls_no_dice(domain: Path) -> None:
    for path in domain.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                called = ".".join(ast.unparse(node.func).split(".")[-2:])
                assert called not in CLOCKS, f"{path.relative_to(ROOT)}:{node.lineno}"


def test_every_target_says_what_it_does() -> None:
    makefile = (ROOT / "Makefile").read_text()
    [declared] = re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    described = re.findall(r"^([a-z]+):.*## .+$", makefile, re.MULTILINE)
    assert sorted(declared.split()) == sorted(described)
