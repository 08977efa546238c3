"""`make demo`: a day of orders on a stack of its own, told while it happens, and judged at its end."""
