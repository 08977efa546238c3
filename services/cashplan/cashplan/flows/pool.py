"""The pool's ladder: documents locked with their chains, amounts worked out anew, items and history saved."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from cashplan.domain.chains import ChainDocument, open_amounts
from cashplan.domain.collection import PoolFact
from cashplan.domain.pool import ItemChange, ItemKey, PoolItem
from cashplan.repository import pool as pool_rows
from cashplan.repository.pool import KnownItem
from chassis import UnitOfWork


@dataclass(frozen=True, slots=True)
class PoolNews:
    """A fact for the pool, with the event that told it."""

    fact: PoolFact
    event_id: str
    decided_at: datetime


@dataclass
class PoolDesk:
    """One transaction's work on the pool."""

    work: UnitOfWork
    chains: dict[ItemKey, ChainDocument] = field(default_factory=dict)
    items: dict[ItemKey, PoolItem] = field(default_factory=dict)
    versions: dict[ItemKey, int] = field(default_factory=dict)
    below: dict[ItemKey, set[ItemKey]] = field(default_factory=dict)
    changes: list[ItemChange] = field(default_factory=list)
    facts: list[PoolFact] = field(default_factory=list)

    async def load(self, keys: Sequence[ItemKey], upstream: Sequence[ItemKey]) -> Mapping[ItemKey, KnownItem]:
        """Locks documents and what hangs together with them."""
        known = await pool_rows.locked_chains(
            self.work.connection, {*keys, *upstream}, bool(upstream), self.work.now
        )
        self.chains = {key: each.chain for key, each in known.items()}
        self.items = {key: each.item for key, each in known.items() if each.item is not None}
        self.versions = {key: each.version for key, each in known.items()}
        for chain in self.chains.values():
            self._link(chain)
        return known

    def _link(self, chain: ChainDocument) -> None:
        for link in chain.upstream:
            self.below.setdefault(link.key, set()).add(chain.key)

    def apply(self, news: PoolNews) -> str:
        """Takes one fact in and works its chain out anew; a version that is known already changes nothing."""
        fact = news.fact
        if fact.version <= self.versions.get(fact.key, 0):
            return "known-already"
        first = self.chains.get(fact.key)
        sequence = (
            first.sequence if first is not None and self.versions.get(fact.key) else fact.chain.sequence
        )
        self.versions[fact.key] = fact.version
        self.chains[fact.key] = replace(fact.chain, sequence=sequence)
        self._link(self.chains[fact.key])
        self.facts.append(replace(fact, chain=self.chains[fact.key]))
        self._renew(news)
        return self._outcome(fact.key)

    def _renew(self, news: PoolNews) -> None:
        """The fact's own item always takes a step; the others of its chain where their amount has changed."""
        fact = news.fact
        opens = open_amounts([self.chains[key] for key in self._component(fact.key)])
        for key, minor in sorted(opens.items()):
            current = self.items.get(key)
            item = fact.item if key == fact.key else current
            if item is None:
                continue
            step = current.step + 1 if current is not None else 1
            renewed = replace(item, covered_minor=max(0, item.gross_minor - minor), step=step)
            if key == fact.key or current is None or renewed.covered_minor != current.covered_minor:
                self._take(renewed, news, fact.operation if key == fact.key else "chain")

    def _component(self, start: ItemKey) -> list[ItemKey]:
        """Everything that hangs together with a document, through links in either direction."""
        found, waiting = {start}, [start]
        while waiting:
            key = waiting.pop()
            above = [link.key for link in self.chains[key].upstream] if key in self.chains else []
            for other in (*above, *self.below.get(key, ())):
                if other not in found and other in self.chains:
                    found.add(other)
                    waiting.append(other)
        return sorted(found)

    def _take(self, item: PoolItem, news: PoolNews, operation: str) -> None:
        self.items[item.key] = item
        change = ItemChange(
            item=item,
            operation=operation,
            outcome=news.fact.outcome,
            event_id=news.event_id,
            decided_at=news.decided_at,
        )
        self.changes.append(change)

    def _outcome(self, key: ItemKey) -> str:
        item = self.items.get(key)
        if item is None:
            return "not-collected"
        return "open" if item.amount_minor else "closed"

    async def save(self) -> None:
        linked = {link.key for fact in self.facts for link in fact.chain.upstream}
        last = {fact.key: fact for fact in self.facts}
        await pool_rows.save_changes(
            self.work.connection, list(last.values()), self.changes, linked, self.work.now
        )
        await pool_rows.mark_linked(self.work.connection, linked - last.keys())
