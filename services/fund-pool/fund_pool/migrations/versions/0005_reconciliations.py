"""Reconciliations of fund accounts with statements from outside; what roles are granted."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the tables."""
    op.execute(
        """
        create table reconciliation (
            account text not null references account,
            reconciliation_id uuid not null,
            account_type text not null,
            currency text not null,
            since date not null,
            until date not null,
            days integer not null check (days >= 0),
            lines bytea not null,
            line_count integer not null check (line_count > 0),
            made_by text not null,
            made_at timestamptz not null,
            primary key (account, reconciliation_id),
            check (since <= until)
        )
        """
    )
    op.execute(
        """
        create table role_grant (
            object text not null,
            action text not null check (action in ('view', 'make', 'approve')),
            roles text[] not null,
            granted_by text not null,
            granted_at timestamptz not null,
            primary key (object, action)
        )
        """
    )
