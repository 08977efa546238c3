"""A planning system: everything that is set up before a plan is filed.

The dataclasses are the bodies of the API and of storage at once. Source: seed 003, section 4 (system management,
plan templates, business rules).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Any, Final, Literal

from contracts.bounds import at_most, between, matching, of_length
from contracts.money import Amount
from contracts.text import Code, CurrencyCode, Id, Name, Text

from cashplan.domain.mappings import STRICT, MemberMapping
from cashplan.domain.periods import PeriodKind, PeriodScheme, Rolling, RollingBy, WeekRule
from cashplan.domain.trees import NODES_MAX, Tree, tree_of

Formula = Annotated[str, of_length(1, 2_000)]
Percent = Annotated[str, matching(r"^(0|[1-9][0-9]{0,3})(\.[0-9]{1,4})?$")]
Role = Literal["preparer", "node-manager", "administrator", "document-maker"]
Direction = Literal["in", "out"]
Document = Literal["filing", "adjustment", "roll-up"]

BUILT_IN_DIMENSIONS: Final = frozenset({"item", "period", "currency", "entity", "filing-type"})


@dataclass(frozen=True, kw_only=True)
class Entity:
    """A reporting entity; `organisation` is the organisation of master data that it stands for."""

    __pydantic_config__ = STRICT
    id: Id
    parent: Id | None = None
    name: Name
    organisation: Id | None = None
    currency: CurrencyCode | None = None
    active: bool = True


@dataclass(frozen=True, kw_only=True)
class Item:
    """A plan item: entered, fetched by a rule, or a formula over other items; `entity` owns an extension."""

    __pydantic_config__ = STRICT
    id: Id
    parent: Id | None = None
    name: Name
    direction: Direction | None = None
    source: Literal["entered", "fetched", "formula"] = "entered"
    formula: Formula | None = None
    fetch_rule: Code | None = None
    entity: Id | None = None


@dataclass(frozen=True, kw_only=True)
class Member:
    __pydantic_config__ = STRICT
    id: Id
    parent: Id | None = None
    name: Name


@dataclass(frozen=True, kw_only=True)
class Dimension:
    """A further dimension, such as settlement method, legal company, bank or project."""

    __pydantic_config__ = STRICT
    id: Code
    name: Name
    members: Annotated[list[Member], at_most(NODES_MAX)]


@dataclass(frozen=True, kw_only=True)
class DetailField:
    """A column of detail sheets, such as counterparty, contract, payment date or bank account."""

    __pydantic_config__ = STRICT
    id: Code
    name: Name
    type: Literal["text", "date", "number", "choice"] = "text"
    visible: bool = True
    required: bool = False
    custom: bool = False
    choices: Annotated[list[Name], at_most(200)] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class RemarkColumn:
    __pydantic_config__ = STRICT
    id: Code
    name: Name


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A base measure of the system by its own name; `base` is the figure behind it."""

    __pydantic_config__ = STRICT
    id: Code
    name: Name
    base: Literal["filed", "effective", "adjusted", "pre-occupied", "actual", "available"]


@dataclass(frozen=True, kw_only=True)
class Indicator:
    """A formula over measures; empty where it divides by zero."""

    __pydantic_config__ = STRICT
    id: Code
    name: Name
    formula: Formula


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step of an approval flow: who holds `role` over the entity, or over the whole system."""

    __pydantic_config__ = STRICT
    role: Role
    subject: Id | None = None


@dataclass(frozen=True, kw_only=True)
class FilingType:
    """A month plan, a week plan ...: its periods, how it rolls, who approves it, and whether it is rolled up."""

    __pydantic_config__ = STRICT
    id: Code
    name: Name
    period_kind: PeriodKind
    week_rule: WeekRule = "cut"
    rolling_by: RollingBy = "none"
    rolling_length: Annotated[int, between(1, 53)] = 1
    rolling_fine: Annotated[int, between(1, 53)] = 1
    roll_up: bool = False
    roll_up_nodes: Annotated[list[Id], at_most(NODES_MAX)] = field(default_factory=list)
    filing_steps: Annotated[list[Step], at_most(10)] = field(default_factory=list)
    adjustment_steps: Annotated[list[Step], at_most(10)] = field(default_factory=list)
    roll_up_steps: Annotated[list[Step], at_most(10)] = field(default_factory=list)
    reminder_days: Annotated[int, between(0, 30)] = 2

    @cached_property
    def scheme(self) -> PeriodScheme:
        return PeriodScheme(self.period_kind, self.week_rule)

    @property
    def rolling(self) -> Rolling:
        return Rolling(self.rolling_by, self.rolling_length, self.rolling_fine)

    def steps(self, document: Document) -> Sequence[Step]:
        return {
            "filing": self.filing_steps,
            "adjustment": self.adjustment_steps,
            "roll-up": self.roll_up_steps,
        }[document]


@dataclass(frozen=True, kw_only=True)
class Cap:
    """An annual budget of one entity and item: what its plans of the year together may not exceed."""

    __pydantic_config__ = STRICT
    entity: Id
    item: Id
    year: Annotated[int, between(1990, 2200)]
    amount: Amount


@dataclass(frozen=True, kw_only=True)
class RoleAssignment:
    """A person's role; for one entity as preparer, for a subtree as node manager, else for the system."""

    __pydantic_config__ = STRICT
    subject: Id
    role: Role
    entity: Id | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class FetchRule:
    """Where a fetched item's figure comes from: pool items, posted documents or account balances."""

    __pydantic_config__ = STRICT
    id: Code
    source: Literal["pool", "documents", "balances"]
    direction: Direction | None = None
    document_types: Annotated[list[Code], at_most(50)] = field(default_factory=list)
    measure: Literal["pre-occupied", "actual"] | None = None
    where: Annotated[dict[Code, Annotated[list[Name], at_most(200)]], at_most(20)] = field(
        default_factory=dict
    )


