"""The tables of credit; amounts are minor units of the row's, or its profile's, currency.

An order's rows lead with (source, order id) and not with its paying account: a cancellation must find its
order, and a submission its earlier self, also when they name another account.
"""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    Uuid,
)
from sqlalchemy.dialects.postgresql import ARRAY

metadata: Final = MetaData()

organisation: Final = Table(
    "organisation",
    metadata,
    Column("organisation_id", Text, primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("name", Text, nullable=False),
    Column("organisation_type", Text, nullable=False),
    Column("parent", Text),
    Column("time_zone", Text, nullable=False),
    Column("active", Boolean, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("changed_by", Text, nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
)

customer: Final = Table(
    "customer",
    metadata,
    Column("customer_id", Text, primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("name", Text, nullable=False),
    Column("customer_group", Text),
    Column("credit_managed", Boolean, nullable=False),
    Column("active", Boolean, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("changed_by", Text, nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
)


def _limits() -> list[Column[object]]:
    """A metric without limit and without `unlimited` is not controlled."""
    columns: list[Column[object]] = []
    for metric in ("credit_limit", "single_document_limit"):
        columns += [
            Column(f"{metric}_minor", BigInteger),
            Column(f"{metric}_unlimited", Boolean, nullable=False),
            Column(f"{metric}_enforcement", Text, nullable=False),
        ]
    return columns


credit_profile: Final = Table(
    "credit_profile",
    metadata,
    Column("profile_id", Uuid(as_uuid=False), primary_key=True),
    Column("scope", Text, nullable=False),
    Column("scope_id", Text, nullable=False),
    Column("object_type", Text, nullable=False),
    Column("object_id", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("version", Integer, nullable=False),
    *_limits(),
    Column("used_minor", BigInteger, nullable=False),
    Column("settled_minor", BigInteger, nullable=False),
    Column("entries", BigInteger, nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
)

credit_profile_version: Final = Table(
    "credit_profile_version",
    metadata,
    Column("profile_id", Uuid(as_uuid=False), primary_key=True),
    Column("version", Integer, primary_key=True),
    *_limits(),
    Column("reason", Text, nullable=False),
    Column("changed_by", Text, nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
)

sales_order: Final = Table(
    "sales_order",
    metadata,
    Column("source", Text, primary_key=True),
    Column("order_id", Text, primary_key=True),
    Column("status", Text, nullable=False),
    Column("paying_account", Text),
    Column("last_revision", Integer, nullable=False),
    Column("answered_ahead", ARRAY(Integer), nullable=False),
    Column("parked", ARRAY(Integer), nullable=False),
    Column("checks", BigInteger, nullable=False),
    Column("open_check", BigInteger),
    Column("order_check", BigInteger),
)

parked_revision: Final = Table(
    "parked_revision",
    metadata,
    Column("source", Text, primary_key=True),
    Column("order_id", Text, primary_key=True),
    Column("order_revision", Integer, primary_key=True),
    Column("event_source", Text, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("body_version", Integer, nullable=False),
    Column("parked_at", DateTime(timezone=True), nullable=False),
    Column("due_at", DateTime(timezone=True), nullable=False),
)

credit_check: Final = Table(
    "credit_check",
    metadata,
    Column("source", Text, primary_key=True),
    Column("order_id", Text, primary_key=True),
    Column("check_number", BigInteger, primary_key=True),
    Column("order_revision", Integer, nullable=False),
    Column("operation", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("findings", LargeBinary, nullable=False),
    Column("person", Text),
    Column("event_source", Text),
    Column("event_id", Text),
    Column("digest", LargeBinary),
    Column("body", LargeBinary),
    Column("body_version", Integer),
    Column("checked_at", DateTime(timezone=True), nullable=False),
)

check_decision: Final = Table(
    "check_decision",
    metadata,
    Column("source", Text, primary_key=True),
    Column("order_id", Text, primary_key=True),
    Column("check_number", BigInteger, primary_key=True),
    Column("outcome", Text, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
)

occupancy: Final = Table(
    "occupancy",
    metadata,
    Column("source", Text, primary_key=True),
    Column("order_id", Text, primary_key=True),
    Column("check_number", BigInteger, primary_key=True),
    Column("profile_id", Uuid(as_uuid=False), primary_key=True),
    Column("amount_minor", BigInteger, nullable=False),
    Column("settled", Boolean, nullable=False),
)

occupancy_entry: Final = Table(
    "occupancy_entry",
    metadata,
    Column("profile_id", Uuid(as_uuid=False), primary_key=True),
    Column("entry_number", BigInteger, primary_key=True),
    Column("recorded_at", DateTime(timezone=True), primary_key=True),
    Column("source", Text, nullable=False),
    Column("order_id", Text, nullable=False),
    Column("check_number", BigInteger, nullable=False),
    Column("change_minor", BigInteger, nullable=False),
    Column("used_after_minor", BigInteger, nullable=False),
    Column("permit", Text, nullable=False),
    Column("limit_minor", BigInteger),
)

pending_order: Final = Table(
    "pending_order",
    metadata,
    Column("source", Text, primary_key=True),
    Column("order_id", Text, primary_key=True),
    Column("check_number", BigInteger, primary_key=True),
    Column("state", Text, nullable=False),
    Column("order_revision", Integer, nullable=False),
    Column("paying_account", Text, nullable=False),
    Column("customer", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("total_minor", BigInteger, nullable=False),
    Column("held_at", DateTime(timezone=True), nullable=False),
    Column("due_at", DateTime(timezone=True), nullable=False),
    Column("person", Text),
    Column("reason", Text),
    Column("ended_at", DateTime(timezone=True)),
    Column("result_check", BigInteger),
)
