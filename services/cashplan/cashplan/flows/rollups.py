"""Roll-ups: sums, approved amounts, elimination, and the approval that makes a round effective."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy.ext.asyncio import AsyncConnection

from cashplan import evaluation
from cashplan.domain import approvals, checks
from cashplan.domain.cells import CellKey
from cashplan.domain.checks import Broken
from cashplan.domain.effects import cut_details
from cashplan.domain.eliminations import Elimination, InternalRow, eliminated_figures, eliminations
from cashplan.domain.rollups import (
    Figures,
    LowerNodeOpen,
    NodeSum,
    Outline,
    distributed,
    node_currency,
    node_sum,
    outline_of,
    require_distributed,
    roll_up_nodes,
)
from cashplan.domain.rounds import Round
from cashplan.domain.systems import PlanningSystem
from cashplan.flows import filings, tasks
from cashplan.flows.filings import RulesBroken, grid_for
from cashplan.repository import rollups as rollup_rows
from cashplan.repository import rounds as round_rows
from cashplan.repository import systems as system_rows
from cashplan.repository.rollups import RollUp
from cashplan.repository.rounds import Filing, FilingFigures
from cashplan.repository.tasks import Task
from chassis import UnitOfWork

STANDING = ("approved", "effective")


class RollUpGone(LookupError):
    """There is no such roll-up."""


class LineUnknown(ValueError):
    """An amount for something that is no line of the node, or no cell of the line."""

    def __init__(self, line: str, cell: CellKey | None = None) -> None:
        self.line = line
        where = f", cell {' '.join(cell).strip()}" if cell else ""
        super().__init__(f"{line}{where} is not among the lines of this roll-up")


@dataclass(frozen=True, kw_only=True)
class RollUpDesk:
    """One round's roll-ups with the figures of its filings."""

    system: PlanningSystem
    round: Round
    outline: Outline
    filings: Mapping[str, Filing]
    figures: Mapping[str, FilingFigures]
    roll_ups: Mapping[str, RollUp]

    @property
    def approved(self) -> dict[str, Figures]:
        """The approved figures by entity, of filings that stand."""
        return {
            entity: self.figures[filing.filing_id].approved
            for entity, filing in self.filings.items()
            if filing.course.state in STANDING and filing.filing_id in self.figures
        }

    def sum_of(self, node: str) -> NodeSum:
        """Errors: RateMissing."""
        return node_sum(self.system, self.outline, node, self.approved, self.round.rates)

    def taken_off(self, node: str, pairs: Sequence[Elimination]) -> dict[CellKey, int]:
        currency = node_currency(self.system, node)
        return eliminated_figures(pairs, self.outline, node, self.round.rates, currency)


async def desk(
    connection: AsyncConnection,
    system_id: str,
    round_id: str,
    *,
    locked: bool = False,
    with_details: bool = False,
) -> RollUpDesk:
    """Errors: RollUpGone."""
    system = await system_rows.system_by_id(connection, system_id)
    round_ = await round_rows.round_by_id(connection, system, round_id) if system else None
    if system is None or round_ is None:
        raise RollUpGone
    roll_ups = await rollup_rows.of_round(connection, system_id, round_id, locked=locked)
    listed = await round_rows.filings_of_round(connection, system_id, round_id, locked=locked)
    by_entity = {filing.entity: filing for filing in listed}
    standing = [filing.filing_id for filing in listed if filing.course.state in STANDING]
    figures = await round_rows.figures_of(connection, standing, with_details=with_details)
    filing_type = system.filing_type_by_id[round_.body.filing_type]
    return RollUpDesk(
        system=system,
        round=round_,
        outline=outline_of(system.entity_tree, roll_up_nodes(filing_type), list(by_entity)),
        filings=by_entity,
        figures=figures,
        roll_ups=roll_ups,
    )


async def open_roll_ups(
    work: UnitOfWork, system: PlanningSystem, round_: Round, entities: Sequence[str]
) -> None:
    """One roll-up for each node that has anything below it."""
    filing_type = system.filing_type_by_id[round_.body.filing_type]
    nodes = outline_of(system.entity_tree, roll_up_nodes(filing_type), entities).parents
    if nodes:
        await rollup_rows.open_all(work.connection, system.id, round_.round_id, list(nodes), work.now)


