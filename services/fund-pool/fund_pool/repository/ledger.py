"""What was posted: entries, postings, balances and episodes, written by one statement."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from fund_pool.domain.pool import FundAccount, Pool
from fund_pool.repository import extras
from fund_pool.repository.arrays import columns

__all__ = ["PARTS", "SAVE", "columns", "parameters", "save"]

PARTS: Final = """
    entries as (
        insert into journal_entry (account, entry_number, posted_at, effective_date,
                                   document_type, document_source, document_id, document_number,
                                   reverses, moved_from, hash)
        select * from unnest(
            cast(:entry_accounts as text[]), cast(:entry_numbers as bigint[]), cast(:entry_times as timestamptz[]),
            cast(:entry_dates as date[]), cast(:document_types as text[]), cast(:document_sources as text[]),
            cast(:document_ids as text[]), cast(:document_numbers as int[]), cast(:entry_reverses as bigint[]),
            cast(:entry_moved as date[]), cast(:entry_hashes as bytea[]))),
    postings as (
        insert into posting (account, account_type, currency, bucket, posted_at, entry_number, amount, after)
        select * from unnest(
            cast(:posting_accounts as text[]), cast(:posting_types as text[]), cast(:posting_currencies as text[]),
            cast(:posting_buckets as text[]), cast(:posting_times as timestamptz[]),
            cast(:posting_numbers as bigint[]), cast(:posting_amounts as bigint[]),
            cast(:posting_afters as bigint[]))),
    counters as (
        update account a set last_entry_number = n.last_entry_number, last_posted_at = n.last_posted_at,
                             chain_head = n.chain_head
        from unnest(cast(:counter_accounts as text[]), cast(:counter_numbers as bigint[]),
                    cast(:counter_times as timestamptz[]), cast(:counter_heads as bytea[]))
            as n (account, last_entry_number, last_posted_at, chain_head)
        where a.account = n.account),
    balances as (
        update fund_account f set balance = n.balance, line = n.line
        from unnest(cast(:moved_accounts as text[]), cast(:moved_types as text[]), cast(:moved_currencies as text[]),
                    cast(:moved_balances as bigint[]), cast(:moved_lines as bigint[]))
            as n (account, account_type, currency, balance, line)
        where f.account = n.account and f.account_type = n.account_type and f.currency = n.currency),
    opened as (
        insert into fund_account (account, account_type, currency, balance, line, valid_from, valid_until, opened_at)
        select n.*, cast(:written_at as timestamptz) from unnest(
            cast(:opened_accounts as text[]), cast(:opened_types as text[]), cast(:opened_currencies as text[]),
            cast(:opened_balances as bigint[]), cast(:opened_lines as bigint[]), cast(:opened_from as date[]),
            cast(:opened_until as date[])) as n),
    episodes as (
        insert into quota_episode (account, currency, episode_id, opened_at, reminder_number, ended_at, ending)
        select * from unnest(
            cast(:episode_accounts as text[]), cast(:episode_currencies as text[]), cast(:episode_ids as uuid[]),
            cast(:episode_opened as timestamptz[]), cast(:episode_reminders as int[]),
            cast(:episode_ended as timestamptz[]), cast(:episode_endings as text[]))
        on conflict (account, currency, episode_id) do update
        set reminder_number = excluded.reminder_number, ended_at = excluded.ended_at, ending = excluded.ending),
    notices as (
        insert into quota_notice (account, currency, episode_id, kind, reminder_number, quota, threshold, occurred_at)
        select * from unnest(
            cast(:notice_accounts as text[]), cast(:notice_currencies as text[]), cast(:notice_episodes as uuid[]),
            cast(:notice_kinds as text[]), cast(:notice_reminders as int[]), cast(:notice_quotas as bigint[]),
            cast(:notice_thresholds as bigint[]), cast(:notice_times as timestamptz[])))
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


def _entries(pools: Sequence[Pool]) -> dict[str, list[Any]]:
    names = (
        "entry_accounts",
        "entry_numbers",
        "entry_times",
        "entry_dates",
        "document_types",
        "document_sources",
        "document_ids",
        "document_numbers",
        "entry_reverses",
        "entry_moved",
        "entry_hashes",
    )
    return columns(
        names,
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


def _postings(pools: Sequence[Pool]) -> dict[str, list[Any]]:
    names = (
        "posting_accounts",
        "posting_types",
        "posting_currencies",
        "posting_buckets",
        "posting_times",
        "posting_numbers",
        "posting_amounts",
        "posting_afters",
    )
    return columns(
        names,
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


def _counters(pools: Sequence[Pool]) -> dict[str, list[Any]]:
    return columns(
        ("counter_accounts", "counter_numbers", "counter_times", "counter_heads"),
        (
            (pool.account, pool.last_entry_number, pool.last_posted_at, pool.chain_head)
            for pool in pools
            if pool.entries
        ),
    )


def _moved(pools: Sequence[Pool]) -> dict[str, list[Any]]:
    return columns(
        ("moved_accounts", "moved_types", "moved_currencies", "moved_balances", "moved_lines"),
        (
            (pool.account, code, currency, purse.balance, purse.line)
            for pool in pools
            for (code, currency), purse in _changed(pool, pool.moved - pool.opened)
        ),
    )


def _opened(pools: Sequence[Pool]) -> dict[str, list[Any]]:
    names = (
        "opened_accounts",
        "opened_types",
        "opened_currencies",
        "opened_balances",
        "opened_lines",
        "opened_from",
        "opened_until",
    )
    return columns(
        names,
        (
            (pool.account, code, currency, purse.balance, purse.line, purse.valid_from, purse.valid_until)
            for pool in pools
            for (code, currency), purse in _changed(pool, pool.opened)
        ),
    )


def _changed(pool: Pool, keys: Iterable[tuple[str, str]]) -> Iterable[tuple[tuple[str, str], FundAccount]]:
    return ((key, pool.fund_accounts[key]) for key in keys)


def _episodes(pools: Sequence[Pool]) -> dict[str, list[Any]]:
    names = (
        "episode_accounts",
        "episode_currencies",
        "episode_ids",
        "episode_opened",
        "episode_reminders",
        "episode_ended",
        "episode_endings",
    )
    return columns(
        names,
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


def _notices(pools: Sequence[Pool]) -> dict[str, list[Any]]:
    names = (
        "notice_accounts",
        "notice_currencies",
        "notice_episodes",
        "notice_kinds",
        "notice_reminders",
        "notice_quotas",
        "notice_thresholds",
        "notice_times",
    )
    return columns(
        names,
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
