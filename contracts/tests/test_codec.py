import json
from contextlib import suppress
from typing import Any

import pytest
from contracts.codec import Malformed, MalformedReason, decode, encode
from contracts.gate import FOLDER
from hypothesis import given
from hypothesis import strategies as st

from contracts import OrderSubmitted

ORDER = json.loads((FOLDER / "examples/order-submitted.v1/fullest.json").read_text(encoding="utf-8"))
TYPE = "order-submitted.v1"


def order(**changes: Any) -> bytes:
    return json.dumps(ORDER | changes, ensure_ascii=False).encode()


def refusal(body: bytes, event_type: str = TYPE) -> Malformed:
    with pytest.raises(Malformed) as refused:
        decode(event_type, body)
    return refused.value


def test_a_decoded_event_is_written_as_it_was_read() -> None:
    event = decode(TYPE, order())
    assert isinstance(event, OrderSubmitted)
    assert event.lines[0].amount.minor == 6664
    assert decode(TYPE, encode(event)) == event


def test_unknown_fields_are_ignored_at_every_level() -> None:
    lines = [line | {"colour": "red"} for line in ORDER["lines"]]
    assert decode(TYPE, order(lines=lines, channel={"shop": [1, 2.5, None]})) == decode(TYPE, order())


@pytest.mark.parametrize(
    ("reason", "body"),
    [
        ("empty", b""),
        ("empty", b" \r\n\t"),
        ("not-utf8", b'{"source": "\xff"}'),
        ("not-utf8", '{"source": "订"}'.encode("gb18030")),
        ("not-utf8", b'{"source": "\xed\xa0\x80"}'),
        ("not-json", b"order 7"),
        ("not-json", b"\xef\xbb\xbf{}"),
        ("not-json", order()[:300]),
        ("not-json", order() + b"{}"),
        ("not-json", b'{"source": "a\x00b"}'),
        ("not-json", b'{"source": 01}'),
        ("not-an-object", b"[]"),
        ("not-an-object", b"null"),
        ("not-an-object", b'"order"'),
        ("too-deep", b"[" * 100_000),
        ("too-deep", b'{"a":' * 100_000),
        ("too-deep", b'{"a":' * 201 + b"1" + b"}" * 201),
        ("duplicate-key", order()[:-1] + b', "source": "shop-west"}'),
        ("duplicate-key", b'{"lines": [{"a": 1, "a": 1}]}'),
        ("not-a-finite-number", b'{"total": NaN}'),
        ("not-a-finite-number", b'{"total": -Infinity}'),
        ("not-a-finite-number", order().replace(b'"73.42"', b"1e400")),
        ("nul-character", order(buyer="a\0b")),
        ("nul-character", order(unknown={"a\0b": 1})),
        ("lone-surrogate", rb'{"buyer": "\ud800"}'),
    ],
)
def test_each_broken_body_has_its_reason(reason: MalformedReason, body: bytes) -> None:
    assert refusal(body).reason == reason


def test_an_escaped_backslash_before_u0000_is_no_nul() -> None:
    assert decode(TYPE, order(note="C:\\u0000")) == decode(TYPE, order())


@pytest.mark.parametrize(
    ("event_type", "reason"),
    [
        ("order-submitted.v2", "newer-major-version"),
        ("order-submitted.v10", "newer-major-version"),
        ("order-submitted.v0", "unknown-type"),
        ("order-submitted.v01", "unknown-type"),
        ("order-submitted.v٢", "unknown-type"),
        ("order-submitted", "unknown-type"),
        ("order-shipped.v1", "unknown-type"),
        ("", "unknown-type"),
    ],
)
def test_types_that_are_not_known(event_type: str, reason: MalformedReason) -> None:
    assert refusal(order(), event_type).reason == reason


