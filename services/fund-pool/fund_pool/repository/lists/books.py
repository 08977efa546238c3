"""Lists of what is set: usage rules, deduction orders, grants, opening imports."""

from typing import Any, Final

from chassis.listing import ListField, Listing

USAGE_RULES: Final[Listing[Any]] = Listing(
    name="usage-rules",
    sentence="Every version of an organisation's rules, retired ones too.",
    query="""
        select version, business_organisation, currency, account_type, purposes as document_types, materials,
               material_groups, lead_time_days,
               (first_payment / 100) || '.' || lpad(cast(first_payment % 100 as text), 2, '0')
                   as first_payment_percent,
               hold_hours, valid_from, valid_until, made_by, made_at, retired_by, retired_at,
               retired_at is null as valid
        from usage_rule where business_organisation = :organisation
    """,
    fields=[
        ListField("version", "whole", sortable=True),
        ListField("business_organisation", filterable=False),
        ListField("currency"),
        ListField("account_type", sortable=True),
        ListField("document_types", "texts"),
        ListField("materials", "texts"),
        ListField("material_groups", "texts"),
        ListField("lead_time_days", "whole", nullable=True),
        ListField("first_payment_percent", filterable=False),
        ListField("hold_hours", "whole", nullable=True),
        ListField("valid_from", "date", nullable=True),
        ListField("valid_until", "date", nullable=True),
        ListField("made_by"),
        ListField("made_at", "moment", sortable=True),
        ListField("retired_by", nullable=True),
        ListField("retired_at", "moment", nullable=True),
        ListField("valid", "flag"),
    ],
    key=("version",),
    sort="-version",
)

DEDUCTION_ORDERS: Final[Listing[Any]] = Listing(
    name="deduction-orders",
    sentence="Every version of an organisation's deduction order and of its customers' own.",
    query="""
        select version, settlement_organisation, nullif(customer, '') as customer, account_types, changed_by,
               changed_at
        from deduction_order_version where settlement_organisation = :organisation
    """,
    fields=[
        ListField("version", "whole", sortable=True),
        ListField("settlement_organisation", filterable=False),
        ListField("customer", nullable=True),
        ListField("account_types", "texts", nullable=True),
        ListField("changed_by"),
        ListField("changed_at", "moment", sortable=True),
    ],
    key=("version",),
    sort="-version",
)

GRANTS: Final[Listing[Any]] = Listing(
    name="grants",
    sentence="What is granted to roles; where there is no grant, the roles of the route may.",
    query="select object, action, roles, granted_by, granted_at from role_grant",
    fields=[
        ListField("object", sortable=True),
        ListField("action"),
        ListField("roles", "texts"),
        ListField("granted_by"),
        ListField("granted_at", "moment", sortable=True),
    ],
    key=("object", "action"),
    sort="object",
)

OPENING_IMPORTS: Final[Listing[Any]] = Listing(
    name="opening-balance-imports",
    sentence="Imports of opening balances, without their rows.",
    query="""
        select import_id, status, made_by, made_at, decided_by, decided_at, row_count as rows from opening_import
    """,
    fields=[
        ListField("import_id", "uuid"),
        ListField("status"),
        ListField("made_by"),
        ListField("made_at", "moment", sortable=True),
        ListField("decided_by", nullable=True),
        ListField("decided_at", "moment", nullable=True),
        ListField("rows", "whole", sortable=True),
    ],
    key=("import_id",),
    sort="-made_at",
)
