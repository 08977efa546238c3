"""What arrives of a text: 160 or 70 places for one message, 153 or 67 for each of several."""

import pytest

from ops.local.gsm import carry


@pytest.mark.parametrize(
    ("text", "coding", "parts"),
    [
        ("", "0", 1),
        ("a" * 160, "0", 1),
        ("a" * 161, "0", 2),
        ("a" * 306, "0", 2),
        ("a" * 307, "0", 3),
        ("€" * 80, "0", 1),
        ("€" * 81, "0", 2),
        ("额" * 70, "2", 1),
        ("额" * 71, "2", 2),
        ("额" * 135, "2", 3),
        ("😀" * 35, "2", 1),
        ("😀" * 36, "2", 2),
    ],
)
def test_parts_of_a_text(text: str, coding: str, parts: int) -> None:
    carried = carry(text, coding, parts_max=10)
    assert (carried.text, carried.parts) == (text, parts)


def test_chinese_without_its_coding_arrives_as_question_marks() -> None:
    assert carry("余额 low", "0", parts_max=10).text == "?? low"


def test_what_is_too_long_is_cut_without_a_word() -> None:
    carried = carry("额" * 500, "2", parts_max=2)
    assert (carried.text, carried.parts) == ("额" * 134, 2)
