"""Accounts as master data tells them: the newest version counts."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A party of relationships; a retired account enters no new one."""

    account_id: str
    version: int
    name: str
    active: bool


def newest(accounts: Iterable[Account]) -> list[Account]:
    """One per id, sorted by id: the highest version, the first of equal ones."""
    highest: dict[str, Account] = {}
    for account in accounts:
        known = highest.get(account.account_id)
        if known is None or account.version > known.version:
            highest[account.account_id] = account
    return [highest[account_id] for account_id in sorted(highest)]
