"""make verify finds what was changed behind the services' backs."""

import json
import os
import subprocess
import sys

import pytest

from ops.local.stack import ROOT
from ops.verify.__main__ import verify
from tests.endtoend.house import House
from tests.endtoend.orders import new_orders

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.timeout(900)]

SPOIL = "update pool_item set settled_minor = settled_minor {change} where (source, document_id) = ('{source}', '{id}')"


async def test_an_amount_changed_in_cashplan_is_found(prepared: House) -> None:
    prepared.forget()
    [order] = new_orders(prepared.day, "A-1001-CN", 1)
    order["value"] |= {"payment_method": "credit-terms", "payment_terms_days": 30}
    key = {"source": order["value"]["source"], "id": order["value"]["order_id"]}
    async with prepared.playing() as day:
        await day.play([order])
    prepared.execute("cashplan", SPOIL.format(change="+ 1", **key))
    try:
        code, violated = verified(prepared)
    finally:
        prepared.execute("cashplan", SPOIL.format(change="- 1", **key))
    assert code == 1
    assert violated == {"cashplan: pool-item-equals-its-history", "receipts-are-what-orders-leave-unpaid"}
    async with prepared.playing() as day:
        outcomes = await verify(day.services, prepared.stack.bootstrap_servers, 60)
    assert [outcome.name for outcome in outcomes if not outcome.holds] == []


def verified(house: House) -> tuple[int, set[str]]:
    """The exit code of the command, and the checks that it reports as broken."""
    environment = os.environ | house.stack.environment()
    command = [sys.executable, "-m", "ops.verify", "--json"]
    answer = subprocess.run(
        command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )
    assert answer.returncode in (0, 1), answer.stderr
    outcomes = json.loads(answer.stdout.splitlines()[-1])
    return answer.returncode, {outcome["name"] for outcome in outcomes if not outcome["holds"]}
