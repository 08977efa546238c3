"""Planning systems: parts as they are stored, and whole systems as they are used."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from cashplan.domain import systems as domain
from cashplan.domain.mappings import MemberMapping
from cashplan.domain.systems import PlanningSystem
from cashplan.repository.codec import dump, load_any
from cashplan.tables import planning_part, planning_system

SYSTEMS_MAX: Final = 500
CACHED_MAX: Final = 200


@dataclass(frozen=True, slots=True)
class Part:
    """One kind of configuration: where it stands in a system, and its type."""

    kind: str
    attribute: str
    type: Any


PARTS: Final[Mapping[str, Part]] = {
    part.kind: part
    for part in (
        Part("basics", "basics", domain.Basics),
        Part("filing-types", "filing_types", list[domain.FilingType]),
        Part("entities", "entities", list[domain.Entity]),
        Part("items", "items", list[domain.Item]),
        Part("dimensions", "dimensions", list[domain.Dimension]),
        Part("detail-fields", "detail_fields", list[domain.DetailField]),
        Part("remark-columns", "remark_columns", list[domain.RemarkColumn]),
        Part("measures", "measures", list[domain.Measure]),
        Part("indicators", "indicators", list[domain.Indicator]),
        Part("caps", "caps", list[domain.Cap]),
        Part("roles", "roles", list[domain.RoleAssignment]),
        Part("mappings", "mappings", list[MemberMapping]),
        Part("fetch-rules", "fetch_rules", list[domain.FetchRule]),
        Part("pool-rules", "pool_rules", list[domain.PoolRule]),
        Part("elimination-rules", "elimination_rules", list[domain.EliminationRule]),
        Part("check-rules", "check_rules", list[domain.CheckRule]),
        Part("templates", "templates", list[domain.Template]),
        Part("extensions", "extensions", list[domain.Extension]),
        Part("statistics-templates", "statistics_templates", list[domain.StatisticsTemplate]),
        Part("timings", "timings", list[domain.Timing]),
        Part("policies", "policies", list[domain.ControlPolicy]),
    )
}

LOCK_SYSTEM: Final = text(
    """
    insert into planning_system (system_id, version, changed_at) values (:system_id, 0, :now)
    on conflict (system_id) do update set system_id = excluded.system_id
    returning version
    """
)

SAVE_PARTS: Final = text(
    """
    with system as (
        update planning_system set version = version + 1, changed_at = clock_timestamp()
        where system_id = :system_id
        returning version
    )
    insert into planning_part (system_id, kind, version, body, changed_by, changed_at)
    select :system_id, kind, 1, body, :changed_by, :now
    from unnest(cast(:kinds as text[]), cast(:bodies as bytea[])) as p (kind, body)
    on conflict (system_id, kind) do update
    set version = planning_part.version + 1, body = excluded.body, changed_by = excluded.changed_by,
        changed_at = excluded.changed_at
    """
)

_cached: dict[tuple[str, int, datetime], PlanningSystem] = {}


async def locked_version(connection: AsyncConnection, system_id: str, now: datetime) -> int:
    """The version of a system, locked against other changes of it; 0 for a new one."""
    found = await connection.execute(LOCK_SYSTEM, {"system_id": system_id, "now": now})
    return int(found.scalar_one())


async def save_parts(
    connection: AsyncConnection, system_id: str, parts: Mapping[str, Any], changed_by: str, now: datetime
) -> None:
    """Stores parts of a locked system by kind, and moves its version."""
    kinds = sorted(parts)
    await connection.execute(
        SAVE_PARTS,
        {
            "system_id": system_id,
            "kinds": kinds,
            "bodies": [dump(PARTS[kind].type, parts[kind]) for kind in kinds],
            "changed_by": changed_by,
            "now": now,
        },
    )


async def systems(
    connection: AsyncConnection, system_ids: Sequence[str] | None = None
) -> list[PlanningSystem]:
    """Whole systems by id, all of them where no ids are given; those that have not changed come from memory."""
    query = select(planning_system).where(planning_system.c.version > 0)
    if system_ids is not None:
        query = query.where(planning_system.c.system_id.in_(list(system_ids)))
    rows = await connection.execute(query.order_by(planning_system.c.system_id).limit(SYSTEMS_MAX))
    wanted = [(row.system_id, row.version, row.changed_at) for row in rows]
    missing = [key for key in wanted if key not in _cached]
    if missing:
        await _load(connection, missing)
    return [_cached[key] for key in wanted]


async def system_by_id(connection: AsyncConnection, system_id: str) -> PlanningSystem | None:
    found = await systems(connection, [system_id])
    return found[0] if found else None


async def _load(connection: AsyncConnection, keys: Sequence[tuple[str, int, datetime]]) -> None:
    query = select(planning_part.c.system_id, planning_part.c.kind, planning_part.c.body)
    rows = await connection.execute(query.where(planning_part.c.system_id.in_([key[0] for key in keys])))
    parts: dict[str, dict[str, Any]] = {key[0]: {} for key in keys}
    for row in rows:
        part = PARTS[row.kind]
        parts[row.system_id][part.attribute] = load_any(part.type, row.body)
    while len(_cached) > CACHED_MAX:
        _cached.pop(next(iter(_cached)))
    for key in keys:
        _cached[key] = PlanningSystem(id=key[0], version=key[1], **parts[key[0]])
