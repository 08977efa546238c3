"""document-posted as execution control and the pool read it."""

from collections.abc import Iterable, Mapping
from operator import attrgetter
from typing import Final

from contracts.document_posted import Attribute
from contracts.document_posted import DocumentLine as PostedLine
from contracts.money import minor_units

from cashplan.domain.documents import DocumentKey, DocumentLine, Posted, Upstream
from contracts import DocumentPosted

DIRECT: Final = (
    "sub_type",
    "party",
    "customer",
    "counterparty",
    "business_organisation",
    "settlement_organisation",
    "sales_organisation",
    "salesperson",
    "sales_group",
    "sales_department",
    "contract_number",
    "settlement_method",
    "bank_account",
    "plan_item",
    "direction",
    "currency",
    "document_type",
    "source",
)
OF_LINE: Final = ("material", "material_group", "plan_item")


NAMES: Final = tuple(name.replace("_", "-") for name in DIRECT)
values_of: Final = attrgetter(*DIRECT)


def attributes_of(event: DocumentPosted) -> dict[str, str]:
    """What mappings and filters may speak of, by kebab-case names; the ERP's own attributes last."""
    known = {name: value for name, value in zip(NAMES, values_of(event), strict=True) if value}
    known["reporting-entity"] = reporting_entity(event)
    if event.attributes:
        known.update(_own(event.attributes))
    return known


def reporting_entity(event: DocumentPosted) -> str:
    """Whose plan a document is about: the party of payments, else the organisation where the money is settled."""
    if event.document_type in ("payment-request", "payment"):
        return event.party
    return event.settlement_organisation or event.party


def _own(attributes: Iterable[Attribute] | None) -> Mapping[str, str]:
    return {attribute.name: attribute.value for attribute in attributes or () if attribute.value}


def posted_of(event: DocumentPosted) -> Posted:
    """The document after its operation, amounts in minor units."""
    attributes = attributes_of(event)
    return Posted(
        key=DocumentKey(event.source, event.document_type, event.document_id),
        revision=event.document_revision,
        operation=event.operation,
        stance=event.stance,
        party=event.party,
        currency=event.currency,
        day=event.document_date,
        due_day=event.due_date or event.document_date,
        lines=tuple(_line(event, line, attributes) for line in event.lines),
    )


def _line(event: DocumentPosted, line: PostedLine, attributes: Mapping[str, str]) -> DocumentLine:
    minor = line.amount.minor
    return DocumentLine(
        line_id=line.line_id,
        minor=minor,
        attributes=_with_own(line, attributes),
        upstream=tuple(
            Upstream(
                key=DocumentKey(each.source or event.source, each.document_type, each.document_id),
                line_id=each.line_id or "",
                minor=minor_units(each.amount.amount, event.currency) if each.amount else minor,
            )
            for each in line.upstream
        )
        if line.upstream
        else (),
    )


def _with_own(line: PostedLine, attributes: Mapping[str, str]) -> Mapping[str, str]:
    """The document's attributes with the line's laid over them."""
    own = {name.replace("_", "-"): value for name in OF_LINE if (value := getattr(line, name))}
    if line.attributes:
        own.update(_own(line.attributes))
    return {**attributes, **own} if own else attributes


def flaw(event: DocumentPosted) -> str | None:
    """Why a document contradicts itself, in a sentence; None when it is sound."""
    amounts = [event.total, *(line.amount for line in event.lines)]
    if any(amount.currency != event.currency for amount in amounts):
        return f"lines: every amount must be in {event.currency}, the document's currency"
    total = sum(line.amount.minor for line in event.lines)
    if total != event.total.minor:
        return f"total: is {event.total.amount}, but the lines sum to {total} minor units"
    if any(
        each.amount and each.amount.currency != event.currency
        for line in event.lines
        for each in line.upstream or ()
    ):
        return f"lines.upstream: every amount must be in {event.currency}, the document's currency"
    return None