def money(amount: Any, currency: Any = "CNY") -> dict[str, Any]:
    return {"total": {"amount": amount, "currency": currency}}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (money(73.42), "total.amount"),
        (money(73), "total.amount"),
        (money("73.420"), "total.amount"),
        (money("73.42 "), "total.amount"),
        (money("73.42\n"), "total.amount"),
        (money("+73.42"), "total.amount"),
        (money("-73.42"), "total.amount"),
        (money("073.42"), "total.amount"),
        (money("73."), "total.amount"),
        (money(".42"), "total.amount"),
        (money("7_3.42"), "total.amount"),
        (money("7,342"), "total.amount"),
        (money("7e1"), "total.amount"),
        (money("NaN"), "total.amount"),
        (money("٧٣"), "total.amount"),
        (money("７３"), "total.amount"),
        (money("100000000000000"), "total.amount"),
        (money("73.4", "JPY"), "total.amount"),
        (money("73.4200", "KWD"), "total.amount"),
        (money("73.42", "XAU"), "total"),
        (money("73.42", "cny"), "total"),
        (money("73.42", "QQQ"), "total"),
        (money("73.42", None), "total"),
        ({"total": "73.42"}, "total"),
        ({"total": ["73.42", "CNY"]}, "total"),
        ({"total": {"amount": "73.42"}}, "total"),
        ({"order_revision": "1"}, "order_revision"),
        ({"order_revision": 1.0}, "order_revision"),
        ({"order_revision": True}, "order_revision"),
        ({"order_revision": 0}, "order_revision"),
        ({"order_revision": 10**30}, "order_revision"),
        ({"audited": 1}, "audited"),
        ({"audited": "true"}, "audited"),
        ({"audited": None}, "audited"),
        ({"order_date": 1793577600}, "order_date"),
        ({"order_date": "1793577600"}, "order_date"),
        ({"order_date": "2026-11-02T00:00:00"}, "order_date"),
        ({"order_date": "2026-02-29"}, "order_date"),
        ({"order_date": "9999-12-31"}, "order_date"),
        ({"order_date": "２０２６-11-02"}, "order_date"),
        ({"order_date": None}, "order_date"),
        ({"source": ""}, "source"),
        ({"source": "a b"}, "source"),
        ({"source": "x" * 129}, "source"),
        ({"source": 7}, "source"),
        ({"currency": "XXX"}, "currency"),
        ({"payment_method": "Account"}, "payment_method"),
        ({"lines": []}, "lines"),
        ({"lines": ORDER["lines"] * 251}, "lines"),
        ({"lines": {"0": ORDER["lines"][0]}}, "lines"),
        ({"lines": [ORDER["lines"][0], ORDER["lines"][1] | {"quantity": "-1"}]}, "lines[1].quantity"),
        (
            {"lines": [{name: ORDER["lines"][0][name] for name in ("line_id", "material")}]},
            "lines[0].quantity",
        ),
    ],
)
def test_an_invalid_field_is_named(change: dict[str, Any], field: str) -> None:
    refused = refusal(order(**change))
    assert (refused.reason, refused.field) == ("invalid-field", field)
    assert refused.detail.startswith(f"{field}: ")


def cancelled(cancelled_at: Any) -> bytes:
    example = json.loads((FOLDER / "examples/order-cancelled.v1/fullest.json").read_text(encoding="utf-8"))
    return json.dumps(example | {"cancelled_at": cancelled_at}).encode()


@pytest.mark.parametrize(
    "moment",
    [
        1793577600,
        1793577600.5,
        "1793577600",
        "2026-11-02",
        "2026-11-02T10:00:00",
        "2026-11-02 10:00:00Z",
        "2026-11-02T10:00Z",
        "2026-11-02T24:00:00Z",
        "2026-11-02T10:00:00+0800",
        "2026-11-02T10:00:00.Z",
        "2026-W45-1T10:00:00Z",
    ],
)
def test_moments_are_rfc_3339_with_an_offset(moment: Any) -> None:
    assert refusal(cancelled(moment), "order-cancelled.v1").field == "cancelled_at"


@pytest.mark.parametrize(
    "moment", ["2026-11-02T10:00:00Z", "2026-11-02T10:00:00.123456789+05:30", "1900-01-01T00:00:00-23:59"]
)
def test_moments_with_an_offset_are_aware(moment: str) -> None:
    event = decode("order-cancelled.v1", cancelled(moment))
    assert event.cancelled_at.utcoffset() is not None  # type: ignore[attr-defined]


def test_the_branch_of_a_union_is_left_out_of_the_path() -> None:
    record = {
        "kind": "organisation",
        "name": "",
        "organisation_type": "business",
        "time_zone": "Asia/Shanghai",
    }
    body = json.dumps(
        {"id": "O", "version": 1, "changed_at": "2026-11-02T10:00:00Z", "record": record}
    ).encode()
    assert refusal(body, "master-data-changed.v1").field == "record.name"


@pytest.mark.parametrize("time_zone", ["Asia/Nowhere", "../etc/passwd", "posixrules", ""])
def test_time_zones_are_those_of_the_iana_database(time_zone: str) -> None:
    record = {"kind": "organisation", "name": "O", "organisation_type": "business", "time_zone": time_zone}
    body = json.dumps(
        {"id": "O", "version": 1, "changed_at": "2026-11-02T10:00:00Z", "record": record}
    ).encode()
    assert refusal(body, "master-data-changed.v1").field == "record.time_zone"


def test_the_detail_is_bounded_and_does_not_repeat_the_value() -> None:
    refused = refusal(order(source="secret " * 10_000))
    assert len(refused.detail) <= 500
    assert "secret" not in refused.detail


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_but_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        decode(TYPE, body)


@given(st.data())
def test_a_valid_order_with_one_byte_changed_is_read_or_malformed(data: st.DataObject) -> None:
    body = bytearray(order())
    body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    with suppress(Malformed):
        assert isinstance(decode(TYPE, bytes(body)), OrderSubmitted)
