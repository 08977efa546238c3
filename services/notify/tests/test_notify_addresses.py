"""Phone numbers in E.164 and e-mail addresses that no mail server can misread."""

import pytest
from notify.addresses import email_address, phone_number


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("+86 138 0013 8000", "+8613800138000"),
        ("+8613800138000", "+8613800138000"),
        ("+1 650-253-0000", "+16502530000"),
        ("+49 (0)30 901820", "+4930901820"),
    ],
)
def test_phone_numbers_are_kept_in_e164(text: str, expected: str) -> None:
    assert phone_number(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "13800138000",
        "+86",
        "+8613800138000\r\nX: y",
        "+861380013800",
        "+0013800138000",
        "tel:+8613800138000;ext=5",
        "+８613800138000",
        "+8613800138000 ext. 12",
        "",
    ],
)
def test_what_is_no_phone_number_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(ValueError, match="phone number") as refusal:
        phone_number(text)
    assert not text or text not in str(refusal.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Li.Wei@Example.COM", "Li.Wei@example.com"),
        ("a@mail.example", "a@mail.example"),
        ("x@例子.公司", "x@xn--fsqu00a.xn--55qx5d"),
    ],
)
def test_email_addresses_are_kept_in_ascii(text: str, expected: str) -> None:
    assert email_address(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "a@example.com\r\nBcc: b@example.com",
        "a@example.com\n",
        "用户@example.com",
        "a@example.com, b@example.com",
        "Li <a@example.com>",
        '"a b"@example.com',
        "a@[127.0.0.1]",
        "nobody",
        "a@" + "b" * 300 + ".com",
        "",
    ],
)
def test_what_is_no_email_address_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(ValueError, match="e-mail address") as refusal:
        email_address(text)
    assert not text or text not in str(refusal.value)
