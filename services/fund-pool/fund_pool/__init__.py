"""fund-pool owns money: accounts, their ledger, what pays an order, and the available quota."""
