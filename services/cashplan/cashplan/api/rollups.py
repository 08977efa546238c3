"""Roll-ups: what a node sees, the amounts it approves, elimination, and the approval that makes effective."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from chassis.http import CurrentPrincipal, Policy, Problem, Reader, Router, Work
from contracts.bounds import at_most
from contracts.money import UNSIGNED_DECIMAL, decimal_string, minor_units
from contracts.text import Code, CurrencyCode, Id, Text
from fastapi import Query
from pydantic import BaseModel, Field, StringConstraints

from cashplan import evaluation
from cashplan.api.common import PLAN_PEOPLE, PLAN_READERS, Body, refusals, require, require_sight, sees
from cashplan.domain.analysis import Record, pivot
from cashplan.domain.cells import CellKey, members_of, members_text
from cashplan.domain.eliminations import Elimination
from cashplan.domain.layouts import laid_out
from cashplan.flows import rollups
from cashplan.flows.rollups import RollUpDesk
from cashplan.repository import cells as cell_rows
from cashplan.repository import rollups as rollup_rows
from cashplan.repository.rollups import RollUp

router = Router(tags=["roll-up"])

MANAGERS: Final = ("node-manager", "administrator")


class FigureView(BaseModel):
    item: str
    period: str
    currency: str
    members: dict[str, str]
    amount: str


class LineView(BaseModel):
    """A child line: an entity's own filing, or a lower node."""

    kind: Literal["entity", "node"]
    id: str
    name: str
    state: str
    figures: list[FigureView]


class RollUpState(BaseModel):
    node: str
    node_name: str
    state: str
    missing: list[str]
    warnings: list[str]
    eliminated_at: datetime | None


class RollUpView(RollUpState):
    """A node's sum: its lines, the total, what is eliminated, the net total, and later adjustments."""

    currency: str | None
    lines: list[LineView]
    total: list[FigureView]
    eliminated: list[FigureView]
    net: list[FigureView]
    adjusted_since: list[FigureView]
    is_adjusted: bool


class AmountBody(Body):
    """The approved amount of one cell of a child line."""

    kind: Literal["entity", "node"]
    line: Id
    item: Id
    period: Annotated[str, StringConstraints(max_length=40)]
    currency: CurrencyCode
    members: dict[Code, Id] = Field(default_factory=dict)
    amount: Annotated[str, StringConstraints(pattern=UNSIGNED_DECIMAL)]


class AmountsBody(Body):
    """`spread` passes the amount of a lower node on to its entities in proportion at once."""

    amounts: Annotated[list[AmountBody], at_most(20_000)]
    spread: bool = False


class ReasonBody(Body):
    reason: Text


class EliminationView(BaseModel):
    """One pair: what each side plans of the other, what is eliminated, and what is left on each side."""

    rule: str
    payer: str
    receiver: str
    agreed: dict[str, str]
    node: str | None
    currency: str
    out_item: str
    in_item: str
    out_amount: str
    in_amount: str
    eliminated: str
    unmatched_out: str
    unmatched_in: str


class SheetCell(BaseModel):
    """One cell of a roll-up template."""

    sheet: str
    row: str
    title: str
    column: str
    source: str
    amount: str


class AttachedStatistics(BaseModel):
    template: str
    rows: list[dict[str, Any]]


PATH: Final = "/planning-systems/{system_id}/rounds/{round_id}/roll-ups"


async def _desk(
    connection: Any, system_id: str, round_id: str, node: str, principal: Any, **how: bool
) -> RollUpDesk:
    with refusals():
        held = await rollups.desk(connection, system_id, round_id, **how)
    if node not in held.roll_ups:
        raise Problem.not_found("The round has no roll-up of this node.")
    require_sight(held.system, principal, node)
    return held


@router.get(PATH, policy=Policy("roll-up:read", roles=PLAN_READERS), summary="Roll-ups of a round")
async def roll_ups(
    system_id: Id, round_id: Id, reader: Reader, principal: CurrentPrincipal
) -> list[RollUpState]:
    """Every node that you may look at, with its state and who is missing below it."""
    with refusals():
        held = await rollups.desk(reader, system_id, round_id)
        seen = [node for node in held.roll_ups if sees(held.system, principal, node)]
        return [_state(held, held.roll_ups[node]) for node in seen]


def _state(held: RollUpDesk, roll_up: RollUp) -> RollUpState:
    entities = held.outline.entities(roll_up.node)
    approved = held.approved
    return RollUpState(
        node=roll_up.node,
        node_name=held.system.entity_by_id[roll_up.node].name,
        state=roll_up.course.state,
        missing=[entity for entity in entities if entity not in approved],
        warnings=list(roll_up.warnings),
        eliminated_at=roll_up.eliminated_at,
    )


