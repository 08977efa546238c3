"""What the rules refuse to do; each of these reaching a caller is a bug, not an answer."""


class FundPoolError(Exception):
    """Base of the package's errors."""


class LimitPassed(FundPoolError):
    """A posting would take a fund account beyond what it may hold."""

    def __init__(self, account: str, account_type: str, currency: str, balance: int, line: int) -> None:
        self.account = account
        self.account_type = account_type
        self.currency = currency
        self.balance = balance
        self.line = line
        super().__init__(
            f"{account_type} {currency} of {account} would stand at {balance} minor units with a line of {line}"
        )


class BalanceOverflow(FundPoolError):
    """A posting would take a fund account above the largest amount that can be stored."""

    def __init__(self, account: str, account_type: str, currency: str) -> None:
        self.account = account
        self.account_type = account_type
        self.currency = currency
        super().__init__(f"{account_type} {currency} of {account} would hold more than can be stored")


class OrderMissing(FundPoolError):
    """A check of a submission that does not carry the order."""

    def __init__(self, source: str, order_id: str, check_number: int) -> None:
        self.source = source
        self.order_id = order_id
        self.check_number = check_number
        super().__init__(f"check {check_number} of order {order_id} of {source} carries no order")


class HoldExceeded(FundPoolError):
    """More would be taken of a hold, or given back, than is left of it."""

    def __init__(self, hold_id: str, amount: int, left: int) -> None:
        self.hold_id = hold_id
        self.amount = amount
        self.left = left
        super().__init__(f"hold {hold_id} has {left} minor units left, not {amount}")


class VoucherExceeded(FundPoolError):
    """A posting would take a voucher below zero or above what it was made for."""

    def __init__(self, voucher_id: str, remaining: int) -> None:
        self.voucher_id = voucher_id
        self.remaining = remaining
        super().__init__(f"voucher {voucher_id} would have {remaining} minor units left")
