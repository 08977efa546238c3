"""Formulas that people write: expressions in CEL without loops, bounded, and checked when they are saved.

Fields are plain names with a type; money is a whole number of minor units, so that every result is exact
(integer division drops the rest, towards zero). What a formula can cost grows with its length only.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, cast

if TYPE_CHECKING:
    import cel

CHARACTERS_MAX: Final = 2000
FIELDS_MAX: Final = 200

Value = int | str | bool
FieldType = Literal["number", "text", "truth"]
"""Of a field or a result: a whole number, a text, or true and false."""

TYPES: Final[dict[FieldType, type]] = {"number": int, "text": str, "truth": bool}
SAMPLES: Final[dict[FieldType, tuple[Value, ...]]] = {
    "number": (7, 100, 3_000),
    "text": ("sample", "a", ""),
    "truth": (True, False, True),
}
CALCULATING: Final = ("_+_", "_-_", "_*_", "_/_", "_%_", "-_", "!_", "_&&_", "_||_")
COMPARING: Final = ("_==_", "_!=_", "_<_", "_<=_", "_>_", "_>=_", "_?_:_", "@in")
OPERATORS: Final = frozenset((*CALCULATING, *COMPARING))
OWN_FUNCTIONS: Final[dict[str, Callable[..., Any]]] = {"min": min, "max": max, "abs": abs}
TEXT_FUNCTIONS: Final = frozenset({"startsWith", "endsWith", "contains", "size"})
FUNCTIONS: Final = OPERATORS | TEXT_FUNCTIONS | OWN_FUNCTIONS.keys()

MIXED: Final = (
    "it mixes kinds of values; whole numbers go with whole numbers (15 / 10, not 1.5), texts with texts"
)
STRING: Final = re.compile(r"""[rRbB]{0,2}("(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')""")
LOOP: Final = re.compile(
    r"\b(all|exists|exists_one|existsOne|map|filter|transformList|transformMap|reduce)\s*\("
)
MEMBER: Final = re.compile(r"\.\s*([A-Za-z_]\w*)")
NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")


class FormulaError(ValueError):
    """Base of what is wrong with a formula; `code` is stable."""

    code = "formula-invalid"


class FormulaTooLong(FormulaError):
    code = "formula-too-long"

    def __init__(self, characters: int) -> None:
        super().__init__(f"it has {characters} characters; at most {CHARACTERS_MAX} are read")


class FormulaUnreadable(FormulaError):
    code = "formula-unreadable"

    def __init__(self, message: str) -> None:
        super().__init__(f"it is no expression: {message}")


class FormulaLoops(FormulaError):
    code = "formula-loops"

    def __init__(self, name: str) -> None:
        super().__init__(f"it loops by {name}(); a formula has no loops")


class UnknownField(FormulaError):
    code = "formula-unknown-field"

    def __init__(self, name: str, known: Mapping[str, FieldType]) -> None:
        self.name = name
        super().__init__(f"{name} is no field; the fields are {', '.join(sorted(known))}")


class UnknownFunction(FormulaError):
    code = "formula-unknown-function"

    def __init__(self, name: str) -> None:
        self.name = name
        named = ", ".join(sorted(TEXT_FUNCTIONS | OWN_FUNCTIONS.keys()))
        super().__init__(f"{name} cannot be used; beside the operators there are {named}")


class FormulaFailed(FormulaError):
    code = "formula-failed"

    def __init__(self, message: str) -> None:
        super().__init__(f"it cannot be evaluated: {message}")


class DividesByZero(FormulaFailed):
    code = "formula-divides-by-zero"

    def __init__(self) -> None:
        super().__init__("it divides by zero")


class WrongResult(FormulaError):
    code = "formula-wrong-result"

    def __init__(self, wanted: FieldType, value: object) -> None:
        names = {"number": "a whole number", "text": "a text", "truth": "true or false"}
        super().__init__(f"its result must be {names[wanted]}, not {value!r}"[:300])


@dataclass(frozen=True, slots=True)
class Formula:
    """An expression that was read: its fields are known, its functions allowed, and it has no loops."""

    source: str
    result: FieldType
    fields: tuple[str, ...]
    _program: "cel.Program"

    def evaluate(self, values: Mapping[str, Value]) -> Value:
        """The result for these values of its fields; raises FormulaFailed or WrongResult."""
        import cel

        context = cel.Context(variables={name: values[name] for name in self.fields}, functions=OWN_FUNCTIONS)
        try:
            value = self._program.execute(context)
        except ZeroDivisionError:
            raise DividesByZero from None
        except TypeError:
            raise FormulaFailed(MIXED) from None
        except (ArithmeticError, LookupError, RuntimeError, ValueError) as error:
            raise FormulaFailed(str(error)[:300]) from None
        if type(value) is not TYPES[self.result]:
            raise WrongResult(self.result, value)
        return cast(Value, value)


def read_formula(source: str, fields: Mapping[str, FieldType], result: FieldType) -> Formula:
    """Reads a formula and tries it on samples, so that what is saved can be evaluated.

    Raises a FormulaError that says what is wrong: also when no sample gives a result of the right type.
    """
    assert len(fields) <= FIELDS_MAX
    assert all(NAME.fullmatch(name) for name in fields), "fields are plain names"
    if len(source) > CHARACTERS_MAX:
        raise FormulaTooLong(len(source))
    bare = STRING.sub("''", source)
    if (loop := LOOP.search(bare)) is not None:
        raise FormulaLoops(loop.group(1))
    program = _compiled(source)
    for name in MEMBER.findall(bare):
        if name not in TEXT_FUNCTIONS:
            raise UnknownField(name, fields)
    formula = Formula(source, result, _known_fields(program, fields), program)
    _try(formula, fields)
    return formula


def _compiled(source: str) -> "cel.Program":
    import cel  # brings a command line along, which costs memory and time that only formulas need

    try:
        return cel.compile(source)
    except (ValueError, RuntimeError) as error:
        message = str(error).partition("': ")[2] or str(error)
        raise FormulaUnreadable(" ".join(message.split())[:300]) from None


def _known_fields(program: "cel.Program", fields: Mapping[str, FieldType]) -> tuple[str, ...]:
    references = program.references()
    for name in references["functions"]:
        if name not in FUNCTIONS:
            raise UnknownFunction(name)
    for name in references["variables"]:
        if name not in fields:
            raise UnknownField(name, fields)
    return tuple(references["variables"])


def _try(formula: Formula, fields: Mapping[str, FieldType]) -> None:
    """One sample that works is enough: a divisor may be zero for some documents and not for others."""
    errors: list[FormulaError] = []
    for place in range(len(SAMPLES["number"])):
        try:
            formula.evaluate({name: SAMPLES[fields[name]][place] for name in formula.fields})
        except FormulaError as error:
            errors.append(error)
        else:
            return
    raise errors[0]
