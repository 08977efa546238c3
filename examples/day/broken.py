"""Records that no service can read, each with the reason that its dead letter must give."""

import base64
import json
from collections.abc import Iterator

from examples.day.world import CUSTOMERS
from examples.day.writing import Json, Publishers

CREDIT = ["credit"]
FUND_POOL = ["fund-pool"]
EVERYBODY = ["fund-pool", "credit", "cashplan", "sharing", "notify"]
MEBIBYTE = 1024 * 1024
SHOP = "shop-shanghai"
TIME = "2026-11-02T12:00:00+08:00"


class BrokenRecords:
    """Spoils one good order in every way; the records share their keys with good orders, their neighbours."""

    def __init__(self, order: Json, publishers: Publishers) -> None:
        self.order = order
        self.publishers = publishers
        self.keys = [
            customer.account for customer in CUSTOMERS if customer.role in ("hot", "plain", "tight-purse")
        ]
        self.made = 0

    def records(self) -> Iterator[Json]:
        """All of them."""
        yield from self.bodies()
        yield from self.fields()
        yield from self.headers()
        yield from self.types()
        yield from self.structured()
        yield from self.other_topics()

    def record(self, title: str, reason: str, topic: str = "order-submitted", **parts: object) -> Json:
        """A record with sound headers unless `parts` says otherwise; each key in turn."""
        self.made += 1
        headers = self.publishers.headers(SHOP, topic, TIME)
        return {
            "title": title,
            "topic": topic,
            "key": self.keys[self.made % len(self.keys)],
            "headers": headers,
            **parts,
            "expect": reason,
            "services": CREDIT if topic.startswith("order-") else FUND_POOL,
        }

    def text(self, **changes: object) -> str:
        """The order as JSON, with fields replaced."""
        return json.dumps(self.order | changes, ensure_ascii=False, separators=(",", ":"))

    def spoiled(self, sound: str, spoiled: str) -> str:
        """The order's JSON with one piece of text replaced."""
        text = self.text()
        assert sound in text
        return text.replace(sound, spoiled, 1)

    def bodies(self) -> Iterator[Json]:
        """Values that are no JSON object in UTF-8."""
        whole = self.text()
        yield self.record("no value", "null-value", value_null=True)
        yield self.record("an empty value", "empty", value_text="")
        yield self.record("white space", "empty", value_text=" \r\n")
        yield self.record("not JSON", "not-json", value_text="source=shop-shanghai&order_id=SO-1")
        yield self.record("XML", "not-json", value_text="<order id='SO-1'/>")
        yield self.record("truncated", "not-json", value_text=whole[: len(whole) // 2])
        yield self.record("two objects", "not-json", value_text=whole + whole)
        yield self.record(
            "a byte order mark", "not-json", value_base64=_base64(b"\xef\xbb\xbf" + whole.encode())
        )
        yield self.record("an array", "not-an-object", value_text=f"[{whole}]")
        yield self.record("the word null", "not-an-object", value_text="null")
        yield self.record(
            "bad UTF-8", "not-utf8", value_base64=_base64(whole.encode().replace(b"U-", b"U\xff", 1))
        )
        yield self.record(
            "GB 18030", "not-utf8", value_base64=_base64(self.text(buyer="上海").encode("gb18030"))
        )
        yield self.record("nested 100,000 deep", "too-deep", value_repeat={"repeat": "[", "times": 100_000})
        yield self.record(
            "nested deep inside an unknown field",
            "too-deep",
            value_repeat={"prefix": whole[:-1] + ',"x":', "repeat": '{"x":', "times": 5000},
        )
        yield self.record("one byte more than 1 MiB", "too-large", value_repeat=self.padded(MEBIBYTE + 1))

    def padded(self, size: int) -> Json:
        """A recipe of an order that is sound but for its size in bytes."""
        prefix, suffix = self.text()[:-1] + ',"padding":"', '"}'
        return {
            "prefix": prefix,
            "repeat": "x",
            "times": size - len(prefix.encode()) - len(suffix),
            "suffix": suffix,
        }

    def fields(self) -> Iterator[Json]:
        """Objects that are no order."""
        total = json.dumps(self.order["total"], separators=(",", ":"))
        amount = self.order["total"]["amount"]
        with_amount = {
            name: total.replace(f'"{amount}"', name) for name in ("NaN", "1e400", "12.5", '"NaN"', '"1e3"')
        }
        yield self.record("NaN", "not-a-finite-number", value_text=self.spoiled(total, with_amount["NaN"]))
        yield self.record(
            "1e400", "not-a-finite-number", value_text=self.spoiled(total, with_amount["1e400"])
        )
        yield self.record(
            "an amount as a number", "invalid-field", value_text=self.spoiled(total, with_amount["12.5"])
        )
        yield self.record(
            "an amount of NaN in words", "invalid-field", value_text=self.spoiled(total, with_amount['"NaN"'])
        )
        yield self.record(
            "an amount with an exponent",
            "invalid-field",
            value_text=self.spoiled(total, with_amount['"1e3"']),
        )
        arabic = {"amount": "١٢.٥٠", "currency": self.order["currency"]}
        yield self.record("Arabic-Indic digits", "invalid-field", value_text=self.text(total=arabic))
        yield self.record(
            "full-width digits", "invalid-field", value_text=self.text(order_date="２０２６-11-02")
        )
        three = {"amount": "12.345", "currency": self.order["currency"]}
        yield self.record("too many decimals", "invalid-field", value_text=self.text(total=three))
        gold = {"amount": "1", "currency": "XAU"}
        yield self.record("a currency without minor units", "invalid-field", value_text=self.text(total=gold))
        yield self.record("a number in quotes", "invalid-field", value_text=self.text(order_revision="1"))
        yield self.record("a unix timestamp", "invalid-field", value_text=self.text(order_date=1793577600))
        yield self.record("no lines", "invalid-field", value_text=self.text(lines=[]))
        yield self.record("1,001 lines", "invalid-field", value_repeat=self.too_many_lines())
        missing = {name: value for name, value in self.order.items() if name != "customer"}
        yield self.record(
            "a field missing", "invalid-field", value_text=json.dumps(missing, ensure_ascii=False)
        )
        yield self.record(
            "a key twice", "duplicate-key", value_text=self.text()[:-1] + ',"source":"shop-tokyo"}'
        )
        yield self.record("NUL", "nul-character", value_text=self.text(buyer="a\0b"))
        yield self.record(
            "half a surrogate pair",
            "lone-surrogate",
            value_text=self.spoiled('"buyer":"', r'"buyer":"\ud83d'),
        )

    def too_many_lines(self) -> Json:
        """A recipe of one line more than an order may have."""
        line = json.dumps(self.order["lines"][0], separators=(",", ":"))
        head, tail = self.text(lines=[]).split('"lines":[]')
        return {"prefix": f'{head}"lines":[', "repeat": f"{line},", "times": 1000, "suffix": f"{line}]{tail}"}

    def headers(self) -> Iterator[Json]:
        """CloudEvents attributes that are missing or wrong."""
        good = self.publishers.headers(SHOP, "order-submitted", TIME)
        yield self.record("no headers", "missing-header", headers={}, value_text=self.text())
        for name in ("ce_id", "ce_type", "ce_source", "ce_specversion"):
            rest = {key: value for key, value in good.items() if key != name}
            yield self.record(f"no {name}", "missing-header", headers=rest, value_text=self.text())
        yield self.record(
            "a null ce_id", "missing-header", headers=good | {"ce_id": None}, value_text=self.text()
        )
        old = good | {"ce_specversion": "0.3"}
        yield self.record("CloudEvents 0.3", "bad-header", headers=old, value_text=self.text())
        naive = good | {"ce_time": "2026-11-02 12:00"}
        yield self.record("a time without offset", "bad-header", headers=naive, value_text=self.text())
        long = good | {"ce_id": "x" * 600}
        yield self.record("a very long ce_id", "bad-header", headers=long, value_text=self.text())
        binary = {"base64": _base64(b"shop-\xff\xfe")}
        yield self.record(
            "a ce_source that is not UTF-8",
            "bad-header",
            headers=good | {"ce_source": binary},
            value_text=self.text(),
        )
        ours = good | {"ce_source": "coffer/credit"}
        yield self.record(
            "a source that is Coffer's", "source-not-admitted", headers=ours, value_text=self.text()
        )

    def types(self) -> Iterator[Json]:
        """Events that nobody here knows, or not here."""
        good = self.publishers.headers(SHOP, "order-submitted", TIME)
        for title, event_type, reason in (
            ("an unknown type", "order-teleported.v1", "unknown-type"),
            ("a type without version", "order-submitted", "unknown-type"),
            ("a future major version", "order-submitted.v2", "newer-major-version"),
        ):
            headers = good | {"ce_type": event_type}
            yield self.record(title, reason, headers=headers, value_text=self.text())
        cancellation = {
            "source": self.order["source"],
            "order_id": "SO-NOWHERE",
            "order_revision": 2,
            "paying_account": self.order["paying_account"],
            "reason": "",
            "cancelled_at": TIME,
        }
        yield self.record(
            "a cancellation among the submissions",
            "wrong-topic",
            headers=good | {"ce_type": "order-cancelled.v1"},
            value_text=json.dumps(cancellation),
        )

    def structured(self) -> Iterator[Json]:
        """CloudEvents in structured mode, spoiled."""
        headers = {"content-type": "application/cloudevents+json"}
        event = {
            "specversion": "1.0",
            "id": "s-1",
            "source": SHOP,
            "type": "order-submitted.v1",
            "time": TIME,
        }
        whole = json.dumps(event | {"data": self.order}, ensure_ascii=False)
        yield self.record(
            "structured, without data", "invalid-field", headers=headers, value_text=json.dumps(event)
        )
        yield self.record("structured, truncated", "not-json", headers=headers, value_text=whole[:-40])
        nameless = {name: value for name, value in event.items() if name != "id"} | {"data": self.order}
        yield self.record(
            "structured, without id", "missing-header", headers=headers, value_text=json.dumps(nameless)
        )

    def other_topics(self) -> Iterator[Json]:
        """The same faults elsewhere."""
        yield self.record(
            "a payment that is not JSON", "not-json", "payment-received", value_text="MT940 :20:"
        )
        unsigned = {"payment_id": "P", "payer": "A", "received_on": "2026-11-02"}
        negative = unsigned | {"amount": {"amount": "-5.00", "currency": "CNY"}}
        yield self.record(
            "a negative payment", "invalid-field", "payment-received", value_text=json.dumps(negative)
        )
        zone = {
            "kind": "organisation",
            "name": "Mars",
            "organisation_type": "legal",
            "time_zone": "Mars/Olympus",
        }
        value = {"id": "LEG-MARS", "version": 1, "changed_at": TIME, "record": zone}
        yield self.record(
            "an unknown time zone", "invalid-field", "master-data-changed", value_text=json.dumps(value)
        ) | {"key": "LEG-MARS", "services": EVERYBODY}
        yield self.record("a cancellation of nothing", "invalid-field", "order-cancelled", value_text="{}")
        yield self.record(
            "an answer from a shop", "missing-header", "credit-checked", headers={}, value_text="{}"
        )


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
