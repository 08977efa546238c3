"""Floor `shape` of orders that three fund accounts and a voucher pay: the plain floor with the rows of four payers."""

import sys

import uvloop

from tests.bench.floors import shape_fund_pool as plain

PAYERS = "('cash', 'balance'), ('rebate', 'balance'), ('overdraft', 'balance'), ('voucher', 'voucher'), "
ONE_ACCOUNT = "and account_type = 'cash')"
VOUCHER = (
    ",\nv as (update voucher set remaining = remaining - 9 * orders from t where voucher_id = 'V' || t.id)"
)


def split(stage: str) -> str:
    """The statement with five postings per entry, three fund accounts and a voucher."""
    assert ONE_ACCOUNT in stage
    assert "('cash', 'balance'), " in stage
    return stage.replace(ONE_ACCOUNT, ")" + VOUCHER).replace("('cash', 'balance'), ", PAYERS)


if __name__ == "__main__":
    plain.STAGE = split(plain.STAGE)
    uvloop.run(plain.main(*sys.argv[1:]))
