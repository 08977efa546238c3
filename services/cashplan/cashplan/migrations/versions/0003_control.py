"""What documents occupy, and what was decided about them."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

FIRST_YEAR = 2025
LAST_YEAR = 2044

DDL = (
    """
        create table control_document (
            source text not null,
            document_type text not null,
            document_id text not null,
            revision integer not null,
            state bytea not null,
            confirmed_state bytea,
            changed_at timestamptz not null,
            primary key (source, document_type, document_id)
        )
    """,
    """
        create table control_holding (
            source text not null,
            document_type text not null,
            document_id text not null,
            system_id text not null,
            filing_type text not null,
            entity text not null,
            item text not null,
            period text not null,
            currency text not null,
            members text not null,
            fields text not null,
            day date not null,
            pre_occupied_minor bigint not null,
            actual_minor bigint not null,
            primary key (source, document_type, document_id, system_id, filing_type,
                         entity, item, period, currency, members, fields),
            check (pre_occupied_minor >= 0 and actual_minor >= 0)
        )
    """,
    (
        "create index control_holding_slot on control_holding "
        "(system_id, filing_type, entity, item, period, currency, members, fields)"
    ),
    """
        create table occupancy_entry (
            entry_id bigint generated always as identity,
            recorded_at timestamptz not null,
            source text not null,
            document_type text not null,
            document_id text not null,
            system_id text not null,
            filing_type text not null,
            entity text not null,
            item text not null,
            period text not null,
            currency text not null,
            members text not null,
            fields text not null,
            revision integer not null,
            operation text not null,
            stance text not null,
            pre_occupied_minor bigint not null,
            actual_minor bigint not null,
            primary key (entry_id, recorded_at)
            )
        partition by range (recorded_at)
    """,
    (
        "create index occupancy_entry_document on occupancy_entry "
        "(source, document_type, document_id, entry_id)"
    ),
    (
        "create index occupancy_entry_slot on occupancy_entry "
        "(system_id, filing_type, entity, item, period, currency, members, fields, entry_id)"
    ),
    "create table occupancy_entry_other partition of occupancy_entry default",
    """
        create table plan_check (
            source text not null,
            document_type text not null,
            document_id text not null,
            revision integer not null,
            operation text not null,
            stance text not null,
            check_id text not null,
            entity text not null,
            outcome text not null,
            approval_id text,
            body bytea not null,
            checked_at timestamptz not null,
            primary key (source, document_type, document_id, revision, operation, stance)
        )
    """,
    "create index plan_check_entity on plan_check (entity, checked_at)",
    """
        create table special_approval (
            approval_id text not null,
            source text not null,
            document_type text not null,
            document_id text not null,
            revision integer not null,
            operation text not null,
            entity text not null,
            state text not null,
            posted bytea not null,
            policies text[] not null,
            systems text[] not null,
            requested_at timestamptz not null,
            expires_at timestamptz not null,
            decided_by text,
            decided_at timestamptz,
            note text,
            primary key (approval_id),
            check (state in ('waiting', 'approved', 'rejected', 'expired', 'withdrawn'))
        )
    """,
    "create index special_approval_state on special_approval (state, approval_id)",
    """
        create table unmapped (
            system_id text not null,
            source text not null,
            document_type text not null,
            document_id text not null,
            line_id text not null,
            dimension text not null,
            tried text not null,
            seen_at timestamptz not null,
            primary key (system_id, source, document_type, document_id, line_id, dimension)
        )
    """,
)


def upgrade() -> None:
    for statement in DDL:
        op.execute(statement)
    for year in range(FIRST_YEAR, LAST_YEAR + 1):
        op.execute(
            f"create table occupancy_entry_{year} partition of occupancy_entry "
            f"for values from ('{year}-01-01T00:00:00Z') to ('{year + 1}-01-01T00:00:00Z')"
        )
