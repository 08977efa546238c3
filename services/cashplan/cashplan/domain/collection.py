"""What the pool collects of business documents: by rules with filters, by hand, and from recurring items."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Annotated, Final, Literal

from contracts.bounds import at_most, between, of_length
from contracts.money import Amount
from contracts.text import Code, CurrencyCode, DocumentId, Id, Name
from contracts.times import CalendarDate

from cashplan.domain.chains import ChainDocument, Link
from cashplan.domain.mappings import STRICT
from cashplan.domain.pool import ORDER, Direction, ItemKey, PoolItem
from cashplan.domain.readings import posted_of
from contracts import DocumentPosted

MANUAL: Final = "manual"
RECURRING: Final = "recurring"
DEFAULT_DIRECTIONS: Final[Mapping[str, Direction]] = {"receivable": "in", "payment-request": "out"}
ALIVE: Final = frozenset({"submit", "audit", "reopen", "un-terminate", "close", "terminate"})
CLOSED: Final = frozenset({"close", "terminate"})


@dataclass(frozen=True, kw_only=True)
class CollectionRule:
    """Which documents of a type become items: all of `where` must hold, and the amount reach `at_least`.

    `fields` renames attributes of the document for the item; `days` is added to the due day. Rules are tried in
    turn; a document type with rules of which none holds is not collected.
    """

    __pydantic_config__ = STRICT
    id: Code
    name: Name
    document_type: Code
    direction: Direction | None = None
    where: Annotated[dict[Code, Annotated[list[Name], of_length(1, 500)]], at_most(10)] = field(
        default_factory=dict
    )
    at_least: Amount | None = None
    fields: Annotated[dict[Code, Code], at_most(50)] = field(default_factory=dict)
    entity: Code | None = None
    item: Id | None = None
    days: Annotated[int, between(-366, 366)] = 0
    active: bool = True


@dataclass(frozen=True, kw_only=True)
class ManualItem:
    """An open item that somebody enters, or changes; closing it takes it off the pool."""

    __pydantic_config__ = STRICT
    entity: Id
    direction: Literal["in", "out"]
    currency: CurrencyCode
    amount: Amount
    due_date: CalendarDate
    purpose: Name
    item: Id | None = None
    counterparty: Id | None = None
    contract_number: DocumentId | None = None
    settlement_method: Code | None = None
    closed: bool = False


@dataclass(frozen=True, kw_only=True)
class PoolFact:
    """What one document now brings, what it takes over, and the item that it becomes, if it is collected."""

    key: ItemKey
    version: int
    chain: ChainDocument
    item: PoolItem | None
    operation: str
    outcome: str


def item_key(source: str, document_type: str, document_id: str) -> ItemKey:
    return ItemKey(ORDER if document_type == "sales-order" else document_type, source, document_id)


def fact_of(event: DocumentPosted, rules: Sequence[CollectionRule]) -> PoolFact:
    """The fact that a posted document is for the pool."""
    posted = posted_of(event)
    key = item_key(*posted.key)
    links: dict[ItemKey, int] = {}
    for line in posted.lines:
        for upstream in line.upstream:
            of = item_key(*upstream.key)
            links[of] = links.get(of, 0) + upstream.minor
    return PoolFact(
        key=key,
        version=event.document_revision,
        chain=ChainDocument(
            key=key,
            gross_minor=posted.total_minor,
            upstream=tuple(Link(of, minor) for of, minor in sorted(links.items()) if of != key),
            is_alive=event.operation in ALIVE,
            is_closed=event.operation in CLOSED,
            sequence=(event.document_date, event.document_id),
        ),
        item=_item(event, key, rules),
        operation=event.operation,
        outcome="fact",
    )


def _item(event: DocumentPosted, key: ItemKey, rules: Sequence[CollectionRule]) -> PoolItem | None:
    posted = posted_of(event)
    attributes = posted.lines[0].attributes
    rule, direction = _collected(event, attributes, posted.total_minor, rules)
    if direction is None:
        return None
    renamed = (
        {target: attributes[name] for target, name in rule.fields.items() if name in attributes}
        if rule
        else {}
    )
    attributes = {**attributes, **renamed}
    entity = attributes.get(rule.entity) if rule and rule.entity else None
    default = event.party if direction == "out" else (event.settlement_organisation or event.party)
    return PoolItem(
        key=key,
        version=event.document_revision,
        direction=direction,
        entity=entity or default,
        currency=event.currency,
        counterparty=event.counterparty or event.customer,
        account=event.party,
        due_date=posted.due_day + timedelta(days=rule.days if rule else 0),
        document_minor=posted.total_minor,
        settled_minor=0,
        item=(rule.item if rule else None) or attributes.get("plan-item"),
        attributes=attributes,
    )


def _collected(
    event: DocumentPosted, attributes: Mapping[str, str], minor: int, rules: Sequence[CollectionRule]
) -> tuple[CollectionRule | None, Direction | None]:
    own = [rule for rule in rules if rule.document_type == event.document_type and rule.active]
    default = event.direction or DEFAULT_DIRECTIONS.get(event.document_type)
    if not own:
        return None, default if event.document_type in (*DEFAULT_DIRECTIONS, "custom") else None
    for rule in own:
        if _holds(rule, attributes, minor, event.currency):
            return rule, rule.direction or default
    return None, None


def _holds(rule: CollectionRule, attributes: Mapping[str, str], minor: int, currency: str) -> bool:
    if rule.at_least is not None and (rule.at_least.currency != currency or minor < rule.at_least.minor):
        return False
    return all(attributes.get(name) in values for name, values in rule.where.items())


def order_collected(item: PoolItem, rules: Sequence[CollectionRule]) -> bool:
    """Whether the rules let an order's receipt into the pool."""
    own = [rule for rule in rules if rule.document_type == ORDER and rule.active]
    return not own or any(
        _holds(rule, item.attributes, item.gross_minor, item.currency or "") for rule in own
    )


def order_fact(item: PoolItem, operation: str, outcome: str, decided_on: date) -> PoolFact:
    """The fact that a decided order is for the pool."""
    chain = ChainDocument(
        key=item.key, gross_minor=item.gross_minor, sequence=(decided_on, item.key.document_id)
    )
    return PoolFact(
        key=item.key, version=item.version, chain=chain, item=item, operation=operation, outcome=outcome
    )


def manual_fact(key: ItemKey, version: int, entered: ManualItem, operation: str) -> PoolFact:
    """The fact that somebody entered, changed or closed an item."""
    minor = entered.amount.minor
    attributes = {
        "document-type": key.document_type,
        "party": entered.entity,
        "reporting-entity": entered.entity,
        "purpose": entered.purpose,
        "plan-item": entered.item,
        "counterparty": entered.counterparty,
        "contract-number": entered.contract_number,
        "settlement-method": entered.settlement_method,
    }
    item = PoolItem(
        key=key,
        version=version,
        direction=entered.direction,
        entity=entered.entity,
        currency=entered.currency,
        counterparty=entered.counterparty,
        account=entered.entity,
        due_date=entered.due_date,
        document_minor=minor,
        settled_minor=0,
        item=entered.item,
        attributes={name: value for name, value in attributes.items() if value},
    )
    chain = ChainDocument(
        key=key, gross_minor=minor, is_closed=entered.closed, sequence=(entered.due_date, key.document_id)
    )
    return PoolFact(key=key, version=version, chain=chain, item=item, operation=operation, outcome="entered")
