"""The tables: reference data, contacts and their proofs, notices, deliveries with contents and history."""

from typing import Final

from sqlalchemy import (
    Boolean,
    Column,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, UUID

METADATA: Final = MetaData()

account = Table(
    "account",
    METADATA,
    Column("account", Text, primary_key=True),
    Column("name", Text),
    Column("version", Integer, nullable=False),
)

relationship = Table(
    "relationship",
    METADATA,
    Column("relationship_id", Text, primary_key=True),
    Column("relationship_version", Integer, nullable=False),
    Column("kind", Text, nullable=False),
    Column("management_account", Text, nullable=False),
    Column("member_account", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("may_view_finances", Boolean, nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    Index("relationship_member", "member_account"),
)

contact = Table(
    "contact",
    METADATA,
    Column("account", Text, ForeignKey("account.account"), primary_key=True),
    Column("person", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("language", Text, nullable=False),
    Column("time_zone", Text, nullable=False),
    Column("security", Boolean, nullable=False),
    Column("wants", ARRAY(Text), nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    Index("contact_security", "account", unique=True, postgresql_where=text("security")),
)

contact_address = Table(
    "contact_address",
    METADATA,
    Column("account", Text, primary_key=True),
    Column("person", Text, primary_key=True),
    Column("channel", Text, primary_key=True),
    Column("address", Text, nullable=False),
    Column("verified_at", DateTime(timezone=True)),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    ForeignKeyConstraint(["account", "person"], ["contact.account", "contact.person"], ondelete="CASCADE"),
)

verification = Table(
    "verification",
    METADATA,
    Column("account", Text, primary_key=True),
    Column("id", UUID(as_uuid=True), primary_key=True),
    Column("person", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("requested_at", DateTime(timezone=True), nullable=False),
    Column("salt", LargeBinary),
    Column("hash", LargeBinary),
    Column("sent_at", DateTime(timezone=True)),
    Column("tries", Integer, nullable=False),
    Column("verified_at", DateTime(timezone=True)),
    Index("verification_contact", "account", "person", "channel", "requested_at"),
    Index("verification_address", "address", "requested_at"),
    Index("verification_requested_at", "requested_at"),
)

episode = Table(
    "episode",
    METADATA,
    Column("account", Text, primary_key=True),
    Column("currency", Text, primary_key=True),
    Column("episode_id", Text, primary_key=True),
    Column("step", Integer, nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
)

notice = Table(
    "notice",
    METADATA,
    Column("account", Text, primary_key=True),
    Column("id", UUID(as_uuid=True), primary_key=True),
    Column("kind", Text, nullable=False),
    Column("business_key", Text, nullable=False),
    Column("currency", Text),
    Column("episode_id", Text),
    Column("event_source", Text, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("event_type", Text, nullable=False),
    Column("data", LargeBinary, nullable=False),
    Column("occurred_at", DateTime(timezone=True), nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Column("received_at", DateTime(timezone=True), nullable=False),
    Column("correlation_id", Text, nullable=False),
    Column("traceparent", Text),
    UniqueConstraint("account", "business_key", name="notice_business_key"),
    Index("notice_event", "event_id"),
    Index("notice_episode", "episode_id", postgresql_where=text("episode_id is not null")),
)

delivery = Table(
    "delivery",
    METADATA,
    Column("account", Text, primary_key=True),
    Column("id", UUID(as_uuid=True), primary_key=True),
    Column("notice_id", UUID(as_uuid=True), nullable=False),
    Column("kind", Text, nullable=False),
    Column("recipient", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text),
    Column("attempts", Integer, nullable=False),
    Column("phase", Text),
    Column("lease", UUID(as_uuid=True)),
    Column("due_at", DateTime(timezone=True)),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Column("cancel_reason", Text),
    Column("repeat_of", UUID(as_uuid=True)),
    Column("steps", Integer, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("ended_at", DateTime(timezone=True)),
    Column("status_event_id", Text),
    ForeignKeyConstraint(["account", "notice_id"], ["notice.account", "notice.id"]),
    UniqueConstraint(
        "account",
        "notice_id",
        "recipient",
        "channel",
        "repeat_of",
        name="delivery_once",
        postgresql_nulls_not_distinct=True,
    ),
    Index("delivery_due", "channel", "due_at", postgresql_where=text("due_at is not null")),
    Index("delivery_account_feed", "account", text("created_at desc"), text("id desc")),
    Index("delivery_feed", text("created_at desc"), text("id desc")),
    Index("delivery_recipient", "recipient", text("created_at desc"), text("id desc")),
)

delivery_content = Table(
    "delivery_content",
    METADATA,
    Column("account", Text, primary_key=True),
    Column("delivery_id", UUID(as_uuid=True), primary_key=True),
    Column("address", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("language", Text, nullable=False),
    Column("time_zone", Text, nullable=False),
    Column("report_token", Text, nullable=False),
    Column("body", LargeBinary),
    ForeignKeyConstraint(["account", "delivery_id"], ["delivery.account", "delivery.id"]),
    UniqueConstraint("report_token", name="delivery_report_token"),
)

delivery_history = Table(
    "delivery_history",
    METADATA,
    Column("account", Text, primary_key=True),
    Column("delivery_id", UUID(as_uuid=True), primary_key=True),
    Column("step", Integer, primary_key=True),
    Column("at", DateTime(timezone=True), primary_key=True),
    Column("state", Text, nullable=False),
    Column("reason", Text),
    Column("attempt", Integer),
    Column("phase", Text),
    Column("verdict", Text),
    Column("code", Integer),
    Column("answer", Text),
    Column("instance", Text),
    postgresql_partition_by="RANGE (at)",
)

delivery_report = Table(
    "delivery_report",
    METADATA,
    Column("account", Text, primary_key=True),
    Column("delivery_id", UUID(as_uuid=True), primary_key=True),
    Column("status", Integer, primary_key=True),
    Column("reply", Text, nullable=False),
    Column("first_at", DateTime(timezone=True), nullable=False),
    Column("last_at", DateTime(timezone=True), nullable=False),
    Column("times", Integer, nullable=False),
    ForeignKeyConstraint(["account", "delivery_id"], ["delivery.account", "delivery.id"]),
)
