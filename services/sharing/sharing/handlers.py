"""Facts in: the accounts that can enter relationships, what billing systems tell of resources, and the answers to
requests to end; timers."""

from dataclasses import replace

from chassis import Batch, TimerBatch
from contracts import MasterDataChanged, RelationshipEndAnswered, ResourceChanged
from contracts import master_data_changed as master_data
from sharing.changing import keep_resources, tell_sharings
from sharing.domain.accounts import Account, newest
from sharing.domain.ending import EndRequest, outcome_of
from sharing.domain.resources import ToldResource
from sharing.following import settle_request
from sharing.repository import accounts as account_rows
from sharing.repository import ending as ending_rows
from sharing.repository import relationships as relationship_rows
from sharing.repository import sharing as sharing_rows


async def keep_accounts(batch: Batch[MasterDataChanged]) -> None:
    """Keeps the newest version of each account; other master data is of no use here."""
    told = [account for record in batch if (account := _account(record.event))]
    await account_rows.save_newer(batch.connection, newest(told))


def _account(change: MasterDataChanged) -> Account | None:
    if not isinstance(change.record, master_data.Account):
        return None
    return Account(
        account_id=change.id, version=change.version, name=change.record.name, active=change.active
    )


async def keep_told_resources(batch: Batch[ResourceChanged]) -> None:
    """Keeps the newest version of each resource; one that contradicts what is known is refused by its reason."""
    told = [_resource(record.event) for record in batch]
    fates = await keep_resources(batch, told, list(batch))
    for record, fate in zip(batch, fates, strict=True):
        if fate.refused is not None:
            batch.dead_letter(record, fate.refused.reason, str(fate.refused))
        else:
            batch.count("resource", "stored" if fate.stored else "known-already")


def _resource(event: ResourceChanged) -> ToldResource:
    return ToldResource(
        resource=event.resource_id,
        version=event.version,
        owner=event.owner,
        resource_type=event.resource_type,
        name=event.name,
        valid_from=event.valid_from,
        valid_until=event.valid_until,
        quantity=event.quantity,
        unit=event.unit,
    )


async def tell_due(batch: TimerBatch) -> None:
    """Tells billing systems what begins or ends by itself, in the order of its moments."""
    causes = {timer.key: timer for timer in batch}
    sharers = await sharing_rows.locked_sharers(batch.connection, causes, batch.now)
    since = min(sharer.told.until for sharer in sharers.values())
    sharings = await sharing_rows.sharings(batch.connection, causes, since)
    await tell_sharings(batch, sharings, sharers, batch.now, causes)


async def take_end_answers(batch: Batch[RelationshipEndAnswered]) -> None:
    """Keeps what services answer to requests to end, and settles those that are answered.

    Loading takes the same statements for any batch; each settled request takes its own.
    """
    events = [record.event for record in batch]
    relationships = await relationship_rows.locked_many(
        batch.connection, {event.relationship_id for event in events}
    )
    requests = await ending_rows.by_id(batch.connection, {event.request_id for event in events})
    awaited = [event for event in events if _is_awaited(requests.get(event.request_id))]
    await ending_rows.save_answers(batch.connection, awaited)
    answers = await ending_rows.answers(batch.connection, {event.request_id for event in awaited})
    for record in batch:
        request = requests.get(record.event.request_id)
        if request is None or request.relationship_id not in relationships:
            detail = f"request_id: {record.event.relationship_id} has no request {record.event.request_id}"
            batch.dead_letter(record, "unknown-end-request", detail)
        elif request.outcome is not None:
            batch.count("end-answer", "late")
        elif (outcome := outcome_of(request, answers[request.request_id])) is not None:
            standing = relationships[request.relationship_id]
            relationships[request.relationship_id] = await settle_request(
                batch, standing, request, outcome, request.side, request.requested_by, record
            )
            requests[request.request_id] = replace(request, outcome=outcome, decided_at=batch.now)


def _is_awaited(request: EndRequest | None) -> bool:
    return request is not None and request.outcome is None


async def give_up_requests(batch: TimerBatch) -> None:
    """Requests to end that were not answered in time are over, and their relationships stay."""
    requests = await ending_rows.by_id(batch.connection, {timer.key for timer in batch})
    relationships = await relationship_rows.locked_many(
        batch.connection, {request.relationship_id for request in requests.values()}
    )
    requests = await ending_rows.by_id(batch.connection, requests)
    for timer in batch:
        request = requests.get(timer.key)
        if request is not None and request.outcome is None:
            standing = relationships[request.relationship_id]
            relationships[request.relationship_id] = await settle_request(
                batch, standing, request, "timed-out", request.side, request.requested_by, timer
            )