@dataclass(frozen=True, kw_only=True)
class PoolRule:
    """Which open items of the pool go into which sheet: summed into cells, or one detail row each."""

    __pydantic_config__ = STRICT
    id: Code
    filing_type: Code
    sheet: Code
    direction: Direction
    document_types: Annotated[list[Code], at_most(50)] = field(default_factory=list)
    as_rows: bool = False
    fields: Annotated[dict[Code, Code], at_most(50)] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class EliminationRule:
    """Items that face one another inside the group, and how a row names its counterparty."""

    __pydantic_config__ = STRICT
    id: Code
    out_item: Id
    in_item: Id
    counterparty: Code
    counterparty_in: Literal["dimension", "field"] = "field"
    entities: Annotated[dict[Id, Id], at_most(NODES_MAX)] = field(default_factory=dict)
    agree: Annotated[list[Code], at_most(10)] = field(default_factory=lambda: ["period", "currency"])


@dataclass(frozen=True, kw_only=True)
class CheckRule:
    """A condition over the items of each column, or over another filing type; checked at submit and roll-up.

    `formula` speaks of `item["..."]` (this column), `total["..."]` (all columns of the head period),
    `other["..."]` (the same time in `other_filing_type`) and `within["..."]` (what this type plans beside in the
    longer period of that one: `total["a"] + within["a"] <= other["a"]` keeps the weeks within their month).
    """

    __pydantic_config__ = STRICT
    id: Code
    filing_type: Code
    formula: Formula
    message: Text
    severity: Literal["stop", "warn"] = "stop"
    per: Literal["column", "head"] = "column"
    other_filing_type: Code | None = None
    at_roll_up: bool = True


@dataclass(frozen=True, kw_only=True)
class Line:
    """One row or column of a fixed sheet: members by dimension, `*` for each; `link` names the sheet below."""

    __pydantic_config__ = STRICT
    id: Code
    members: Annotated[dict[Code, Id], at_most(20)]
    title: Name | None = None
    link: Code | None = None


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """Main and sub-sheets have fixed rows and columns; a detail sheet has columns only."""

    __pydantic_config__ = STRICT
    id: Code
    name: Name
    type: Literal["main", "sub", "detail"]
    fixed: Annotated[dict[Code, Id], at_most(20)] = field(default_factory=dict)
    rows: Annotated[list[Line], at_most(5_000)] = field(default_factory=list)
    columns: Annotated[list[Line], at_most(400)] = field(default_factory=list)
    remark_columns: Annotated[list[Code], at_most(20)] = field(default_factory=list)
    dimensions: Annotated[list[Code], at_most(20)] = field(default_factory=list)
    fields: Annotated[list[Code], at_most(50)] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Template:
    """The sheets of a filing or of a roll-up, assigned to entities and handed down to those below them."""

    __pydantic_config__ = STRICT
    id: Code
    name: Name
    filing_type: Code
    use: Literal["filing", "roll-up"] = "filing"
    sheets: Annotated[list[Sheet], of_length(1, 30)]
    entities: Annotated[list[Id], at_most(NODES_MAX)] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Extension:
    """Rows that an entity adds below an inherited row, for itself and its subtree."""

    __pydantic_config__ = STRICT
    template: Code
    sheet: Code
    row: Code
    entity: Id
    rows: Annotated[list[Line], of_length(1, 500)]


