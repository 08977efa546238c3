"""Rounds and the filings in them: state, versions of content, figures, attachments and what was done."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from sqlalchemy import Row, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from cashplan.domain.approvals import Course
from cashplan.domain.cells import CellKey
from cashplan.domain.filings import Content
from cashplan.domain.grids import DetailRow
from cashplan.domain.rounds import Round, RoundBody, opened
from cashplan.domain.systems import PlanningSystem
from cashplan.repository.codec import (
    dump,
    dump_content,
    dump_details,
    dump_figures,
    load,
    load_content,
    load_details,
    load_figures,
)
from cashplan.tables import attachment, filing, filing_figures, filing_step, filing_version, plan_round

ATTACHMENTS_MAX: Final = 20

ADD_ROUND: Final = text(
    """
    insert into plan_round (system_id, round_id, filing_type, head, first_day, last_day, body, opened_by,
                            opened_at)
    values (:system_id, :round_id, :filing_type, :head, :first_day, :last_day, :body, :opened_by, :opened_at)
    on conflict do nothing
    returning round_id
    """
)

ADD_FILINGS: Final = text(
    """
    insert into filing (filing_id, system_id, round_id, filing_type, entity, state, course, version, notices,
                        changed_at)
    select id, :system_id, :round_id, :filing_type, entity, 'draft', :course, 1, 0, :now
    from unnest(cast(:ids as text[]), cast(:entities as text[])) as f (id, entity)
    """
)

ADD_VERSIONS: Final = text(
    """
    insert into filing_version (filing_id, version, body, is_submitted, saved_by, saved_at)
    select id, 1, body, false, :saved_by, :now
    from unnest(cast(:ids as text[]), cast(:bodies as bytea[])) as f (id, body)
    """
)

SAVE_FILINGS: Final = text(
    """
    update filing f
    set state = n.state, course = n.course, version = n.version, extended_to = n.extended_to,
        notices = n.notices, changed_at = :now
    from unnest(cast(:ids as text[]), cast(:states as text[]), cast(:courses as bytea[]),
                cast(:versions as int[]), cast(:extended as timestamptz[]), cast(:notices as int[]))
         as n (filing_id, state, course, version, extended_to, notices)
    where f.filing_id = n.filing_id
    """
)

ADD_STEPS: Final = text(
    """
    insert into filing_step (filing_id, step_number, action, subject, note, version, at)
    select s.id, coalesce((select max(step_number) from filing_step where filing_id = s.id), 0) + 1,
           :action, :subject, :note, s.version, :now
    from unnest(cast(:ids as text[]), cast(:versions as int[])) as s (id, version)
    """
)

SAVE_VERSION: Final = text(
    """
    insert into filing_version (filing_id, version, body, is_submitted, saved_by, saved_at)
    values (:filing_id, :version, :body, false, :saved_by, :now)
    on conflict (filing_id, version) do update
    set body = excluded.body, saved_by = excluded.saved_by, saved_at = excluded.saved_at
    """
)

SAVE_FIGURES: Final = text(
    """
    insert into filing_figures (filing_id, filed, approved, details)
    select * from unnest(cast(:ids as text[]), cast(:filed as bytea[]), cast(:approved as bytea[]),
                         cast(:details as bytea[]))
    on conflict (filing_id) do update
    set filed = excluded.filed, approved = excluded.approved, details = excluded.details
    """
)


@dataclass(frozen=True, kw_only=True)
class Filing:
    """One entity's filing in one round."""

    filing_id: str
    system_id: str
    round_id: str
    filing_type: str
    entity: str
    course: Course
    version: int
    extended_to: datetime | None
    notices: int
    changed_at: datetime


@dataclass(frozen=True, kw_only=True)
class FilingFigures:
    """What a filing plans once it is approved: as filed, as approved, and its detail rows."""

    filed: Mapping[CellKey, int]
    approved: Mapping[CellKey, int]
    details: Mapping[str, Sequence[DetailRow]]


@dataclass(frozen=True, kw_only=True)
class Version:
    version: int
    is_submitted: bool
    saved_by: str
    saved_at: datetime


@dataclass(frozen=True, kw_only=True)
class Step:
    """Something done with a filing: saved, submitted, approved, reminded, extended, sent back."""

    step_number: int
    action: str
    subject: str
    note: str | None
    version: int
    at: datetime


@dataclass(frozen=True, kw_only=True)
class Attachment:
    attachment_id: str
    filing_id: str
    name: str
    media_type: str
    bytes: int
    added_by: str
    added_at: datetime


async def add_round(connection: AsyncConnection, round_: Round, opened_by: str, now: datetime) -> bool:
    """Stores a round; False where the filing type has one for this period already."""
    added = await connection.execute(
        ADD_ROUND,
        {
            "system_id": round_.system_id,
            "round_id": round_.round_id,
            "filing_type": round_.body.filing_type,
            "head": round_.binding.code,
            "first_day": round_.binding.first_day,
            "last_day": round_.columns[-1].period.last_day,
            "body": dump(RoundBody, round_.body),
            "opened_by": opened_by,
            "opened_at": now,
        },
    )
    return added.first() is not None


