"""The receipts-and-payments pool and the position accounts."""

from alembic import op

from chassis import tables as chassis_tables

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

FIRST_YEAR = 2025
LAST_YEAR = 2044

ITEM_COLUMNS = """
    document_type text not null,
    source text not null,
    document_id text not null,
    version integer not null check (version >= 1),
    direction text not null check (direction in ('in', 'out')),
    entity text,
    currency text,
    counterparty text,
    account text not null,
    due_date date not null,
    document_minor bigint not null check (document_minor >= 0),
    settled_minor bigint not null check (settled_minor between 0 and document_minor),
    covered_minor bigint not null check (covered_minor between 0 and document_minor - settled_minor),
    amount_minor bigint not null generated always as (document_minor - settled_minor - covered_minor) stored,
"""

DDL = (
    """
    create table organisation (
        organisation_id text primary key,
        version integer not null check (version >= 1),
        name text not null,
        time_zone text not null,
        active boolean not null
    )
    """,
    f"""
    create table pool_item (
        {ITEM_COLUMNS}
        item text,
        attributes bytea not null,
        step integer not null check (step >= 1),
        is_closed boolean not null generated always as (document_minor = settled_minor + covered_minor) stored,
        changed_at timestamptz not null,
        primary key (document_type, source, document_id),
        check (is_closed or (entity is not null and currency is not null))
    )
    """,
    "create index pool_item_place on pool_item (entity, currency, is_closed, due_date)",
    f"""
    create table pool_item_history (
        {ITEM_COLUMNS}
        step integer not null check (step >= 1),
        operation text not null,
        outcome text not null,
        event_id text not null,
        decided_at timestamptz not null,
        recorded_at timestamptz not null,
        primary key (document_type, source, document_id, step, recorded_at)
    ) partition by range (recorded_at)
    """,
    "create table pool_item_history_other partition of pool_item_history default",
    """
    create table position_account (
        account_id text primary key,
        entity text not null,
        currency text not null,
        bank text not null,
        name text not null,
        minimum_minor bigint not null check (minimum_minor >= 0),
        active boolean not null,
        entries integer not null check (entries >= 0),
        changed_by text not null,
        changed_at timestamptz not null
    )
    """,
    "create index position_account_place on position_account (entity, currency)",
    """
    create table position_balance (
        account_id text not null references position_account,
        entry_number integer not null check (entry_number >= 1),
        as_of date not null,
        balance_minor bigint not null,
        told_at timestamptz not null,
        entered_by text not null,
        entered_at timestamptz not null,
        primary key (account_id, entry_number)
    )
    """,
    "create index position_balance_as_of on position_balance (account_id, as_of, entry_number)",
)


def upgrade() -> None:
    """Creates all tables; history is cut by year, with one more part for all other years."""
    chassis_tables.create(op)
    for statement in DDL:
        op.execute(statement)
    for year in range(FIRST_YEAR, LAST_YEAR + 1):
        op.execute(
            f"create table pool_item_history_{year} partition of pool_item_history "
            f"for values from ('{year}-01-01T00:00:00Z') to ('{year + 1}-01-01T00:00:00Z')"
        )