@dataclass(frozen=True, kw_only=True)
class StatisticsTemplate:
    """A saved view: dimensions on rows and columns, measures and indicators, and filters."""

    __pydantic_config__ = STRICT
    id: Code
    name: Name
    rows: Annotated[list[Code], of_length(1, 6)]
    columns: Annotated[list[Code], at_most(4)] = field(default_factory=list)
    measures: Annotated[list[Code], of_length(1, 20)]
    where: Annotated[dict[Code, Annotated[list[Id], at_most(1_000)]], at_most(10)] = field(
        default_factory=dict
    )
    with_roll_up: bool = False


@dataclass(frozen=True, kw_only=True)
class Timing:
    """What one document operation does to the plan, and what takes it back."""

    __pydantic_config__ = STRICT
    document_type: Code
    operation: Code
    effect: Literal["pre-occupy", "actual", "release"]
    reversed_by: Annotated[list[Code], at_most(10)] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True, eq=False)
class ControlPolicy:
    """On what is controlled and how hard; the most specific policy of entity, item and document type counts.

    `item_total`: the policy's own item is controlled as the sum of its subtree, else each document's item by
    itself. `span` cumulates within a head period, quarter or year, with or without drawing ahead within it. `tolerance`
    counts for `tolerate`, in percent of the effective figure or as an amount above it. A policy is known by identity.
    """

    __pydantic_config__ = STRICT
    id: Code
    filing_type: Code
    entity: Id | None = None
    item: Id | None = None
    direction: Direction = "out"
    document_type: Code | None = None
    item_total: bool = False
    dimensions: Annotated[list[Code], at_most(10)] = field(default_factory=list)
    fields: Annotated[list[Code], at_most(5)] = field(default_factory=list)
    enforcement: Literal["none", "warn", "tolerate", "special-approval", "block"] = "block"
    tolerance_percent: Percent | None = None
    tolerance: Amount | None = None
    span: Literal["period", "head", "quarter", "year"] = "period"
    draw_ahead: bool = False
    unplanned: Literal["zero", "pass", "warn", "block"] = "zero"


@dataclass(frozen=True, kw_only=True)
class Basics:
    """The head of a system: who answers for it, its currencies, and how its rounds and control work."""

    __pydantic_config__ = STRICT
    name: Name
    responsible_body: Id
    currencies: Annotated[list[CurrencyCode], of_length(1, 30)]
    plan_currency: CurrencyCode | None = None
    rest_of_plan: Literal["end", "first-day", "evenly"] = "end"
    uses_approval_batches: bool = False
    deviation_percent: Percent = "10"
    deviation_amount: Amount | None = None
    confirm_hours: Annotated[int, between(1, 720)] = 24
    special_approval_days: Annotated[int, between(1, 90)] = 7
    time_zone: Annotated[str, at_most(64)] = "Asia/Shanghai"
    active: bool = True


