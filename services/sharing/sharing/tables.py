"""The tables: accounts, relationships with every change, what is shared with whom and when, invoicing."""

from typing import Any, Final

from sqlalchemy import (
    Boolean,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

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
        Column("ending", Text),
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


def _span_columns() -> list[Column[Any]]:
    return [
        Column("starts_at", DateTime(timezone=True), primary_key=True),
        Column("ends_at", DateTime(timezone=True)),
    ]


resource_type = Table(
    "resource_type",
    METADATA,
    Column("resource_type", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("preset", Boolean, nullable=False),
)

resource = Table(
    "resource",
    METADATA,
    Column("resource_id", Text, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("owner", Text, nullable=False),
    Column("resource_type", Text, ForeignKey("resource_type.resource_type"), nullable=False),
    Column("name", Text, nullable=False),
    Column("valid_from", DateTime(timezone=True), nullable=False),
    Column("valid_until", DateTime(timezone=True)),
    Column("quantity", Numeric),
    Column("unit", Text),
    *_span_columns(),
    Index("resource_known", "resource_id", unique=True, postgresql_where=text("ends_at is null")),
    Index("resource_owner", "owner", "resource_id"),
)

sharer = Table(
    "sharer",
    METADATA,
    Column("management_account", Text, primary_key=True),
    Column("told_until", DateTime(timezone=True), nullable=False),
    Column("told_part", Integer),
    Column("change_number", Integer, nullable=False),
)

trusteeship = Table(
    "trusteeship",
    METADATA,
    Column("management_account", Text, primary_key=True),
    Column("account", Text, primary_key=True),
    *_span_columns(),
    Index("trusteeship_now", "account", unique=True, postgresql_where=text("ends_at is null")),
    Index("trusteeship_account", "account"),
)

shared_type = Table(
    "shared_type",
    METADATA,
    Column("management_account", Text, primary_key=True),
    Column("resource_type", Text, ForeignKey("resource_type.resource_type"), primary_key=True),
    *_span_columns(),
)

accepted_type = Table(
    "accepted_type",
    METADATA,
    Column("management_account", Text, primary_key=True),
    Column("account", Text, primary_key=True),
    Column("resource_type", Text, ForeignKey("resource_type.resource_type"), primary_key=True),
    *_span_columns(),
)

user_group = Table(
    "user_group",
    METADATA,
    Column("group_id", Text, primary_key=True),
    Column("management_account", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("dissolved_at", DateTime(timezone=True)),
    Index(
        "user_group_name",
        "management_account",
        "name",
        unique=True,
        postgresql_where=text("dissolved_at is null"),
    ),
)

membership = Table(
    "membership",
    METADATA,
    Column("management_account", Text, primary_key=True),
    Column("account", Text, primary_key=True),
    Column("group_id", Text, ForeignKey("user_group.group_id"), nullable=False),
    *_span_columns(),
)

binding = Table(
    "binding",
    METADATA,
    Column("management_account", Text, primary_key=True),
    Column("resource_id", Text, primary_key=True),
    Column("group_id", Text, ForeignKey("user_group.group_id"), primary_key=True),
    *_span_columns(),
    Index("binding_group", "group_id", "resource_id"),
)

sharing_change = Table(
    "sharing_change",
    METADATA,
    Column("management_account", Text, primary_key=True),
    Column("change_number", Integer, primary_key=True),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    Column("side", Text, nullable=False),
    Column("changed_by", Text, nullable=False),
    Column("change", JSONB, nullable=False),
)

end_request = Table(
    "end_request",
    METADATA,
    Column("request_id", Text, primary_key=True),
    Column("relationship_id", Text, ForeignKey("relationship.relationship_id"), nullable=False),
    Column("purpose", Text, nullable=False),
    Column("relationship_version", Integer, nullable=False),
    Column("side", Text, nullable=False),
    Column("requested_by", Text, nullable=False),
    Column("requested_at", DateTime(timezone=True), nullable=False),
    Column("answer_by", DateTime(timezone=True), nullable=False),
    Column("outcome", Text),
    Column("decided_at", DateTime(timezone=True)),
    Index(
        "end_request_open",
        "relationship_id",
        "purpose",
        unique=True,
        postgresql_where=text("outcome is null"),
    ),
    Index("end_request_relationship", "relationship_id", "request_id"),
)

end_answer = Table(
    "end_answer",
    METADATA,
    Column("request_id", Text, ForeignKey("end_request.request_id"), primary_key=True),
    Column("answered_by", Text, primary_key=True),
    Column("outcome", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
)

invoicing = Table(
    "invoicing",
    METADATA,
    Column("account", Text, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("body", JSONB, nullable=False),
    Column("copied_from", Text),
    Column("relationship_id", Text, ForeignKey("relationship.relationship_id")),
    Index("invoicing_copied_from", "copied_from", postgresql_where=text("copied_from is not null")),
)

invoicing_history = Table(
    "invoicing_history",
    METADATA,
    Column("account", Text, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("body", JSONB, nullable=False),
    Column("copied_from", Text),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    Column("changed_by", Text, nullable=False),
)
