"""quota-low to deliveries on a real database: who, how, why not, once."""

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from chassis.database import statements
from chassis.testing import only
from contracts.master_data_changed import Account
from contracts.relationship_changed import Permission
from notify import handlers
from notify.app import service
from notify.tables import METADATA
from notify.testing import quota_low
from sqlalchemy import Connection

from contracts import MasterDataChanged, NotificationStatus, RelationshipChanged

pytestmark = pytest.mark.stack


async def test_a_low_quota_is_told_by_sms_and_mail(office: Any) -> None:
    await office.contact("li")
    await office.contact("wu", security=False, wants=frozenset({"quota-low"}), phone=None)
    await office.contact("xu", security=False)
    emitted = await office.harness.play(quota_low(office.now))
    assert await office.deliveries("recipient, channel, state, reason") == [
        ("li", "email", "accepted", None),
        ("li", "sms", "accepted", None),
        ("wu", "email", "accepted", None),
        ("wu", "sms", "suppressed", "no-address"),
    ]
    [told] = only(emitted, NotificationStatus)
    assert (told.recipient, told.channel, told.state, told.reason) == (
        "wu",
        "sms",
        "suppressed",
        "no-address",
    )


async def test_an_account_without_people_has_its_deliveries_too(office: Any) -> None:
    await office.contact("li", account="A-2", verified=False)
    emitted = await office.harness.play(quota_low(office.now), quota_low(office.now, account="A-2"))
    assert await office.deliveries("account, recipient, channel, state, reason") == [
        ("A-1", "A-1", "email", "suppressed", "no-contact"),
        ("A-1", "A-1", "sms", "suppressed", "no-contact"),
        ("A-2", "li", "email", "suppressed", "unverified"),
        ("A-2", "li", "sms", "suppressed", "unverified"),
    ]
    assert len(only(emitted, NotificationStatus)) == 4


async def test_the_end_of_an_episode_stops_what_has_not_gone_out(office: Any) -> None:
    await office.contact()
    await office.harness.play(quota_low(office.now))
    emitted = await office.harness.play(quota_low(office.now, kind="resolved"))
    assert await office.deliveries("kind, channel, state, reason") == [
        ("quota-low-opened", "email", "suppressed", "episode-resolved"),
        ("quota-low-opened", "sms", "suppressed", "episode-resolved"),
        ("quota-low-resolved", "email", "accepted", None),
        ("quota-low-resolved", "sms", "accepted", None),
    ]
    assert {(status.state, status.reason) for status in only(emitted, NotificationStatus)} == {
        ("suppressed", "episode-resolved")
    }


async def test_superseded_stops_and_tells_nobody(office: Any) -> None:
    await office.contact()
    await office.harness.play(quota_low(office.now), quota_low(office.now, kind="superseded"))
    assert await office.deliveries() == [
        ("email", "suppressed", "episode-superseded"),
        ("sms", "suppressed", "episode-superseded"),
    ]
    assert await office.harness.rows("select step from episode") == [{"step": 1_000_001}]


async def test_another_currency_is_another_episode(office: Any) -> None:
    await office.contact()
    await office.harness.play(
        quota_low(office.now), quota_low(office.now, currency="JPY", quota="900", threshold="1000")
    )
    await office.harness.play(quota_low(office.now, kind="superseded"))
    assert sorted(await office.deliveries("channel, state")) == [
        ("email", "accepted"),
        ("email", "suppressed"),
        ("sms", "accepted"),
        ("sms", "suppressed"),
    ]


async def test_a_notice_is_told_once_whatever_brings_it_again(office: Any) -> None:
    """The same events again, then from the start without positions and inbox: the business keys hold."""
    await office.contact()
    events = [
        quota_low(office.now),
        quota_low(office.now, kind="reminder", reminder_number=1),
        quota_low(office.now, kind="resolved"),
        quota_low(office.now, episode_id="E-2"),
    ]
    records = [office.harness.raw(event) for event in events]
    await office.harness.consume(records)
    columns = "id, state, reason, due_at, steps, status_event_id"
    before = await office.deliveries(columns)
    await office.harness.spoil("delete from position; delete from inbox")
    office.harness.context = office.harness.instance()
    assert only(await office.harness.consume(records), NotificationStatus) == []
    await office.harness.play(*events)
    assert await office.deliveries(columns) == before
    assert len(before) == 8


