"""What credit asks and tells about the limits of members; and what a common line is to those who draw on it."""

from collections.abc import Iterable, Mapping
from typing import Final

from contracts.money import Money, SignedMoney
from contracts.order import Reason

from chassis import Batch, Record, TimerBatch
from contracts import (
    CreditLimitAnswered,
    CreditLimitChanged,
    CreditLimitProposed,
)
from fund_pool.domain.ledger import derived_id
from fund_pool.domain.limits import MemberLimit, in_use, judge, set_line
from fund_pool.domain.pool import Pool
from fund_pool.publishing import lent, publish, publish_notices
from fund_pool.repository import common_lines as common_line_rows
from fund_pool.repository import ledger as ledger_rows
from fund_pool.repository import limits as limit_rows
from fund_pool.repository import pools as pool_rows

PROPOSED: Final = b"P"
CHANGED: Final = b"C"
LimitBatch = Batch[CreditLimitProposed] | Batch[CreditLimitChanged]
LimitRecord = Record[CreditLimitProposed] | Record[CreditLimitChanged]
Limits = dict[tuple[str, str], MemberLimit]


async def answer_proposals(batch: Batch[CreditLimitProposed]) -> None:
    """Answers each proposal once, and a repeat alike; a positive answer lowers the line in the same transaction."""
    pools, limits = await _loaded(batch, {record.event.account for record in batch})
    for record in batch:
        event = record.event
        _take(batch, record, limits, pools, event.proposed_limit.currency, PROPOSED)
    await _save(batch, pools, limits)


async def follow_limits(batch: Batch[CreditLimitChanged]) -> None:
    """Brings the lines that follow a member's limit to it, each version in its turn."""
    pools, limits = await _loaded(batch, {record.event.account for record in batch})
    for record in batch:
        _take(batch, record, limits, pools, record.event.limit.currency, CHANGED)
    await _save(batch, pools, limits)


async def look_at_borrowers(batch: TimerBatch) -> None:
    """Looks at the quotas of the members of common lines that have changed: another one's use is theirs too."""
    lines = {lent(timer.key): timer for timer in batch}
    found = await common_line_rows.borrowers(batch.connection, list(lines))
    members = {member for _, _, member in found}
    pools = await pool_rows.locked_pools(
        batch.connection, members | {owner for owner, _, _ in found}, now=batch.now
    )
    for owner, currency, member in found:
        pool = pools[member]
        watch = pool.watches.get(currency)
        if watch is not None and currency in pool.commons:
            terms = pool.terms(currency)
            another = terms.quota + 1
            cause = derived_id("episode", member, currency, lines[owner, currency].id)
            notices = watch.after_quota(another, terms, batch.now, cause)
            publish_notices(batch, notices, pool, lines[owner, currency])
    await ledger_rows.save(batch.connection, list(pools.values()), batch.now)


async def _loaded(batch: LimitBatch, accounts: Iterable[str]) -> tuple[dict[str, Pool], Limits]:
    named = set(accounts)
    pools = await pool_rows.locked_pools(batch.connection, named, now=batch.now)
    return pools, await limit_rows.limits(batch.connection, named)


async def _save(batch: LimitBatch, pools: Mapping[str, Pool], limits: Limits) -> None:
    await ledger_rows.save(batch.connection, list(pools.values()), batch.now)
    await limit_rows.save(batch.connection, list(limits.values()))


def _take(
    batch: LimitBatch,
    record: LimitRecord,
    limits: Limits,
    pools: Mapping[str, Pool],
    currency: str,
    kind: bytes,
) -> None:
    event = record.event
    pool = pools.get(event.account)
    if pool is None:
        batch.dead_letter(record, "unknown-account", f"there is no account {event.account}")
        return
    limit = limits.setdefault((event.account, currency), MemberLimit(event.account, currency))
    standing = limit.standing(event.limit_version)
    if standing == "next":
        _apply(batch, record, limit, pool, kind, event)
        while (body := limit.waiting.pop(limit.version + 1, None)) is not None:
            waited = _parsed(body)
            _apply(batch, record, limit, pool, body[:1], waited)
    elif standing == "early":
        if not limit.park(event.limit_version, kind + event.to_json()):
            batch.dead_letter(record, "predecessor-missing", f"version {limit.version + 1} has not come")
    elif kind == PROPOSED and limit.version == event.limit_version and limit.answer is not None:
        batch.emit(CreditLimitAnswered.adapter.validate_json(limit.answer), record)
    else:
        batch.count("credit-limit", "known-already")


def _parsed(body: bytes) -> CreditLimitProposed | CreditLimitChanged:
    model = CreditLimitProposed if body[:1] == PROPOSED else CreditLimitChanged
    event: CreditLimitProposed | CreditLimitChanged = model.adapter.validate_json(body[1:])
    return event


def _apply(
    batch: LimitBatch,
    record: LimitRecord,
    limit: MemberLimit,
    pool: Pool,
    kind: bytes,
    event: CreditLimitProposed | CreditLimitChanged,
) -> None:
    limit.version = event.limit_version
    if isinstance(event, CreditLimitProposed):
        answer = _answered(batch, record, limit, pool, event)
        limit.answer = answer.to_json()
        batch.emit(answer, record)
        batch.count("credit-limit", answer.outcome)
        return
    limit.answer = None
    amount = event.limit.minor
    if amount < in_use(pool, limit.currency):
        detail = f"{in_use(pool, limit.currency)} minor units of the line are in use"
        batch.dead_letter(record, "limit-below-use", detail)
        return
    _set(batch, record, limit, pool, amount)
    batch.count("credit-limit", "followed")


def _answered(
    batch: LimitBatch, record: LimitRecord, limit: MemberLimit, pool: Pool, event: CreditLimitProposed
) -> CreditLimitAnswered:
    currency = limit.currency
    verdict = judge(pool, currency, event.proposed_limit.minor)
    if verdict.accepted:
        _set(batch, record, limit, pool, event.proposed_limit.minor)
    in_force = event.proposed_limit if verdict.accepted else event.current_limit
    smallest = None if verdict.smallest is None else Money.of(verdict.smallest, currency)
    return CreditLimitAnswered(
        account=event.account,
        limit_version=event.limit_version,
        outcome="accepted" if verdict.accepted else "refused",
        proposed_limit=event.proposed_limit,
        limit=in_force,
        smallest_limit=smallest,
        available_quota=SignedMoney.of(pool.terms(currency).quota, currency),
        reasons=[] if verdict.accepted else [Reason(code=verdict.code, text=verdict.text)],
        answered_at=batch.now,
    )


def _set(batch: LimitBatch, record: LimitRecord, limit: MemberLimit, pool: Pool, amount: int) -> None:
    limit.amount = amount
    posted = set_line(pool, limit.currency, amount, limit.version, batch.now)
    if posted is not None:
        publish(batch, posted, pool, record)
