"""Recalculation of everything in pieces: runs and the differences that they found."""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

DDL = (
    """
    create table recalculation_run (
        run_id uuid primary key,
        state text not null check (state in ('comparing', 'compared', 'applying', 'applied')),
        place text[] not null,
        pieces bigint not null default 0,
        documents bigint not null default 0,
        orders bigint not null default 0,
        differences bigint not null default 0,
        reason text not null,
        started_by text not null,
        started_at timestamptz not null,
        compared_at timestamptz,
        applied_by text,
        applied_at timestamptz
    )
    """,
    """
    create unique index recalculation_run_once on recalculation_run ((true))
        where state in ('comparing', 'applying')
    """,
    """
    create table recalculation_difference (
        run_id uuid not null references recalculation_run,
        document_type text not null,
        source text not null,
        document_id text not null,
        profile_id uuid not null,
        stage text not null,
        stored_minor bigint not null,
        right_minor bigint not null,
        cause text not null,
        found_at timestamptz not null,
        applied_at timestamptz,
        primary key (run_id, document_type, source, document_id, profile_id, stage)
    )
    """,
    "create index document_in_turn on document (customer, document_type, source, document_id)",
)


def upgrade() -> None:
    """Creates the tables of recalculation."""
    for statement in DDL:
        op.execute(statement)
