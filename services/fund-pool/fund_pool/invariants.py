"""What must hold at every committed moment, as SQL that returns the rows that break it."""

from typing import Final

from chassis import Check
from fund_pool.domain import ledger

ORDER_DOCUMENTS: Final = "(" + ", ".join(f"'{name}'" for name in ledger.ORDER_DOCUMENTS) + ")"

BALANCED: Final = Check(
    "ledger-balanced",
    "Every journal entry sums to zero in each currency.",
    """
    select p.account, p.entry_number, p.currency, sum(p.amount) as sum
    from posting p
    group by p.account, p.entry_number, p.currency
    having sum(p.amount) <> 0
    """,
)

BALANCES_FOLD: Final = Check(
    "balances-fold",
    "The balance and the line of every fund account are the sums of its postings.",
    """
    select account, account_type, currency, f.balance, f.line, h.balance as posted_balance, h.line as posted_line
    from fund_account f
    full join (
        select account, account_type, currency,
               coalesce(sum(amount) filter (where bucket = 'balance'), 0) as balance,
               coalesce(sum(amount) filter (where bucket = 'line'), 0) as line
        from posting
        where bucket in ('balance', 'line')
        group by account, account_type, currency) h using (account, account_type, currency)
    where coalesce(f.balance, 0) <> coalesce(h.balance, 0) or coalesce(f.line, 0) <> coalesce(h.line, 0)
       or (f.account is null and h.account is not null)
    """,
)

RUNNING_BALANCES: Final = Check(
    "running-balances",
    "What each posting says the fund account held afterwards is the sum of the postings up to it.",
    """
    select account, account_type, currency, bucket, entry_number, after, folded
    from (select account, account_type, currency, bucket, entry_number, after,
                 sum(amount) over (partition by account, account_type, currency, bucket
                                   order by entry_number) as folded
          from posting
          where bucket in ('balance', 'line')) p
    where after is distinct from folded
    """,
)

ENTRIES_GAPLESS: Final = Check(
    "entries-gapless",
    "The entries of every account are numbered from 1 to its counter, posted in that order.",
    """
    select a.account, a.last_entry_number, count(e.entry_number) as entries, max(e.entry_number) as highest,
           count(*) filter (where e.posted_at < e.before) as backwards
    from account a
    left join (select account, entry_number, posted_at,
                      lag(posted_at) over (partition by account order by entry_number) as before
               from journal_entry) e using (account)
    group by a.account, a.last_entry_number
    having count(e.entry_number) <> a.last_entry_number
        or count(distinct e.entry_number) <> a.last_entry_number
        or coalesce(max(e.entry_number), 0) <> a.last_entry_number
        or count(*) filter (where e.posted_at < e.before) > 0
    """,
)

CHAIN_UNBROKEN: Final = Check(
    "chain-unbroken",
    "Each entry's hash covers what it says and the entry before; the account's row has the last one's and the count.",
    r"""
    with told as (
        select e.account, e.entry_number, e.hash,
               lag(e.hash) over chain as before, lag(e.entry_number) over chain as previous,
               concat_ws(E'\x1f', e.account, e.entry_number,
                         cast(extract(epoch from e.posted_at) * 1000000 as bigint),
                         to_char(e.effective_date, 'YYYY-MM-DD'), coalesce(to_char(e.moved_from, 'YYYY-MM-DD'), ''),
                         e.document_type, e.document_source, e.document_id, e.document_number,
                         coalesce(cast(e.reverses as text), '')) as heading,
               p.postings
        from journal_entry e
        left join (
            select account, entry_number, posted_at,
                   string_agg(E'\x1e' || concat_ws(E'\x1f', bucket, account_type, currency, amount,
                                                  coalesce(cast(after as text), '')), ''
                              order by concat_ws(E'\x1f', bucket, account_type, currency, amount,
                                                 coalesce(cast(after as text), '')) collate "C") as postings
            from posting
            group by account, entry_number, posted_at) p using (account, entry_number, posted_at)
        window chain as (partition by e.account order by e.entry_number))
    select account, entry_number, 'entry' as broken from told
    where hash is distinct from sha256(coalesce(before, decode(repeat('00', 32), 'hex'))
                                       || convert_to(heading || coalesce(postings, ''), 'UTF8'))
       or coalesce(previous, 0) <> entry_number - 1
    union all
    select a.account, a.last_entry_number, 'head' from account a
    left join (select distinct on (account) account, entry_number, hash from journal_entry
               order by account, entry_number desc) l using (account)
    where a.last_entry_number <> coalesce(l.entry_number, 0)
       or a.chain_head <> coalesce(l.hash, decode(repeat('00', 32), 'hex'))
    """,
)