@dataclass(frozen=True, kw_only=True)
class PlanningSystem:
    """One system whole, with its trees ready to be asked."""

    id: Id
    version: int = 1
    basics: Basics
    filing_types: Sequence[FilingType] = ()
    entities: Sequence[Entity] = ()
    items: Sequence[Item] = ()
    dimensions: Sequence[Dimension] = ()
    detail_fields: Sequence[DetailField] = ()
    remark_columns: Sequence[RemarkColumn] = ()
    measures: Sequence[Measure] = ()
    indicators: Sequence[Indicator] = ()
    caps: Sequence[Cap] = ()
    roles: Sequence[RoleAssignment] = ()
    mappings: Sequence[MemberMapping] = ()
    fetch_rules: Sequence[FetchRule] = ()
    pool_rules: Sequence[PoolRule] = ()
    elimination_rules: Sequence[EliminationRule] = ()
    check_rules: Sequence[CheckRule] = ()
    templates: Sequence[Template] = ()
    extensions: Sequence[Extension] = ()
    statistics_templates: Sequence[StatisticsTemplate] = ()
    timings: Sequence[Timing] = ()
    policies: Sequence[ControlPolicy] = ()

    @cached_property
    def entity_tree(self) -> Tree:
        return tree_of(self.entities)

    @cached_property
    def item_tree(self) -> Tree:
        return tree_of(self.items)

    @cached_property
    def entity_by_id(self) -> Mapping[str, Entity]:
        return {entity.id: entity for entity in self.entities}

    @cached_property
    def item_by_id(self) -> Mapping[str, Item]:
        return {item.id: item for item in self.items}

    @cached_property
    def item_formulas(self) -> Mapping[str, str]:
        """The formulas of formula items, by item."""
        return {item.id: item.formula for item in self.items if item.source == "formula" and item.formula}

    @cached_property
    def filing_type_by_id(self) -> Mapping[str, FilingType]:
        return {filing_type.id: filing_type for filing_type in self.filing_types}

    @cached_property
    def dimension_by_id(self) -> Mapping[str, Dimension]:
        return {dimension.id: dimension for dimension in self.dimensions}

    @cached_property
    def members(self) -> Mapping[str, frozenset[str]]:
        """The members of every dimension, the built-in ones among them."""
        return {
            "item": frozenset(self.item_by_id),
            "entity": frozenset(self.entity_by_id),
            "currency": frozenset(self.basics.currencies),
            **{each.id: frozenset(member.id for member in each.members) for each in self.dimensions},
        }

    @cached_property
    def found_dimensions(self) -> dict[tuple[str, tuple[str, ...], str], tuple[str, ...]]:
        """Plan dimensions as they were found, by filing type, the named entities above, and item."""
        return {}

    @cached_property
    def layout_entities(self) -> frozenset[str]:
        """The entities that templates and extensions name; all others plan like the nearest of them above."""
        named = {entity for template in self.templates for entity in template.entities}
        return frozenset(named | {each.entity for each in self.extensions})

    @cached_property
    def policy_entities(self) -> frozenset[str]:
        """The entities that policies name; all others are controlled like the nearest of them above."""
        return frozenset(policy.entity for policy in self.policies if policy.entity is not None)

    def named_above(self, entity: str, named: frozenset[str]) -> tuple[str, ...]:
        """Those of these entities that lie at or above one, the nearest first."""
        return tuple([each for each in self.entity_tree.path(entity) if each in named]) if named else ()

    def plan_dimensions(self, filing_type: str, entity: str, item: str) -> tuple[str, ...]:
        """The further dimensions by which an entity plans an item: those of its rows in the fixed sheets, sorted."""
        key = filing_type, self.named_above(entity, self.layout_entities), item
        if key not in self.found_dimensions:
            template = self.template_for(filing_type, entity)
            self.found_dimensions[key] = self._dimensions(template, key[1], item) if template else ()
        return self.found_dimensions[key]

    def _dimensions(self, template: Template, path: Sequence[str], item: str) -> tuple[str, ...]:
        added = {
            (each.sheet, each.row): each.rows
            for each in self.extensions
            if each.template == template.id and each.entity in path
        }
        used: set[str] = set()
        for sheet in template.sheets:
            if sheet.type == "detail":
                continue
            whole = {*sheet.fixed, *(name for line in sheet.columns for name in line.members)}
            for row in sheet.rows:
                for line in (row, *added.get((sheet.id, row.id), ())):
                    own = line.members.get("item", row.members.get("item", sheet.fixed.get("item")))
                    if own in ("*", item):
                        used |= {*whole, *row.members, *line.members}
        return tuple(sorted(used & self.dimension_by_id.keys()))

    @cached_property
    def found_fields(self) -> dict[tuple[str, str], tuple[str, ...]]:
        """Control fields as they were found, by filing type and item."""
        return {}

    def control_fields(self, filing_type: str, item: str) -> tuple[str, ...]:
        """The detail fields that any policy over an item controls on, sorted."""
        key = filing_type, item
        if key not in self.found_fields:
            above = {None, *self.item_tree.path(item)}
            own = [each for each in self.policies if each.filing_type == filing_type and each.item in above]
            self.found_fields[key] = tuple(sorted({name for policy in own for name in policy.fields}))
        return self.found_fields[key]

    @cached_property
    def found_policies(self) -> dict[tuple[str, tuple[str, ...], str, str], ControlPolicy | None]:
        """Policies as they were found, by filing type, the named entities above, item and document type."""
        return {}

    @cached_property
    def found_effects(self) -> dict[tuple[str, tuple[str, ...]], frozenset[str]]:
        """What documents do to the plan as it was found, by document type and operations."""
        return {}

    @cached_property
    def grids(self) -> dict[tuple[str, str, str], Any]:
        """Grids as they were made, by template, entity and round."""
        return {}

    def template_for(self, filing_type: str, entity: str, use: str = "filing") -> Template | None:
        """The template assigned to the entity or handed down from the nearest entity above it."""
        usable = [each for each in self.templates if each.filing_type == filing_type and each.use == use]
        for above in self.entity_tree.path(entity):
            for template in usable:
                if above in template.entities:
                    return template
        return next((each for each in usable if not each.entities), None)

    @cached_property
    def aliases(self) -> Mapping[str, Mapping[str, str]]:
        """By dimension the other names of its members: an entity is also known by its organisation."""
        return {"entity": {each.organisation: each.id for each in self.entities if each.organisation}}

    def has_role(self, subject: str, role: Role, entity: str | None) -> bool:
        """Whether a person holds a role for an entity; node managers and administrators do for a subtree."""
        above = set(self.entity_tree.path(entity)) if entity is not None else set()
        return any(
            each.subject == subject
            and each.role == role
            and (
                each.entity is None or each.entity == entity or (role != "preparer" and each.entity in above)
            )
            for each in self.roles
        )

    def holders(self, role: Role, entity: str) -> list[str]:
        """Who holds a role for an entity, sorted."""
        subjects = {each.subject for each in self.roles if each.role == role}
        return sorted(subject for subject in subjects if self.has_role(subject, role, entity))


