"""The tables: accounts, relationships, and every change of a relationship."""

from typing import Any, Final

from sqlalchemy import Boolean, Column, DateTime, Index, Integer, MetaData, Table, Text, text
from sqlalchemy.dialects.postgresql import ARRAY

METADATA: Final = MetaData()

account = Table(
    "account",
    METADATA,
    Column("account_id", Text, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("name", Text, nullable=False),
    Column("active", Boolean, nullable=False),
)


def _state_columns() -> list[Column[Any]]:
    return [
        Column("kind", Text, nullable=False),
        Column("management_account", Text, nullable=False),
        Column("member_account", Text, nullable=False),
        Column("state", Text, nullable=False),
        Column("offered", ARRAY(Text), nullable=False),
        Column("accepted", ARRAY(Text), nullable=False),
        Column("refused", ARRAY(Text), nullable=False),
        Column("display_name", Text, nullable=False),
        Column("invoice_status", Text, nullable=False),
        Column("changed_at", DateTime(timezone=True), nullable=False),
    ]


relationship = Table(
    "relationship",
    METADATA,
    Column("relationship_id", Text, primary_key=True),
    Column("version", Integer, nullable=False),
    *_state_columns(),
    Index(
        "relationship_live",
        "member_account",
        "kind",
        unique=True,
        postgresql_where=text("state in ('invited', 'active')"),
    ),
    Index("relationship_member", "member_account"),
    Index("relationship_management", "management_account"),
)

relationship_history = Table(
    "relationship_history",
    METADATA,
    Column("relationship_id", Text, primary_key=True),
    Column("version", Integer, primary_key=True),
    *_state_columns(),
    Column("step", Text, nullable=False),
    Column("side", Text, nullable=False),
    Column("changed_by", Text, nullable=False),
    Index("relationship_history_member", "member_account"),
    Index("relationship_history_management", "management_account"),
)
