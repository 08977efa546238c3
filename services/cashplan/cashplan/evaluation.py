"""Formulas of plans, evaluated by the safe evaluator that every service uses.

People write `item["wages"]`; the evaluator knows flat names, so that each reference gets one.
"""

from functools import lru_cache
from typing import Final

from chassis.formulas import FIELDS_MAX, DividesByZero, Formula, FormulaError, read_formula

from cashplan.domain.formulas import REFERENCE, Reference, Value, Variables, references_of

COMPILED_MAX: Final = 10_000


class FormulaRefused(ValueError):
    """A formula that cannot be read, in the evaluator's own words with the names that people wrote."""

    def __init__(self, source: str, message: str) -> None:
        self.source = source
        super().__init__(message)


@lru_cache(maxsize=COMPILED_MAX)
def compiled(source: str, is_condition: bool) -> tuple[Formula, tuple[tuple[str, Reference], ...]]:
    """A formula and the flat name of each of its references. Errors: FormulaRefused."""
    references = sorted(references_of(source))
    if len(references) > FIELDS_MAX:
        raise FormulaRefused(
            source, f"it speaks of {len(references)} figures; at most {FIELDS_MAX} are possible"
        )
    names = {reference: f"figure_{number}" for number, reference in enumerate(references)}
    flat = REFERENCE.sub(lambda found: names[Reference(found[1], found[2] or found[3])], source)
    try:
        formula = read_formula(
            flat, dict.fromkeys(names.values(), "number"), "truth" if is_condition else "number"
        )
    except FormulaError as error:
        raise FormulaRefused(source, _as_written(str(error), names)) from None
    return formula, tuple((names[reference], reference) for reference in references)


def _as_written(message: str, names: dict[Reference, str]) -> str:
    for reference, name in names.items():
        message = message.replace(name, f'{reference.table}["{reference.name}"]')
    return message


def condition(source: str, variables: Variables) -> Value:
    """Whether a check rule holds; None where it divides by zero."""
    return _evaluate(source, variables, True)


def amount(source: str, variables: Variables) -> Value:
    """What a formula over items or measures gives; None where it divides by zero."""
    return _evaluate(source, variables, False)


def _evaluate(source: str, variables: Variables, is_condition: bool) -> Value:
    formula, references = compiled(source, is_condition)
    values = {name: int(variables[reference.table][reference.name]) for name, reference in references}
    try:
        value = formula.evaluate(values)
    except DividesByZero:
        return None
    assert not isinstance(value, str)
    return value
