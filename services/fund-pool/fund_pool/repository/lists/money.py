"""Lists of what accounts have: purses, movements, entries, holds, bills, books, vouchers, alerts."""

from typing import Any, Final

from chassis.listing import ListField, Listing

FUND_ACCOUNTS: Final[Listing[Any]] = Listing(
    name="fund-accounts",
    sentence="Every purse with what it holds now.",
    query="""
        select f.account, a.name as account_name, a.customer, a.settlement_organisation, f.account_type, f.currency,
               f.balance, f.line, coalesce(h.held, 0) as held, f.line_source, f.valid_from, f.valid_until, f.opened_at
        from fund_account f
        join account a on a.account = f.account
        left join lateral (
            select cast(sum(placed - captured - released) as bigint) as held from hold h
            where h.account = f.account and h.account_type = f.account_type and h.currency = f.currency
              and h.voucher_id is null and h.captured + h.released < h.placed
              and (h.expires_at is null or h.expires_at > :now)) h on a.extras
        where cast(:own_accounts as text[]) is null or f.account = any(cast(:own_accounts as text[]))
    """,
    fields=[
        ListField("account", sortable=True),
        ListField("account_name", contains=True, sortable=True, width=30),
        ListField("customer", sortable=True),
        ListField("settlement_organisation", sortable=True),
        ListField("account_type", sortable=True),
        ListField("balance", "money", sortable=True, summed=True),
        ListField("line", "money", sortable=True, summed=True),
        ListField("held", "money", sortable=True, summed=True),
        ListField("currency"),
        ListField("line_source"),
        ListField("valid_from", "date", nullable=True),
        ListField("valid_until", "date", nullable=True),
        ListField("opened_at", "moment", sortable=True),
    ],
    key=("account", "account_type", "currency"),
    sort="account",
)

MOVEMENTS: Final[Listing[Any]] = Listing(
    name="statement",
    sentence="The movements of one fund account.",
    query="""
        select p.entry_number, p.posted_at, e.effective_date, e.document_type, e.document_source, e.document_id,
               e.document_number, p.amount, p.after as balance, p.currency
        from posting p
        cross join lateral (
            select effective_date, document_type, document_source, document_id, document_number from journal_entry
            where account = p.account and entry_number = p.entry_number and posted_at = p.posted_at
            limit 1) e
        where p.account = :account and p.account_type = :account_type and p.currency = :currency
          and p.bucket = 'balance' and p.posted_at >= :since and p.posted_at < :until
    """,
    fields=[
        ListField("entry_number", "whole", filterable=False),
        ListField("posted_at", "moment", filterable=False, sortable=True),
        ListField("effective_date", "date", sortable=True),
        ListField("document_type"),
        ListField("document_id", contains=True),
        ListField("currency", filterable=False),
    ],
    key=("posted_at", "entry_number"),
    sort="posted_at",
)

ENTRIES: Final[Listing[Any]] = Listing(
    name="entries",
    sentence="The journal of an account: numbered without a gap, each entry's hash over the one before.",
    query="""
        select entry_number, posted_at, effective_date, document_type, document_source, document_id,
               document_number, reverses, moved_from, encode(hash, 'hex') as hash
        from journal_entry where account = :account
    """,
    fields=[
        ListField("entry_number", "whole", sortable=True),
        ListField("posted_at", "moment"),
        ListField("effective_date", "date", sortable=True),
        ListField("document_type", sortable=True),
        ListField("document_source"),
        ListField("document_id", width=30),
        ListField("document_number", "whole", filterable=False),
        ListField("reverses", "whole", nullable=True),
        ListField("moved_from", "date", nullable=True),
        ListField("hash", filterable=False, nullable=True, width=66),
    ],
    key=("entry_number",),
    sort="-entry_number",
)

HOLDS: Final[Listing[Any]] = Listing(
    name="holds",
    sentence="Money that is set aside, or was; what expires counts in no balance from that instant on.",
    query="""
        select hold_id, kind, account_type, currency, voucher_id, placed, captured, released,
               placed - captured - released as open, placed_at, expires_at,
               captured + released < placed and (expires_at is null or expires_at > :now) as live
        from hold where account = :account
    """,
    fields=[
        ListField("hold_id", sortable=True, width=40),
        ListField("kind"),
        ListField("account_type"),
        ListField("voucher_id", nullable=True),
        ListField("placed", "money", summed=True),
        ListField("captured", "money", summed=True),
        ListField("released", "money", summed=True),
        ListField("open", "money", sortable=True, summed=True),
        ListField("currency"),
        ListField("placed_at", "moment", sortable=True),
        ListField("expires_at", "moment", nullable=True),
        ListField("live", "flag"),
    ],
    key=("hold_id",),
    sort="-placed_at",
)

