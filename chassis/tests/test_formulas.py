"""What people may write as a formula, and what they are told when they may not."""

import pytest
from chassis.formulas import (
    CHARACTERS_MAX,
    DividesByZero,
    FieldType,
    FormulaError,
    FormulaFailed,
    Value,
    read_formula,
)

FIELDS: dict[str, FieldType] = {
    "amount": "number",
    "limit": "number",
    "overdue": "number",
    "sub_type": "text",
    "managed": "truth",
}
VALUES: dict[str, Value] = {
    "amount": 12_000,
    "limit": 24_000,
    "overdue": 0,
    "sub_type": "standard",
    "managed": True,
}


@pytest.mark.parametrize(
    ("source", "result"),
    [
        ("amount * 80 / 100", 9_600),
        ("managed ? amount : 0", 12_000),
        ("max(amount, limit) - min(amount, limit) + abs(-1)", 12_001),
        ("sub_type == 'standard' ? -amount : amount", -12_000),
        ("sub_type.startsWith('stan') && !(sub_type in ['a.map(', 'b']) ? 1 : 2", 1),
        ("7 / 2 * 2", 6),
        ("size(sub_type)", 8),
    ],
)
def test_a_formula_is_exact(source: str, result: int) -> None:
    assert read_formula(source, FIELDS, "number").evaluate(VALUES) == result


def test_a_formula_may_say_true_or_false() -> None:
    formula = read_formula("amount <= limit && overdue == 0", FIELDS, "truth")
    assert formula.evaluate(VALUES) is True
    assert formula.evaluate({**VALUES, "overdue": 1}) is False


@pytest.mark.parametrize(
    ("source", "code", "says"),
    [
        ("amount / 0", "formula-divides-by-zero", "divides by zero"),
        ("amount + " + "1 + " * 2500 + "1", "formula-too-long", f"at most {CHARACTERS_MAX}"),
        ("[1, 2].map(x, x * amount)[0]", "formula-loops", "map()"),
        ("[amount].all(amount, amount > 0)", "formula-loops", "all()"),
        ("amount * discount", "formula-unknown-field", "discount is no field; the fields are amount"),
        ("managed ? amount : nothing", "formula-unknown-field", "nothing is no field"),
        ("amount.minor", "formula-unknown-field", "minor is no field"),
        ("string(amount)", "formula-unknown-function", "string cannot be used"),
        ("sub_type.matches('(a+)+$')", "formula-unknown-field", "matches"),
        ("amount * 1.5", "formula-failed", "15 / 10, not 1.5"),
        ("amount > 1", "formula-wrong-result", "whole number, not True"),
        ("1.5", "formula-wrong-result", "whole number, not 1.5"),
        ("amount +", "formula-unreadable", "no expression"),
        ("", "formula-unreadable", "no expression"),
        ("(" * 900 + "1" + ")" * 900, "formula-unreadable", "no expression"),
        ("[" * 900 + "]" * 900, "formula-unreadable", "no expression"),
        ("9223372036854775807 + amount", "formula-failed", "overflow"),
    ],
)
def test_what_is_wrong_is_said_when_it_is_saved(source: str, code: str, says: str) -> None:
    with pytest.raises(FormulaError) as refused:
        read_formula(source, FIELDS, "number")
    assert refused.value.code == code
    assert says in str(refused.value)


def test_what_fails_for_some_documents_only_is_saved_and_said_when_it_fails() -> None:
    formula = read_formula("amount / overdue", FIELDS, "number")
    with pytest.raises(DividesByZero):
        formula.evaluate(VALUES)
    too_large = read_formula("amount * amount", FIELDS, "number")
    with pytest.raises(FormulaFailed):
        too_large.evaluate({"amount": 2**62})


@pytest.mark.parametrize(
    "source", ["!" * 1990 + "managed", "-" * 1990 + "amount > 0", "true||" * 330 + "managed"]
)
def test_the_longest_chains_are_evaluated(source: str) -> None:
    assert read_formula(source, FIELDS, "truth").evaluate(VALUES) is True
