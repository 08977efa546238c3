"""Indicators, grade standards, models, rounds, sheets and grades."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from pydantic import TypeAdapter
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from credit.domain.score_sheets import Basis, DefinitionKind, Draft, Model, Scored, Standard
from credit.domain.scoring import Indicator

TREE_LOCK: Final = 4_201_301
INDICATORS_MAX: Final = 2_000

INDICATOR: Final = TypeAdapter(Indicator)
STANDARD: Final = TypeAdapter(Standard)
MODEL: Final = TypeAdapter(Model)
DRAFT: Final = TypeAdapter(Draft)
BASIS: Final = TypeAdapter(Basis)


@dataclass(frozen=True, slots=True)
class Round:
    """A round as it is stored; `basis` once it has begun."""

    round_id: str
    state: str
    draft: Draft
    basis: Basis | None
    made_by: str
    made_at: datetime
    started_at: datetime | None


async def lock_tree(connection: AsyncConnection) -> None:
    """Lets one change of the tree go at a time: two that are right alone may close a circle together."""
    await connection.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": TREE_LOCK})


async def indicator_tree(connection: AsyncConnection) -> dict[str, Indicator]:
    """Every indicator by its id."""
    rows = await connection.execute(
        text(
            "select cast(body as text) from scoring_definition where kind = 'indicator' order by definition_id"
        )
    )
    found = [INDICATOR.validate_json(body) for (body,) in rows]
    return {indicator.indicator_id: indicator for indicator in found}


async def definition_row(
    connection: AsyncConnection, kind: DefinitionKind, definition_id: str, *, lock: bool = False
) -> Row[Any] | None:
    """One definition with its version and its body as JSON."""
    rows = await connection.execute(
        text(
            "select definition_id, version, cast(body as text) as body, changed_by, changed_at "
            "from scoring_definition where kind = :kind and definition_id = :id"
            + (" for update" if lock else "")
        ),
        {"kind": kind, "id": definition_id},
    )
    return rows.first()


async def definitions_after(
    connection: AsyncConnection, kind: DefinitionKind, place: tuple[str] | None, rows_max: int
) -> Sequence[Row[Any]]:
    """Definitions of a kind by id."""
    rows = await connection.execute(
        text(
            """
            select definition_id, version, cast(body as text) as body, changed_by, changed_at
            from scoring_definition
            where kind = :kind and definition_id > :after
            order by definition_id limit :rows_max
            """
        ),
        {"kind": kind, "after": place[0] if place else "", "rows_max": rows_max},
    )
    return rows.all()


async def save_definition(
    connection: AsyncConnection,
    kind: DefinitionKind,
    definition_id: str,
    body: bytes,
    person: str,
    now: datetime,
) -> None:
    """Makes or replaces a definition; its version counts up."""
    await connection.execute(
        text(
            """
            insert into scoring_definition as old (kind, definition_id, version, body, changed_by, changed_at)
            values (:kind, :id, 1, cast(:body as jsonb), :person, :now)
            on conflict (kind, definition_id) do update
            set version = old.version + 1, body = excluded.body, changed_by = excluded.changed_by,
                changed_at = excluded.changed_at
            """
        ),
        {"kind": kind, "id": definition_id, "body": body.decode(), "person": person, "now": now},
    )


async def insert_round(
    connection: AsyncConnection, round_id: str, draft: Draft, person: str, now: datetime
) -> None:
    await connection.execute(
        text(
            """
            insert into scoring_round (round_id, state, draft, made_by, made_at)
            values (:round_id, 'draft', cast(:draft as jsonb), :person, :now)
            """
        ),
        {"round_id": round_id, "draft": DRAFT.dump_json(draft).decode(), "person": person, "now": now},
    )


async def update_draft(connection: AsyncConnection, round_id: str, draft: Draft) -> None:
    await connection.execute(
        text("update scoring_round set draft = cast(:draft as jsonb) where round_id = :round_id"),
        {"round_id": round_id, "draft": DRAFT.dump_json(draft).decode()},
    )


async def round_of(connection: AsyncConnection, round_id: str, *, lock: bool = False) -> Round | None:
    """One round."""
    rows = await connection.execute(
        text(
            f"select {ROUND_COLUMNS} from scoring_round where round_id = :round_id"
            + (" for update" if lock else "")
        ),
        {"round_id": round_id},
    )
    row = rows.first()
    return read_round(row) if row is not None else None


ROUND_COLUMNS: Final = (
    "cast(round_id as text) as round_id, state, cast(draft as text) as draft, cast(basis as text) as basis, "
    "made_by, made_at, started_at"
)


def read_round(row: Row[Any]) -> Round:
    """A round from its `ROUND_COLUMNS`."""
    basis = BASIS.validate_json(row.basis) if row.basis is not None else None
    draft = DRAFT.validate_json(row.draft)
    return Round(row.round_id, row.state, draft, basis, row.made_by, row.made_at, row.started_at)


async def rounds_after(
    connection: AsyncConnection, place: tuple[str] | None, rows_max: int, state: str | None
) -> Sequence[Row[Any]]:
    """Rounds, newest first."""
    rows = await connection.execute(
        text(
            f"""
            select {ROUND_COLUMNS} from scoring_round
            where (cast(:before as uuid) is null or round_id < cast(:before as uuid))
              and (cast(:state as text) is null or state = :state)
            order by scoring_round.round_id desc limit :rows_max
            """
        ),
        {"before": place[0] if place else None, "state": state, "rows_max": rows_max},
    )
    return rows.all()


async def not_managed(connection: AsyncConnection, customers: Iterable[str]) -> list[str]:
    """Those of the ids that are no known, active, credit managed customer."""
    rows = await connection.execute(
        text(
            """
            select id from unnest(cast(:ids as text[])) id
            where not exists (select from customer c where c.customer_id = id and c.active and c.credit_managed)
            order by id
            """
        ),
        {"ids": sorted(customers)},
    )
    return [row[0] for row in rows]


async def start_round(
    connection: AsyncConnection,
    round_id: str,
    basis: Basis,
    sheets: Mapping[str, Scored],
    now: datetime,
) -> None:
    """Opens a round with one empty sheet per object."""
    await connection.execute(
        text(
            """
            with begun as (
                update scoring_round set state = 'open', basis = cast(:basis as jsonb), started_at = :now
                where round_id = :round_id)
            insert into score_sheet (sheet_id, round_id, scope, scope_id, object_type, object_id, state, grade_state)
            select sheet_id, :round_id, scope, scope_id, object_type, object_id, 'open', 'none'
            from unnest(cast(:sheets as uuid[]), cast(:scopes as text[]), cast(:scope_ids as text[]),
                        cast(:types as text[]), cast(:objects as text[]))
                 as s (sheet_id, scope, scope_id, object_type, object_id)
            """
        ),
        {
            "round_id": round_id,
            "basis": BASIS.dump_json(basis).decode(),
            "now": now,
            "sheets": list(sheets),
            "scopes": [each.scope for each in sheets.values()],
            "scope_ids": [each.scope_id for each in sheets.values()],
            "types": [each.object_type for each in sheets.values()],
            "objects": [each.object_id for each in sheets.values()],
        },
    )


async def save_values(
    connection: AsyncConnection, values: Mapping[tuple[str, str], Decimal], now: datetime
) -> None:
    """What the system feeds, by (sheet, indicator); the newest value counts."""
    if not values:
        return
    await connection.execute(
        text(
            """
            insert into score_value (sheet_id, indicator_id, value, taken_at)
            select sheet_id, indicator_id, value, :now
            from unnest(cast(:sheets as uuid[]), cast(:indicators as text[]), cast(:values as text[]))
                 as v (sheet_id, indicator_id, value)
            on conflict (sheet_id, indicator_id) do update set value = excluded.value, taken_at = excluded.taken_at
            """
        ),
        {
            "sheets": [sheet for sheet, _ in values],
            "indicators": [indicator for _, indicator in values],
            "values": [format(value, "f") for value in values.values()],
            "now": now,
        },
    )


async def save_answers(
    connection: AsyncConnection, sheet_id: str, scorer: str, answers: Mapping[str, str], now: datetime
) -> None:
    """What one scorer says of one sheet; the newest answer counts."""
    await connection.execute(
        text(
            """
            insert into score_answer (sheet_id, scorer, indicator_id, answer, given_at)
            select :sheet_id, :scorer, indicator_id, answer, :now
            from unnest(cast(:indicators as text[]), cast(:answers as text[])) as a (indicator_id, answer)
            on conflict (sheet_id, scorer, indicator_id) do update
            set answer = excluded.answer, given_at = excluded.given_at
            """
        ),
        {
            "sheet_id": sheet_id,
            "scorer": scorer,
            "indicators": list(answers),
            "answers": list(answers.values()),
            "now": now,
        },
    )


async def answers_of(
    connection: AsyncConnection, sheets: Iterable[str]
) -> dict[str, dict[tuple[str, str], str]]:
    """By sheet: what was answered, by (scorer, indicator)."""
    rows = await connection.execute(
        text(
            "select cast(sheet_id as text), scorer, indicator_id, answer from score_answer "
            "where sheet_id = any(cast(:sheets as uuid[]))"
        ),
        {"sheets": list(sheets)},
    )
    found: dict[str, dict[tuple[str, str], str]] = {}
    for sheet_id, scorer, indicator_id, answer in rows:
        found.setdefault(sheet_id, {})[scorer, indicator_id] = answer
    return found


async def values_of(connection: AsyncConnection, sheets: Iterable[str]) -> dict[str, dict[str, str]]:
    """By sheet: what the system has fed, by indicator."""
    rows = await connection.execute(
        text(
            "select cast(sheet_id as text), indicator_id, value from score_value "
            "where sheet_id = any(cast(:sheets as uuid[]))"
        ),
        {"sheets": list(sheets)},
    )
    found: dict[str, dict[str, str]] = {}
    for sheet_id, indicator_id, value in rows:
        found.setdefault(sheet_id, {})[indicator_id] = value
    return found


SHEET_COLUMNS: Final = (
    "cast(sheet_id as text) as sheet_id, cast(round_id as text) as round_id, scope, scope_id, object_type, "
    "object_id, state, score, grade, grade_state, decided_by, decided_at, reason"
)


async def sheet_row(connection: AsyncConnection, sheet_id: str, *, lock: bool = False) -> Row[Any] | None:
    """One sheet."""
    rows = await connection.execute(
        text(
            f"select {SHEET_COLUMNS} from score_sheet where sheet_id = :sheet_id"
            + (" for update" if lock else "")
        ),
        {"sheet_id": sheet_id},
    )
    return rows.first()


async def sheets_of_round(
    connection: AsyncConnection, round_id: str, states: Sequence[str]
) -> Sequence[Row[Any]]:
    """The sheets of a round that stand so, locked."""
    rows = await connection.execute(
        text(
            f"select {SHEET_COLUMNS} from score_sheet where round_id = :round_id "
            "and state = any(cast(:states as text[])) order by score_sheet.sheet_id for update"
        ),
        {"round_id": round_id, "states": list(states)},
    )
    return rows.all()


async def sheets_after(
    connection: AsyncConnection,
    place: tuple[str] | None,
    rows_max: int,
    *,
    round_id: str | None,
    object_id: str | None,
    state: str | None,
) -> Sequence[Row[Any]]:
    """Sheets, newest first."""
    rows = await connection.execute(
        text(
            f"""
            select {SHEET_COLUMNS} from score_sheet
            where (cast(:before as uuid) is null or sheet_id < cast(:before as uuid))
              and (cast(:round_id as uuid) is null or round_id = cast(:round_id as uuid))
              and (cast(:object_id as text) is null or object_id = :object_id)
              and (cast(:state as text) is null or state = :state)
            order by score_sheet.sheet_id desc limit :rows_max
            """
        ),
        {
            "before": place[0] if place else None,
            "round_id": round_id,
            "object_id": object_id,
            "state": state,
            "rows_max": rows_max,
        },
    )
    return rows.all()


async def save_scores(
    connection: AsyncConnection, scores: Mapping[str, tuple[Decimal, str] | None]
) -> list[tuple[str, str]]:
    """Score and grade by sheet, None while something is missing; (sheet, object) of those complete only now."""
    rows = await connection.execute(
        text(
            """
            update score_sheet s
            set score = n.score, grade = n.grade, state = case when n.score is null then 'open' else 'complete' end
            from unnest(cast(:sheets as uuid[]), cast(:scores as numeric[]), cast(:grades as text[]))
                 as n (sheet_id, score, grade)
            join score_sheet before using (sheet_id)
            where s.sheet_id = n.sheet_id
            returning cast(s.sheet_id as text), s.object_id, s.state, before.state
            """
        ),
        {
            "sheets": list(scores),
            "scores": [found[0] if found else None for found in scores.values()],
            "grades": [found[1] if found else None for found in scores.values()],
        },
    )
    return [(sheet, thing) for sheet, thing, state, before in rows if (before, state) == ("open", "complete")]


async def decide_sheet(
    connection: AsyncConnection,
    sheet_id: str,
    state: str,
    grade_state: str,
    *,
    person: str,
    reason: str,
    now: datetime,
) -> None:
    await connection.execute(
        text(
            """
            update score_sheet
            set state = :state, grade_state = :grade_state, decided_by = :person, decided_at = :now, reason = :reason
            where sheet_id = :sheet_id
            """
        ),
        {
            "sheet_id": sheet_id,
            "state": state,
            "grade_state": grade_state,
            "person": person,
            "reason": reason,
            "now": now,
        },
    )


async def set_grade_state(connection: AsyncConnection, sheet_id: str, grade_state: str) -> None:
    await connection.execute(
        text("update score_sheet set grade_state = :grade_state where sheet_id = :sheet_id"),
        {"sheet_id": sheet_id, "grade_state": grade_state},
    )


async def write_grade(
    connection: AsyncConnection, sheet: Row[Any], standard_id: str, person: str, now: datetime
) -> None:
    """The grade of a sheet becomes its object's grade."""
    await connection.execute(
        text(
            """
            insert into credit_grade (scope, scope_id, object_type, object_id, standard_id, grade, score, sheet_id,
                                      set_by, set_at)
            values (:scope, :scope_id, :object_type, :object_id, :standard_id, :grade, :score, :sheet_id, :person, :now)
            on conflict (object_type, object_id, scope, scope_id) do update
            set standard_id = excluded.standard_id, grade = excluded.grade, score = excluded.score,
                sheet_id = excluded.sheet_id, set_by = excluded.set_by, set_at = excluded.set_at
            """
        ),
        {
            "scope": sheet.scope,
            "scope_id": sheet.scope_id,
            "object_type": sheet.object_type,
            "object_id": sheet.object_id,
            "standard_id": standard_id,
            "grade": sheet.grade,
            "score": sheet.score,
            "sheet_id": sheet.sheet_id,
            "person": person,
            "now": now,
        },
    )