OPEN_ITEMS: Final[Listing[Any]] = Listing(
    name="open-items",
    sentence="Bills, negative bills, credit refunds, acceptances and reversal debts with what is settled of each.",
    query="""
        select item_id, kind, currency, amount, settled, amount - settled as open, overdraft_billed, issued_on, due_on,
               recorded_at, settled < amount as unsettled
        from open_item where account = :account
    """,
    fields=[
        ListField("item_id", sortable=True),
        ListField("kind", sortable=True),
        ListField("amount", "money", sortable=True, summed=True),
        ListField("settled", "money", summed=True),
        ListField("open", "money", sortable=True, summed=True),
        ListField("overdraft_billed", "money", summed=True),
        ListField("currency"),
        ListField("issued_on", "date", sortable=True),
        ListField("due_on", "date", sortable=True),
        ListField("recorded_at", "moment", sortable=True),
        ListField("unsettled", "flag"),
    ],
    key=("item_id",),
    sort="due_on",
)

TRANSFER_BOOKS: Final[Listing[Any]] = Listing(
    name="transfer-books",
    sentence="What each management account gave, took back, and what was spent of it.",
    query="""
        select giver, currency, given, taken_back, spent, given - taken_back - spent as "left", opened_at
        from transfer_book where account = :account
    """,
    fields=[
        ListField("giver", sortable=True),
        ListField("given", "money", summed=True),
        ListField("taken_back", "money", summed=True),
        ListField("spent", "money", summed=True),
        ListField("left", "money", sql='"left"', sortable=True, summed=True),
        ListField("currency"),
        ListField("opened_at", "moment", sortable=True),
    ],
    key=("giver", "currency"),
    sort="opened_at",
)

VOUCHERS: Final[Listing[Any]] = Listing(
    name="vouchers",
    sentence="The vouchers, coupons and cards that an account owns or may draw on.",
    query="""
        select v.voucher_id, v.kind, v.owner, v.pool_id, v.currency, v.amount, v.remaining, v.minimum_order,
               v.valid_from, v.valid_until, v.issued_on, v.materials, v.material_groups,
               array(select m.account from voucher_member m where m.voucher_id = v.voucher_id order by 1) as members,
               (v.valid_from is null or v.valid_from <= :today) and (v.valid_until is null or v.valid_until >= :today)
                   and v.remaining > 0 and (v.kind <> 'coupon' or v.remaining = v.amount) as usable
        from voucher v
        where v.owner = :account or v.voucher_id in (select voucher_id from voucher_member where account = :account)
    """,
    fields=[
        ListField("voucher_id", sortable=True),
        ListField("kind", sortable=True),
        ListField("owner"),
        ListField("pool_id", nullable=True),
        ListField("amount", "money", sortable=True, summed=True),
        ListField("remaining", "money", sortable=True, summed=True),
        ListField("minimum_order", "money"),
        ListField("currency"),
        ListField("valid_from", "date", nullable=True),
        ListField("valid_until", "date", nullable=True),
        ListField("issued_on", "date", sortable=True),
        ListField("materials", "texts"),
        ListField("material_groups", "texts"),
        ListField("members", "texts"),
        ListField("usable", "flag"),
    ],
    key=("voucher_id",),
    sort="voucher_id",
)

VOUCHER_POOLS: Final[Listing[Any]] = Listing(
    name="voucher-pools",
    sentence="What was granted to a management account, made into vouchers, and came back after their end.",
    query="""
        select pool_id, account, currency, amount, made, amount - made as "left", expired, valid_from, valid_until,
               granted_by, granted_at
        from voucher_pool where account = :account
    """,
    fields=[
        ListField("pool_id", sortable=True),
        ListField("account", filterable=False),
        ListField("amount", "money", sortable=True, summed=True),
        ListField("made", "money", summed=True),
        ListField("left", "money", sql='"left"', sortable=True, summed=True),
        ListField("expired", "money", summed=True),
        ListField("currency"),
        ListField("valid_from", "date", nullable=True),
        ListField("valid_until", "date", nullable=True),
        ListField("granted_by"),
        ListField("granted_at", "moment", sortable=True),
    ],
    key=("pool_id",),
    sort="pool_id",
)

QUOTA_ALERTS: Final[Listing[Any]] = Listing(
    name="quota-alerts",
    sentence="The alert thresholds that are set.",
    query="""
        select account, currency, threshold, enabled, margin, margin_basis_points, changed_by, changed_at
        from quota_alert
        where cast(:own_accounts as text[]) is null or account = any(cast(:own_accounts as text[]))
    """,
    fields=[
        ListField("account", sortable=True),
        ListField("threshold", "money", sortable=True),
        ListField("enabled", "flag"),
        ListField("margin", "money"),
        ListField("margin_basis_points", "whole"),
        ListField("currency"),
        ListField("changed_by"),
        ListField("changed_at", "moment", sortable=True),
    ],
    key=("account", "currency"),
    sort="account",
)

QUOTA_EPISODES: Final[Listing[Any]] = Listing(
    name="quota-episodes",
    sentence="The times in which an account's quota was low; one is open while it has not ended.",
    query="""
        select currency, episode_id, opened_at, reminder_number, ended_at, ending
        from quota_episode where account = :account
    """,
    fields=[
        ListField("currency"),
        ListField("episode_id", "uuid"),
        ListField("opened_at", "moment", sortable=True),
        ListField("reminder_number", "whole"),
        ListField("ended_at", "moment", nullable=True),
        ListField("ending", nullable=True),
    ],
    key=("episode_id",),
    sort="-opened_at",
)
