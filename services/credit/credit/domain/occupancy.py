"""What one order occupies: in each profile the largest of its settled check and its undecided ones."""

from collections.abc import Iterable
from dataclasses import dataclass, field

Amounts = dict[str, int]
"""Minor units by profile id."""


def occupied(settled: int, undecided: Iterable[int]) -> int:
    """Until it is decided, an order occupies the largest of its settled revision and its undecided ones."""
    return max(settled, max(undecided, default=0))


@dataclass(slots=True)
class Occupancy:
    """The live checks of an order; `settled_check` is the accepted one with the highest number."""

    settled_check: int | None = None
    checks: dict[int, Amounts] = field(default_factory=dict)

    def settled(self, profile_id: str) -> int:
        """What the order occupies by a check that fund-pool has accepted."""
        if self.settled_check is None:
            return 0
        return self.checks[self.settled_check].get(profile_id, 0)

    def occupied(self, profile_id: str) -> int:
        """What the order occupies in a profile at this moment."""
        if not self.checks:
            return 0
        undecided = (
            amounts.get(profile_id, 0)
            for number, amounts in self.checks.items()
            if number != self.settled_check
        )
        return occupied(self.settled(profile_id), undecided)

    def profile_ids(self) -> list[str]:
        """Every profile that the order occupies or could occupy, sorted."""
        return sorted({profile_id for amounts in self.checks.values() for profile_id in amounts})

    def add(self, check_number: int, amounts: Amounts) -> None:
        """An undecided check occupies."""
        self.checks[check_number] = amounts

    def accept(self, check_number: int) -> None:
        """Settles a check: it replaces the settled one before it, and yields to a settled one after it."""
        if check_number not in self.checks or check_number == self.settled_check:
            return
        if self.settled_check is not None and self.settled_check > check_number:
            del self.checks[check_number]
            return
        if self.settled_check is not None:
            del self.checks[self.settled_check]
        self.settled_check = check_number

    def undo(self, check_number: int) -> None:
        """Takes back exactly what an undecided check added; one that is settled or gone changes nothing."""
        if check_number != self.settled_check:
            self.checks.pop(check_number, None)

    def empty(self) -> None:
        """Releases what is left, as closing does; the settled check stays."""
        for amounts in self.checks.values():
            amounts.update(dict.fromkeys(amounts, 0))

    def clear(self) -> None:
        """Lowers to nothing at once, as a cancellation does."""
        self.settled_check = None
        self.checks.clear()
