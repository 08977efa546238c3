"""Chains of documents in the pool: a later document replaces the forecast of the earlier one.

Order -> receivable -> receipt is one inflow, never two. From a decided order only the part that was not paid from
cash, voucher or card is to come; its receivables together bring no more than that part. A document that was
recalled or cancelled takes nothing over; one that was closed brings nothing more itself.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final, NamedTuple

from cashplan.domain.pool import ORDER, ItemKey

BRINGS_NOTHING: Final = frozenset({"receipt", "payment", "refund"})


class Link(NamedTuple):
    """What a document takes over of an earlier one."""

    key: ItemKey
    minor: int


@dataclass(frozen=True, kw_only=True)
class ChainDocument:
    """A document with what it brings by itself and what it takes over of those before it.

    `sequence` is the order in which documents take over: earlier ones first.
    """

    key: ItemKey
    gross_minor: int
    upstream: Sequence[Link] = ()
    is_alive: bool = True
    is_closed: bool = False
    sequence: tuple[date, str] = (date(2000, 1, 1), "")


def open_amounts(documents: Iterable[ChainDocument]) -> dict[ItemKey, int]:
    """What each document still brings once everything behind it is taken off; never below zero."""
    known = {document.key: document for document in documents}
    brings = _brought(known)
    taken: dict[ItemKey, int] = defaultdict(int)
    for document in known.values():
        for key, minor in _takes(document, brings):
            taken[key] += minor
    return {
        key: 0
        if not document.is_alive or document.is_closed or key.document_type in BRINGS_NOTHING
        else max(0, brings[key] - taken[key])
        for key, document in known.items()
    }


def _takes(document: ChainDocument, brings: Mapping[ItemKey, int]) -> Iterable[Link]:
    """What a living document takes off each document before it; a capped one no more than it brings."""
    if not document.is_alive:
        return
    left = brings[document.key]
    for key, minor in document.upstream:
        share = min(minor, left) if key.document_type == ORDER else minor
        left -= share if key.document_type == ORDER else 0
        yield Link(key, share)


def _brought(known: Mapping[ItemKey, ChainDocument]) -> dict[ItemKey, int]:
    """What each document brings: its amount, or of an order's unpaid part only what earlier ones have left."""
    left = {
        key: document.gross_minor if document.is_alive else 0
        for key, document in known.items()
        if key.document_type == ORDER
    }
    brings = dict(left)
    ordered = sorted(known.values(), key=lambda document: (document.sequence, document.key))
    for document in ordered:
        if document.key.document_type != ORDER:
            brings[document.key] = _share(document, left)
    return brings


def _share(document: ChainDocument, left: dict[ItemKey, int]) -> int:
    """The document's amount, where it comes from orders no more than these have left; takes its part off them."""
    free = document.gross_minor
    share = 0
    for key, minor in document.upstream:
        if key in left:
            part = min(minor, left[key], free)
            free -= min(minor, free)
            share += part
            if document.is_alive:
                left[key] -= part
    return share + free
