"""Alert plans and their episodes; history and checks can be read by the time they were recorded at."""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

DDL = (
    """
    create table alert_plan (
        plan_id text primary key,
        version integer not null check (version >= 1),
        active boolean not null,
        body jsonb not null,
        changed_by text not null,
        changed_at timestamptz not null
    )
    """,
    """
    create table alert_episode (
        episode_id uuid primary key,
        kind text not null check (kind in ('usage-high', 'check-failed', 'order-held')),
        plan_id text references alert_plan,
        state text not null check (state in ('open', 'resolved')),
        object_type text not null,
        object_id text not null,
        profile_id uuid,
        source text,
        order_id text,
        check_number bigint,
        opened_event bytea not null,
        tasks jsonb not null,
        opened_at timestamptz not null,
        resolved_at timestamptz,
        resolved_by text,
        check ((state = 'open') = (resolved_at is null)),
        check ((kind = 'usage-high') = (source is null)),
        check ((kind = 'order-held') = (plan_id is null))
    )
    """,
    """
    create unique index alert_episode_usage on alert_episode (profile_id, plan_id)
        where kind = 'usage-high' and state = 'open'
    """,
    """
    create unique index alert_episode_check on alert_episode (source, order_id, check_number, kind,
                                                              coalesce(plan_id, ''))
        where kind <> 'usage-high'
    """,
    "create index alert_episode_open on alert_episode (kind, episode_id) where state = 'open'",
    """
    create table alert_mark (
        mark text primary key,
        seen_until timestamptz
    )
    """,
    "insert into alert_mark values ('usage', null), ('checks', null)",
    """
    create index credit_check_failed on credit_check (checked_at, source, order_id, check_number)
        where outcome in ('declined', 'pending-approval')
    """,
    "create index occupancy_entry_recorded_at on occupancy_entry using brin (recorded_at)",
)


def upgrade() -> None:
    """Creates the tables of alerts."""
    for statement in DDL:
        op.execute(statement)
