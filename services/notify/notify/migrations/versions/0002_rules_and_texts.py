"""Rules, and templates with the product's texts as their first versions."""

from alembic import op
from sqlalchemy import text

from notify.migrations.product_texts import product_templates

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

DDL = (
    """
    create table rule (
        id text primary key,
        version integer not null check (version >= 1),
        body jsonb not null,
        changed_at timestamptz not null,
        changed_by text not null
    )
    """,
    """
    create table template (
        number bigint generated always as identity primary key,
        kind text not null,
        style text not null check (style in ('sms', 'email', 'chat')),
        language text not null,
        version integer not null check (version >= 1),
        subject text not null,
        text text not null,
        html text,
        saved_at timestamptz not null,
        saved_by text not null,
        constraint template_version unique (kind, style, language, version)
    )
    """,
)


def upgrade() -> None:
    for statement in DDL:
        op.execute(statement)
    names = ("kind", "style", "language", "subject", "text")
    op.get_bind().execute(
        text(
            "insert into template (kind, style, language, version, subject, text, saved_at, saved_by) "
            "values (:kind, :style, :language, 1, :subject, :text, now(), 'coffer')"
        ),
        [dict(zip(names, template, strict=True)) for template in product_templates()],
    )
