"""The Chinese unified social credit code (GB 32100-2015): 18 characters, the last of which checks the others."""

import re
from typing import Final

VALUES: Final = "0123456789ABCDEFGHJKLMNPQRTUWXY"
"""Each character stands for its place here."""
WEIGHTS: Final = tuple(pow(3, place, 31) for place in range(17))
CHARACTERS: Final = f"[{VALUES}]"
FORM: Final = re.compile(rf"{CHARACTERS}{{2}}[0-9]{{6}}{CHARACTERS}{{10}}")
"""Registering authority, category, six digits of the region, nine of the organisation, the check character.

I, O, S, V and Z are not used. Authority and category may be letters, as in Y1 and N2."""


class WrongTaxId(ValueError):
    """A tax id that nobody can have been given; says what would be right."""


def unified_social_credit_code(text: str) -> str:
    """The code in its written form: capitals, without spaces or hyphens.

    Errors: WrongTaxId.
    """
    code = text.replace(" ", "").replace("-", "").upper()
    if FORM.fullmatch(code) is None:
        raise WrongTaxId(
            "must be a unified social credit code: 18 digits and capital letters without I, O, S, V and Z,"
            " such as 91110000600037341L"
        )
    right = check_character(code[:17])
    if code[-1] != right:
        raise WrongTaxId(
            f"ends with the check character {code[-1]}; for {code[:17]} it would be {right},"
            " so that at least one character is wrong"
        )
    return code


def check_character(body: str) -> str:
    """The character that makes the weighted sum of all 18 divisible by 31."""
    total = sum(VALUES.index(character) * weight for character, weight in zip(body, WEIGHTS, strict=True))
    return VALUES[-total % 31]
