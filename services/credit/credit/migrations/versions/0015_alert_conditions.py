"""Alert plans watch overdue receivables and what ends, besides usage and failed checks."""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

OF_PROFILES = "('usage-high', 'overdue-amount', 'overdue-days', 'temporary-credit-ending', 'profile-ending')"

DDL = (
    "alter table alert_episode drop constraint alert_episode_kind_check",
    "alter table alert_episode drop constraint alert_episode_check1",
    f"""
    alter table alert_episode
        add constraint alert_episode_kind_check check (kind in ('check-failed', 'order-held') or kind in {OF_PROFILES}),
        add constraint alert_episode_of_profile check ((kind in {OF_PROFILES}) = (source is null))
    """,
    "drop index alert_episode_usage",
    f"""
    create unique index alert_episode_of_profile_once on alert_episode (profile_id, plan_id, kind)
        where kind in {OF_PROFILES} and state = 'open'
    """,
    "drop index alert_episode_check",
    f"""
    create unique index alert_episode_of_order_once on alert_episode (source, order_id, check_number, kind,
                                                                      coalesce(plan_id, ''))
        where kind not in {OF_PROFILES}
    """,
)


def upgrade() -> None:
    """Widens the kinds of episodes."""
    for statement in DDL:
        op.execute(statement)
