"""Held documents become to-dos of the approvers, which end with the wait."""

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        "alter table pending_document add column opened_told_at timestamptz, add column ended_told_at timestamptz"
    )
    op.execute(
        """
        create index pending_document_untold on pending_document (held_at)
            where opened_told_at is null or (ended_at is not null and ended_told_at is null)
        """
    )