Flaw = tuple[str, str]
"""A field and what is wrong with it."""


def flaws(system: PlanningSystem) -> list[Flaw]:
    """What the parts of a system say of things that are not there; trees raise their own errors first."""
    _ = system.entity_tree, system.item_tree
    return [
        *_currency_flaws(system),
        *_type_flaws(system),
        *_item_flaws(system),
        *_reference_flaws(system),
        *_template_flaws(system),
        *_field_flaws(system),
        *_policy_flaws(system),
    ]


def _currency_flaws(system: PlanningSystem) -> list[Flaw]:
    currency = system.basics.plan_currency
    found: list[Flaw] = [
        (f"dimensions[{index}].id", f"{each.id} is a dimension of every system already")
        for index, each in enumerate(system.dimensions)
        if each.id in BUILT_IN_DIMENSIONS
    ]
    if currency is not None and currency not in system.basics.currencies:
        found.append(("basics.plan_currency", f"{currency} is not among the currencies of the system"))
    return found


def _type_flaws(system: PlanningSystem) -> list[Flaw]:
    found: list[Flaw] = []
    for index, each in enumerate(system.filing_types):
        where = f"filing_types[{index}]"
        found += [
            (f"{where}.roll_up_nodes", f"{node} is not an entity of the system")
            for node in each.roll_up_nodes
            if node not in system.entity_tree
        ]
        if each.roll_up and not each.roll_up_nodes:
            found.append((f"{where}.roll_up_nodes", "names no node, though the type is rolled up"))
        found += _twice(f"{where}.id", [other.id for other in system.filing_types[:index]], each.id)
    return found


def _twice(where: str, earlier: Sequence[str], own: str) -> list[Flaw]:
    return [(where, f"{own} is used twice")] if own in earlier else []


def _item_flaws(system: PlanningSystem) -> list[Flaw]:
    rules = {rule.id for rule in system.fetch_rules}
    found: list[Flaw] = []
    for index, item in enumerate(system.items):
        if item.source == "formula" and item.formula is None:
            found.append((f"items[{index}].formula", "is missing for a formula item"))
        if item.source == "fetched" and item.fetch_rule not in rules:
            found.append(
                (f"items[{index}].fetch_rule", f"{item.fetch_rule} is not a fetch rule of the system")
            )
        if item.entity is not None and item.entity not in system.entity_tree:
            found.append((f"items[{index}].entity", f"{item.entity} is not an entity of the system"))
    return found


def _reference_flaws(system: PlanningSystem) -> list[Flaw]:
    entities, items, types = system.entity_tree, system.item_tree, system.filing_type_by_id
    wanted: list[tuple[str, str | None, Any, str]] = []
    for index, cap in enumerate(system.caps):
        wanted += [(f"caps[{index}].entity", cap.entity, entities, "an entity")]
        wanted += [(f"caps[{index}].item", cap.item, items, "a plan item")]
    for index, role in enumerate(system.roles):
        wanted.append((f"roles[{index}].entity", role.entity, entities, "an entity"))
    for index, rule in enumerate(system.elimination_rules):
        wanted.append((f"elimination_rules[{index}].out_item", rule.out_item, items, "a plan item"))
        wanted.append((f"elimination_rules[{index}].in_item", rule.in_item, items, "a plan item"))
    for index, check in enumerate(system.check_rules):
        wanted.append((f"check_rules[{index}].filing_type", check.filing_type, types, "a filing type"))
        other = check.other_filing_type
        wanted.append((f"check_rules[{index}].other_filing_type", other, types, "a filing type"))
    for index, pool in enumerate(system.pool_rules):
        wanted.append((f"pool_rules[{index}].filing_type", pool.filing_type, types, "a filing type"))
    return [
        (where, f"{value} is not {what} of the system")
        for where, value, known, what in wanted
        if value is not None and value not in known
    ]