@router.get(PATH + "/{node}", policy=Policy("roll-up:read", roles=PLAN_READERS), summary="What a node sums")
async def roll_up(
    system_id: Id, round_id: Id, node: Id, reader: Reader, principal: CurrentPrincipal
) -> RollUpView:
    """Lines and totals at the round's rates; entities that are missing are listed, not taken as zero."""
    held = await _desk(reader, system_id, round_id, node, principal)
    pairs = await rollup_rows.eliminations(reader, system_id, round_id)
    with refusals():
        found = held.sum_of(node)
        taken = held.taken_off(node, pairs)
    adjusted = await cell_rows.adjusted_below(
        reader, system_id, held.round.body.filing_type, round_id, held.outline.entities(node)
    )
    since = {CellKey(row.item, row.period, row.currency): int(row.adjusted_minor) for row in adjusted}
    lines = [
        LineView(
            kind=line.kind,
            id=line.id,
            name=held.system.entity_by_id[line.id].name,
            state=_line_state(held, line.kind, line.id),
            figures=_figures(found.lines.get(line, {})),
        )
        for line in held.outline.lines[node]
    ]
    return RollUpView(
        **_state(held, held.roll_ups[node]).model_dump(),
        currency=found.currency,
        lines=lines,
        total=_figures(found.total),
        eliminated=_figures(taken),
        net=_figures(_net(found.total, taken)),
        adjusted_since=_figures(since),
        is_adjusted=bool(since),
    )


def _line_state(held: RollUpDesk, kind: str, line: str) -> str:
    return held.filings[line].course.state if kind == "entity" else held.roll_ups[line].course.state


def _net(total: Mapping[CellKey, int], taken: Mapping[CellKey, int]) -> dict[CellKey, int]:
    """Totals by item and period over all members, less what is eliminated."""
    sums: dict[CellKey, int] = {}
    for figures in (total, taken):
        for key, minor in figures.items():
            place = key._replace(members="")
            sums[place] = sums.get(place, 0) + minor
    return sums


def _figures(figures: Mapping[CellKey, int]) -> list[FigureView]:
    return [
        FigureView(
            item=key.item,
            period=key.period,
            currency=key.currency,
            members=members_of(key.members),
            amount=decimal_string(minor, key.currency),
        )
        for key, minor in sorted(figures.items())
    ]


@router.get(
    PATH + "/{node}/sheet",
    policy=Policy("roll-up:read", roles=PLAN_READERS),
    summary="A node's total by its roll-up template",
)
async def sheet(
    system_id: Id, round_id: Id, node: Id, reader: Reader, principal: CurrentPrincipal
) -> list[SheetCell]:
    """The rows and columns of the template that is assigned to the node for roll-ups."""
    held = await _desk(reader, system_id, round_id, node, principal)
    template = held.system.template_for(held.round.body.filing_type, node, "roll-up")
    if template is None:
        raise Problem.not_found("No roll-up template is assigned to this node.")
    with refusals():
        total = held.sum_of(node).total
        grid, values = laid_out(held.system, template, held.round.columns, node, total, evaluation.amount)
    return [
        SheetCell(
            sheet=sheet_id,
            row=row.id,
            title=row.title,
            column=column.id,
            source=cell.source,
            amount=decimal_string(values.get((sheet_id, cell.key), 0), cell.key.currency),
        )
        for sheet_id, fixed in grid.sheets.items()
        for row, line in zip(fixed.rows, fixed.cells, strict=True)
        for column, cell in zip(fixed.columns, line, strict=True)
    ]


@router.post(
    PATH + "/{node}/amounts",
    policy=Policy("roll-up:approve-amounts", roles=PLAN_PEOPLE),
    summary="Approve amounts per child line",
)
async def amounts(
    system_id: Id, round_id: Id, node: Id, body: AmountsBody, work: Work, principal: CurrentPrincipal
) -> RollUpState:
    """The approved figure becomes the entity's effective one; what was filed is kept."""
    held = await _desk(work.connection, system_id, round_id, node, principal, locked=True, with_details=True)
    require(held.system, principal, MANAGERS, node)
    wanted: dict[tuple[str, str], dict[CellKey, int]] = {}
    for each in body.amounts:
        key = CellKey(each.item, each.period, each.currency, members_text(each.members))
        wanted.setdefault((each.kind, each.line), {})[key] = minor_units(each.amount, each.currency)
    with refusals():
        await rollups.approve_amounts(work, held, node, wanted, spread=body.spread)
    after = await _desk(work.connection, system_id, round_id, node, principal)
    return _state(after, after.roll_ups[node])


@router.post(
    PATH + "/{node}/eliminate",
    policy=Policy("roll-up:eliminate", roles=PLAN_PEOPLE),
    summary="Eliminate what is internal",
)
async def eliminate(
    system_id: Id, round_id: Id, node: Id, work: Work, principal: CurrentPrincipal
) -> list[EliminationView]:
    """Pair by pair, in place of what was eliminated before; nobody's own figures change."""
    held = await _desk(work.connection, system_id, round_id, node, principal, locked=True, with_details=True)
    require(held.system, principal, MANAGERS, node)
    with refusals():
        return [_pair(pair) for pair in await rollups.eliminate(work, held, node)]


