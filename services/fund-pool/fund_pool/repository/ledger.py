"""What was posted: entries, postings, balances and episodes, written by one statement."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final

from chassis.arrays import Columns
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from fund_pool.domain.pool import FundAccount, Pool
from fund_pool.repository import extras
from fund_pool.repository.arrays import columns

__all__ = ["PARTS", "SAVE", "columns", "parameters", "save"]

ENTRIES: Final = Columns(
    entry_accounts="text",
    entry_numbers="bigint",
    entry_times="timestamptz",
    entry_dates="date",
    document_types="text",
    document_sources="text",
    document_ids="text",
    document_numbers="int",
    entry_reverses="bigint",
    entry_moved="date",
    entry_hashes="bytea",
)
POSTINGS: Final = Columns(
    posting_accounts="text",
    posting_types="text",
    posting_currencies="text",
    posting_buckets="text",
    posting_times="timestamptz",
    posting_numbers="bigint",
    posting_amounts="bigint",
    posting_afters="bigint",
)
COUNTERS: Final = Columns(
    counter_accounts="text",
    counter_numbers="bigint",
    counter_times="timestamptz",
    counter_heads="bytea",
)
MOVED: Final = Columns(
    moved_accounts="text",
    moved_types="text",
    moved_currencies="text",
    moved_balances="bigint",
    moved_lines="bigint",
)
OPENED: Final = Columns(
    opened_accounts="text",
    opened_types="text",
    opened_currencies="text",
    opened_balances="bigint",
    opened_lines="bigint",
    opened_from="date",
    opened_until="date",
)
EPISODES: Final = Columns(
    episode_accounts="text",
    episode_currencies="text",
    episode_ids="uuid",
    episode_opened="timestamptz",
    episode_reminders="int",
    episode_ended="timestamptz",
    episode_endings="text",
)
NOTICES: Final = Columns(
    notice_accounts="text",
    notice_currencies="text",
    notice_episodes="uuid",
    notice_kinds="text",
    notice_reminders="int",
    notice_quotas="bigint",
    notice_thresholds="bigint",
    notice_times="timestamptz",
)
PARTS: Final = f"""
    entries as (
        insert into journal_entry (account, entry_number, posted_at, effective_date,
                                   document_type, document_source, document_id, document_number,
                                   reverses, moved_from, hash)
        select * from unnest({ENTRIES.sql})),
    postings as (
        insert into posting (account, account_type, currency, bucket, posted_at, entry_number, amount, after)
        select * from unnest({POSTINGS.sql})),
    counters as (
        update account a set last_entry_number = n.last_entry_number, last_posted_at = n.last_posted_at,
                             chain_head = n.chain_head
        from unnest({COUNTERS.sql}) as n (account, last_entry_number, last_posted_at, chain_head)
        where a.account = n.account),
    balances as (
        update fund_account f set balance = n.balance, line = n.line
        from unnest({MOVED.sql})
            as n (account, account_type, currency, balance, line)
        where f.account = n.account and f.account_type = n.account_type and f.currency = n.currency),
    opened as (
        insert into fund_account (account, account_type, currency, balance, line, valid_from, valid_until, opened_at)
        select n.*, cast(:written_at as timestamptz) from unnest({OPENED.sql}) as n),
    episodes as (
        insert into quota_episode (account, currency, episode_id, opened_at, reminder_number, ended_at, ending)
        select * from unnest({EPISODES.sql})
        on conflict (account, currency, episode_id) do update
        set reminder_number = excluded.reminder_number, ended_at = excluded.ended_at, ending = excluded.ending),
    notices as (
        insert into quota_notice (account, currency, episode_id, kind, reminder_number, quota, threshold, occurred_at)
        select * from unnest({NOTICES.sql}))
"""

SAVE: Final = text(f"with {PARTS} select 1")


async def save(connection: AsyncConnection, pools: Iterable[Pool], now: datetime) -> None:
    """Writes what was posted to these pools, and what else has changed in them, since they were loaded."""
    changed = list(pools)
    await connection.execute(SAVE, parameters(changed, now))
    await extras.save(connection, changed, now)


def parameters(pools: Sequence[Pool], now: datetime) -> dict[str, Any]:
    """The values for PARTS, for statements that write more than the ledger."""
    return {
        "written_at": now,
        **_entries(pools),
        **_postings(pools),
        **_counters(pools),
        **_moved(pools),
        **_opened(pools),
        **_episodes(pools),
        **_notices(pools),
    }


def _entries(pools: Sequence[Pool]) -> dict[str, Any]:
    return ENTRIES.parameters(
        (
            (
                entry.account,
                entry.number,
                entry.posted_at,
                entry.effective_date,
                entry.document.type,
                entry.document.source,
                entry.document.id,
                entry.document.number,
                entry.reverses,
                entry.moved_from,
                entry.hash,
            )
            for pool in pools
            for entry in pool.entries
        ),
    )


def _postings(pools: Sequence[Pool]) -> dict[str, Any]:
    return POSTINGS.parameters(
        (
            (
                entry.account,
                posting.account_type,
                posting.currency,
                posting.bucket,
                entry.posted_at,
                entry.number,
                posting.amount,
                posting.after,
            )
            for pool in pools
            for entry in pool.entries
            for posting in entry.postings
        ),
    )


def _counters(pools: Sequence[Pool]) -> dict[str, Any]:
    return COUNTERS.parameters(
        (pool.account, pool.last_entry_number, pool.last_posted_at, pool.chain_head)
        for pool in pools
        if pool.entries
    )


def _moved(pools: Sequence[Pool]) -> dict[str, Any]:
    return MOVED.parameters(
        (
            (pool.account, code, currency, purse.balance, purse.line)
            for pool in pools
            for (code, currency), purse in _changed(pool, pool.moved - pool.opened)
        ),
    )


def _opened(pools: Sequence[Pool]) -> dict[str, Any]:
    return OPENED.parameters(
        (
            (pool.account, code, currency, purse.balance, purse.line, purse.valid_from, purse.valid_until)
            for pool in pools
            for (code, currency), purse in _changed(pool, pool.opened)
        ),
    )


def _changed(pool: Pool, keys: Iterable[tuple[str, str]]) -> Iterable[tuple[tuple[str, str], FundAccount]]:
    return ((key, pool.fund_accounts[key]) for key in keys)


def _episodes(pools: Sequence[Pool]) -> dict[str, Any]:
    return EPISODES.parameters(
        (
            (
                pool.account,
                watch.currency,
                episode.episode_id,
                episode.opened_at,
                episode.reminder_number,
                episode.ended_at,
                episode.ending,
            )
            for pool in pools
            for watch in pool.watches.values()
            for episode in watch.changed
        ),
    )


def _notices(pools: Sequence[Pool]) -> dict[str, Any]:
    return NOTICES.parameters(
        (
            (
                pool.account,
                notice.currency,
                notice.episode_id,
                notice.kind,
                notice.reminder_number,
                notice.terms.quota,
                notice.threshold,
                notice.occurred_at,
            )
            for pool in pools
            for watch in pool.watches.values()
            for notice in watch.notices
        ),
    )
