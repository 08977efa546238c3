"""What finds that which has been over for long enough to be pruned."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

DDL = (
    "create index notice_received on notice (received_at)",
    "create index episode_changed on episode (changed_at)",
    "create index task_over on task (changed_at) where state <> 'opened'",
)


def upgrade() -> None:
    for statement in DDL:
        op.execute(statement)
