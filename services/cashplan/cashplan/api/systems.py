"""Planning systems: each part is put whole, checked against all others, and read back with its version."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date
from random import Random
from typing import Annotated, Any, Final, Literal

from chassis.http import (
    CurrentPrincipal,
    CursorPage,
    FieldError,
    Page,
    Policy,
    Principal,
    Problem,
    Reader,
    Router,
    Work,
)
from chassis.sheets import UnreadableTable, read_table
from contracts.text import Id, Name
from fastapi import Body as BodyParameter
from fastapi import File, UploadFile
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from sqlalchemy.ext.asyncio import AsyncConnection

from cashplan import evaluation
from cashplan.api.common import (
    PLAN_ADMINISTRATORS,
    PLAN_READERS,
    Body,
    holds,
    known_system,
    refusals,
    sees,
)
from cashplan.domain import checks
from cashplan.domain.formulas import computing_order, names_in
from cashplan.domain.grids import grid_of
from cashplan.domain.periods import horizon
from cashplan.domain.samples import SAMPLES
from cashplan.domain.systems import Basics, Entity, Flaw, PlanningSystem, RoleAssignment, flaws
from cashplan.domain.trees import NODES_MAX
from cashplan.evaluation import FormulaRefused
from cashplan.repository import systems as system_rows
from cashplan.repository.systems import PARTS, Part
from chassis import UnitOfWork

router = Router(tags=["planning systems"])

BODY_BYTES_MAX: Final = 8 * 1024 * 1024


class SystemView(BaseModel):
    """A system's head, its version, and the parts that are set."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "system_id": "GROUP",
                    "version": 7,
                    "name": "Monthly cash plan",
                    "responsible_body": "E-GROUP",
                    "parts": {"entities": 12, "items": 11},
                }
            ]
        }
    )

    system_id: str
    version: int
    name: str
    responsible_body: str
    parts: dict[str, int]


class PartSaved(BaseModel):
    """What was saved, and what deserves a second look."""

    kind: str
    warnings: list[str]


class SampleBody(Body):
    """A sample to start from, with the entity that answers for the system."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"sample": "monthly-with-weeks", "responsible_body": "E-GROUP"}]},
    )

    sample: Literal["monthly-with-weeks", "weekly-rolling"]
    responsible_body: Id
    name: Name | None = None


@router.get("/planning-systems", policy=Policy("planning-system:read", roles=PLAN_READERS), summary="Systems")
async def planning_systems(page: Page, reader: Reader, principal: CurrentPrincipal) -> CursorPage[SystemView]:
    """The systems that you may look at, by id."""
    after = page.after(str)
    found = [
        each
        for each in await system_rows.systems(reader)
        if each.id > (after[0] if after else "") and _sees_any(each, principal)
    ]
    shown, following = page.page(found[: page.rows], lambda each: (each.id,))
    return CursorPage(items=[_view(each) for each in shown], next=following)


def _sees_any(system: PlanningSystem, principal: Principal) -> bool:
    return (
        bool(principal.roles & PLAN_ADMINISTRATORS)
        or sees(system, principal, None)
        or any(role.subject == principal.subject for role in system.roles)
    )


@router.put(
    "/planning-systems/{system_id}",
    policy=Policy("planning-system:write", roles=PLAN_ADMINISTRATORS),
    summary="Set a system's head",
)
async def store_system(system_id: Id, body: Basics, work: Work, principal: CurrentPrincipal) -> PartSaved:
    """Makes a system or changes its head; who makes it becomes its administrator."""
    version = await system_rows.locked_version(work.connection, system_id, work.now)
    if version == 0:
        await _save_all(work, _new(system_id, body, principal), principal)
        return PartSaved(kind="basics", warnings=[])
    system = await administered(work.connection, system_id, principal)
    return await save_part(work, system, PARTS["basics"], body, principal)


def _new(system_id: str, basics: Basics, principal: Principal) -> PlanningSystem:
    return PlanningSystem(
        id=system_id,
        basics=basics,
        entities=(Entity(id=basics.responsible_body, name=basics.responsible_body),),
        roles=(RoleAssignment(subject=principal.subject, role="administrator"),),
    )


async def _save_all(work: UnitOfWork, system: PlanningSystem, principal: Principal) -> None:
    parts = {kind: getattr(system, part.attribute) for kind, part in PARTS.items()}
    parts = {kind: list(value) if kind != "basics" else value for kind, value in parts.items()}
    await system_rows.save_parts(work.connection, system.id, parts, principal.subject, work.now)


@router.post(
    "/planning-systems/{system_id}/from-sample",
    policy=Policy("planning-system:write", roles=PLAN_ADMINISTRATORS),
    summary="Start from a sample",
    status_code=201,
)
async def store_sample(
    system_id: Id, body: SampleBody, work: Work, principal: CurrentPrincipal
) -> SystemView:
    """A whole system to go on from: items, templates, rules, timings and policies."""
    if await system_rows.locked_version(work.connection, system_id, work.now):
        raise Problem.conflict("system-exists", "A planning system of this id is set up already.")
    made = SAMPLES[body.sample](system_id, body.responsible_body)
    basics = replace(made.basics, name=body.name or made.basics.name)
    made = replace(
        made, basics=basics, roles=(RoleAssignment(subject=principal.subject, role="administrator"),)
    )
    await _save_all(work, made, principal)
    return _view(made)


@router.get(
    "/planning-systems/{system_id}",
    policy=Policy("planning-system:read", roles=PLAN_READERS),
    summary="One system",
)
async def planning_system(system_id: Id, reader: Reader, principal: CurrentPrincipal) -> SystemView:
    """A system's head and what is set of it."""
    system = await known_system(reader, system_id)
    if not _sees_any(system, principal):
        raise Problem.not_found()
    return _view(system)