async def add_filings(
    connection: AsyncConnection,
    round_: Round,
    contents: Mapping[str, tuple[str, Content]],
    opened_by: str,
    now: datetime,
) -> None:
    """One draft for each entity: its filing id and what is filled in already."""
    entities = sorted(contents)
    ids = [contents[entity][0] for entity in entities]
    await connection.execute(
        ADD_FILINGS,
        {
            "ids": ids,
            "entities": entities,
            "system_id": round_.system_id,
            "round_id": round_.round_id,
            "filing_type": round_.body.filing_type,
            "course": dump(Course, Course()),
            "now": now,
        },
    )
    bodies = [dump_content(contents[entity][1]) for entity in entities]
    await connection.execute(ADD_VERSIONS, {"ids": ids, "bodies": bodies, "saved_by": opened_by, "now": now})


async def round_by_id(connection: AsyncConnection, system: PlanningSystem, round_id: str) -> Round | None:
    columns = plan_round.c
    query = select(columns.body).where(columns.system_id == system.id, columns.round_id == round_id)
    row = (await connection.execute(query)).first()
    return _round(system, round_id, row.body) if row else None


def _round(system: PlanningSystem, round_id: str, body: bytes) -> Round:
    stored = load(RoundBody, body)
    return opened(system.id, round_id, system.filing_type_by_id[stored.filing_type], stored)


async def rounds_after(
    connection: AsyncConnection, system: PlanningSystem, after: tuple[date, str], rows_max: int
) -> list[Round]:
    """The rounds of a system behind a place, by first day."""
    columns = plan_round.c
    place = func.row(columns.first_day, columns.round_id)
    query = select(columns.round_id, columns.body).where(
        columns.system_id == system.id, place > func.row(*after)
    )
    rows = await connection.execute(query.order_by(columns.first_day, columns.round_id).limit(rows_max))
    return [_round(system, row.round_id, row.body) for row in rows]


async def round_before(connection: AsyncConnection, system: PlanningSystem, round_: Round) -> Round | None:
    """The round of the same filing type before this one."""
    columns = plan_round.c
    query = (
        select(columns.round_id, columns.body)
        .where(
            columns.system_id == system.id,
            columns.filing_type == round_.body.filing_type,
            columns.first_day < round_.binding.first_day,
        )
        .order_by(columns.first_day.desc())
        .limit(1)
    )
    row = (await connection.execute(query)).first()
    return _round(system, row.round_id, row.body) if row else None


async def filing_of(connection: AsyncConnection, filing_id: str, *, locked: bool = False) -> Filing | None:
    query = select(filing).where(filing.c.filing_id == filing_id)
    row = (await connection.execute(query.with_for_update() if locked else query)).first()
    return _filing(row) if row else None


async def filings_of_round(
    connection: AsyncConnection, system_id: str, round_id: str, *, locked: bool = False
) -> list[Filing]:
    """All filings of a round, by entity."""
    columns = filing.c
    query = (
        select(filing)
        .where(columns.system_id == system_id, columns.round_id == round_id)
        .order_by(columns.entity)
    )
    rows = await connection.execute(query.with_for_update() if locked else query)
    return [_filing(row) for row in rows]


async def filings_after(
    connection: AsyncConnection,
    system_id: str,
    round_id: str | None,
    entity: str | None,
    state: str | None,
    after: str,
    rows_max: int,
) -> list[Filing]:
    """The filings of a system behind a filing id, narrowed where wanted."""
    columns = filing.c
    query = select(filing).where(columns.system_id == system_id, columns.filing_id > after)
    for column, wanted in ((columns.round_id, round_id), (columns.entity, entity), (columns.state, state)):
        if wanted is not None:
            query = query.where(column == wanted)
    rows = await connection.execute(query.order_by(columns.filing_id).limit(rows_max))
    return [_filing(row) for row in rows]


def _filing(row: Row[*tuple[Any, ...]]) -> Filing:
    return Filing(
        filing_id=row.filing_id,
        system_id=row.system_id,
        round_id=row.round_id,
        filing_type=row.filing_type,
        entity=row.entity,
        course=load(Course, row.course),
        version=row.version,
        extended_to=row.extended_to,
        notices=row.notices,
        changed_at=row.changed_at,
    )


async def save_filings(connection: AsyncConnection, filings: Sequence[Filing], now: datetime) -> None:
    """Stores the states of filings that are locked."""
    await connection.execute(
        SAVE_FILINGS,
        {
            "ids": [each.filing_id for each in filings],
            "states": [each.course.state for each in filings],
            "courses": [dump(Course, each.course) for each in filings],
            "versions": [each.version for each in filings],
            "extended": [each.extended_to for each in filings],
            "notices": [each.notices for each in filings],
            "now": now,
        },
    )


