"""Requests to end relationships: those that wait for an earlier version, and what they are answered by."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

STATEMENTS = (
    "alter table relationship drop constraint relationship_version_check",
    "alter table relationship add constraint relationship_version_check check (version >= 0)",
    "create index relationship_frozen on relationship (management_account) where frozen_by is not null",
    """
    create table waiting_end_request (
        relationship_id text not null references relationship,
        request_id text not null,
        relationship_version bigint not null,
        answer_by timestamptz not null,
        body bytea not null,
        primary key (relationship_id, request_id)
    )
    """,
    "drop index order_state_waiting",
    """
    create index order_state_undecided on order_state (account)
        where status in ('new', 'pending-approval')
    """,
)


def upgrade() -> None:
    """Adds the table and the indexes."""
    for statement in STATEMENTS:
        op.execute(statement)