def _view(system: PlanningSystem) -> SystemView:
    return SystemView(
        system_id=system.id,
        version=system.version,
        name=system.basics.name,
        responsible_body=system.basics.responsible_body,
        parts={
            kind: len(getattr(system, part.attribute)) for kind, part in PARTS.items() if kind != "basics"
        },
    )


async def administered(connection: AsyncConnection, system_id: str, principal: Principal) -> PlanningSystem:
    """The system, for who administers it; a division's own system is nobody else's to change."""
    system = await known_system(connection, system_id)
    if not holds(system, principal, ("administrator",), None):
        raise Problem.not_found()
    return system


async def save_part(
    work: UnitOfWork, system: PlanningSystem, part: Part, value: Any, principal: Principal
) -> PartSaved:
    with refusals():
        changed = replace(system, **{part.attribute: value})
        refuse_flaws(changed)
        warnings = second_looks(changed) if part.kind in ("check-rules", "items") else []
    await system_rows.save_parts(work.connection, system.id, {part.kind: value}, principal.subject, work.now)
    return PartSaved(kind=part.kind, warnings=warnings)


def refuse_flaws(system: PlanningSystem) -> None:
    """Errors: TreeError, FormulaError, FormulaRefused, GridError; Problem 422 with every wrong reference."""
    found: list[Flaw] = flaws(system)
    if found:
        raise Problem.invalid(
            [FieldError(field=field, message=text) for field, text in found], type="system-invalid"
        )
    _refuse_formulas(system)
    _refuse_columns(system)


def _refuse_formulas(system: PlanningSystem) -> None:
    formulas = {item.id: item.formula for item in system.items if item.formula and item.source == "formula"}
    parents = {item: below for item, below in system.item_tree.children.items() if item is not None}
    sums = {item: below for item, below in parents.items() if item not in formulas}
    computing_order(formulas, system.item_tree, sums)
    for formula in formulas.values():
        evaluation.compiled(formula, False)
    for indicator in system.indicators:
        evaluation.compiled(indicator.formula, False)
    for rule in system.check_rules:
        evaluation.compiled(rule.formula, True)
        for table in checks.TABLES:
            for name in names_in(rule.formula, table):
                if name not in system.item_tree:
                    raise FormulaRefused(rule.formula, f'{table}["{name}"] is no plan item of the system')


def _refuse_columns(system: PlanningSystem) -> None:
    """Every filing type must have columns within a year, and every template must make a grid of them."""
    for filing_type in system.filing_types:
        columns = horizon(filing_type.scheme, filing_type.rolling, filing_type.scheme.head(date(2026, 1, 15)))
        for template in system.templates:
            if template.filing_type == filing_type.id:
                grid_of(system, template, columns, next(iter(system.entity_tree), ""))