async def test_what_comes_behind_a_later_notice_is_overtaken(office: Any) -> None:
    await office.contact()
    await office.harness.play(quota_low(office.now, kind="resolved"))
    await office.harness.play(quota_low(office.now))
    assert await office.deliveries("kind, state, reason") == [
        ("quota-low-opened", "suppressed", "overtaken"),
        ("quota-low-opened", "suppressed", "overtaken"),
        ("quota-low-resolved", "accepted", None),
        ("quota-low-resolved", "accepted", None),
    ]


async def test_a_notice_of_yesterday_expires(office: Any) -> None:
    await office.contact()
    emitted = await office.harness.play(quota_low(office.now - timedelta(hours=25)))
    assert await office.deliveries() == [("email", "expired", "stale"), ("sms", "expired", "stale")]
    assert {status.state for status in only(emitted, NotificationStatus)} == {"expired"}


async def test_statements_per_batch_do_not_grow(office: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many notices and recipients there are; ends of episodes add what they stop."""
    counts: list[int] = []
    handle = handlers.announce_events

    async def counted(batch: Any) -> None:
        before = statements(batch.connection)
        await handle(batch)
        counts.append(statements(batch.connection) - before)

    [subscription] = [entry for entry in service.subscriptions if entry.handler is handle]
    monkeypatch.setitem(subscription.__dict__, "handler", counted)
    for size in (1, 50):
        accounts = [f"{size}-{number}" for number in range(size)]
        for account in accounts[:10]:
            await office.contact("li", account=account)
        await office.harness.play(*(quota_low(office.now, account=account) for account in accounts))
        ends = [quota_low(office.now, account=account, kind="resolved") for account in accounts]
        await office.harness.play(*ends)
    assert counts == [11, 13, 11, 13]


async def test_any_order_and_repetition_of_many_episodes_keeps_the_invariants(
    office: Any, findings: Any
) -> None:
    random = Random(20260310)
    office.harness.now = datetime.now(UTC)
    await office.contact()
    await office.contact(account="A-2", phone=None)
    kinds = [("opened", 0), ("reminder", 1), ("reminder", 2), ("resolved", 2), ("superseded", 2)]
    events = [
        quota_low(office.now, account=f"A-{account}", episode_id=episode, kind=kind, reminder_number=number)
        for account in (1, 2, 3)
        for episode in ("E-1", "E-2")
        for kind, number in kinds
    ]
    arriving = [*events, *random.sample(events, 10)]
    random.shuffle(arriving)
    for start in range(0, len(arriving), 7):
        await office.harness.play(*arriving[start : start + 7])
        await office.send()
    await office.send()
    assert await findings() == []
    assert len(await office.harness.rows("select id from notice")) == 3 * 2 * 4


async def test_accounts_names_are_kept_in_their_newest_version(office: Any) -> None:
    def account(version: int, name: str) -> MasterDataChanged:
        record = Account(kind="account", name=name, customer="C-1", settlement_organisation="O-1")
        return MasterDataChanged(id="A-1", version=version, changed_at=office.now, record=record)

    await office.harness.play(account(2, "Newer"), account(1, "Older"))
    await office.harness.play(account(1, "Older"))
    assert await office.harness.rows("select account, name, version from account") == [
        {"account": "A-1", "name": "Newer", "version": 2}
    ]


async def test_relationships_are_kept_in_their_newest_version(office: Any) -> None:
    def relationship(version: int, state: str, answer: str) -> RelationshipChanged:
        return RelationshipChanged(
            relationship_id="R-1",
            relationship_version=version,
            kind="financial",
            management_account="A-9",
            member_account="A-1",
            state=state,  # type: ignore[arg-type]  # one of the states
            permissions=[Permission(name="view-financial-information", state=answer)],  # type: ignore[arg-type]
            display_name="Member one",
            changed_at=office.now,
        )

    await office.harness.play(relationship(2, "active", "accepted"), relationship(1, "invited", "offered"))
    columns = "relationship_version, state, may_view_finances"
    rows = await office.harness.rows(f"select {columns} from relationship")
    assert rows == [{"relationship_version": 2, "state": "active", "may_view_finances": True}]


async def test_the_tables_are_what_the_migrations_make(office: Any) -> None:
    def differences(connection: Connection) -> list[Any]:
        own = set(METADATA.tables)

        def is_own(_: object, name: str | None, kind: str, *__: object) -> bool:
            return kind != "table" or name in own

        context = MigrationContext.configure(connection, opts={"include_object": is_own})
        return list(compare_metadata(context, METADATA))

    async with office.harness.connection() as connection:
        assert await connection.run_sync(differences) == []
