"""Business documents as execution control sees them: what each has asked for, and what has settled it.

The whole state of a document is kept, so that what it occupies is computed anew after every operation and
compared with what it occupied before; nothing is ever added up from steps.
"""

from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from datetime import date
from typing import Final, Literal, NamedTuple

from contracts.event import message

Stance = Literal["request", "fact"]

PARKED_MAX: Final = 64
"""Operations of one document that wait for an earlier one."""


class DocumentKey(NamedTuple):
    source: str
    document_type: str
    document_id: str


class Upstream(NamedTuple):
    """The document that a line settles, the line of it (or the whole of it), and by how much."""

    key: DocumentKey
    line_id: str
    minor: int


@message
class DocumentLine:
    """`attributes` are what mappings and control read: the document's own with the line's laid over them."""

    line_id: str
    minor: int
    attributes: Mapping[str, str] = field(default_factory=dict)
    upstream: Sequence[Upstream] = ()


@message
class Posted:
    """A document after one operation, asked for or told."""

    key: DocumentKey
    revision: int
    operation: str
    stance: Stance
    party: str
    currency: str
    day: date
    due_day: date
    lines: Sequence[DocumentLine]

    @property
    def total_minor(self) -> int:
        return sum(line.minor for line in self.lines)


@message
class Settlement:
    """What another document has settled of this one: by line, or of the whole under an empty line id."""

    key: DocumentKey
    operations: Sequence[str]
    currency: str
    amounts: Mapping[str, int]


@message
class DocumentState:
    """All that is known of a document; revision 0 is one that only others have spoken of.

    `heard` is the highest revision that has had its turn, be it that it was refused or is held. `moved` and
    `released` are decided by hand, by filing type (`system/type`) and line.
    """

    key: DocumentKey
    revision: int = 0
    operations: Sequence[str] = ()
    party: str = ""
    currency: str = ""
    day: date = date(2000, 1, 1)
    due_day: date = date(2000, 1, 1)
    lines: Sequence[DocumentLine] = ()
    settled: Sequence[Settlement] = ()
    moved: Mapping[str, date] = field(default_factory=dict)
    released: Mapping[str, int] = field(default_factory=dict)
    rates: Mapping[str, str] = field(default_factory=dict)
    confirmed: bool = True
    heard: int = 0

    @property
    def is_known(self) -> bool:
        return self.revision > 0

    @property
    def turn(self) -> int:
        """The highest revision that has had its turn; the next one may come."""
        return max(self.revision, self.heard)


Standing = Literal["new", "confirms", "repeat", "superseded", "early"]


def standing(state: DocumentState, posted: Posted) -> Standing:
    """What a message is to what is known: news, the fact of a granted request, a repeat, out of date, or early.

    A fact of a later revision than the document's is news even when a request after it was heard already.
    """
    if posted.revision > state.revision:
        return _standing_ahead(state, posted)
    if posted.revision < state.revision:
        return "superseded"
    if posted.operation != state.operations[-1]:
        return "new"
    return "confirms" if posted.stance == "fact" and not state.confirmed else "repeat"


def _standing_ahead(state: DocumentState, posted: Posted) -> Standing:
    if posted.revision > state.turn + 1:
        return "early"
    return "superseded" if posted.stance == "request" and posted.revision < state.turn else "new"


def after(state: DocumentState, posted: Posted) -> DocumentState:
    """The document's state once the operation is done; its amounts and dates replace those before."""
    repeated = posted.revision == state.revision and state.operations[-1:] == (posted.operation,)
    operations = tuple(state.operations) if repeated else (*state.operations, posted.operation)
    return DocumentState(
        key=state.key,
        revision=posted.revision,
        operations=_last_of_each(operations),
        party=posted.party,
        currency=posted.currency,
        day=posted.day,
        due_day=posted.due_day,
        lines=posted.lines,
        settled=state.settled,
        moved=state.moved,
        released=state.released,
        rates=state.rates,
        confirmed=posted.stance == "fact",
        heard=max(state.heard, posted.revision),
    )


def heard(state: DocumentState, revision: int) -> DocumentState:
    """The document once a revision has had its turn, whatever came of it."""
    return state if revision <= state.turn else replace(state, heard=revision)


def _last_of_each(operations: Sequence[str]) -> tuple[str, ...]:
    """Each operation at its last occurrence: nothing else decides what is in effect, and the history stays short."""
    if len(operations) == 1:
        return tuple(operations)
    return tuple(reversed(dict.fromkeys(reversed(operations))))


def settlements_of(state: DocumentState) -> dict[DocumentKey, Settlement]:
    """What a document settles of each document that its lines come from."""
    amounts: dict[DocumentKey, dict[str, int]] = {}
    for line in state.lines:
        for upstream in line.upstream:
            of_document = amounts.setdefault(upstream.key, {})
            of_document[upstream.line_id] = of_document.get(upstream.line_id, 0) + upstream.minor
    return {
        key: Settlement(
            key=state.key, operations=tuple(state.operations), currency=state.currency, amounts=by_line
        )
        for key, by_line in amounts.items()
    }


def with_settlement(state: DocumentState, settlement: Settlement) -> DocumentState:
    """The document with what one other document settles of it, in place of what that one settled before."""
    others = [each for each in state.settled if each.key != settlement.key]
    return replace(state, settled=tuple(sorted([*others, settlement], key=lambda each: each.key)))


def in_effect(operations: Sequence[str], operation: str, reversed_by: Sequence[str]) -> bool:
    """Whether an operation was done and not taken back; a cancelled document has no operation in effect."""
    held = False
    for done in operations:
        if done == operation:
            held = True
        elif done == "cancel" or done in reversed_by:
            held = False
    return held