async def approve_amounts(
    work: UnitOfWork,
    held: RollUpDesk,
    node: str,
    amounts: Mapping[tuple[str, str], Mapping[CellKey, int]],
    *,
    spread: bool,
) -> None:
    """Sets approved amounts on child lines: an entity's own cells, or the total of a lower node.

    A lower node's amount is a demand that must be distributed below it; `spread` does it in proportion at once.
    Errors: WrongState, LineUnknown.
    """
    _require_draft(held.roll_ups[node])
    lines = {(line.kind, line.id) for line in held.outline.lines[node]}
    changed: dict[str, FilingFigures] = {}
    for (kind, line), cells in amounts.items():
        if (kind, line) not in lines:
            raise LineUnknown(line)
        if kind == "entity":
            changed |= _entity_amounts(held, line, cells)
        else:
            changed |= await _node_amounts(work, held, line, cells, spread)
    await round_rows.save_figures(work.connection, changed)


def _require_draft(roll_up: RollUp) -> None:
    if roll_up.course.state not in ("draft", "sent-back"):
        raise approvals.WrongState("changed", roll_up.course.state, ("draft", "sent-back"))


def _entity_amounts(held: RollUpDesk, entity: str, cells: Mapping[CellKey, int]) -> dict[str, FilingFigures]:
    filing = held.filings[entity]
    figures = held.figures.get(filing.filing_id)
    if figures is None or filing.course.state != "approved":
        raise LineUnknown(entity)
    for cell in cells:
        if cell not in figures.filed:
            raise LineUnknown(entity, cell)
    approved = {**figures.approved, **cells}
    grid = grid_for(held.system, held.round, entity)
    details = cut_details(grid, figures.details, figures.approved, approved)
    return {filing.filing_id: FilingFigures(filed=figures.filed, approved=approved, details=details)}


async def _node_amounts(
    work: UnitOfWork, held: RollUpDesk, node: str, cells: Mapping[CellKey, int], spread: bool
) -> dict[str, FilingFigures]:
    total = held.sum_of(node).total
    for cell in cells:
        if cell not in total:
            raise LineUnknown(node, cell)
    lower = held.roll_ups[node]
    demanded = replace(lower, demands={**lower.demands, **cells})
    await rollup_rows.save(work.connection, demanded, work.now)
    return _spread(held, node, cells) if spread else {}


def _spread(held: RollUpDesk, node: str, cells: Mapping[CellKey, int]) -> dict[str, FilingFigures]:
    """Distributes a node's amount over its entities in proportion to what they have."""
    approved = held.approved
    changed: dict[str, dict[CellKey, int]] = {}
    for cell, minor in cells.items():
        weights = {
            entity: approved[entity][cell]
            for entity in held.outline.entities(node)
            if entity in approved and cell in approved[entity]
        }
        for entity, share in distributed(minor, weights).items():
            changed.setdefault(entity, {})[cell] = share
    found: dict[str, FilingFigures] = {}
    for entity, amounts in changed.items():
        found |= _entity_amounts(held, entity, amounts)
    return found


async def eliminate(work: UnitOfWork, held: RollUpDesk, node: str) -> list[Elimination]:
    """Finds the internal pairs of the round anew, in place of those found before. Errors: RateMissing."""
    pairs = eliminations(held.system, held.outline, internal_rows(held), held.round.rates)
    await rollup_rows.replace_eliminations(
        work.connection, held.system.id, held.round.round_id, pairs, work.now
    )
    done = replace(held.roll_ups[node], eliminated_at=work.now)
    await rollup_rows.save(work.connection, done, work.now)
    below = set(held.outline.below(node))
    return [pair for pair in pairs if pair.node in below or pair.node is None]


def internal_rows(held: RollUpDesk) -> list[InternalRow]:
    """Approved detail rows, and the cells of entities for rules that read a dimension."""
    by_dimension = {
        rule.counterparty for rule in held.system.elimination_rules if rule.counterparty_in == "dimension"
    }
    rows: list[InternalRow] = []
    for entity, filing in held.filings.items():
        figures = held.figures.get(filing.filing_id)
        if figures is None or filing.course.state not in STANDING:
            continue
        for listed in figures.details.values():
            rows += [
                InternalRow(entity, row.item, row.period, row.currency, row.members, row.fields, row.minor)
                for row in listed
            ]
        if by_dimension:
            rows += [
                InternalRow(entity, key.item, key.period, key.currency, key.members, {}, minor)
                for key, minor in figures.approved.items()
            ]
    return rows


