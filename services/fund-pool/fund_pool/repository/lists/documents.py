"""Lists of what is made and decided: documents, allocations, payments, orders, reconciliations."""

from typing import Any, Final

from chassis.listing import ListField, Listing

DOCUMENTS: Final[Listing[Any]] = Listing(
    name="documents",
    sentence="Documents made by hand, those of online top-ups among them.",
    query="""
        select document_type, document_id, account, account_type, to_account_type, currency, amount,
               effective_date, reason, payee, reverses_type || '/' || reverses_id as reverses, payment_id, status,
               made_by, made_at, submitted_at, decided_by, decided_at, decision_reason, entry_number, reversed_by
        from document
        where document_type <> all(cast(:hidden as text[]))
          and (cast(:own_accounts as text[]) is null or account = any(cast(:own_accounts as text[])))
    """,
    fields=[
        ListField("document_type", sortable=True),
        ListField("document_id", sortable=True, width=30),
        ListField("account", sortable=True),
        ListField("account_type"),
        ListField("to_account_type", nullable=True),
        ListField("amount", "money", sortable=True, summed=True),
        ListField("currency"),
        ListField("effective_date", "date", nullable=True),
        ListField("reason", contains=True, nullable=True, width=40),
        ListField("payee", contains=True, nullable=True),
        ListField("reverses", nullable=True),
        ListField("payment_id", nullable=True),
        ListField("status"),
        ListField("made_by"),
        ListField("made_at", "moment", sortable=True),
        ListField("submitted_at", "moment", nullable=True),
        ListField("decided_by", nullable=True),
        ListField("decided_at", "moment", nullable=True),
        ListField("decision_reason", filterable=False, nullable=True, width=40),
        ListField("entry_number", "whole", nullable=True),
        ListField("reversed_by", "whole", nullable=True),
    ],
    key=("document_type", "document_id"),
    sort="-made_at",
)

ALLOCATION_RECORDS: Final[Listing[Any]] = Listing(
    name="allocation-records",
    sentence="Every allocation and reclaim of funds, credit limit and vouchers, with its outcome.",
    query="""
        select record_id, recorded_at, method, operation, management_account, member_account,
               case operation when 'reclaim' then member_account else management_account end as disbursing_account,
               case operation when 'reclaim' then management_account else member_account end as receiving_account,
               currency, amount, result, reason_code, reason, batch_id, voucher_id, entry_number, remark,
               requested_by, requested_at
        from allocation_record
        where cast(:own_accounts as text[]) is null
           or management_account = any(cast(:own_accounts as text[]))
           or member_account = any(cast(:own_accounts as text[]))
    """,
    fields=[
        ListField("recorded_at", "moment", sortable=True, spans=("since", "until")),
        ListField("method"),
        ListField("operation"),
        ListField("management_account", exported=False),
        ListField("member_account", exported=False),
        ListField("disbursing_account"),
        ListField("receiving_account"),
        ListField("amount", "money", sortable=True, summed=True),
        ListField("currency"),
        ListField("result"),
        ListField("reason_code", nullable=True),
        ListField("reason", filterable=False, nullable=True, width=40),
        ListField("remark", contains=True, nullable=True, width=40),
        ListField("requested_by"),
        ListField("requested_at", "moment"),
        ListField("batch_id", "uuid", nullable=True),
        ListField("voucher_id", nullable=True),
        ListField("entry_number", "whole", nullable=True),
        ListField("record_id", "uuid"),
    ],
    key=("record_id",),
    sort="-recorded_at",
)

ALLOCATION_REQUESTS: Final[Listing[Any]] = Listing(
    name="allocation-requests",
    sentence="Batches that wait for, or have had, another person's approval.",
    query="""
        select request_id, status, operation, management_account, row_count, remark, made_by, made_at, decided_by,
               decided_at
        from allocation_request
        where cast(:own_accounts as text[]) is null or management_account = any(cast(:own_accounts as text[]))
    """,
    fields=[
        ListField("request_id", "uuid"),
        ListField("status"),
        ListField("operation"),
        ListField("management_account", sortable=True),
        ListField("row_count", "whole", sortable=True),
        ListField("remark", contains=True, nullable=True, width=40),
        ListField("made_by"),
        ListField("made_at", "moment", sortable=True),
        ListField("decided_by", nullable=True),
        ListField("decided_at", "moment", nullable=True),
    ],
    key=("request_id",),
    sort="-made_at",
)

UNMATCHED_PAYMENTS: Final[Listing[Any]] = Listing(
    name="unmatched-payments",
    sentence="Payments that wait for somebody to place them.",
    query="""
        select payment_id, payer, account, account_type, currency, amount, instrument, received_on, reference,
               coalesce(reason, '') as reason, recorded_at
        from payment where status = 'unmatched'
    """,
    fields=[
        ListField("payment_id", sortable=True),
        ListField("payer", contains=True, width=30),
        ListField("account", nullable=True),
        ListField("account_type"),
        ListField("amount", "money", sortable=True, summed=True),
        ListField("currency"),
        ListField("instrument"),
        ListField("received_on", "date", sortable=True),
        ListField("reference", contains=True, nullable=True, width=30),
        ListField("reason"),
        ListField("recorded_at", "moment", sortable=True),
    ],
    key=("payment_id",),
    sort="recorded_at",
)

ORDERS: Final[Listing[Any]] = Listing(
    name="orders",
    sentence="Orders as they were last decided; `/orders/{source}/{order_id}` explains each.",
    query="""
        select source, order_id, account, status, check_number, order_revision, currency, customer,
               business_organisation, settlement_organisation, payment_method, total, paid, refunded, due_date,
               coalesce(changed_at, 'epoch') as changed_at
        from order_state
        where currency is not null
          and (cast(:own_accounts as text[]) is null or account = any(cast(:own_accounts as text[])))
    """,
    fields=[
        ListField("source"),
        ListField("order_id", sortable=True),
        ListField("account", sortable=True),
        ListField("customer", nullable=True),
        ListField("status"),
        ListField("payment_method", nullable=True),
        ListField("total", "money", sortable=True, summed=True),
        ListField("paid", "money", sortable=True, summed=True),
        ListField("refunded", "money", summed=True),
        ListField("currency"),
        ListField("due_date", "date", nullable=True),
        ListField("business_organisation", nullable=True),
        ListField("settlement_organisation", nullable=True),
        ListField("order_revision", "whole"),
        ListField("check_number", "whole"),
        ListField("changed_at", "moment", sortable=True),
    ],
    key=("source", "order_id"),
    sort="-changed_at",
)

RECONCILIATIONS: Final[Listing[Any]] = Listing(
    name="reconciliations",
    sentence="Statements from outside that were imported to be matched.",
    query="""
        select reconciliation_id, account_type, currency, since, until, days, line_count, made_by, made_at
        from reconciliation where account = :account
    """,
    fields=[
        ListField("reconciliation_id", "uuid"),
        ListField("account_type"),
        ListField("currency"),
        ListField("since", "date", sortable=True),
        ListField("until", "date", sortable=True),
        ListField("days", "whole"),
        ListField("line_count", "whole", heading="lines"),
        ListField("made_by"),
        ListField("made_at", "moment", sortable=True),
    ],
    key=("reconciliation_id",),
    sort="-made_at",
)