def _template_flaws(system: PlanningSystem) -> list[Flaw]:
    found: list[Flaw] = []
    for index, template in enumerate(system.templates):
        where = f"templates[{index}]"
        if template.filing_type not in system.filing_type_by_id:
            found.append(
                (f"{where}.filing_type", f"{template.filing_type} is not a filing type of the system")
            )
        found += [
            (f"{where}.entities", f"{entity} is not an entity of the system")
            for entity in template.entities
            if entity not in system.entity_tree
        ]
        for number, sheet in enumerate(template.sheets):
            found += _sheet_flaws(system, template, sheet, f"{where}.sheets[{number}]")
    return found


def _sheet_flaws(system: PlanningSystem, template: Template, sheet: Sheet, where: str) -> list[Flaw]:
    found: list[Flaw] = []
    lines = [*sheet.rows, *sheet.columns]
    for line in lines:
        found += _member_flaws(system, {**sheet.fixed, **line.members}, f"{where}.{line.id}")
    linkable = {each.id for each in template.sheets if each.type != "main"}
    found += [
        (f"{where}.{line.id}.link", f"{line.link} is not a sub-sheet or detail sheet of the template")
        for line in lines
        if line.link is not None and line.link not in linkable
    ]
    fields = {each.id for each in system.detail_fields}
    found += [
        (f"{where}.fields", f"{name} is not a detail field") for name in sheet.fields if name not in fields
    ]
    if sheet.type != "detail" and not sheet.rows:
        found.append((f"{where}.rows", "are missing; only a detail sheet has columns alone"))
    return found


def _member_flaws(system: PlanningSystem, members: Mapping[str, str], where: str) -> list[Flaw]:
    found: list[Flaw] = []
    for dimension, member in members.items():
        if dimension == "period":
            if member != "*":
                found.append((f"{where}.period", "must be *: the round sets the periods"))
        elif dimension not in system.members:
            found.append((where, f"{dimension} is not a dimension of the system"))
        elif member != "*" and member not in system.members[dimension]:
            found.append((where, f"{member} is not a member of {dimension}"))
    return found


def _field_flaws(system: PlanningSystem) -> list[Flaw]:
    found: list[Flaw] = []
    for index, each in enumerate(system.detail_fields):
        where = f"detail_fields[{index}]"
        if each.required and not each.visible:
            found.append((f"{where}.visible", f"{each.id} is required, so people must see it"))
        if each.type == "choice" and not each.choices:
            found.append((f"{where}.choices", f"are missing for {each.id}"))
    return found


def _policy_flaws(system: PlanningSystem) -> list[Flaw]:
    fields = {each.id for each in system.detail_fields}
    found: list[Flaw] = []
    for index, policy in enumerate(system.policies):
        where = f"policies[{index}]"
        if policy.filing_type not in system.filing_type_by_id:
            found.append((f"{where}.filing_type", f"{policy.filing_type} is not a filing type of the system"))
        if policy.item is not None and policy.item not in system.item_tree:
            found.append((f"{where}.item", f"{policy.item} is not a plan item of the system"))
        if policy.entity is not None and policy.entity not in system.entity_tree:
            found.append((f"{where}.entity", f"{policy.entity} is not an entity of the system"))
        if policy.item_total and policy.item is None:
            found.append((f"{where}.item", "is missing, though the policy controls an item's total"))
        found += [
            (f"{where}.dimensions", f"{name} is not a dimension of the system")
            for name in policy.dimensions
            if name not in system.dimension_by_id
        ]
        found += [
            (f"{where}.fields", f"{name} is not a detail field")
            for name in policy.fields
            if name not in fields
        ]
        if policy.enforcement == "tolerate" and policy.tolerance is None and policy.tolerance_percent is None:
            found.append(
                (f"{where}.tolerance", "or tolerance_percent is missing for a policy that tolerates")
            )
    return found
