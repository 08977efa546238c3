"""What a filing can be filled with: fetched figures, and open items of the pool."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date

from sqlalchemy.ext.asyncio import AsyncConnection

from cashplan.domain.cells import CellKey, members_text
from cashplan.domain.control import DEFAULT_MAPPINGS
from cashplan.domain.filings import Content
from cashplan.domain.grids import DetailRow, GridSheet
from cashplan.domain.mappings import ENTITY, ITEM, mapped
from cashplan.domain.periods import Period, PeriodIndex
from cashplan.domain.pool import PoolItem
from cashplan.domain.position import Place
from cashplan.domain.rounds import horizon_days
from cashplan.domain.systems import FetchRule, PoolRule
from cashplan.flows.filings import FilingDesk
from cashplan.repository import cells as cell_rows
from cashplan.repository import pool as pool_rows
from cashplan.repository import position as position_rows

ITEMS_MAX = 100_000


@dataclass
class Filled:
    """A content filled anew, and the items that map to nothing."""

    content: Content
    unmapped: list[str] = field(default_factory=list)
    items: int = 0


async def refreshed(connection: AsyncConnection, held: FilingDesk, today: date) -> Filled:
    """Fetched items and the pool's share anew; what people entered elsewhere stays."""
    first_day, last_day = horizon_days(held.round.columns)
    due = await pool_rows.due_items(
        connection, held.system.id, _entities(held), first_day, last_day, ITEMS_MAX
    )
    filled = Filled(held.content)
    planned = (_approved(held, item, approved) for item, approved in due)
    items = [item for item in planned if item is not None]
    _fill_from_pool(held, filled, items)
    await _fetch(connection, held, filled, items, today)
    return filled


def _entities(held: FilingDesk) -> list[str]:
    """The names by which documents may mean the entity: its own, and its organisation's."""
    organisation = held.system.entity_by_id[held.entity].organisation
    return sorted({held.entity, organisation or held.entity})


def _approved(held: FilingDesk, item: PoolItem, approved: int | None) -> PoolItem | None:
    """Where the system approves items in batches, only approved ones count, with their approved amounts."""
    if not held.system.basics.uses_approval_batches:
        return item
    if not approved:
        return None
    return replace(item, covered_minor=item.gross_minor - min(approved, item.amount_minor))


@dataclass(frozen=True)
class _Placed:
    """An item with the cell that it belongs to."""

    item: PoolItem
    key: CellKey
    minor: int


def _fill_from_pool(held: FilingDesk, filled: Filled, items: Sequence[PoolItem]) -> None:
    rules = [rule for rule in held.system.pool_rules if rule.filing_type == held.filing.filing_type]
    placed = _placed(held, filled, items, rules)
    filled.items = len({each.item.key for _, each in placed})
    for rule in rules:
        own = [each for owner, each in placed if owner is rule]
        if rule.as_rows:
            filled.content = _with_rows(filled.content, rule, own)
        elif rule.sheet in held.grid.sheets:
            filled.content = _with_sums(filled.content, held.grid.sheets[rule.sheet], own)


def _placed(
    held: FilingDesk, filled: Filled, items: Sequence[PoolItem], rules: Sequence[PoolRule]
) -> list[tuple[PoolRule, _Placed]]:
    """Each item under the first rule that takes it, so that none is counted twice."""
    periods = PeriodIndex([column.period for column in held.round.columns])
    found: list[tuple[PoolRule, _Placed]] = []
    for item in items:
        period = periods.at(item.due_date)
        if period is None:
            continue
        key = _cell(held, filled, item, period)
        if key is None:
            continue
        rule = next((each for each in rules if _takes(held, each, item, key)), None)
        if rule is not None:
            minor = held.round.rates.converted(item.amount_minor, item.currency or key.currency, key.currency)
            found.append((rule, _Placed(item, key, minor)))
    return found


def _cell(held: FilingDesk, filled: Filled, item: PoolItem, period: Period) -> CellKey | None:
    attributes = dict(item.attributes)
    if item.item:
        attributes["plan-item"] = item.item
    found = mapped(
        held.system.mappings or DEFAULT_MAPPINGS, held.system.members, attributes, held.system.aliases
    )
    members = dict(found.members)
    plan_item = members.get(ITEM) or (item.item if item.item in held.system.item_by_id else None)
    if plan_item is None or members.get(ENTITY, held.entity) != held.entity:
        filled.unmapped.append(
            f"{item.key.document_type} {item.key.document_id}: {found.missing.get(ITEM, ENTITY)}"
        )
        return None
    dimensions = held.system.plan_dimensions(held.filing.filing_type, held.entity, plan_item)
    text = members_text({name: members[name] for name in dimensions if name in members})
    currency = held.system.basics.plan_currency or item.currency or ""
    return CellKey(plan_item, period.code, currency, text)


def _takes(held: FilingDesk, rule: PoolRule, item: PoolItem, key: CellKey) -> bool:
    if rule.direction != item.direction:
        return False
    if rule.document_types and item.key.document_type not in rule.document_types:
        return False
    if rule.as_rows:
        sheet = held.grid.details.get(rule.sheet)
        fixed = sheet.fixed.get("item") if sheet is not None else None
        return sheet is not None and (fixed is None or held.grid.items.is_within(key.item, fixed))
    return rule.sheet in held.grid.sheets and _target(held.grid.sheets[rule.sheet], key) is not None


