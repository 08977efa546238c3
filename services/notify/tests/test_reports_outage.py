"""A report that comes while the database is away is answered with 503, so that the gateway brings it again."""

from types import SimpleNamespace
from typing import Any, NoReturn

import pytest
from chassis.http import Problem
from notify.api.reports import take_report


class Away:
    """A service whose database refuses connections."""

    name = "notify"
    asked = 0

    def open_work(self, _: object) -> NoReturn:
        self.asked += 1
        raise ConnectionRefusedError


async def test_a_report_during_an_outage_is_asked_for_again() -> None:
    context = Away()
    request: Any = SimpleNamespace(app=SimpleNamespace(state=SimpleNamespace(context=context)))
    with pytest.raises(Problem) as refused:
        await take_report(request, "token", 1)
    assert (refused.value.status, refused.value.headers) == (503, {"Retry-After": "5"})
    assert context.asked > 1
