"""Members' credit limits: changes and proposals applied in the turn of their versions, proposals answered."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal

from contracts.money import decimal_string

from fund_pool.domain.account_types import OVERDRAFT
from fund_pool.domain.ledger import CREDIT_LIMIT, CREDIT_LINES, Document
from fund_pool.domain.pool import FundAccount, Move, Pool, Posted

WAITING_MAX: Final = 64
FOLLOWING: Final = "member-limit"
Standing = Literal["next", "repeat", "early"]


@dataclass(slots=True)
class MemberLimit:
    """The limit of one (account, currency) as it was applied last; `answer` is the last answer, as JSON."""

    account: str
    currency: str
    version: int = 0
    amount: int = 0
    answer: bytes | None = None
    waiting: dict[int, bytes] = field(default_factory=dict)

    def standing(self, version: int) -> Standing:
        if version == self.version + 1:
            return "next"
        return "repeat" if version <= self.version else "early"

    def park(self, version: int, body: bytes) -> bool:
        """Keeps an early event until its predecessors came; False when there is no room for it."""
        if len(self.waiting) >= WAITING_MAX and version not in self.waiting:
            return False
        self.waiting.setdefault(version, body)
        return True


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a lowering may be; else the smallest limit that would pass, and why."""

    accepted: bool
    code: str = ""
    text: str = ""
    smallest: int | None = None


def following(pool: Pool, currency: str) -> FundAccount | None:
    """The overdraft whose line follows the member's limit."""
    purse = pool.find(OVERDRAFT.code, currency)
    return purse if purse is not None and purse.line_source == FOLLOWING else None


def judge(pool: Pool, currency: str, proposed: int) -> Verdict:
    """A lowering has to leave the available quota above zero and the line above what is used and held.

    An account whose line does not follow the limit can do without any of it.
    """
    purse = following(pool, currency)
    if purse is None or proposed >= purse.line:
        return Verdict(True)
    quota = pool.terms(currency).quota
    needed = purse.line - purse.usable
    smallest = max(needed, purse.line - quota + 1)
    if proposed >= smallest:
        return Verdict(True)
    after = decimal_string(quota - (purse.line - proposed), currency)
    text = f"with this limit the available quota would be {after} {currency}"
    code = "quota-not-above-zero"
    if proposed < needed and quota - (purse.line - proposed) > 0:
        code, text = (
            "line-in-use",
            f"{decimal_string(needed, currency)} {currency} of the line is used or held",
        )
    return Verdict(False, code, text, smallest if smallest <= purse.line else None)


def set_line(pool: Pool, currency: str, amount: int, version: int, now: datetime) -> Posted | None:
    """Brings the line that follows the limit to it; None where none follows, or nothing changes."""
    purse = following(pool, currency)
    if purse is None or purse.line == amount:
        return None
    move = Move(purse, amount - purse.line, CREDIT_LINES, "line")
    document = Document(CREDIT_LIMIT, "", f"{pool.account}/{currency}", version)
    return pool.post(document, [move], pool.today(now), now)


def in_use(pool: Pool, currency: str) -> int:
    """What of the following line is used or held, and so cannot go."""
    purse = following(pool, currency)
    return 0 if purse is None else purse.line - min(purse.line, purse.usable)
