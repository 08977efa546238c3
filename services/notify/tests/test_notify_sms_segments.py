"""Segments: GSM 160/153, UCS-2 70/67."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from notify.domain.sms import GSM_BASIC, GSM_EXTENSION, Coding, segments


@pytest.mark.parametrize(
    ("text", "coding", "count"),
    [
        ("", Coding.GSM_7, 1),
        ("a" * 160, Coding.GSM_7, 1),
        ("a" * 161, Coding.GSM_7, 2),
        ("a" * 306, Coding.GSM_7, 2),
        ("a" * 307, Coding.GSM_7, 3),
        ("€" * 80, Coding.GSM_7, 1),
        ("€" * 81, Coding.GSM_7, 2),
        ("a" * 152 + "€" + "a" * 152, Coding.GSM_7, 3),
        ("额" * 70, Coding.UCS_2, 1),
        ("额" * 71, Coding.UCS_2, 2),
        ("额" * 134, Coding.UCS_2, 2),
        ("额" * 135, Coding.UCS_2, 3),
        ("a" * 70 + "额", Coding.UCS_2, 2),
        ("😀" * 35, Coding.UCS_2, 1),
        ("😀" * 36, Coding.UCS_2, 2),
        ("Zürich ÅØ ¿què?", Coding.GSM_7, 1),
        ("naïve", Coding.UCS_2, 1),
    ],
)
def test_worked_numbers(text: str, coding: Coding, count: int) -> None:
    assert (segments(text).coding, segments(text).count) == (coding, count)


@given(st.text(alphabet=sorted(GSM_BASIC | GSM_EXTENSION), max_size=2_000))
def test_gsm_segments_hold_the_text(text: str) -> None:
    septets = sum(2 if character in GSM_EXTENSION else 1 for character in text)
    found = segments(text)
    assert found.coding is Coding.GSM_7
    if found.count > 1:
        assert 160 < septets <= found.count * 153
        assert septets > (found.count - 1) * 152


def test_the_alphabet_has_its_127_characters_besides_escape() -> None:
    assert len(GSM_BASIC) == 127