async def add_steps(
    connection: AsyncConnection,
    filings: Sequence[Filing],
    action: str,
    subject: str,
    note: str | None,
    now: datetime,
) -> None:
    """Records that somebody did something with locked filings."""
    parameters = {
        "ids": [each.filing_id for each in filings],
        "versions": [each.version for each in filings],
        "action": action,
        "subject": subject,
        "note": note,
        "now": now,
    }
    await connection.execute(ADD_STEPS, parameters)


async def steps_of(connection: AsyncConnection, filing_id: str) -> list[Step]:
    query = select(filing_step).where(filing_step.c.filing_id == filing_id)
    rows = await connection.execute(query.order_by(filing_step.c.step_number))
    return [
        Step(
            step_number=row.step_number,
            action=row.action,
            subject=row.subject,
            note=row.note,
            version=row.version,
            at=row.at,
        )
        for row in rows
    ]


async def content_of(connection: AsyncConnection, filing_id: str, version: int) -> Content | None:
    columns = filing_version.c
    query = select(columns.body).where(columns.filing_id == filing_id, columns.version == version)
    row = (await connection.execute(query)).first()
    return load_content(row.body) if row else None


async def save_content(
    connection: AsyncConnection, filing_id: str, version: int, content: Content, saved_by: str, now: datetime
) -> None:
    """Stores a version's content; a version that was submitted is never written again."""
    await connection.execute(
        SAVE_VERSION,
        {
            "filing_id": filing_id,
            "version": version,
            "body": dump_content(content),
            "saved_by": saved_by,
            "now": now,
        },
    )


async def mark_submitted(connection: AsyncConnection, filing_id: str, version: int) -> None:
    columns = filing_version.c
    await connection.execute(
        filing_version.update()
        .where(columns.filing_id == filing_id, columns.version == version)
        .values(is_submitted=True)
    )


async def versions_of(connection: AsyncConnection, filing_id: str) -> list[Version]:
    columns = filing_version.c
    query = select(columns.version, columns.is_submitted, columns.saved_by, columns.saved_at)
    rows = await connection.execute(query.where(columns.filing_id == filing_id).order_by(columns.version))
    return [
        Version(
            version=row.version, is_submitted=row.is_submitted, saved_by=row.saved_by, saved_at=row.saved_at
        )
        for row in rows
    ]


async def save_figures(connection: AsyncConnection, figures: Mapping[str, FilingFigures]) -> None:
    """Stores what filings plan, by filing id."""
    if not figures:
        return
    ids = sorted(figures)
    await connection.execute(
        SAVE_FIGURES,
        {
            "ids": ids,
            "filed": [dump_figures(figures[each].filed) for each in ids],
            "approved": [dump_figures(figures[each].approved) for each in ids],
            "details": [dump_details(figures[each].details) for each in ids],
        },
    )


async def figures_of(
    connection: AsyncConnection, filing_ids: Collection[str], *, with_details: bool = True
) -> dict[str, FilingFigures]:
    """What these filings plan; those that were never approved are not in it."""
    columns = filing_figures.c
    wanted = [columns.filing_id, columns.filed, columns.approved]
    if with_details:
        wanted.append(columns.details)
    condition = text("filing_id = any(cast(:ids as text[]))")
    rows = await connection.execute(select(*wanted).where(condition), {"ids": sorted(filing_ids)})
    return {
        row.filing_id: FilingFigures(
            filed=load_figures(row.filed),
            approved=load_figures(row.approved),
            details=load_details(row.details) if with_details else {},
        )
        for row in rows
    }


async def add_attachment(connection: AsyncConnection, added: Attachment, body: bytes) -> None:
    await connection.execute(
        attachment.insert().values(
            attachment_id=added.attachment_id,
            filing_id=added.filing_id,
            name=added.name,
            media_type=added.media_type,
            bytes=added.bytes,
            body=body,
            added_by=added.added_by,
            added_at=added.added_at,
        )
    )


async def attachments_of(connection: AsyncConnection, filing_id: str) -> list[Attachment]:
    columns = attachment.c
    names = [column for column in columns if column.name != "body"]
    rows = await connection.execute(
        select(*names)
        .where(columns.filing_id == filing_id)
        .order_by(columns.attachment_id)
        .limit(ATTACHMENTS_MAX)
    )
    return [Attachment(**row._mapping) for row in rows]


async def attachment_body(
    connection: AsyncConnection, filing_id: str, attachment_id: str
) -> tuple[str, str, bytes] | None:
    columns = attachment.c
    row = (
        await connection.execute(
            select(columns.name, columns.media_type, columns.body).where(
                columns.filing_id == filing_id, columns.attachment_id == attachment_id
            )
        )
    ).first()
    return (row.name, row.media_type, row.body) if row else None
