"""In which order the fund accounts of a pool pay an order."""

from collections.abc import Mapping
from dataclasses import dataclass

from fund_pool.domain.account_types import CASH, OVERDRAFT, PRESETS, VOUCHER_KINDS, AccountType


@dataclass(frozen=True, slots=True)
class DeductionOrder:
    """Account types, first to pay first; `version` is the policy version named in decisions, 0 = built in."""

    version: int
    account_types: tuple[str, ...]


BUILT_IN = DeductionOrder(0, (CASH.code, OVERDRAFT.code))


@dataclass(frozen=True, slots=True)
class DeductionOrderFault:
    """Why a list of account types cannot be a deduction order."""

    position: int
    text: str


def faults(account_types: list[str], types: Mapping[str, AccountType] = PRESETS) -> list[DeductionOrderFault]:
    """Every fault of a proposed deduction order, by position in the list."""
    found = []
    for position, code in enumerate(account_types):
        kind = types.get(code)
        if code in VOUCHER_KINDS and code not in account_types[:position]:
            continue
        if kind is None and code not in VOUCHER_KINDS:
            found.append(DeductionOrderFault(position, f"there is no account type {code}"))
        elif kind is not None and not kind.pays_orders:
            found.append(DeductionOrderFault(position, f"{code} does not pay for orders"))
        elif code in account_types[:position]:
            found.append(DeductionOrderFault(position, f"{code} stands in the list twice"))
    return found
