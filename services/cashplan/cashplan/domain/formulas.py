"""Formulas over items and measures: what they refer to, and in which order they are computed.

The evaluator is passed in; it is the same safe one that every service uses.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from graphlib import CycleError, TopologicalSorter
from typing import Final, NamedTuple

REFERENCE: Final = re.compile(r"""\b([a-z_]+)\[\s*(?:"([^"]*)"|'([^']*)')\s*\]""")
NUMBER: Final = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?![\w.])")

Value = int | Decimal | bool | None
Variables = Mapping[str, Mapping[str, int | Decimal]]
Evaluate = Callable[[str, Variables], Value]
"""`evaluate(formula, variables)`; None where the formula divides by zero."""


class FormulaError(ValueError):
    """Base of the reasons why formulas cannot be computed."""


class FormulaCycle(FormulaError):
    """Formulas that need one another."""

    def __init__(self, path: Sequence[str]) -> None:
        self.path = tuple(path)
        super().__init__(f"the formulas need one another in a circle: {' -> '.join(path)}")


class FormulaUnknownName(FormulaError):
    """A formula speaks of something that is not there."""

    def __init__(self, owner: str, table: str, name: str) -> None:
        self.owner = owner
        super().__init__(f'the formula of {owner} speaks of {table}["{name}"], which is not there')


class FormulaNotNumeric(FormulaError):
    """A formula that should give an amount gives something else."""

    def __init__(self, owner: str, value: object) -> None:
        super().__init__(f"the formula of {owner} gives {value!r}, which is no amount")


class Reference(NamedTuple):
    """`item["A"]` is the reference (item, A)."""

    table: str
    name: str


def references_of(formula: str) -> frozenset[Reference]:
    return frozenset(Reference(table, first or second) for table, first, second in REFERENCE.findall(formula))


def constants_of(formula: str) -> list[int]:
    """The whole numbers that are written in a formula."""
    return sorted({int(Decimal(number)) for number in NUMBER.findall(REFERENCE.sub("", formula))})


def names_in(formula: str, table: str) -> frozenset[str]:
    return frozenset(reference.name for reference in references_of(formula) if reference.table == table)


def computing_order(
    formulas: Mapping[str, str],
    known: Iterable[str],
    sums: Mapping[str, Sequence[str]] | None = None,
    table: str = "item",
) -> list[str]:
    """The owners of formulas and of sums over others, each behind those it needs.

    Errors: FormulaCycle, FormulaUnknownName.
    """
    names = set(known)
    needs: dict[str, frozenset[str]] = {owner: frozenset(below) for owner, below in (sums or {}).items()}
    for owner, formula in formulas.items():
        needs[owner] = names_in(formula, table)
        for name in sorted(needs[owner] - names):
            raise FormulaUnknownName(owner, table, name)
    try:
        order = TopologicalSorter({owner: sorted(needed) for owner, needed in needs.items()}).static_order()
        return [owner for owner in order if owner in needs]
    except CycleError as error:
        raise FormulaCycle(list(reversed(error.args[1]))) from None


def amount_of(owner: str, value: Value) -> int:
    """A formula's result as minor units, halves away from zero; a division by zero counts as 0."""
    if value is None:
        return 0
    if isinstance(value, bool):
        raise FormulaNotNumeric(owner, value)
    if isinstance(value, int):
        return value
    if not value.is_finite():
        raise FormulaNotNumeric(owner, value)
    return int(value.quantize(Decimal(1), "ROUND_HALF_UP"))
