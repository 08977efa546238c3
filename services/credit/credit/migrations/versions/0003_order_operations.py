"""Orders that are changed, audited, closed and reopened."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        alter table sales_order
            add column is_audited boolean not null default true,
            add column standing text not null default 'declined'
                check (standing in ('declined', 'accepted', 'closed')),
            add column open_operation text not null default 'submit'
        """
    )
    op.execute("alter table parked_revision add column event_name text not null default 'order-submitted'")