ENTRIES_COMPLETE: Final = Check(
    "entries-complete",
    "Every posting belongs to an entry of a known account, and every entry has at least two postings.",
    """
    select coalesce(e.account, p.account) as account, coalesce(e.entry_number, p.entry_number) as entry_number,
           p.postings
    from journal_entry e
    full join (select account, entry_number, posted_at, count(*) as postings
               from posting group by account, entry_number, posted_at) p using (account, entry_number, posted_at)
    where e.account is null or coalesce(p.postings, 0) < 2
    """,
)

WITHIN_LIMITS: Final = Check(
    "within-limits",
    "No fund account stands below zero, or below its line where its type has one.",
    """
    select account, account_type, currency, balance, line from fund_account
    where balance < -line or line < 0 or (account_type <> 'overdraft' and line <> 0)
    """,
)

ORDERS_MATCH_POSTINGS: Final = Check(
    "orders-match-postings",
    "What each order paid and got back is what was posted for it, and refunds never exceed payments.",
    f"""
    select source, order_id, o.paid, o.refunded, o.left_on_lines, coalesce(l.paid, 0) as posted_paid,
           coalesce(l.refunded, 0) as posted_refunded
    from (select source, order_id, paid, refunded,
                 coalesce((select sum(cast(line ->> 3 as bigint))
                           from jsonb_array_elements(cast(convert_from(payments, 'UTF8') as jsonb)) as line), 0)
                 as left_on_lines
          from order_state) o
    full join (
        select e.document_source as source, e.document_id as order_id,
               coalesce(-sum(p.amount) filter (where p.amount < 0), 0) as paid,
               coalesce(sum(p.amount) filter (where p.amount > 0), 0) as refunded
        from journal_entry e
        join posting p using (account, entry_number, posted_at)
        where e.document_type in {ORDER_DOCUMENTS}
          and (p.bucket in ('balance', 'voucher') or p.account_type = 'vouchers-expired')
        group by e.document_source, e.document_id) l using (source, order_id)
    where o.paid is null or o.paid <> coalesce(l.paid, 0) or o.refunded <> coalesce(l.refunded, 0)
       or o.paid < o.refunded or o.left_on_lines <> o.paid - o.refunded
    """,
)

REFUNDS_PER_FUND_ACCOUNT: Final = Check(
    "refunds-per-fund-account",
    "No fund account and no voucher got back more of an order than it gave.",
    f"""
    select e.document_source as source, e.document_id as order_id, p.account, p.account_type, p.currency,
           sum(p.amount) as returned_beyond
    from journal_entry e
    join posting p using (account, entry_number, posted_at)
    where e.document_type in {ORDER_DOCUMENTS} and p.bucket in ('balance', 'voucher')
    group by e.document_source, e.document_id, p.account, p.account_type, p.currency
    having sum(p.amount) > 0
    """,
)

ORDER_STATES: Final = Check(
    "order-states",
    "Only an accepted or closed order keeps money, and never more than its total.",
    """
    select source, order_id, status, total, paid, refunded from order_state
    where (status not in ('accepted', 'closed') and paid <> refunded)
       or (status in ('accepted', 'closed') and paid - refunded > total)
    """,
)