def second_looks(system: PlanningSystem) -> list[str]:
    """Check rules for which no set of figures was found that they let pass."""
    return [
        f"check rule {rule.id} was never true in {checks.SAMPLES} tries; can it ever hold?"
        for rule in system.check_rules
        if checks.never_holds(rule, evaluation.condition, Random(rule.formula))  # noqa: S311
    ]


def _declare(part: Part) -> None:
    """The routes of one part; its type is the body."""

    async def store_part(
        system_id: Id,
        body: Any,
        work: Work,
        principal: CurrentPrincipal,
    ) -> PartSaved:
        await system_rows.locked_version(work.connection, system_id, work.now)
        system = await administered(work.connection, system_id, principal)
        return await save_part(work, system, part, body, principal)

    async def read_part(system_id: Id, reader: Reader, principal: CurrentPrincipal) -> Any:
        system = await known_system(reader, system_id)
        if not _sees_any(system, principal):
            raise Problem.not_found()
        return getattr(system, part.attribute)

    store_part.__annotations__["body"] = Annotated[part.type, BodyParameter()]
    store_part.__name__ = f"store_{part.attribute}"
    read_part.__name__ = f"read_{part.attribute}"
    words = part.kind.replace("-", " ")
    _route(router.put, part, f"Set the {words}", "planning-system:write", PLAN_ADMINISTRATORS)(store_part)
    _route(router.get, part, f"The {words}", "planning-system:read", PLAN_READERS, part.type)(read_part)


TREE_COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "entities": ("parent", "organisation", "currency", "active"),
    "items": ("parent", "direction", "source", "formula", "fetch_rule", "entity"),
}


def _declare_import(part: Part) -> None:
    """The route by which a tree comes from Excel or CSV: a row per node, the columns named as the fields."""

    async def import_part(
        system_id: Id, file: Annotated[UploadFile, File()], work: Work, principal: CurrentPrincipal
    ) -> PartSaved:
        await system_rows.locked_version(work.connection, system_id, work.now)
        system = await administered(work.connection, system_id, principal)
        nodes = _nodes(part, await file.read())
        return await save_part(work, system, part, nodes, principal)

    import_part.__name__ = f"import_{part.attribute}"
    router.post(
        f"/planning-systems/{{system_id}}/{part.kind}/import",
        policy=Policy("planning-system:write", roles=PLAN_ADMINISTRATORS),
        summary=f"Import the {part.kind} from Excel or CSV",
        body_bytes_max=BODY_BYTES_MAX,
    )(import_part)


def _nodes(part: Part, body: bytes) -> list[Any]:
    try:
        rows = read_table(body, ("id", "name"), TREE_COLUMNS[part.kind], rows_max=NODES_MAX)
    except UnreadableTable as error:
        raise Problem.invalid(
            [FieldError(field="file", message=str(error))], type="table-unreadable"
        ) from None
    kind = TypeAdapter(part.type)
    values = [_values(row.cells) for row in rows]
    try:
        nodes: list[Any] = kind.validate_python(values)
    except ValidationError as error:
        errors = [
            FieldError(field=f"row {rows[int(each['loc'][0])].number} {each['loc'][-1]}", message=each["msg"])
            for each in error.errors()[:100]
        ]
        raise Problem.invalid(errors, type="rows-invalid") from None
    return nodes


def _values(cells: Mapping[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {name: value for name, value in cells.items() if value}
    if "active" in values:
        values["active"] = values["active"].lower() in ("true", "yes", "1")
    return values


def _route(
    method: Callable[..., Callable[[Any], Any]],
    part: Part,
    summary: str,
    action: str,
    roles: frozenset[str],
    response: Any = None,
) -> Callable[[Any], Any]:
    options: Mapping[str, Any] = (
        {"response_model": response} if response is not None else {"body_bytes_max": BODY_BYTES_MAX}
    )
    return method(
        f"/planning-systems/{{system_id}}/{part.kind}",
        policy=Policy(action, roles=roles),
        summary=summary,
        **options,
    )


for _part in PARTS.values():
    _declare(_part)
for _kind in TREE_COLUMNS:
    _declare_import(PARTS[_kind])