def _target(sheet: GridSheet, key: CellKey) -> CellKey | None:
    """The open cell of a sheet for an item: with its members, or with none of them."""
    for candidate in (key, key._replace(members="")):
        cell = sheet.by_key.get(candidate)
        if cell is not None and cell.source in ("entered", "fetched"):
            return candidate
    return None


def _with_rows(content: Content, rule: PoolRule, placed: Sequence[_Placed]) -> Content:
    """Rows that came from the pool are replaced; those that people entered stay."""
    kept = [row for row in content.details.get(rule.sheet, ()) if not row.sources]
    added = [
        DetailRow(
            row_id="pool-" + "-".join(each.item.key)[:100],
            item=each.key.item,
            period=each.key.period,
            currency=each.key.currency,
            minor=each.minor,
            members=each.key.members,
            fields={
                target: each.item.attributes[name]
                for target, name in rule.fields.items()
                if each.item.attributes.get(name)
            },
            sources=("\t".join(each.item.key),),
        )
        for each in placed
    ]
    return replace(content, details={**content.details, rule.sheet: [*kept, *added]})


def _with_sums(content: Content, sheet: GridSheet, placed: Sequence[_Placed]) -> Content:
    sums: dict[tuple[str, CellKey], int] = defaultdict(int)
    sources: dict[tuple[str, CellKey], list[str]] = defaultdict(list)
    for each in placed:
        target = _target(sheet, each.key)
        if target is not None:
            sums[sheet.sheet.id, target] += each.minor
            sources[sheet.sheet.id, target].append("\t".join(each.item.key))
    cells = {
        place: amount
        for place, amount in content.cells.items()
        if place not in content.sources or place in sums
    }
    return replace(
        content,
        cells={**cells, **sums},
        sources={place: tuple(keys) for place, keys in sources.items()},
    )


async def _fetch(
    connection: AsyncConnection, held: FilingDesk, filled: Filled, items: Sequence[PoolItem], today: date
) -> None:
    """Fetched items of every sheet, by their rules."""
    rules = {rule.id: rule for rule in held.system.fetch_rules}
    wanted = {
        item.id: rules[item.fetch_rule]
        for item in held.system.items
        if item.source == "fetched" and item.fetch_rule in rules
    }
    cells = [
        (sheet.sheet.id, cell.key)
        for sheet in held.grid.sheets.values()
        for line in sheet.cells
        for cell in line
        if cell.source == "fetched" and cell.key.item in wanted
    ]
    if not cells:
        return
    figures = await _Figures(connection, held, items, today).by_rule(set(wanted.values()))
    fetched = {
        (sheet, key): figures[wanted[key.item].id].get((key.period, key.currency), 0) for sheet, key in cells
    }
    filled.content = replace(filled.content, cells={**filled.content.cells, **fetched})


@dataclass(frozen=True)
class _Figures:
    connection: AsyncConnection
    held: FilingDesk
    items: Sequence[PoolItem]
    today: date

    async def by_rule(self, rules: set[FetchRule]) -> Mapping[str, Mapping[tuple[str, str], int]]:
        """What each rule finds by period and currency."""
        return {rule.id: await self._of(rule) for rule in sorted(rules, key=lambda rule: rule.id)}

    async def _of(self, rule: FetchRule) -> Mapping[tuple[str, str], int]:
        if rule.source == "pool":
            return self._pool(rule)
        return await (self._documents(rule) if rule.source == "documents" else self._balances())

    def _pool(self, rule: FetchRule) -> Mapping[tuple[str, str], int]:
        periods = PeriodIndex([column.period for column in self.held.round.columns])
        sums: dict[tuple[str, str], int] = defaultdict(int)
        for item in self.items:
            period = periods.at(item.due_date)
            if period is not None and item.currency and _fits(rule, item):
                sums[period.code, item.currency] += item.amount_minor
        return sums

    async def _documents(self, rule: FetchRule) -> Mapping[tuple[str, str], int]:
        held = self.held
        first_day, last_day = horizon_days(held.round.columns)
        records = await cell_rows.records(
            self.connection,
            held.system.id,
            held.filing.filing_type,
            [held.entity],
            first_day,
            last_day,
            ITEMS_MAX,
        )
        sums: dict[tuple[str, str], int] = defaultdict(int)
        for dated in records:
            record = dated.record
            if rule.direction in (None, dated.direction) and record.item in rule.where.get(
                "item", [record.item]
            ):
                amount = record.pre_occupied if rule.measure == "pre-occupied" else record.actual
                sums[record.period, record.currency] += amount
        return sums

    async def _balances(self) -> Mapping[tuple[str, str], int]:
        """Today's balances of the entity's own accounts, in the first period."""
        first = self.held.round.columns[0].period.code
        places = {
            Place(entity, currency): self.today
            for entity in _entities(self.held)
            for currency in self.held.system.basics.currencies
        }
        balances = await position_rows.balances_by_place(self.connection, places)
        sums: dict[tuple[str, str], int] = defaultdict(int)
        for place, accounts in balances.items():
            sums[first, place.currency] += sum(max(0, account.balance_minor or 0) for account in accounts)
        return sums


def _fits(rule: FetchRule, item: PoolItem) -> bool:
    if rule.direction is not None and rule.direction != item.direction:
        return False
    if rule.document_types and item.key.document_type not in rule.document_types:
        return False
    return all(item.attributes.get(name) in values for name, values in rule.where.items())