def broken_rules(held: RollUpDesk, node: str) -> list[Broken]:
    """Check rules over the node's total, those that hold at roll-up too."""
    filing_type = held.round.body.filing_type
    rules = [
        rule
        for rule in held.system.check_rules
        if rule.filing_type == filing_type and rule.at_roll_up and rule.other_filing_type is None
    ]
    total = held.sum_of(node).total
    figures = checks.figures_of(held.system.item_tree, held.round.heads, total)
    return checks.broken_rules(rules, figures, {}, evaluation.condition)


async def submit(work: UnitOfWork, held: RollUpDesk, node: str, subject: str) -> tuple[RollUp, list[Broken]]:
    """Hands a roll-up in; the lower ones must be approved and every cut distributed.

    Errors: WrongState, LowerNodeOpen, NotDistributed, RulesBroken.
    """
    course = approvals.submitted(held.roll_ups[node].course, subject, work.now)
    lower = [line.id for line in held.outline.lines[node] if line.kind == "node"]
    still_open = [each for each in lower if held.roll_ups[each].course.state not in STANDING]
    if still_open:
        raise LowerNodeOpen(still_open)
    demands = {each: roll_up.demands for each, roll_up in held.roll_ups.items()}
    require_distributed(held.system, held.outline, node, demands, held.approved, held.round.rates)
    broken = broken_rules(held, node)
    stops = [each for each in broken if each.severity == "stop"]
    if stops:
        raise RulesBroken(stops)
    saved = replace(
        held.roll_ups[node], course=course, warnings=[f"{each.message} ({each.where})" for each in broken]
    )
    await rollup_rows.save(work.connection, saved, work.now)
    await _ask_approvers(work, held, saved)
    return saved, broken


async def _ask_approvers(work: UnitOfWork, held: RollUpDesk, roll_up: RollUp) -> None:
    steps = held.system.filing_type_by_id[held.round.body.filing_type].steps("roll-up")
    people = approvals.approvers(held.system, steps, roll_up.course, roll_up.node)
    task = Task(
        task_id="",
        kind="approve-roll-up",
        assignee="",
        entity=roll_up.node,
        document_type="roll-up",
        document_id=document_id(roll_up),
        subject=f"{held.system.basics.name}, {held.system.entity_by_id[roll_up.node].name}",
    )
    await tasks.open_for(work, people, task)


def document_id(roll_up: RollUp) -> str:
    return f"{roll_up.system_id}/{roll_up.round_id}/{roll_up.node}"


async def approve(work: UnitOfWork, held: RollUpDesk, node: str, subject: str) -> RollUp:
    """One step further; the topmost node's last step makes every approved filing below it effective.

    Errors: WrongState, MakerApproves, NotTheApprover.
    """
    steps = held.system.filing_type_by_id[held.round.body.filing_type].roll_up_steps
    course = approvals.approved(held.roll_ups[node].course, held.system, steps, node, subject, work.now)
    saved = replace(held.roll_ups[node], course=course)
    await tasks.close(work, [("roll-up", document_id(saved))], "done", by=subject)
    if course.state != "approved":
        await _ask_approvers(work, held, saved)
    elif held.outline.parents[node] is None:
        saved = replace(saved, course=approvals.effective(course, work.now))
        await _make_effective(work, held, node, subject)
    await rollup_rows.save(work.connection, saved, work.now)
    return saved


async def _make_effective(work: UnitOfWork, held: RollUpDesk, node: str, subject: str) -> None:
    ready = [
        (held.filings[entity], held.figures[held.filings[entity].filing_id])
        for entity in held.outline.entities(node)
        if held.filings[entity].course.state == "approved" and held.filings[entity].filing_id in held.figures
    ]
    if ready:
        await filings.make_effective(work, held.system, held.round, ready, subject)
    for lower in held.outline.below(node)[1:]:
        course = held.roll_ups[lower].course
        if course.state == "approved":
            done = replace(held.roll_ups[lower], course=approvals.effective(course, work.now))
            await rollup_rows.save(work.connection, done, work.now)


async def send_back(work: UnitOfWork, held: RollUpDesk, node: str, subject: str, reason: str) -> RollUp:
    """Open again, for amounts to be changed or late filings to be added; what is effective stays so.

    Errors: WrongState.
    """
    course = held.roll_ups[node].course
    if course.state == "effective":
        course = replace(course, state="approved")
    saved = replace(held.roll_ups[node], course=approvals.sent_back(course, reason, work.now))
    await rollup_rows.save(work.connection, saved, work.now)
    await tasks.close(work, [("roll-up", document_id(saved))], "withdrawn", by=subject, message=reason)
    return saved