DECISIONS_GAPLESS: Final = Check(
    "decisions-gapless",
    "The decisions about every order are numbered from 1 to its last check, each with its fingerprint.",
    """
    select source, order_id, o.check_number, count(d.check_number) as decisions, max(d.check_number) as highest
    from order_state o
    full join (select * from decision where sequel = 0) d using (source, order_id)
    group by source, order_id, o.check_number, o.fingerprints
    having count(d.check_number) <> coalesce(o.check_number, -1)
        or count(distinct d.check_number) <> o.check_number
        or coalesce(max(d.check_number), 0) <> o.check_number
        or length(o.fingerprints) <> 16 * o.check_number
    """,
)

NOT_PARKED_LONG: Final = Check(
    "checks-not-parked",
    "No check has waited for its predecessor for more than a day.",
    """
    select source, order_id, check_number, changed_at from order_state
    where parked is not null and changed_at < clock_timestamp() - interval '1 day'
    """,
)

PAYMENTS_POSTED: Final = Check(
    "payments-posted-once",
    "Every posted payment has exactly its one entry with its amount, and no other payment has any.",
    """
    select payment_id, p.status, p.amount, count(l.entry_number) as entries, sum(l.amount) as posted
    from payment p
    full join (
        select coalesce(d.payment_id, e.document_id) as payment_id, e.account, e.entry_number, t.amount, t.currency
        from journal_entry e
        join posting t using (account, entry_number, posted_at)
        left join document d on d.document_type = e.document_type and d.document_id = e.document_id
        where (e.document_type = 'top-up' or d.payment_id is not null) and t.bucket = 'balance') l
        using (payment_id)
    group by payment_id, p.status, p.amount, p.currency, p.account, p.entry_number
    having p.status is null or p.status = 'new'
        or (p.status = 'posted' and (count(l.entry_number) <> 1 or min(l.entry_number) <> p.entry_number
            or sum(l.amount) <> p.amount or min(l.currency) <> p.currency or min(l.account) <> p.account))
        or (p.status in ('unmatched', 'waiting', 'reversed') and count(l.entry_number) <> 0)
    """,
)

HOLDS_FOLD: Final = Check(
    "holds-fold",
    "Every hold is what its history says, and nothing of it is captured or given back twice.",
    """
    select account, hold_id, h.placed, h.captured, h.released, e.placed as placed_before, e.captured as captured_before
    from hold h
    full join (
        select account, hold_id,
               coalesce(sum(amount) filter (where change = 'placed'), 0) as placed,
               coalesce(sum(amount) filter (where change = 'captured'), 0) as captured,
               coalesce(sum(amount) filter (where change in ('released', 'expired')), 0) as released
        from hold_event
        group by account, hold_id) e using (account, hold_id)
    where (h.placed, h.captured, h.released) is distinct from (e.placed, e.captured, e.released)
    """,
)

HOLDS_COVERED: Final = Check(
    "holds-covered",
    "What live holds have set aside is there on every fund account and voucher.",
    """
    select f.account, f.account_type, f.currency, f.balance, f.line, h.held
    from fund_account f
    join (select account, account_type, currency, sum(placed - captured - released) as held
          from hold
          where voucher_id is null and (expires_at is null or expires_at > clock_timestamp())
          group by account, account_type, currency) h using (account, account_type, currency)
    where f.balance + f.line < h.held
    union all
    select v.owner, v.voucher_id, v.currency, v.remaining, 0, h.held
    from voucher v
    join (select voucher_id, sum(placed - captured - released) as held
          from hold
          where voucher_id is not null and (expires_at is null or expires_at > clock_timestamp())
          group by voucher_id) h using (voucher_id)
    where v.remaining < h.held
    """,
)

