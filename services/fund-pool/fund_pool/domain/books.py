"""Transfer books: what a member's cash holds of the money that management accounts allocated to it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

SpendingOrder = Literal["transferred-first", "own-first"]


@dataclass(slots=True)
class Book:
    """What one management account gave a member in one currency, in minor units."""

    giver: str
    currency: str
    opened_at: datetime
    given: int = 0
    taken_back: int = 0
    spent: int = 0

    @property
    def remaining(self) -> int:
        return self.given - self.taken_back - self.spent


@dataclass(frozen=True, slots=True)
class BookShare:
    """A part of a payment that came out of one transfer book."""

    giver: str
    amount: int


def transferred(books: Iterable[Book], currency: str) -> int:
    """All that was allocated and is still there."""
    return sum(book.remaining for book in books if book.currency == currency)


def spend(
    books: Sequence[Book], currency: str, amount: int, own: int, order: SpendingOrder
) -> list[BookShare]:
    """Takes a payment out of the books, oldest giver first, and returns each book's part.

    `own` is what of the cash is not transferred; by default transferred money goes first.
    """
    left = amount if order == "transferred-first" else max(0, amount - own)
    shares = []
    for book in sorted(books, key=lambda one: (one.opened_at, one.giver)):
        part = min(left, book.remaining) if book.currency == currency else 0
        if part > 0:
            book.spent += part
            left -= part
            shares.append(BookShare(book.giver, part))
    return shares


def unspend(
    books: Sequence[Book], currency: str, shares: Sequence[BookShare], paid: int, amount: int
) -> list[BookShare]:
    """Books a refund of `amount` out of a payment of `paid` as not spent; returns the parts still spent.

    The own money of the payment comes back first, then the books', in the reverse of the spending.
    """
    own = paid - sum(share.amount for share in shares)
    left = max(0, amount - own)
    by_giver = {book.giver: book for book in books if book.currency == currency}
    kept = []
    for share in reversed(shares):
        part = min(left, share.amount)
        by_giver[share.giver].spent -= part
        left -= part
        if share.amount > part:
            kept.append(BookShare(share.giver, share.amount - part))
    return kept[::-1]
