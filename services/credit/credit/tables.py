"""The tables of credit; amounts are minor units of the row's, or its profile's, currency.

An order's rows lead with (source, order id) and not with its paying account: a cancellation must find its
order, and a submission its earlier self, also when they name another account.
"""

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
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
            Column(f"{metric}_enforcement", Text),
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
    Column("check_rule", Text),
    Column("terms", LargeBinary),
    Column("grade", Text),
    Column("frozen", Boolean, nullable=False),
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
    Column("check_rule", Text),
    Column("terms", LargeBinary),
    Column("grade", Text),
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
    Column("documents", Boolean, nullable=False),
    Column("is_audited", Boolean, nullable=False),
    Column("standing", Text, nullable=False),
    Column("open_operation", Text, nullable=False),
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
    Column("event_name", Text, nullable=False),
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
    Column("document_type", Text, nullable=False),
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


def _key(prefix: str = "") -> list[Column[Any]]:
    """What a document is known by."""
    return [
        Column(f"{prefix}document_type", Text, primary_key=True),
        Column(f"{prefix}source", Text, primary_key=True),
        Column(f"{prefix}document_id", Text, primary_key=True),
    ]


def _who() -> list[Column[Any]]:
    return [
        Column("changed_by", Text, nullable=False),
        Column("changed_at", DateTime(timezone=True), nullable=False),
    ]


parameter: Final = Table(
    "parameter",
    metadata,
    Column("one", Boolean, primary_key=True),
    Column("body", LargeBinary, nullable=False),
    Column("version", Integer, nullable=False),
    *_who(),
)

