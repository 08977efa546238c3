"""The day of `examples/day`: its records, what people enter, and what must come of it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from examples.day import play
from examples.day.reference import newest_records

FOLDER = Path(play.__file__).parent

Json = dict[str, Any]  # Any: a JSON document


@dataclass(frozen=True, slots=True)
class Day:
    """Everything that the folder holds."""

    master_data: list[Json]
    payments: list[Json]
    orders: list[Json]
    evening: list[Json]
    broken: list[Json]
    setup: Json
    expectations: Json

    @classmethod
    def load(cls) -> "Day":
        """The day as it is committed."""
        return cls(
            master_data=play.load(FOLDER / "00-master-data.ndjson"),
            payments=play.load(FOLDER / "10-payments.ndjson"),
            orders=play.load(FOLDER / "20-orders.ndjson"),
            evening=play.load(FOLDER / "30-evening.ndjson"),
            broken=play.load(FOLDER / "broken.ndjson"),
            setup=_document("setup.json"),
            expectations=_document("expectations.json"),
        )

    @property
    def orders_among_broken(self) -> list[Json]:
        """The orders of the day with the broken records spread over them."""
        return play.mixed(self.orders, self.broken)

    def customer_names(self) -> dict[str, str]:
        """The names of the customers by id."""
        records = newest_records(self.master_data)
        return {record["id"]: record["name"] for record in records if record["kind"] == "customer"}

    def account_names(self) -> dict[str, str]:
        """The names of the accounts by id."""
        records = newest_records(self.master_data)
        return {record["id"]: record["name"] for record in records if record["kind"] == "account"}


def _document(name: str) -> Json:
    document: Json = json.loads((FOLDER / name).read_text(encoding="utf-8"))
    return document
