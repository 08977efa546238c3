"""Roll-ups of a round by node, and the eliminations of a round."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import orjson
from sqlalchemy import Row, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from cashplan.domain.approvals import Course
from cashplan.domain.cells import CellKey
from cashplan.domain.eliminations import Elimination, PairKey
from cashplan.repository.codec import dump, dump_figures, load, load_figures
from cashplan.tables import elimination, roll_up

OPEN: Final = text(
    """
    insert into roll_up (system_id, round_id, node, state, course, demands, warnings, changed_at)
    select :system_id, :round_id, node, 'draft', :course, :empty, '[]', :now
    from unnest(cast(:nodes as text[])) as n (node)
    """
)

SAVE: Final = text(
    """
    update roll_up
    set state = :state, course = :course, demands = :demands, warnings = :warnings,
        eliminated_at = :eliminated_at, changed_at = :now
    where system_id = :system_id and round_id = :round_id and node = :node
    """
)

REPLACE_ELIMINATIONS: Final = text(
    """
    insert into elimination (system_id, round_id, rule, payer, receiver, agreed, node, period, currency,
                             out_item, in_item, out_minor, in_minor, eliminated_minor, run_at)
    select :system_id, :round_id, rule, payer, receiver, agreed, node, period, currency, out_item, in_item,
           out_minor, in_minor, eliminated, :now
    from unnest(cast(:rules as text[]), cast(:payers as text[]), cast(:receivers as text[]),
                cast(:agreed as text[]), cast(:nodes as text[]), cast(:periods as text[]),
                cast(:currencies as text[]), cast(:out_items as text[]), cast(:in_items as text[]),
                cast(:out_minor as bigint[]), cast(:in_minor as bigint[]), cast(:eliminated as bigint[]))
         as e (rule, payer, receiver, agreed, node, period, currency, out_item, in_item, out_minor, in_minor,
               eliminated)
    """
)


@dataclass(frozen=True, kw_only=True)
class RollUp:
    """One node's roll-up in one round; `demands` are amounts approved for it by the node above."""

    system_id: str
    round_id: str
    node: str
    course: Course
    demands: Mapping[CellKey, int]
    warnings: Sequence[str]
    eliminated_at: datetime | None
    changed_at: datetime


async def open_all(
    connection: AsyncConnection, system_id: str, round_id: str, nodes: Sequence[str], now: datetime
) -> None:
    parameters = {
        "system_id": system_id,
        "round_id": round_id,
        "nodes": sorted(nodes),
        "course": dump(Course, Course()),
        "empty": b"{}",
        "now": now,
    }
    await connection.execute(OPEN, parameters)


async def of_round(
    connection: AsyncConnection, system_id: str, round_id: str, *, locked: bool = False
) -> dict[str, RollUp]:
    """All roll-ups of a round by node, locked in node order where wanted."""
    columns = roll_up.c
    query = (
        select(roll_up)
        .where(columns.system_id == system_id, columns.round_id == round_id)
        .order_by(columns.node)
    )
    rows = await connection.execute(query.with_for_update() if locked else query)
    return {row.node: _roll_up(row) for row in rows}


def _roll_up(row: Row[*tuple[Any, ...]]) -> RollUp:
    return RollUp(
        system_id=row.system_id,
        round_id=row.round_id,
        node=row.node,
        course=load(Course, row.course),
        demands=load_figures(row.demands),
        warnings=orjson.loads(row.warnings),
        eliminated_at=row.eliminated_at,
        changed_at=row.changed_at,
    )


async def save(connection: AsyncConnection, saved: RollUp, now: datetime) -> None:
    values = {
        "system_id": saved.system_id,
        "round_id": saved.round_id,
        "node": saved.node,
        "state": saved.course.state,
        "course": dump(Course, saved.course),
        "demands": dump_figures(saved.demands),
        "warnings": orjson.dumps(list(saved.warnings)),
        "eliminated_at": saved.eliminated_at,
        "now": now,
    }
    await connection.execute(SAVE, values)


async def replace_eliminations(
    connection: AsyncConnection, system_id: str, round_id: str, pairs: Sequence[Elimination], now: datetime
) -> None:
    """Stores the pairs of a round in place of those found before."""
    columns = elimination.c
    await connection.execute(
        elimination.delete().where(columns.system_id == system_id, columns.round_id == round_id)
    )
    if not pairs:
        return
    await connection.execute(
        REPLACE_ELIMINATIONS,
        {
            "system_id": system_id,
            "round_id": round_id,
            "rules": [pair.key.rule for pair in pairs],
            "payers": [pair.key.payer for pair in pairs],
            "receivers": [pair.key.receiver for pair in pairs],
            "agreed": [orjson.dumps(pair.key.agreed).decode() for pair in pairs],
            "nodes": [pair.node for pair in pairs],
            "periods": [pair.period for pair in pairs],
            "currencies": [pair.currency for pair in pairs],
            "out_items": [pair.out_item for pair in pairs],
            "in_items": [pair.in_item for pair in pairs],
            "out_minor": [pair.out_minor for pair in pairs],
            "in_minor": [pair.in_minor for pair in pairs],
            "eliminated": [pair.eliminated for pair in pairs],
            "now": now,
        },
    )


async def eliminations(
    connection: AsyncConnection, system_id: str, round_id: str, party: str | None = None
) -> list[Elimination]:
    """The pairs of a round, of one party where wanted."""
    columns = elimination.c
    query = select(elimination).where(columns.system_id == system_id, columns.round_id == round_id)
    if party is not None:
        query = query.where((columns.payer == party) | (columns.receiver == party))
    rows = await connection.execute(
        query.order_by(columns.rule, columns.payer, columns.receiver, columns.agreed)
    )
    return [_elimination(row) for row in rows]


def _elimination(row: Row[*tuple[Any, ...]]) -> Elimination:
    agreed = tuple((name, value) for name, value in orjson.loads(row.agreed))
    return Elimination(
        key=PairKey(row.rule, row.payer, row.receiver, agreed),
        node=row.node,
        period=row.period,
        currency=row.currency,
        out_item=row.out_item,
        in_item=row.in_item,
        out_minor=row.out_minor,
        in_minor=row.in_minor,
    )