BOOKS_COVERED: Final = Check(
    "books-covered",
    "What was allocated to an account and is neither spent nor taken back is in its cash.",
    """
    select b.account, b.currency, b.remaining, coalesce(f.balance, 0) as cash
    from (select account, currency, sum(given - taken_back - spent) as remaining
          from transfer_book group by account, currency) b
    left join fund_account f on f.account = b.account and f.currency = b.currency and f.account_type = 'cash'
    where b.remaining > coalesce(f.balance, 0)
    """,
)

VOUCHERS_FOLD: Final = Check(
    "vouchers-fold",
    "What remains on every voucher is the sum of its postings, in whosever books they are.",
    """
    select voucher_id, v.remaining, p.posted from voucher v
    full join (select account_type as voucher_id, sum(amount) as posted
               from posting where bucket = 'voucher' group by account_type) p using (voucher_id)
    where coalesce(v.remaining, 0) <> coalesce(p.posted, 0)
    """,
)

ALLOCATIONS_MATCH: Final = Check(
    "allocations-match",
    "What was taken out for members is what came in with them, in each currency.",
    """
    select currency, sum(amount) as left_between from posting
    where bucket = 'internal' and account_type = 'allocation-clearing'
    group by currency
    having sum(amount) <> 0
    """,
)

DOCUMENTS_POSTED: Final = Check(
    "documents-posted-once",
    "Every posted document has exactly its one entry, and no document that is not posted has any.",
    """
    select d.document_type, d.document_id, d.status, d.entry_number, count(e.entry_number) as entries
    from document d
    left join journal_entry e on e.document_type = d.document_type and e.document_id = d.document_id
        and e.account = d.account
    group by d.document_type, d.document_id
    having (d.status = 'posted') <> (d.entry_number is not null)
        or (d.entry_number is null and count(e.entry_number) <> 0)
        or (d.entry_number is not null
            and (count(e.entry_number) <> 1 or min(e.entry_number) <> d.entry_number))
    """,
)

ONE_EPISODE: Final = Check(
    "one-open-episode",
    "At most one episode is open per account and currency.",
    """
    select account, currency, count(*) as open from quota_episode
    where ended_at is null
    group by account, currency
    having count(*) > 1
    """,
)

EPISODES_CONSISTENT: Final = Check(
    "episodes-consistent",
    "An open episode has an enabled alert and a quota below the level that would end it.",
    """
    select e.account, e.currency, e.episode_id, q.enabled, q.threshold, coalesce(t.quota, 0) as quota
    from quota_episode e
    left join quota_alert q on q.account = e.account and q.currency = e.currency
    left join (
        select f.account, f.currency,
               sum(case when f.account_type = 'overdraft' then f.line
                        when f.account_type = 'cash' or y.cash_like then f.balance else 0 end)
               - coalesce(max(h.held), 0) + coalesce(max(i.owed_to), 0) - coalesce(max(i.owed), 0)
               - greatest(0, sum(case when f.account_type = 'overdraft' then greatest(0, -f.balance) else 0 end)
                             - coalesce(max(i.billed), 0)) as quota
        from fund_account f
        join account a on a.account = f.account
        left join account_type y on y.settlement_organisation = a.settlement_organisation and y.code = f.account_type
        left join (
            select h.account, h.currency, sum(h.placed - h.captured - h.released) as held
            from hold h
            join account a on a.account = h.account
            left join account_type y
                on y.settlement_organisation = a.settlement_organisation and y.code = h.account_type
            where h.voucher_id is null and (h.expires_at is null or h.expires_at > clock_timestamp())
              and (h.account_type in ('cash', 'overdraft') or y.cash_like)
            group by h.account, h.currency) h on h.account = f.account and h.currency = f.currency
        left join (
            select account, currency,
                   sum(amount - settled) filter (where kind in ('bill', 'reversal-debt')) as owed,
                   sum(amount - settled) filter (where kind not in ('bill', 'reversal-debt')) as owed_to,
                   sum(overdraft_billed - overdraft_settled) filter (where kind = 'bill') as billed
            from open_item group by account, currency) i on i.account = f.account and i.currency = f.currency
        group by f.account, f.currency) t on t.account = e.account and t.currency = e.currency
    where e.ended_at is null
      and (q.enabled is not true
           or coalesce(t.quota, 0) >= q.threshold + q.margin
              + div(cast(2 * q.threshold as numeric) * q.margin_basis_points + 10000, 20000))
    """,
)

