"""cashplan owns plans: what is to be received and paid, and how much cash there will be on each day."""
