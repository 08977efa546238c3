"""A day in the life of Coffer: what goes in, and what must come of it."""