REMINDERS_SET: Final = Check(
    "reminders-set",
    "Every open episode that has reminders left has its timer.",
    """
    select e.account, e.currency, e.episode_id, e.reminder_number from quota_episode e
    where e.ended_at is null and e.reminder_number < 5
      and not exists (select from timer t
                      where t.kind = 'quota-reminder' and t.key = e.account || ' ' || e.currency)
    """,
)

EVERY_EPISODE_OPENED: Final = Check(
    "episodes-told",
    "Every episode was told of when it opened and, where it was resolved, when it ended.",
    """
    select e.account, e.currency, e.episode_id, e.ending from quota_episode e
    where not exists (select from quota_notice n where n.account = e.account and n.currency = e.currency
                      and n.episode_id = e.episode_id and n.kind = 'opened')
       or (e.ending is not distinct from 'resolved')
          <> exists (select from quota_notice n where n.account = e.account and n.currency = e.currency
                     and n.episode_id = e.episode_id and n.kind = 'resolved')
    """,
)

CHECKS: Final = (
    BALANCED,
    BALANCES_FOLD,
    RUNNING_BALANCES,
    ENTRIES_GAPLESS,
    ENTRIES_COMPLETE,
    CHAIN_UNBROKEN,
    WITHIN_LIMITS,
    ORDERS_MATCH_POSTINGS,
    REFUNDS_PER_FUND_ACCOUNT,
    ORDER_STATES,
    DECISIONS_GAPLESS,
    NOT_PARKED_LONG,
    PAYMENTS_POSTED,
    HOLDS_FOLD,
    HOLDS_COVERED,
    BOOKS_COVERED,
    VOUCHERS_FOLD,
    ALLOCATIONS_MATCH,
    DOCUMENTS_POSTED,
    ONE_EPISODE,
    EPISODES_CONSISTENT,
    REMINDERS_SET,
    EVERY_EPISODE_OPENED,
)

FACTS: Final = {
    "accepted-orders": """
        select source, order_id, currency, total from order_state
        where status = 'accepted'
          and (details is null or not jsonb_exists(cast(convert_from(details, 'UTF8') as jsonb), 'returns'))
    """,
    "expected-receipts": """
        select o.source, o.order_id, o.currency, cast(o.total - coalesce(c.settled, 0) as bigint), o.due_date
        from order_state o
        left join lateral (
            select sum(amount) as settled from (
                select line ->> 1 as kind, cast(line ->> 3 as bigint) as amount
                from jsonb_array_elements(cast(convert_from(o.payments, 'UTF8') as jsonb)) as line
                union all
                select line ->> 2, cast(line ->> 4 as bigint)
                from jsonb_array_elements(cast(convert_from(o.details, 'UTF8') as jsonb) -> 'holds') as line) parts
            where kind <> 'overdraft') c on true
        where o.status = 'accepted' and o.total > coalesce(c.settled, 0)
    """,
    "quota-notices": """
        select cast(n.episode_id as text), n.kind, n.reminder_number
        from quota_notice n
        join quota_episode e using (account, currency, episode_id)
        where e.ended_at is null or e.ended_at >= date_trunc('day', now(), 'UTC') - interval '60 days'
    """,
    "relationships": "select relationship_id, version, state from relationship where version > 0",
}
"""What other services state too. A return moves money only, so an order with one is left out of the exposure."""
