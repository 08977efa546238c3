"""Effects happen once: played twice, and replayed from the start without positions, and without the inbox too."""

import pytest

from ops.demo.day import Day, Json
from ops.verify.__main__ import verify
from tests.endtoend.house import House, figures

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.timeout(900)]


async def test_played_twice_replayed_without_positions_and_without_inbox_changes_nothing(
    played: House,
) -> None:
    before, published = await state(played)

    await play_again(played)
    assert await state(played) == (before, published), "played twice"

    played.restart_without("position")
    await come_to_rest(played)
    assert await state(played) == (before, published), "replayed from offset 0: the inbox holds"

    played.restart_without("position", "inbox")
    await come_to_rest(played)
    after, republished = await state(played)
    assert after == before, "replayed from offset 0 with an empty inbox: the business keys hold"
    assert republished == published
    await assert_all_holds(played)


def everything(day: Day) -> list[Json]:
    """All records of the day, the broken ones among them."""
    return [*day.master_data, *day.payments, *day.orders_among_broken, *day.evening]


async def play_again(house: House) -> None:
    """The same records once more, with the same event ids."""
    async with house.playing() as day:
        await day.play(everything(house.day))


async def come_to_rest(house: House) -> None:
    async with house.playing() as day:
        await day.rest()
        await day.deliveries_ended()


async def state(house: House) -> tuple[Json, dict[str, set[str]]]:
    """All figures, and the ids of all events that were published."""
    async with house.playing() as day:
        return await figures(day), await house.event_ids()


async def assert_all_holds(house: House) -> None:
    async with house.playing() as day:
        outcomes = await verify(day.services, house.stack.bootstrap_servers, 60)
    assert {outcome.name: outcome.violations for outcome in outcomes if not outcome.holds} == {}
