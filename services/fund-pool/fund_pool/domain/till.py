"""Takes and gives the money of one order in one step: net per source, with holds, vouchers and transfer books."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from fund_pool.domain.account_types import CASH
from fund_pool.domain.books import spend, unspend
from fund_pool.domain.ledger import ORDER_REVENUE, VOUCHERS_EXPIRED, Document
from fund_pool.domain.order_state import Effects, LineHeld, OrderState
from fund_pool.domain.pool import AnyMove, FundAccount, InternalMove, Move, Pool, Posted, VoucherMove
from fund_pool.domain.vouchers import Voucher
from fund_pool.domain.walk import LinePaid, Share, Walk

SourceKey = tuple[str, str, str | None]


@dataclass(slots=True)
class Till:
    """Collects what one decision moves; `settle` posts it, one entry per account whose books it touches."""

    order: OrderState
    pools: Mapping[str, Pool]
    document: Document
    now: datetime
    changes: dict[SourceKey, int] = field(default_factory=dict)
    before: dict[str, Mapping[str, int]] = field(default_factory=dict)
    holding: dict[SourceKey, Share] = field(default_factory=dict)

    @property
    def pool(self) -> Pool:
        return self.pools[self.order.account]

    @property
    def currency(self) -> str:
        assert self.order.currency is not None
        return self.order.currency

    def take(self, outcome: Walk) -> None:
        """Takes what a walk found, or sets it aside where the usage rule wants that."""
        holding: dict[SourceKey, Share] = {}
        for share in outcome.shares:
            if share.gave and share.sets_aside:
                voucher_id = share.voucher.voucher_id if share.voucher is not None else None
                holding[share.account or self.order.account, share.account_type, voucher_id] = share
        for paid in outcome.payments:
            key = (paid.account, paid.account_type, paid.voucher_id)
            if key in holding:
                self.order.holds.append(self._line_held(paid))
            else:
                self._pay(paid)
        self.holding |= holding

    def refund(self, payments: Iterable[tuple[LinePaid, int]]) -> None:
        """Gives parts of payments back to the fund accounts and vouchers that gave them."""
        for paid, amount in payments:
            key = (paid.account, paid.account_type, paid.voucher_id)
            self._change(key, amount)
            paid.amount -= amount
        self.order.payments = [paid for paid in self.order.payments if paid.amount]

    def release(self, held: LineHeld, amount: int) -> None:
        """Gives a part of what is held for a line free."""
        pool = self._remembered(held.account)
        pool.release(pool.holds[held.hold_id], amount)
        self._lower(held, amount)

    def capture(self, held: LineHeld, amount: int) -> None:
        """Takes a part of what is held for a line."""
        pool = self._remembered(held.account)
        pool.capture(pool.holds[held.hold_id], amount, pool.last_entry_number + 1)
        self._lower(held, amount)
        self._pay(LinePaid(held.account, held.account_type, held.line_id, amount, held.voucher_id))

    def settle(self) -> Effects:
        """Posts what was collected and keeps the order's sums."""
        by_account: dict[str, list[AnyMove]] = {}
        for (account, code, voucher_id), amount in self.changes.items():
            if amount:
                self._count(amount)
                by_account.setdefault(account, []).extend(self._moves(account, code, voucher_id, amount))
        self._book(self.changes.get((self.order.account, CASH.code, None), 0))
        posted = {account: self._post(account, moves) for account, moves in self._own_first(by_account)}
        for key, share in self.holding.items():
            self._hold(key, share)
        return self._told(posted)

    def _own_first(self, by_account: dict[str, list[AnyMove]]) -> list[tuple[str, list[AnyMove]]]:
        return sorted(by_account.items(), key=lambda item: (item[0] != self.order.account, item[0]))

    def _post(self, account: str, moves: list[AnyMove]) -> Posted:
        pool = self._remembered(account)
        return pool.post(self.document, moves, pool.today(self.now), self.now, before={})

    def _told(self, posted: dict[str, Posted]) -> Effects:
        """The episodes that follow, once the holds stand as well."""
        notices = {}
        for account, before in self.before.items():
            pool = self.pools[account]
            told = pool.reconsidered(before, self.now, self._cause(posted.get(account)))
            if account in posted:
                posted[account].notices = told
            elif told or pool.lends:
                notices[account] = told
        return Effects(list(posted.values()), notices)

    def _pay(self, paid: LinePaid) -> None:
        self._change((paid.account, paid.account_type, paid.voucher_id), -paid.amount)
        for known in self.order.payments:
            if (known.account, known.account_type, known.voucher_id, known.line_id) == (
                paid.account,
                paid.account_type,
                paid.voucher_id,
                paid.line_id,
            ):
                known.amount += paid.amount
                return
        self.order.payments.append(paid)

    def _line_held(self, paid: LinePaid) -> LineHeld:
        return LineHeld(
            self._hold_id(paid.account_type, paid.voucher_id),
            paid.account,
            paid.account_type,
            paid.line_id,
            paid.amount,
            paid.voucher_id,
        )

    def _hold(self, key: SourceKey, share: Share) -> None:
        account, code, voucher_id = key
        assert share.rule is not None
        assert share.rule.hold_hours is not None
        pool = self._remembered(account)
        expires_at = self.now + timedelta(hours=share.rule.hold_hours)
        pool.hold(
            self._hold_id(code, voucher_id),
            "order",
            self._source(account, code, voucher_id),
            share.gave,
            self.now,
            expires_at,
        )
        earlier = self.order.hold_expires_at
        self.order.hold_expires_at = expires_at if earlier is None else min(earlier, expires_at)

    def _lower(self, held: LineHeld, amount: int) -> None:
        held.amount -= amount
        self.order.holds = [one for one in self.order.holds if one.amount]
        if not self.order.holds:
            self.order.hold_expires_at = None

    def _hold_id(self, code: str, voucher_id: str | None) -> str:
        """One hold per order, step and source; a document's number tells the steps apart."""
        document = self.document
        return "/".join(
            (document.type, self.order.source, self.order.order_id, str(document.number), voucher_id or code)
        )

    def _change(self, key: SourceKey, amount: int) -> None:
        self._remembered(key[0])
        self.changes[key] = self.changes.get(key, 0) + amount

    def _remembered(self, account: str) -> Pool:
        """The pool of an account, its quotas noted before this decision changes them."""
        pool = self.pools[account]
        if account not in self.before:
            self.before[account] = pool.quotas([self.currency])
        return pool

    def _moves(self, account: str, code: str, voucher_id: str | None, amount: int) -> list[AnyMove]:
        source = self._source(account, code, voucher_id)
        if isinstance(source, FundAccount):
            return [Move(source, amount, ORDER_REVENUE)]
        pool = self.pools[account]
        if amount > 0 and not source.is_valid(pool.today(self.now)):
            if source.pool_id is not None:
                pool.lapsed[source.pool_id] = pool.lapsed.get(source.pool_id, 0) + amount
            return [
                InternalMove(ORDER_REVENUE, source.currency, -amount),
                InternalMove(VOUCHERS_EXPIRED, source.currency, amount),
            ]
        return [VoucherMove(source, amount, ORDER_REVENUE)]

    def _source(self, account: str, code: str, voucher_id: str | None) -> FundAccount | Voucher:
        if voucher_id is not None:
            return self.pools[account].vouchers[voucher_id]
        return self.pools[account].fund_accounts[code, self.currency]

    def _count(self, amount: int) -> None:
        if amount < 0:
            self.order.paid -= amount
        else:
            self.order.refunded += amount

    def _book(self, change: int) -> None:
        """Books what the cash gave as spent of the transfer books, or what it got back as not spent."""
        pool = self.pools.get(self.order.account)
        if pool is None or not pool.books or not change:
            return
        books = list(pool.books.values())
        if change < 0:
            cash = pool.fund_accounts[CASH.code, self.currency]
            own = cash.balance - pool.transferred(self.currency)
            self.order.shares += spend(books, self.currency, -change, own, pool.spending_order)
        else:
            self.order.shares = unspend(
                books, self.currency, self.order.shares, self._paid_in_cash() + change, change
            )
        for key, book in pool.books.items():
            if book.currency == self.currency:
                pool.touched_books[key] = book

    def _paid_in_cash(self) -> int:
        return sum(
            paid.amount
            for paid in self.order.payments
            if (paid.account, paid.account_type, paid.voucher_id) == (self.order.account, CASH.code, None)
        )

    def _cause(self, posted: Posted | None) -> object:
        document = self.document
        return posted.entry.number if posted is not None else f"{document.type}/{document.reference}"