async def close_round(connection: AsyncConnection, round_id: str) -> None:
    """The deadline has passed: what is not complete lapses."""
    await connection.execute(
        text(
            """
            with lapsed as (
                update score_sheet set state = 'lapsed' where round_id = :round_id and state = 'open')
            update scoring_round set state = 'closed' where round_id = :round_id
            """
        ),
        {"round_id": round_id},
    )


async def supply_values(
    connection: AsyncConnection,
    indicator_id: str,
    values: Mapping[str, str],
    person: str,
    now: datetime,
) -> None:
    """Values of one indicator that another system has worked out, by object; the newest counts."""
    await connection.execute(
        text(
            """
            insert into supplied_value (indicator_id, object_id, value, supplied_by, supplied_at)
            select :indicator_id, object_id, value, :person, :now
            from unnest(cast(:objects as text[]), cast(:values as text[])) as v (object_id, value)
            on conflict (indicator_id, object_id) do update
            set value = excluded.value, supplied_by = excluded.supplied_by, supplied_at = excluded.supplied_at
            """
        ),
        {
            "indicator_id": indicator_id,
            "objects": list(values),
            "values": list(values.values()),
            "person": person,
            "now": now,
        },
    )


async def grades_after(
    connection: AsyncConnection,
    place: tuple[str, str, str, str] | None,
    rows_max: int,
    *,
    standard_id: str | None = None,
    grade: str | None = None,
    object_id: str | None = None,
) -> Sequence[Row[Any]]:
    """Grades in force, by object."""
    names = ("after_type", "after_object", "after_scope", "after_scope_id")
    rows = await connection.execute(
        text(
            """
            select scope, scope_id, object_type, object_id, standard_id, grade, score,
                   cast(sheet_id as text) as sheet_id, set_by, set_at
            from credit_grade
            where (object_type, object_id, scope, scope_id)
                  > (:after_type, :after_object, :after_scope, :after_scope_id)
              and (cast(:standard_id as text) is null or standard_id = :standard_id)
              and (cast(:grade as text) is null or grade = :grade)
              and (cast(:object_id as text) is null or object_id = :object_id)
            order by object_type, object_id, scope, scope_id limit :rows_max
            """
        ),
        {
            "standard_id": standard_id,
            "grade": grade,
            "object_id": object_id,
            "rows_max": rows_max,
            **dict(zip(names, place or ("", "", "", ""), strict=True)),
        },
    )
    return rows.all()


async def answers_left(connection: AsyncConnection, round_id: str, scorer: str, asked: Sequence[str]) -> int:
    """How many answers a scorer still owes in a round's undecided sheets."""
    rows = await connection.execute(
        text(
            """
            select count(*) from score_sheet s cross join unnest(cast(:asked as text[])) as a (indicator_id)
            where s.round_id = :round_id and s.state in ('open', 'complete')
              and not exists (select from score_answer g
                              where g.sheet_id = s.sheet_id and g.scorer = :scorer and g.indicator_id = a.indicator_id)
            """
        ),
        {"round_id": round_id, "scorer": scorer, "asked": list(asked)},
    )
    return int(rows.scalar_one())
