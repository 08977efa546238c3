"""Writes the day: what order systems, an ERP and a bank put into Kafka, and what must come of it.

`python -m examples.day.generate` writes the files beside this one; the same source always writes the same bytes.
"""

import json
import sys
from pathlib import Path
from random import Random

from examples.day.books import Books
from examples.day.broken import BrokenRecords
from examples.day.expectations import expectations
from examples.day.orders import Shop
from examples.day.story import Story
from examples.day.world import CUSTOMERS
from examples.day.writing import Json, Placed, Publishers

FOLDER = Path(__file__).parent
SEED = 20261102


def day() -> dict[str, str]:
    """The text of every file by its name."""
    randomness, publishers = Random(SEED), Publishers()  # noqa: S311 - the day must be the same every time
    shop = Shop(randomness, publishers)
    placed = list(Story(randomness, shop).placed())
    books = Books(placed, randomness, publishers)
    setup = books.setup()
    files = {
        "00-master-data": list(books.master_data()),
        "10-payments": in_time(list(books.payments())),
        "20-orders": in_time(placed),
        "30-evening": in_time(list(books.evening_payments())),
        "broken": list(BrokenRecords(shop.order(CUSTOMERS[0], lines=2), publishers).records()),
    }
    texts = {f"{name}.ndjson": lines(records) for name, records in files.items()}
    return texts | {"setup.json": document(setup), "expectations.json": document(expectations(files, setup))}


def in_time(placed: list[Placed]) -> list[Json]:
    """The records as they are published."""
    return [each.record for each in sorted(placed, key=lambda each: each.at)]


def lines(records: list[Json]) -> str:
    """One compact JSON object per line."""
    return "".join(json.dumps(record, ensure_ascii=False, separators=(",", ":")) + "\n" for record in records)


def document(content: Json) -> str:
    """Readable JSON with one line per innermost list or object."""
    return json.dumps(content, ensure_ascii=False, indent=1) + "\n"


def main() -> int:
    """Writes what has changed."""
    for name, text in day().items():
        path = FOLDER / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            print(f"wrote {path.name}: {len(text.encode()):,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
