"""One person's data: all of it, for the person to have, and the forgetting of it."""

from dataclasses import replace
from datetime import datetime
from typing import Final
from uuid import UUID

from chassis.http import Policy, Problem, Reader, Router, Work
from pydantic import BaseModel

from notify.api.common import OPERATORS, PersonId, Place
from notify.api.contact_bodies import ContactView, contact_view
from notify.domain.delivery import Change, Channel, State, applied, cancelled
from notify.endings import ending_step
from notify.repository import contacts as contact_rows
from notify.repository import deliveries, people
from notify.repository.deliveries import Locked, Step

router = Router(tags=["personal data"])

DELIVERIES_MAX: Final = 5_000


class SentView(BaseModel):
    """One delivery to the person; the address until it is forgotten."""

    account: str
    delivery_id: UUID
    kind: str
    channel: Channel
    state: State
    reason: str | None
    address: str | None
    created_at: datetime
    ended_at: datetime | None


class PersonView(BaseModel):
    """Everything that is kept of a person."""

    person: str
    entries: list[ContactView]
    deliveries: list[SentView]


class Erased(BaseModel):
    """What was forgotten. States and histories of deliveries stay under the person's opaque id."""

    person: str
    entries: int
    contents: int
    stopped: int


@router.get(
    "/people/{person}",
    policy=Policy("person:export", roles=OPERATORS),
    summary="Everything that is kept of a person",
)
async def export_person(person: PersonId, reader: Reader) -> PersonView:
    """All entries, and the newest 5,000 deliveries."""
    entries = await contact_rows.of_person(reader, person)
    sent = await people.deliveries(reader, person, DELIVERIES_MAX)
    if not entries and not sent:
        raise Problem.not_found()
    return PersonView(
        person=person,
        entries=[contact_view(entry, Place(entry.account).named) for entry in entries],
        deliveries=[
            SentView(
                account=row.account,
                delivery_id=row.id,
                kind=row.kind,
                channel=Channel(row.channel),
                state=State(row.state),
                reason=row.reason,
                address=row.address,
                created_at=row.created_at,
                ended_at=row.ended_at,
            )
            for row in sent
        ],
    )


@router.delete(
    "/people/{person}", policy=Policy("person:erase", roles=OPERATORS), summary="Forget a person everywhere"
)
async def erase_person(person: PersonId, work: Work) -> Erased:
    """Stops what has not gone out, and forgets entries, addresses and texts."""
    steps = []
    for locked in await deliveries.locked_of_person(work.connection, person):
        change = cancelled(locked.delivery, "erased")
        if change is not None:
            steps.append(ending_step(work, applied(locked.delivery, change, work.now), locked.origin))
        elif locked.delivery.phase is None:
            steps.append(_given_up(work, locked))
    await deliveries.save_steps(work.connection, steps, work.now, None)
    contents = await deliveries.forget_content(work.connection, person)
    entries = await people.forget(work.connection, person)
    if not entries and not contents:
        raise Problem.not_found()
    return Erased(person=person, entries=entries, contents=contents, stopped=len(steps))


def _given_up(work: Work, locked: Locked) -> Step:
    """A delivery whose report is not waited for any more: its address is gone."""
    state = State.UNKNOWN if locked.delivery.state is not State.SENDING else State.SUPPRESSED
    change = Change(state, "erased", ended=True)
    return ending_step(
        work, applied(replace(locked.delivery, carried_by=None), change, work.now), locked.origin
    )
