"""The tables: accounts and what they are told of, the ledger, orders, payments, alerts."""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY

METADATA: Final = MetaData()
MOMENT: Final = DateTime(timezone=True)

organisation = Table(
    "organisation",
    METADATA,
    Column("organisation", Text, primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("name", Text, nullable=False),
    Column("organisation_type", Text, nullable=False),
    Column("parent", Text),
    Column("time_zone", Text, nullable=False),
    Column("active", Boolean, nullable=False),
)

account = Table(
    "account",
    METADATA,
    Column("account", Text, primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("name", Text, nullable=False),
    Column("customer", Text, nullable=False),
    Column("settlement_organisation", Text, nullable=False),
    Column("active", Boolean, nullable=False),
    Column("last_entry_number", BigInteger, nullable=False),
    Column("last_posted_at", MOMENT),
    Column("chain_head", LargeBinary, nullable=False),
    Column("extras", Boolean, nullable=False),
)

user_right = Table(
    "user_right",
    METADATA,
    Column("right_id", Text, primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("user_id", Text, nullable=False),
    Column("account", Text, nullable=False),
    Column("right_name", Text, nullable=False),
    Column("active", Boolean, nullable=False),
    Index("user_right_account", "account", "user_id", postgresql_where=text("active")),
)

relationship = Table(
    "relationship",
    METADATA,
    Column("relationship_id", Text, primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("management_account", Text, nullable=False),
    Column("member_account", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("permissions", ARRAY(Text), nullable=False),
    Column("display_name", Text, nullable=False),
    Column("invoice_status", Text, nullable=False),
    Column("frozen_by", Text),
    Index("relationship_member", "member_account"),
    Index("relationship_management", "management_account"),
    Index("relationship_frozen", "management_account", postgresql_where=text("frozen_by is not null")),
)

waiting_end_request = Table(
    "waiting_end_request",
    METADATA,
    Column("relationship_id", Text, ForeignKey("relationship.relationship_id"), primary_key=True),
    Column("request_id", Text, primary_key=True),
    Column("relationship_version", BigInteger, nullable=False),
    Column("answer_by", MOMENT, nullable=False),
    Column("body", LargeBinary, nullable=False),
)

deduction_order = Table(
    "deduction_order",
    METADATA,
    Column("settlement_organisation", Text, primary_key=True),
    Column("customer", Text, primary_key=True),
    Column("version", BigInteger, ForeignKey("deduction_order_version.version"), nullable=False),
    Column("account_types", ARRAY(Text)),
)

deduction_order_version = Table(
    "deduction_order_version",
    METADATA,
    Column("version", BigInteger, primary_key=True),
    Column("settlement_organisation", Text, nullable=False),
    Column("customer", Text, nullable=False),
    Column("account_types", ARRAY(Text)),
    Column("changed_by", Text, nullable=False),
    Column("changed_at", MOMENT, nullable=False),
    Index("deduction_order_version_place", "settlement_organisation", "customer", "version"),
)

fund_account = Table(
    "fund_account",
    METADATA,
    Column("account", Text, ForeignKey("account.account"), primary_key=True),
    Column("account_type", Text, primary_key=True),
    Column("currency", Text, primary_key=True),
    Column("balance", BigInteger, nullable=False),
    Column("line", BigInteger, nullable=False),
    Column("valid_from", Date),
    Column("valid_until", Date),
    Column("opened_at", MOMENT, nullable=False),
    Column("line_source", Text, nullable=False),
)

journal_entry = Table(
    "journal_entry",
    METADATA,
    Column("account", Text, primary_key=True),
    Column("entry_number", BigInteger, primary_key=True),
    Column("posted_at", MOMENT, primary_key=True),
    Column("effective_date", Date, nullable=False),
    Column("document_type", Text, nullable=False),
    Column("document_source", Text, nullable=False),
    Column("document_id", Text, nullable=False),
    Column("document_number", Integer, nullable=False),
    Column("reverses", BigInteger),
    Column("moved_from", Date),
    Column("hash", LargeBinary),
    Index("journal_entry_document", "document_id", "document_type", "account"),
    postgresql_partition_by="RANGE (posted_at)",
)

posting = Table(
    "posting",
    METADATA,
    Column("account", Text, primary_key=True),
    Column("account_type", Text, primary_key=True),
    Column("currency", Text, primary_key=True),
    Column("bucket", Text, primary_key=True),
    Column("posted_at", MOMENT, primary_key=True),
    Column("entry_number", BigInteger, primary_key=True),
    Column("amount", BigInteger, nullable=False),
    Column("after", BigInteger),
    postgresql_partition_by="RANGE (posted_at)",
)

order_state = Table(
    "order_state",
    METADATA,
    Column("source", Text, primary_key=True),
    Column("order_id", Text, primary_key=True),
    Column("account", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("check_number", BigInteger, nullable=False),
    Column("order_revision", Integer, nullable=False),
    Column("currency", Text),
    Column("customer", Text),
    Column("business_organisation", Text),
    Column("settlement_organisation", Text),
    Column("payment_method", Text),
    Column("total", BigInteger, nullable=False),
    Column("due_date", Date),
    Column("paid", BigInteger, nullable=False),
    Column("refunded", BigInteger, nullable=False),
    Column("payments", LargeBinary),
    Column("fingerprints", LargeBinary, nullable=False),
    Column("parked", LargeBinary),
    Column("changed_at", MOMENT),
    Column("details", LargeBinary),
    Index(
        "order_state_undecided",
        "account",
        postgresql_where=text("status in ('new', 'pending-approval')"),
    ),
)

decision = Table(
    "decision",
    METADATA,
    Column("source", Text, primary_key=True),
    Column("order_id", Text, primary_key=True),
    Column("check_number", BigInteger, primary_key=True),
    Column("sequel", Integer, primary_key=True),
    Column("decided_at", MOMENT, primary_key=True),
    Column("account", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("entry_number", BigInteger),
    Column("body", LargeBinary, nullable=False),
    postgresql_partition_by="RANGE (decided_at)",
)

payment = Table(
    "payment",
    METADATA,
    Column("payment_id", Text, primary_key=True),
    Column("payer", Text, nullable=False),
    Column("account", Text),
    Column("account_type", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("instrument", Text, nullable=False),
    Column("received_on", Date, nullable=False),
    Column("reference", Text),
    Column("status", Text, nullable=False),
    Column("reason", Text),
    Column("entry_number", BigInteger),
    Column("recorded_at", MOMENT, nullable=False),
    Column("top_up_id", Text),
    Column("cashes", Text),
    Column("reversed", BigInteger, nullable=False),
    Index("payment_unmatched", "recorded_at", "payment_id"),
)

quota_alert = Table(
    "quota_alert",
    METADATA,
    Column("account", Text, ForeignKey("account.account"), primary_key=True),
    Column("currency", Text, primary_key=True),
    Column("threshold", BigInteger, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("margin", BigInteger, nullable=False),
    Column("margin_basis_points", Integer, nullable=False),
    Column("changed_by", Text, nullable=False),
    Column("changed_at", MOMENT, nullable=False),
)

quota_episode = Table(
    "quota_episode",
    METADATA,
    Column("account", Text, primary_key=True),
    Column("currency", Text, primary_key=True),
    Column("episode_id", Uuid, primary_key=True),
    Column("opened_at", MOMENT, nullable=False),
    Column("reminder_number", Integer, nullable=False),
    Column("ended_at", MOMENT),
    Column("ending", Text),
    Index(
        "quota_episode_open", "account", "currency", unique=True, postgresql_where=text("ended_at is null")
    ),
)

quota_notice = Table(
    "quota_notice",
    METADATA,
    Column("account", Text, primary_key=True),
    Column("currency", Text, primary_key=True),
    Column("episode_id", Uuid, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("reminder_number", Integer, primary_key=True),
    Column("quota", BigInteger, nullable=False),
    Column("threshold", BigInteger, nullable=False),
    Column("occurred_at", MOMENT, nullable=False),
)

opening_import = Table(
    "opening_import",
    METADATA,
    Column("import_id", Uuid, primary_key=True),
    Column("status", Text, nullable=False),
    Column("made_by", Text, nullable=False),
    Column("made_at", MOMENT, nullable=False),
    Column("decided_by", Text),
    Column("decided_at", MOMENT),
    Column("row_count", Integer, nullable=False),
    Column("rows", LargeBinary, nullable=False),
    Column("results", LargeBinary),
    Index("opening_import_made_at", "made_at", "import_id"),
)

opening_balance = Table(
    "opening_balance",
    METADATA,
    Column("account", Text, primary_key=True),
    Column("account_type", Text, primary_key=True),
    Column("currency", Text, primary_key=True),
    Column("import_id", Uuid, ForeignKey("opening_import.import_id"), nullable=False),
    Column("row_number", Integer, nullable=False),
    Column("entry_number", BigInteger, nullable=False),
)

account_type = Table(
    "account_type",
    METADATA,
    Column("settlement_organisation", Text, primary_key=True),
    Column("code", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("pays_orders", Boolean, nullable=False),
    Column("takes_online_top_ups", Boolean, nullable=False),
    Column("opens_on_first_use", Boolean, nullable=False),
    Column("cash_like", Boolean, nullable=False),
    Column("changed_by", Text, nullable=False),
    Column("changed_at", MOMENT, nullable=False),
)

organisation_setting = Table(
    "organisation_setting",
    METADATA,
    Column("settlement_organisation", Text, primary_key=True),
    Column("account_payment", Boolean, nullable=False),
    Column("online_top_ups_approved", Boolean, nullable=False),
    Column("spending_order", Text, nullable=False),
    Column("closed_through", Date),
    Column("changed_by", Text, nullable=False),
    Column("changed_at", MOMENT, nullable=False),
)

document = Table(
    "document",
    METADATA,
    Column("document_type", Text, primary_key=True),
    Column("document_id", Text, primary_key=True),
    Column("revision", Integer, nullable=False),
    Column("account", Text, ForeignKey("account.account"), nullable=False),
    Column("currency", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("account_type", Text, nullable=False),
    Column("to_account_type", Text),
    Column("effective_date", Date),
    Column("reason", Text),
    Column("payee", Text),
    Column("reverses_type", Text),
    Column("reverses_id", Text),
    Column("status", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("made_by", Text, nullable=False),
    Column("made_at", MOMENT, nullable=False),
    Column("submitted_at", MOMENT),
    Column("decided_by", Text),
    Column("decided_at", MOMENT),
    Column("decision_reason", Text),
    Column("payment_id", Text),
    Column("entry_number", BigInteger),
    Column("reversed_by", BigInteger),
    Index("document_account", "account", "made_at", "document_type", "document_id"),
    Index("document_status", "status", "made_at", "document_type", "document_id"),
)

allocation_record = Table(
    "allocation_record",
    METADATA,
    Column("record_id", Uuid, primary_key=True),
    Column("recorded_at", MOMENT, nullable=False),
    Column("method", Text, nullable=False),
    Column("operation", Text, nullable=False),
    Column("management_account", Text, nullable=False),
    Column("member_account", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("result", Text, nullable=False),
    Column("reason_code", Text),
    Column("reason", Text),
    Column("batch_id", Uuid),
    Column("voucher_id", Text),
    Column("entry_number", BigInteger),
    Column("remark", Text),
    Column("requested_by", Text, nullable=False),
    Column("requested_at", MOMENT, nullable=False),
    Index("allocation_record_management", "management_account", "recorded_at", "record_id"),
    Index("allocation_record_member", "member_account", "recorded_at", "record_id"),
)

usage_rule = Table(
    "usage_rule",
    METADATA,
    Column("version", BigInteger, primary_key=True),
    Column("business_organisation", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("account_type", Text, nullable=False),
    Column("purposes", ARRAY(Text), nullable=False),
    Column("materials", ARRAY(Text), nullable=False),
    Column("material_groups", ARRAY(Text), nullable=False),
    Column("lead_time_days", Integer),
    Column("first_payment", Integer, nullable=False),
    Column("hold_hours", Integer),
    Column("valid_from", Date),
    Column("valid_until", Date),
    Column("made_by", Text, nullable=False),
    Column("made_at", MOMENT, nullable=False),
    Column("retired_by", Text),
    Column("retired_at", MOMENT),
    Index(
        "usage_rule_valid", "business_organisation", "currency", postgresql_where=text("retired_at is null")
    ),
)
