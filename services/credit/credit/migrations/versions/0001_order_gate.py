"""Customers, credit profiles, the order gate and its occupancy."""

from alembic import op

from chassis import tables as chassis_tables

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

FIRST_YEAR = 2025
LAST_YEAR = 2044

MASTER_COLUMNS = """
    version bigint not null check (version >= 1),
    name text not null,
    active boolean not null,
    digest bytea not null,
    changed_by text not null,
    changed_at timestamptz not null
"""

LIMIT_COLUMNS = ",".join(
    f"""
    {metric}_minor bigint check ({metric}_minor >= 0),
    {metric}_unlimited boolean not null check (not ({metric}_unlimited and {metric}_minor is not null)),
    {metric}_enforcement text check ({metric}_enforcement in ('warn', 'special-approval', 'reject', 'freeze'))
    """
    for metric in ("credit_limit", "single_document_limit")
)

DDL = (
    f"""
    create table organisation (
        organisation_id text primary key,
        organisation_type text not null check (organisation_type in ('business', 'legal', 'group')),
        parent text,
        time_zone text not null,
        {MASTER_COLUMNS}
    )
    """,
    f"""
    create table customer (
        customer_id text primary key,
        customer_group text,
        credit_managed boolean not null,
        {MASTER_COLUMNS}
    )
    """,
    f"""
    create table credit_profile (
        profile_id uuid primary key,
        scope text not null check (scope in ('group', 'legal', 'business')),
        scope_id text not null,
        object_type text not null,
        object_id text not null,
        currency text not null,
        version integer not null check (version >= 1),
        {LIMIT_COLUMNS},
        used_minor bigint not null,
        settled_minor bigint not null,
        entries bigint not null check (entries >= 0),
        changed_at timestamptz not null,
        unique (object_id, currency, object_type, scope, scope_id)
    ) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02)
    """,
    f"""
    create table credit_profile_version (
        profile_id uuid not null references credit_profile,
        version integer not null check (version >= 1),
        {LIMIT_COLUMNS},
        reason text not null,
        changed_by text not null,
        changed_at timestamptz not null,
        primary key (profile_id, version)
    )
    """,
    """
    create table sales_order (
        source text not null,
        order_id text not null,
        status text not null
            check (status in ('new', 'undecided', 'pending', 'accepted', 'declined', 'cancelled', 'closed')),
        paying_account text,
        last_revision integer not null check (last_revision >= 0),
        answered_ahead integer[] not null,
        parked integer[] not null check (cardinality(parked) <= 64),
        checks bigint not null check (checks >= 0),
        open_check bigint check (open_check <= checks),
        order_check bigint check (order_check <= checks),
        primary key (source, order_id),
        check ((open_check is not null) = (status in ('undecided', 'pending')))
    ) with (fillfactor = 50)
    """,
    """
    create table parked_revision (
        source text not null,
        order_id text not null,
        order_revision integer not null,
        event_source text not null,
        event_id text not null,
        digest bytea not null,
        body bytea not null,
        body_version integer not null,
        parked_at timestamptz not null,
        due_at timestamptz not null,
        primary key (source, order_id, order_revision)
    )
    """,
    """
    create table credit_check (
        source text not null,
        order_id text not null,
        check_number bigint not null check (check_number >= 1),
        order_revision integer not null check (order_revision >= 1),
        operation text not null,
        outcome text not null check (
            outcome in ('approved', 'warned', 'declined', 'pending-approval', 'not-checked-yet')),
        findings bytea not null,
        person text,
        event_source text,
        event_id text,
        digest bytea,
        body bytea,
        body_version integer,
        checked_at timestamptz not null,
        primary key (source, order_id, check_number),
        check ((digest is null) = (body is null) and (digest is null) = (event_id is null))
    )
    """,
    """
    create unique index credit_check_answers_once on credit_check (source, order_id, order_revision)
        where digest is not null
    """,
    "create index credit_check_checked_at on credit_check using brin (checked_at)",
    """
    create table check_decision (
        source text not null,
        order_id text not null,
        check_number bigint not null,
        outcome text not null,
        event_id text not null,
        recorded_at timestamptz not null,
        primary key (source, order_id, check_number)
    )
    """,
    """
    create table occupancy (
        source text not null,
        order_id text not null,
        check_number bigint not null,
        profile_id uuid not null,
        amount_minor bigint not null check (amount_minor >= 0),
        settled boolean not null,
        primary key (source, order_id, check_number, profile_id)
    ) with (fillfactor = 80)
    """,
    "create index occupancy_of_profile on occupancy (profile_id, source, order_id)",
    """
    create table occupancy_entry (
        profile_id uuid not null,
        entry_number bigint not null check (entry_number >= 1),
        recorded_at timestamptz not null,
        source text not null,
        order_id text not null,
        check_number bigint not null,
        change_minor bigint not null check (change_minor <> 0),
        used_after_minor bigint not null,
        permit text not null,
        limit_minor bigint,
        primary key (profile_id, entry_number, recorded_at)
    ) partition by range (recorded_at)
    """,
    "create table occupancy_entry_other partition of occupancy_entry default",
    """
    create table pending_order (
        source text not null,
        order_id text not null,
        check_number bigint not null,
        state text not null check (state in ('pending', 'approved', 'rejected', 'expired', 'cancelled')),
        order_revision integer not null,
        paying_account text not null,
        customer text not null,
        currency text not null,
        total_minor bigint not null,
        held_at timestamptz not null,
        due_at timestamptz not null,
        person text,
        reason text,
        ended_at timestamptz,
        result_check bigint,
        primary key (source, order_id, check_number),
        check ((state = 'pending') = (ended_at is null) and (state = 'pending') = (result_check is null))
    )
    """,
    "create unique index pending_order_once on pending_order (source, order_id) where state = 'pending'",
    "create index pending_order_held on pending_order (state, held_at, source, order_id, check_number)",
    "create index pending_order_customer on pending_order (customer, state)",
)


def upgrade() -> None:
    """Creates all tables; history is cut by year, and what lies outside the known years goes to one last part."""
    chassis_tables.create(op)
    for statement in DDL:
        op.execute(statement)
    for year in range(FIRST_YEAR, LAST_YEAR + 1):
        op.execute(
            f"create table occupancy_entry_{year} partition of occupancy_entry "
            f"for values from ('{year}-01-01T00:00:00Z') to ('{year + 1}-01-01T00:00:00Z')"
        )
