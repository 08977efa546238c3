"""Temporary credit and credit changes: submitted by one person, approved by another, announced before they end."""

from datetime import date, datetime, time, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from contracts.addressee import Addressee
from contracts.credit_alerted import CreditAlerted
from contracts.money import Money
from pydantic import TypeAdapter
from sqlalchemy import Row

from chassis import TimerBatch, UnitOfWork
from credit.domain.profiles import UNLIMITED
from credit.domain.score_sheets import GrantChange, Scored
from credit.domain.temporary import TemporaryCredit
from credit.domain.terms import Temporary
from credit.repository import credit_documents as rows
from credit.repository import granting, profiles
from credit.repository.credit_documents import NewDocument
from credit.tasks import State, tell_task

NOTICE: Final = "temporary-credit-notice"
END: Final = "temporary-credit-end"
NOTICE_DAYS: Final = 7
APPROVER: Final = "credit-approver"
MANAGER: Final = "credit-manager"
TEMPORARY: Final = "temporary-credit"

GIVEN: Final = TypeAdapter(TemporaryCredit)
LIMIT: Final = TypeAdapter(dict[str, int | str | None])


class ProfileChanged(ValueError):
    """The profile was changed after the document was written; its maker has to look again."""

    def __init__(self, version: int, now_at: int) -> None:
        super().__init__(
            f"The document speaks of version {version} of the profile, which is now at {now_at}."
        )


async def submit(work: UnitOfWork, document: NewDocument) -> bool:
    """Keeps a document and asks for its approval; False when its id is taken."""
    if not await rows.insert_document(work.connection, document, work.now):
        return False
    _tell(work, document.document_id, document.kind, "opened", work.now)
    return True


async def approve(work: UnitOfWork, document: Row[Any], person: str, reason: str) -> None:
    """Makes a document true; raises ProfileChanged."""
    if document.kind == TEMPORARY:
        await _give(work, document)
    else:
        await _change_limit(work, document, person)
    await end(work, document, "approved", person, reason)


async def end(work: UnitOfWork, document: Row[Any], state: str, person: str, reason: str) -> None:
    """Closes a document that waited."""
    await rows.decide_document(work.connection, document.document_id, state, person, reason, work.now)
    told: State = "withdrawn" if state == "withdrawn" else "done"
    _tell(work, document.document_id, document.kind, told, document.made_at, person)
    work.count("credit-document", state)


async def _change_limit(work: UnitOfWork, document: Row[Any], person: str) -> None:
    profile = await rows.locked_profile(work.connection, document.profile_id)
    assert profile is not None, "profiles are never deleted"
    if profile.version != document.profile_version:
        raise ProfileChanged(document.profile_version, profile.version)
    wanted = LIMIT.validate_json(document.body)
    limit: Any = wanted["limit"]
    change = GrantChange(
        profile.profile_id,
        Scored(profile.scope, profile.scope_id, profile.object_type, profile.object_id),
        profile.currency,
        "",
        profile.version,
        UNLIMITED if profile.credit_limit_unlimited else profile.credit_limit_minor,
        limit,
        wanted["enforcement"],  # type: ignore[arg-type]  # it was one of them when it was submitted
    )
    reason = f"credit change {document.document_id}: {document.reason}"[:1000]
    await granting.set_credit_limits(work.connection, [change], reason, person, work.now)


async def _give(work: UnitOfWork, document: Row[Any]) -> None:
    given = GIVEN.validate_json(document.body)
    await rows.insert_temporary(work.connection, document.document_id, document.profile_id, given, work.now)
    counted = Temporary(given.amount, given.valid_from, given.valid_to, given.mode)
    await profiles.add_temporary(work.connection, document.profile_id, counted)
    zone = ZoneInfo(await rows.zone_of(work.connection, document.scope, document.scope_id))
    notice = midnight(given.valid_to - timedelta(days=NOTICE_DAYS), zone)
    work.set_timer(NOTICE, document.document_id, max(notice, work.now))
    work.set_timer(END, document.document_id, midnight(given.valid_to + timedelta(days=1), zone))


def midnight(day: date, zone: ZoneInfo) -> datetime:
    """The moment at which a day begins in a time zone."""
    return datetime.combine(day, time(), zone)


async def announce_endings(batch: TimerBatch) -> None:
    """Temporary credit that ends soon: its people hear of it once."""
    await _alert(batch, "opened")


async def tell_ends(batch: TimerBatch) -> None:
    """Temporary credit that has ended; nothing is unwound, but what raises the exposure fails from now on."""
    await _alert(batch, "resolved")


async def _alert(batch: TimerBatch, state: Any) -> None:
    for timer in batch:
        document = await rows.document_row(batch.connection, timer.key)
        if document is not None:
            batch.emit(_alerted(batch, document, state), timer)


def _alerted(work: UnitOfWork, document: Row[Any], state: Any) -> CreditAlerted:
    given = GIVEN.validate_json(document.body)
    return CreditAlerted(
        kind="temporary-credit-ending",
        state=state,
        episode_id=f"temporary-{document.document_id}",
        object_type=document.object_type,
        object_id=document.object_id,
        scope=document.scope,
        scope_id=document.scope_id if document.scope_id != "*" else None,
        profile_id=document.profile_id,
        addressees=[
            Addressee(kind="person", id=document.made_by),
            Addressee(kind="role", id=MANAGER),
        ],
        currency=document.currency,
        limit=Money.of(given.amount, document.currency),
        valid_until=given.valid_to,
        reasons=[],
        actions=[],
        occurred_at=work.now,
    )


def _tell(
    work: UnitOfWork,
    document_id: str,
    kind: str,
    state: State,
    opened_at: datetime,
    person: str | None = None,
) -> None:
    tell_task(
        work,
        f"approve-{document_id}",
        state,
        f"approve-{kind}",
        APPROVER,
        is_role=True,
        opened_at=opened_at,
        document_type=kind,
        document_id=document_id,
        done_by=person,
    )