check_rule: Final = Table(
    "check_rule",
    metadata,
    Column("rule_id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("version", Integer, nullable=False),
    *_who(),
)

check_rule_version: Final = Table(
    "check_rule_version",
    metadata,
    Column("rule_id", Text, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("name", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("reason", Text, nullable=False),
    *_who(),
)

exchange_rate: Final = Table(
    "exchange_rate",
    metadata,
    Column("currency_from", Text, primary_key=True),
    Column("currency_to", Text, primary_key=True),
    Column("rate_date", Date, primary_key=True),
    Column("rate", Numeric(24, 12), nullable=False),
    *_who(),
)

document: Final = Table(
    "document",
    metadata,
    *_key(),
    Column("customer", Text, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("operation", Text, nullable=False),
    Column("phase", Text, nullable=False),
    Column("confirmed", Boolean, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("previous_body", LargeBinary),
    Column("due_at", DateTime(timezone=True)),
    Column("changed_at", DateTime(timezone=True), nullable=False),
)

document_edge: Final = Table(
    "document_edge",
    metadata,
    *_key(),
    Column("to_type", Text, primary_key=True),
    Column("to_source", Text, primary_key=True),
    Column("to_id", Text, primary_key=True),
)

document_occupancy: Final = Table(
    "document_occupancy",
    metadata,
    *_key(),
    Column("profile_id", Uuid(as_uuid=False), primary_key=True),
    Column("stage", Text, primary_key=True),
    Column("amount_minor", BigInteger, nullable=False),
    Column("due_date", Date),
)

document_rate: Final = Table(
    "document_rate",
    metadata,
    *_key(),
    Column("profile_id", Uuid(as_uuid=False), primary_key=True),
    Column("rate", Text, nullable=False),
)

document_check: Final = Table(
    "document_check",
    metadata,
    *_key(),
    Column("number", BigInteger, primary_key=True),
    Column("revision", Integer, nullable=False),
    Column("operation", Text, nullable=False),
    Column("stance", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("is_exception", Boolean, nullable=False),
    Column("customer", Text, nullable=False),
    Column("findings", LargeBinary, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("checked_at", DateTime(timezone=True), nullable=False),
)

profile_freeze: Final = Table(
    "profile_freeze",
    metadata,
    Column("profile_id", Uuid(as_uuid=False), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("frozen_at", DateTime(timezone=True), nullable=False),
    Column("frozen_by", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("unfrozen_at", DateTime(timezone=True)),
    Column("unfrozen_by", Text),
    Column("unfreeze_reason", Text),
)

approval_right: Final = Table(
    "approval_right",
    metadata,
    Column("approver", Text, primary_key=True),
    Column("currency", Text, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("ceiling_minor", BigInteger, nullable=False),
    Column("period", Text, nullable=False),
    Column("metrics", ARRAY(Text), nullable=False),
    Column("valid_from", Date, nullable=False),
    Column("valid_to", Date, nullable=False),
    Column("active", Boolean, nullable=False),
    Column("reason", Text, nullable=False),
    *_who(),
)

approval_grant: Final = Table(
    "approval_grant",
    metadata,
    *_key(),
    Column("number", BigInteger, primary_key=True),
    Column("currency", Text, primary_key=True),
    Column("approver", Text, nullable=False),
    Column("customer", Text, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("metrics", ARRAY(Text), nullable=False),
    Column("reason", Text, nullable=False),
    Column("given_on", Date, nullable=False),
    Column("given_at", DateTime(timezone=True), nullable=False),
    Column("returned_at", DateTime(timezone=True)),
)

pending_document: Final = Table(
    "pending_document",
    metadata,
    *_key(),
    Column("number", BigInteger, primary_key=True),
    Column("state", Text, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("operation", Text, nullable=False),
    Column("customer", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("total_minor", BigInteger, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("findings", LargeBinary, nullable=False),
    Column("held_at", DateTime(timezone=True), nullable=False),
    Column("due_at", DateTime(timezone=True), nullable=False),
    Column("person", Text),
    Column("reason", Text),
    Column("ended_at", DateTime(timezone=True)),
    Column("opened_told_at", DateTime(timezone=True)),
    Column("ended_told_at", DateTime(timezone=True)),
)

notice_draw: Final = Table(
    "notice_draw",
    metadata,
    Column("notice_source", Text, primary_key=True),
    Column("notice_id", Text, primary_key=True),
    Column("source", Text, primary_key=True),
    Column("order_id", Text, primary_key=True),
    Column("line_id", Text, primary_key=True),
    Column("quantity_millionths", BigInteger, nullable=False),
)

recalculation_run: Final = Table(
    "recalculation_run",
    metadata,
    Column("run_id", Uuid(as_uuid=False), primary_key=True),
    Column("state", Text, nullable=False),
    Column("place", ARRAY(Text), nullable=False),
    Column("pieces", BigInteger, nullable=False),
    Column("documents", BigInteger, nullable=False),
    Column("orders", BigInteger, nullable=False),
    Column("differences", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("started_by", Text, nullable=False),
    Column("started_at", DateTime(timezone=True), nullable=False),
    Column("compared_at", DateTime(timezone=True)),
    Column("applied_by", Text),
    Column("applied_at", DateTime(timezone=True)),
)

recalculation_difference: Final = Table(
    "recalculation_difference",
    metadata,
    Column("run_id", Uuid(as_uuid=False), primary_key=True),
    *_key(),
    Column("profile_id", Uuid(as_uuid=False), primary_key=True),
    Column("stage", Text, primary_key=True),
    Column("stored_minor", BigInteger, nullable=False),
    Column("right_minor", BigInteger, nullable=False),
    Column("cause", Text, nullable=False),
    Column("found_at", DateTime(timezone=True), nullable=False),
    Column("applied_at", DateTime(timezone=True)),
)

reference: Final = Table(
    "reference",
    metadata,
    Column("reference_id", Text, primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("name", Text, nullable=False),
    Column("active", Boolean, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    *_who(),
    Column("kind", Text, nullable=False),
    Column("own_id", Text, nullable=False),
    Column("parent", Text),
)

advance_approval: Final = Table(
    "advance_approval",
    metadata,
    *_key(),
    Column("approver", Text, primary_key=True),
    Column("metrics", ARRAY(Text), nullable=False),
    Column("reason", Text, nullable=False),
    Column("given_at", DateTime(timezone=True), nullable=False),
    Column("valid_until", DateTime(timezone=True), nullable=False),
    Column("state", Text, nullable=False),
    Column("ended_at", DateTime(timezone=True)),
    Column("refusal", Text),
)
