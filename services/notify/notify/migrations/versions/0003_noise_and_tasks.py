"""What keeps notices back: silences, overdue spells, rates, providers at rest; and to-dos."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

DDL = (
    """
    create table silence (
        id uuid primary key,
        place text,
        family text,
        recipient text,
        begins timestamptz not null,
        ends timestamptz not null check (ends > begins),
        reason text not null,
        made_by text not null,
        made_at timestamptz not null
    )
    """,
    "create index silence_ends on silence (ends)",
    """
    create table spell (
        account text not null,
        currency text not null,
        episode_id text,
        opened_at timestamptz,
        cleared_at timestamptz,
        primary key (account, currency)
    )
    """,
    """
    create table recipient_rate (
        account text not null,
        person text not null,
        channel text not null,
        arrival timestamptz not null,
        primary key (account, person, channel)
    )
    """,
    """
    create table provider (
        channel text primary key,
        arrival timestamptz,
        faults integer not null check (faults >= 0),
        open_until timestamptz
    )
    """,
    """
    create table task (
        source text not null,
        task_id text not null,
        version integer not null check (version >= 1),
        state text not null check (state in ('opened', 'done', 'withdrawn')),
        kind text not null,
        assignee_kind text not null check (assignee_kind in ('person', 'role')),
        assignee text not null,
        entity text,
        account text,
        subject text,
        document_type text,
        document_source text,
        document_id text,
        amount text,
        currency text,
        message text,
        due_at timestamptz,
        done_by text,
        opened_at timestamptz not null,
        changed_at timestamptz not null,
        ticked_at timestamptz,
        ticked_by text,
        primary key (source, task_id)
    )
    """,
    "create index task_list on task (assignee, state, opened_at)",
    "create index task_opened on task (opened_at, source, task_id)",
)


def upgrade() -> None:
    for statement in DDL:
        op.execute(statement)