def _pair(pair: Elimination) -> EliminationView:
    currency = pair.currency
    return EliminationView(
        rule=pair.key.rule,
        payer=pair.key.payer,
        receiver=pair.key.receiver,
        agreed=dict(pair.key.agreed),
        node=pair.node,
        currency=currency,
        out_item=pair.out_item,
        in_item=pair.in_item,
        out_amount=decimal_string(pair.out_minor, currency),
        in_amount=decimal_string(pair.in_minor, currency),
        eliminated=decimal_string(pair.eliminated, currency),
        unmatched_out=decimal_string(pair.unmatched_out, currency),
        unmatched_in=decimal_string(pair.unmatched_in, currency),
    )


@router.get(
    "/planning-systems/{system_id}/rounds/{round_id}/eliminations",
    policy=Policy("roll-up:read", roles=PLAN_READERS),
    summary="Elimination records of a round",
)
async def elimination_records(
    system_id: Id,
    round_id: Id,
    reader: Reader,
    principal: CurrentPrincipal,
    party: Annotated[Id | None, Query(description="Only pairs that this entity is a side of.")] = None,
    unmatched: Annotated[bool, Query(description="Only pairs with something left over.")] = False,
) -> list[EliminationView]:
    """What was eliminated and what is unmatched; each party sees its own pairs."""
    with refusals():
        held = await rollups.desk(reader, system_id, round_id)
    require_sight(held.system, principal, party)
    pairs = await rollup_rows.eliminations(reader, system_id, round_id, party)
    return [_pair(pair) for pair in pairs if not unmatched or pair.unmatched_out or pair.unmatched_in]


@router.post(
    PATH + "/{node}/submit", policy=Policy("roll-up:submit", roles=PLAN_PEOPLE), summary="Submit a roll-up"
)
async def submit(
    system_id: Id, round_id: Id, node: Id, work: Work, principal: CurrentPrincipal
) -> RollUpState:
    """Lower roll-ups must be approved and every cut distributed; check rules run again."""
    held = await _desk(work.connection, system_id, round_id, node, principal, locked=True)
    require(held.system, principal, MANAGERS, node)
    with refusals():
        saved, _ = await rollups.submit(work, held, node, principal.subject)
    return _state(held, saved)


@router.post(
    PATH + "/{node}/approve", policy=Policy("roll-up:approve", roles=PLAN_PEOPLE), summary="Approve a roll-up"
)
async def approve(
    system_id: Id, round_id: Id, node: Id, work: Work, principal: CurrentPrincipal
) -> RollUpState:
    """The topmost node's approval makes every approved filing below it effective."""
    held = await _desk(work.connection, system_id, round_id, node, principal, locked=True, with_details=True)
    with refusals():
        return _state(held, await rollups.approve(work, held, node, principal.subject))


@router.post(
    PATH + "/{node}/send-back",
    policy=Policy("roll-up:send-back", roles=PLAN_PEOPLE),
    summary="Send a roll-up back",
)
async def send_back(
    system_id: Id, round_id: Id, node: Id, body: ReasonBody, work: Work, principal: CurrentPrincipal
) -> RollUpState:
    """Opens it again, for other amounts or for filings that came late; what is effective stays so."""
    held = await _desk(work.connection, system_id, round_id, node, principal, locked=True)
    require(held.system, principal, MANAGERS, node)
    with refusals():
        return _state(held, await rollups.send_back(work, held, node, principal.subject, body.reason))


@router.get(
    PATH + "/{node}/statistics",
    policy=Policy("roll-up:read", roles=PLAN_READERS),
    summary="Statistics that go with a roll-up",
)
async def statistics(
    system_id: Id, round_id: Id, node: Id, reader: Reader, principal: CurrentPrincipal
) -> list[AttachedStatistics]:
    """One table per statistics template that is attached to roll-ups, over the approved figures below the node."""
    held = await _desk(reader, system_id, round_id, node, principal)
    records = _records(held, node)
    system = held.system
    measures = {each.id: each for each in system.measures}
    indicators = {each.id: each for each in system.indicators}
    found = []
    for template in system.statistics_templates:
        if template.with_roll_up:
            table = pivot(
                records,
                template.rows,
                template.columns,
                template.measures,
                measures,
                indicators,
                evaluation.amount,
            )
            rows = [
                {"members": row.members, "total": row.total, "values": [
                    {"column": column, **values} for column, values in row.values.items()
                ]}
                for row in table.rows
            ]  # fmt: skip
            found.append(AttachedStatistics(template=template.id, rows=rows))
    return found


def _records(held: RollUpDesk, node: str) -> list[Record]:
    records = []
    for entity in held.outline.entities(node):
        figures = held.figures.get(held.filings[entity].filing_id)
        if figures is None or entity not in held.approved:
            continue
        for key, minor in figures.approved.items():
            records.append(
                Record(
                    entity=entity,
                    filing_type=held.round.body.filing_type,
                    item=key.item,
                    period=key.period,
                    currency=key.currency,
                    members=key.members,
                    filed=figures.filed.get(key, 0),
                    effective=minor,
                    adjusted=0,
                    pre_occupied=0,
                    actual=0,
                )
            )
    return records
