"""Accounts, relationships and their history."""

from alembic import op

from chassis import tables as chassis_tables

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

STATE_COLUMNS = """
    kind text not null check (kind in ('financial', 'trusteeship')),
    management_account text not null,
    member_account text not null check (member_account <> management_account),
    state text not null check (state in ('invited', 'active', 'declined', 'ended')),
    offered text[] not null,
    accepted text[] not null check (accepted <@ offered),
    refused text[] not null check (refused <@ offered and not refused && accepted),
    display_name text not null,
    invoice_status text not null check (invoice_status in ('none', 'own', 'copied')),
    changed_at timestamptz not null,
"""

DDL = (
    """
    create table account (
        account_id text primary key,
        version integer not null check (version >= 1),
        name text not null,
        active boolean not null
    )
    """,
    f"""
    create table relationship (
        relationship_id text not null,
        version integer not null check (version >= 1),
        {STATE_COLUMNS}
        primary key (relationship_id)
    )
    """,
    """
    create unique index relationship_live on relationship (member_account, kind)
        where state in ('invited', 'active')
    """,
    "create index relationship_member on relationship (member_account)",
    "create index relationship_management on relationship (management_account)",
    f"""
    create table relationship_history (
        relationship_id text not null,
        version integer not null check (version >= 1),
        {STATE_COLUMNS}
        step text not null check (step in ('invited', 'accepted', 'refused', 'declined', 'ended', 'renamed')),
        side text not null check (side in ('management', 'member', 'administrator')),
        changed_by text not null,
        primary key (relationship_id, version)
    )
    """,
    "create index relationship_history_member on relationship_history (member_account)",
    "create index relationship_history_management on relationship_history (management_account)",
)


def upgrade() -> None:
    """History is kept in one table: its key proves that versions are given once, and people make few changes."""
    chassis_tables.create(op)
    for statement in DDL:
        op.execute(statement)
