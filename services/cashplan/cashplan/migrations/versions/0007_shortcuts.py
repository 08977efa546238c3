"""What each person wants at hand."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        create table shortcut (
            subject text not null,
            position integer not null check (position between 0 and 49),
            title text not null,
            path text not null,
            primary key (subject, position)
        )
        """
    )
